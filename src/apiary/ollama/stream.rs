//! A reply on its way: one object, or a stream of lines of which the last says `done`.

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

pub(crate) struct Reply {
    kind: Kind,
    model: String,
    chunks: Vec<String>,
    done_reason: &'static str,
    prompt_tokens: u64,
    output_tokens: u64,
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
        let limit = num_predict.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let all = token_texts(text);
        let kept = &all[..all.len().min(limit)];
        Self {
            kind,
            model: model.to_owned(),
            chunks: kept.chunks(CHUNK_TOKENS).map(<[&str]>::concat).collect(),
            done_reason: if kept.len() < all.len() { "length" } else { "stop" },
            prompt_tokens,
            output_tokens: kept.len() as u64,
            load_ns: if loaded_now { LOAD_NS } else { 0 },
        }
    }

    /// The answer to a request that only loads or unloads the model.
    pub(crate) fn without_text(kind: Kind, model: &str, keep_alive: Option<&Value>) -> Self {
        let unloads = keep_alive.is_some_and(|k| k == 0 || k == "0" || k == "0s");
        Self {
            kind,
            model: model.to_owned(),
            chunks: Vec::new(),
            done_reason: if unloads { "unload" } else { "load" },
            prompt_tokens: 0,
            output_tokens: 0,
            load_ns: 0,
        }
    }

    fn line(&self, text: &str, done: bool) -> Value {
        let mut line = json!({ "model": self.model, "created_at": clock::now_precise() });
        match self.kind {
            Kind::Chat => line["message"] = json!({ "role": "assistant", "content": text }),
            Kind::Generate => line["response"] = json!(text),
        }
        line["done"] = json!(done);
        if done {
            line["done_reason"] = json!(self.done_reason);
            if self.prompt_tokens > 0 {
                let eval = self.output_tokens * TOKEN_NS;
                line["total_duration"] = json!(self.load_ns + PROMPT_NS + eval);
                line["load_duration"] = json!(self.load_ns);
                line["prompt_eval_count"] = json!(self.prompt_tokens);
                line["prompt_eval_duration"] = json!(PROMPT_NS);
                line["eval_count"] = json!(self.output_tokens);
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
    if !streams {
        return match fault {
            Some(StreamFault::Error(error)) => {
                HttpResponse::InternalServerError().json(json!({ "error": error }))
            }
            _ => HttpResponse::Ok().json(reply.line(&reply.chunks.concat(), true)),
        };
    }
    let mut lines: Vec<Bytes> = reply.chunks.iter().map(|text| bytes(&reply.line(text, false))).collect();
    let half = lines.len() / 2;
    match &fault {
        // A small window is no fault of the stream.
        None | Some(StreamFault::SmallWindow(_)) => lines.push(bytes(&reply.line("", true))),
        Some(StreamFault::WithoutDone) => {}
        Some(StreamFault::Error(error)) => {
            lines.truncate(half);
            lines.push(bytes(&json!({ "error": error })));
        }
        Some(StreamFault::Stalled) => lines.truncate(half),
        Some(StreamFault::Endless) => {}
    }
    // A small pause before each line but the first, so that they leave as pieces of a stream.
    let sent = stream::iter(lines).then(|line| async move {
        tokio::task::yield_now().await;
        Ok::<_, std::io::Error>(line)
    });
    let mut http = HttpResponse::Ok();
    http.content_type("application/x-ndjson");
    if fault == Some(StreamFault::Endless) {
        let again = bytes(&reply.line(" again and again", false));
        let endless = stream::repeat(again).then(|line| async move {
            tokio::time::sleep(ENDLESS_PAUSE).await;
            Ok(line)
        });
        return http.streaming(sent.chain(endless));
    }
    if fault == Some(StreamFault::Stalled) {
        return http.streaming(sent.chain(stream::pending()));
    }
    http.streaming(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_cut_at_its_limit_and_says_so() {
        let reply = |limit| Reply::new(Kind::Chat, "m", "ä€😀 and more text", limit, 3, true);
        assert_eq!(reply(None).chunks.concat(), "ä€😀 and more text");
        assert_eq!((reply(None).done_reason, reply(Some(-1)).done_reason), ("stop", "stop"));
        let cut = reply(Some(2));
        assert_eq!((cut.done_reason, cut.output_tokens, cut.chunks.concat().as_str()), ("length", 2, "ä€😀"));
    }
}
