//! A reply on its way: what the model says, and a stream of its pieces, however its interface writes them. Ollama's own
//! is one object, or lines of which the last says `done`.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::apiary::clock;
use crate::apiary::faults::StreamFault;

/// What one line of the stream carries: several tokens.
const CHUNK_TOKENS: usize = 4;
const TOKEN_BYTES: usize = 4;
/// The pace of a stream that never ends: a client that reads it is neither starved nor flooded.
const ENDLESS_PAUSE: Duration = Duration::from_millis(20);
/// What such a stream says.
pub(crate) const AGAIN: &str = " again and again";
/// The durations of a model that does not think, in nanoseconds.
const LOAD_NS: u64 = 2_000_000;
const PROMPT_NS: u64 = 1_000_000;
const TOKEN_NS: u64 = 50_000;

/// Which of the two interfaces answers: they differ in where the text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    Generate,
}

/// What the model says, in pieces, cut at the request's limit.
pub(crate) struct Speech {
    pub(crate) chunks: Vec<String>,
    /// `length` when it was cut.
    pub(crate) reason: &'static str,
    pub(crate) tokens: u64,
}

impl Speech {
    /// A negative limit, in tokens, is none.
    pub(crate) fn new(text: &str, limit: Option<i64>) -> Self {
        let limit = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let all = token_texts(text);
        let kept = &all[..all.len().min(limit)];
        Self {
            chunks: kept.chunks(CHUNK_TOKENS).map(<[&str]>::concat).collect(),
            reason: if kept.len() < all.len() { "length" } else { "stop" },
            tokens: kept.len() as u64,
        }
    }
}

pub(crate) struct Reply {
    kind: Kind,
    model: String,
    speech: Speech,
    prompt_tokens: u64,
    load_ns: u64,
}

impl Reply {
    /// `text`, cut at `num_predict` tokens.
    pub(crate) fn new(
        kind: Kind,
        model: &str,
        text: &str,
        num_predict: Option<i64>,
        prompt_tokens: u64,
        loaded_now: bool,
    ) -> Self {
        Self {
            kind,
            model: model.to_owned(),
            speech: Speech::new(text, num_predict),
            prompt_tokens,
            load_ns: if loaded_now { LOAD_NS } else { 0 },
        }
    }

    /// The answer to a request that only loads or unloads the model.
    pub(crate) fn without_text(kind: Kind, model: &str, keep_alive: Option<&Value>) -> Self {
        let unloads = keep_alive.is_some_and(|k| k == 0 || k == "0" || k == "0s");
        let reason = if unloads { "unload" } else { "load" };
        let speech = Speech { chunks: Vec::new(), reason, tokens: 0 };
        Self { kind, model: model.to_owned(), speech, prompt_tokens: 0, load_ns: 0 }
    }

    fn line(&self, text: &str, done: bool) -> Value {
        let mut line = json!({ "model": self.model, "created_at": clock::now_precise() });
        match self.kind {
            Kind::Chat => line["message"] = json!({ "role": "assistant", "content": text }),
            Kind::Generate => line["response"] = json!(text),
        }
        line["done"] = json!(done);
        if done {
            line["done_reason"] = json!(self.speech.reason);
            if self.prompt_tokens > 0 {
                let eval = self.speech.tokens * TOKEN_NS;
                line["total_duration"] = json!(self.load_ns + PROMPT_NS + eval);
                line["load_duration"] = json!(self.load_ns);
                line["prompt_eval_count"] = json!(self.prompt_tokens);
                line["prompt_eval_duration"] = json!(PROMPT_NS);
                line["eval_count"] = json!(self.speech.tokens);
                line["eval_duration"] = json!(eval);
            }
        }
        line
    }
}

/// `text` in pieces of about a token each, cut between characters.
fn token_texts(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(TOKEN_BYTES));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn bytes(line: &Value) -> Bytes {
    format!("{line}\n").into()
}

pub(crate) fn answer(reply: Reply, streams: bool, fault: Option<StreamFault>) -> HttpResponse {
    if streams {
        let chunks = reply.speech.chunks.iter();
        let pieces = Pieces {
            content_type: "application/x-ndjson",
            parts: chunks.map(|text| bytes(&reply.line(text, false))).collect(),
            end: vec![bytes(&reply.line("", true))],
            again: bytes(&reply.line(AGAIN, false)),
            error: |error| bytes(&json!({ "error": error })),
        };
        return pieces.send(fault);
    }
    match fault {
        Some(StreamFault::Error(error)) => {
            HttpResponse::InternalServerError().json(json!({ "error": error }))
        }
        _ => HttpResponse::Ok().json(reply.line(&reply.speech.chunks.concat(), true)),
    }
}

/// A streamed reply as its interface writes it.
pub(crate) struct Pieces {
    pub(crate) content_type: &'static str,
    pub(crate) parts: Vec<Bytes>,
    /// What says that the reply is whole.
    pub(crate) end: Vec<Bytes>,
    /// A part that says [`AGAIN`].
    pub(crate) again: Bytes,
    pub(crate) error: fn(&str) -> Bytes,
}

impl Pieces {
    pub(crate) fn send(self, fault: Option<StreamFault>) -> HttpResponse {
        let Self { content_type, mut parts, end, again, error } = self;
        let half = parts.len() / 2;
        match &fault {
            // A small window is no fault of the stream.
            None | Some(StreamFault::SmallWindow(_)) => parts.extend(end),
            Some(StreamFault::WithoutDone | StreamFault::Endless) => {}
            Some(StreamFault::Error(text)) => {
                parts.truncate(half);
                parts.push(error(text));
            }
            Some(StreamFault::Stalled) => parts.truncate(half),
        }
        // A small pause before each part but the first, so that they leave as pieces of a stream.
        let sent = stream::iter(parts).then(|part| async move {
            tokio::task::yield_now().await;
            Ok::<_, std::io::Error>(part)
        });
        let mut http = HttpResponse::Ok();
        http.content_type(content_type);
        if fault == Some(StreamFault::Endless) {
            let endless = stream::repeat(again).then(|part| async move {
                tokio::time::sleep(ENDLESS_PAUSE).await;
                Ok(part)
            });
            return http.streaming(sent.chain(endless));
        }
        if fault == Some(StreamFault::Stalled) {
            return http.streaming(sent.chain(stream::pending()));
        }
        http.streaming(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_cut_at_its_limit_and_says_so() {
        let speech = |limit| Speech::new("ä€😀 and more text", limit);
        assert_eq!(speech(None).chunks.concat(), "ä€😀 and more text");
        assert_eq!((speech(None).reason, speech(Some(-1)).reason), ("stop", "stop"));
        let cut = speech(Some(2));
        assert_eq!((cut.reason, cut.tokens, cut.chunks.concat().as_str()), ("length", 2, "ä€😀"));
    }
}
