//! Ollama's stream: one JSON object a line, the last one with `done: true`.

use bzzz_actors::ports::model::{Finish, ModelError};
use serde::Deserialize;

use crate::model_server::words::broken_stream;
use crate::model_server::{Dialect, Draft, unreadable};

#[derive(Deserialize)]
struct Line {
    error: Option<String>,
    message: Option<LineMessage>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
}

#[derive(Deserialize)]
struct LineMessage {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
}

pub(crate) struct Lines;

impl Dialect for Lines {
    /// A line holds a token or more.
    const LINES_A_TOKEN: usize = 1;

    fn take_line(&mut self, line: &[u8], draft: &mut Draft) -> Result<Option<Finish>, ModelError> {
        let line: Line = serde_json::from_slice(line).map_err(|error| unreadable(line, &error))?;
        if let Some(text) = line.error {
            return Err(broken_stream(&text));
        }
        if let Some(message) = &line.message {
            draft.say(message.content.as_deref());
            draft.think(message.thinking.as_deref());
        }
        if !line.done {
            return Ok(None);
        }
        draft.count(line.prompt_eval_count, line.eval_count);
        let is_cut = line.done_reason.as_deref() == Some("length");
        Ok(Some(if is_cut { Finish::Length } else { Finish::Stop }))
    }

    /// A repeat-abort, too, ends the stream without `done`.
    fn finish_so_far(&self) -> Option<Finish> {
        None
    }
}

#[cfg(test)]
mod tests {
    use bzzz_actors::ports::model::Completion;
    use proptest::prelude::*;

    use super::*;
    use crate::model_server::testing;

    fn read(pieces: &[&[u8]]) -> Result<Completion, ModelError> {
        testing::read(pieces, Lines)
    }

    const WHOLE: &str = concat!(
        "{\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"hm\"},\"done\":false}\n",
        "\n",
        "{\"message\":{\"content\":\"Grüß\"},\"done\":false}\r\n",
        "{\"message\":{\"content\":\" Gott\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":12,\"eval_count\":3}"
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
    fn a_stream_without_done_is_a_failure() {
        let text = "{\"message\":{\"content\":\"half\"},\"done\":false}\n";
        assert!(read(&[text.as_bytes()]).unwrap_err().is_retryable());
        assert!(read(&[b"{\"message\":{\"cont"]).unwrap_err().is_retryable());
    }

    #[test]
    fn an_error_line_fails_the_reply() {
        let text = "{\"message\":{\"content\":\"half\"}}\n{\"error\":\"runner died\"}\n";
        assert_eq!(read(&[text.as_bytes()]).unwrap_err(), ModelError::Unavailable("runner died".to_owned()));
        let text = "{\"error\":\"input exceeds the context length\"}\n";
        assert!(matches!(read(&[text.as_bytes()]), Err(ModelError::Overflow(_))));
    }

    #[test]
    fn a_line_that_is_none_is_quoted_briefly() {
        let quoted = format!("{{\"eval_count\":\"{}\"}}\n", "x".repeat(900));
        assert!(read(&[quoted.as_bytes()]).unwrap_err().to_string().len() < 800);
    }

    #[test]
    fn the_reason_says_whether_the_reply_was_cut() {
        let counted = "{\"message\":{\"content\":\"a\"},\"done\":true,\"done_reason\":\"length\"}\n";
        assert_eq!(read(&[counted.as_bytes()]).unwrap().finish, Finish::Length);
    }
}
