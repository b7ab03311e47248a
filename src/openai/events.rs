//! The stream: server-sent events, each with a piece of the reply as JSON, the last one `[DONE]`.
//!
//! An event is taken to be one line: none of these servers puts a line break into its JSON.

use bzzz_actors::ports::model::{Finish, ModelError};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::refusal::Call;
use crate::model_server::{Dialect, Draft};

#[derive(Deserialize)]
struct Piece {
    error: Option<IgnoredAny>,
    /// Of an error that stands by itself.
    message: Option<IgnoredAny>,
    /// Empty in the one that counts the tokens.
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    /// vLLM's name for the thinking.
    reasoning: Option<String>,
    /// Older vLLM's and llama.cpp's.
    reasoning_content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

pub(crate) struct Events<'a> {
    call: Call<'a>,
    /// Known before the end: the tokens' count may follow, and some servers leave `[DONE]` out.
    finish: Option<Finish>,
}

impl<'a> Events<'a> {
    pub(crate) fn new(call: Call<'a>) -> Self {
        Self { call, finish: None }
    }

    fn take_event(&mut self, data: &[u8], draft: &mut Draft) -> Result<(), ModelError> {
        let Ok(piece) = serde_json::from_slice::<Piece>(data) else {
            return Err(self.call.no_stream(data));
        };
        if piece.error.is_some() || (piece.message.is_some() && piece.choices.is_none()) {
            return Err(self.call.broken_stream(data));
        }
        if let Some(usage) = piece.usage {
            draft.count(usage.prompt_tokens, usage.completion_tokens);
        }
        // One is asked for.
        let Some(choice) = piece.choices.into_iter().flatten().next() else { return Ok(()) };
        if let Some(delta) = choice.delta {
            draft.say(delta.content.as_deref());
            draft.think(delta.reasoning.or(delta.reasoning_content).as_deref());
        }
        match choice.finish_reason.as_deref() {
            None => {}
            Some("length") => self.finish = Some(Finish::Length),
            // vLLM's words for a reply that it gave up.
            Some(reason @ ("abort" | "error")) => {
                return Err(ModelError::Unavailable(format!("the server gave the reply up ({reason})")));
            }
            Some(_) => self.finish = Some(Finish::Stop),
        }
        Ok(())
    }
}

impl Dialect for Events<'_> {
    /// Its own and the empty one after it.
    const LINES_A_TOKEN: usize = 2;

    fn take_line(&mut self, line: &[u8], draft: &mut Draft) -> Result<Option<Finish>, ModelError> {
        let colon = line.iter().position(|b| *b == b':');
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        match field {
            b"data" if value == b"[DONE]" => return Ok(Some(self.finish.unwrap_or(Finish::Stop))),
            b"data" if !value.is_empty() => self.take_event(value, draft)?,
            // How llama.cpp's server sent an error before 2025's end.
            b"error" => return Err(self.call.broken_stream(value)),
            // LM Studio answers so with 200 what it has an error for; no field begins like this.
            [b'{', ..] => return Err(self.call.broken_stream(line)),
            // A page of a proxy's.
            [b'<', ..] => return Err(self.call.no_stream(line)),
            // Comments keep the connection awake; the other fields say nothing.
            _ => {}
        }
        Ok(None)
    }

    fn finish_so_far(&self) -> Option<Finish> {
        self.finish
    }
}

#[cfg(test)]
mod tests {
    use bzzz_actors::ports::model::Completion;
    use proptest::prelude::*;

    use super::*;
    use crate::model_server::testing;

    fn read(pieces: &[&[u8]]) -> Result<Completion, ModelError> {
        testing::read(pieces, Events::new(Call { model: "m", key: Some("sk-s3cret"), context_tokens: 8192 }))
    }

    fn read_all(text: &str) -> Result<Completion, ModelError> {
        read(&[text.as_bytes()])
    }

    fn piece(delta: &str) -> String {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}],\"usage\":null}}\n\n"
        )
    }

    fn last(reason: &str) -> String {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n")
    }

    const COUNTED: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"total_tokens\":15,\"completion_tokens\":3}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    const WHOLE: &str = concat!(
        ": keep-alive\r\n\r\n",
        "event: message\r\nid: 1\r\nretry: 10\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\r\n\r\n",
        "data:{\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"hm\",\"content\":null}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grüß\"}}]}\n\n:\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" Gott\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3}}\n\n",
        "data: [DONE]"
    );

    proptest! {
        #[test]
        fn a_reply_is_the_same_however_it_is_cut(cuts in prop::collection::vec(0..WHOLE.len(), 0..12)) {
            let completion = read(&testing::cut_up(WHOLE, cuts)).unwrap();
            prop_assert_eq!(completion.content, "Grüß Gott");
            prop_assert_eq!((completion.finish, completion.prompt_tokens, completion.output_tokens), (Finish::Stop, 12, 3));
        }
    }

    #[test]
    fn a_stream_that_ends_early_is_a_failure_and_one_that_says_how_it_finished_is_not() {
        let half = piece(r#"{"content":"half"}"#);
        assert!(read_all(&half).unwrap_err().is_retryable());
        assert!(read_all("").unwrap_err().is_retryable());
        assert!(read_all(": keep-alive\n\n").unwrap_err().is_retryable());
        assert_eq!(read_all(&format!("{half}{}", last("stop"))).unwrap().content, "half");
        assert_eq!(read_all(&format!("{half}{DONE}")).unwrap().content, "half");
        let aborted = read_all(&format!("{half}{}{DONE}", last("abort"))).unwrap_err();
        assert!(aborted.is_retryable(), "{aborted}");
    }

    #[test]
    fn tokens_are_counted_where_the_server_counts_them() {
        let counts = |text: &str| read_all(text).map(|it| (it.prompt_tokens, it.output_tokens)).unwrap();
        let said = format!("{}{}", piece(r#"{"content":"a"}"#), last("stop"));
        assert_eq!(counts(&format!("{said}{COUNTED}{DONE}")), (12, 3));
        assert_eq!(counts(&format!("{said}{COUNTED}")), (12, 3), "without the end");
        assert_eq!(counts(&format!("{said}{DONE}")), (0, 0));
        let with_the_last = said.replace("}]}\n", "}],\"usage\":{\"prompt_tokens\":9}}\n");
        assert_eq!(counts(&with_the_last), (9, 0), "without a piece of its own");
    }

    #[test]
    fn the_reason_says_whether_the_reply_was_cut() {
        let finish = |reason| read_all(&format!("{}{DONE}", last(reason))).unwrap().finish;
        assert_eq!(
            (finish("length"), finish("stop"), finish("tool_calls")),
            (Finish::Length, Finish::Stop, Finish::Stop)
        );
    }

    #[test]
    fn thinking_is_no_part_of_the_reply_wherever_it_stands() {
        for thought in
            [r#"{"reasoning_content":"hm"}"#, r#"{"reasoning":"hm"}"#, r#"{"content":"<think>hm</think>"}"#]
        {
            let text =
                format!("{}{}{}{DONE}", piece(thought), piece(r#"{"content":"Do it."}"#), last("stop"));
            assert_eq!(read_all(&text).unwrap().content, "Do it.", "{thought}");
        }
        // What is not said counts too, or a model that thinks for ever would never be stopped.
        let endless = piece(&format!("{{\"reasoning\":\"{}\"}}", "x".repeat(300))).repeat(9);
        assert_eq!(read_all(&endless).unwrap().finish, Finish::Length);
    }

    #[test]
    fn an_error_within_the_stream_fails_the_reply() {
        let half = piece(r#"{"content":"half"}"#);
        let died =
            r#"{"error":{"message":"the engine died","type":"InternalServerError","param":null,"code":500}}"#;
        let alone =
            r#"{"object":"error","message":"the engine died","type":"InternalServerError","code":500}"#;
        for line in [
            format!("data: {died}\n\n{DONE}"),
            format!("data: {alone}\n\n{DONE}"),
            format!("error: {alone}\n\n{DONE}"),
            format!("event: error\ndata: {died}\n\n"),
            format!("{died}\n"),
        ] {
            let error = read_all(&format!("{half}{line}")).unwrap_err();
            assert!(error.is_retryable() && error.to_string().contains("the engine died"), "{error}");
        }
        let overflow = r#"error: {"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}"#;
        assert!(matches!(read_all(overflow), Err(ModelError::Overflow(_))));
    }

    #[test]
    fn what_is_no_stream_of_events_is_quoted_briefly_and_without_the_key() {
        for text in [
            "<!DOCTYPE html>\n<title>502 Bad Gateway</title>",
            "{\"id\":\"chatcmpl-1\",\"key\":\"sk-s3cret\"}",
            "data: {\"choices\":\"sk-s3cret\"}\n\n",
            "data: sk-s3cret\n\n",
        ] {
            let error = read_all(text).unwrap_err();
            assert!(error.is_retryable() && error.to_string().contains("no stream of events"), "{error}");
            assert!(error.to_string().len() < 500 && !error.to_string().contains("s3cret"), "{error}");
        }
    }
}
