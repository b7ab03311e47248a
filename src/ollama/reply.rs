//! Reads a streamed reply: one JSON object a line, the last one with `done: true`. Pure; the bytes come from outside.

use std::time::Duration;

use bzzz_actors::ports::model::{Completion, Finish, ModelError};
use serde::Deserialize;

use super::refusal::broken_stream;
use super::thinking::without_thinking;
use crate::http::excerpt;

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) line_bytes: usize,
    /// Content and thinking together.
    pub(super) reply_bytes: usize,
    pub(super) output_tokens: u32,
}

impl Limits {
    /// A line holds a token or more; the servers also send some without any. A stream of more lines than this does
    /// not keep its own limit and would never end.
    fn lines(&self) -> usize {
        2 * self.output_tokens as usize + 256
    }
}

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

pub(super) struct ReplyReader {
    limits: Limits,
    /// The bytes after the last line's end.
    rest: Vec<u8>,
    content: String,
    thinking_bytes: usize,
    lines: usize,
}

impl ReplyReader {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, rest: Vec::new(), content: String::new(), thinking_bytes: 0, lines: 0 }
    }

    /// `Some` when the reply is complete or a limit cut it; no more bytes are wanted then.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<Option<Completion>, ModelError> {
        while let Some(at) = bytes.iter().position(|b| *b == b'\n') {
            self.keep(&bytes[..at])?;
            bytes = &bytes[at + 1..];
            let line = std::mem::take(&mut self.rest);
            if let Some(completion) = self.take_line(&line)? {
                return Ok(Some(completion));
            }
        }
        self.keep(bytes)?;
        Ok(None)
    }

    /// The stream ended. The last line may lack its line feed.
    pub(super) fn end(&mut self) -> Result<Completion, ModelError> {
        let line = std::mem::take(&mut self.rest);
        self.take_line(&line)?
            .ok_or_else(|| ModelError::Unavailable("the stream ended before the reply did".to_owned()))
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        if self.rest.len() + bytes.len() > self.limits.line_bytes {
            let max = self.limits.line_bytes;
            return Err(ModelError::Unavailable(format!("a line of its reply is longer than {max} bytes")));
        }
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Result<Option<Completion>, ModelError> {
        self.lines += 1;
        if !line.trim_ascii().is_empty() {
            let line: Line = serde_json::from_slice(line).map_err(|error| {
                // The error quotes what it stumbled over, whole.
                let why = excerpt(error.to_string().as_bytes());
                ModelError::Unavailable(format!("its reply can't be read, {why}: {}", excerpt(line)))
            })?;
            if let Some(text) = line.error {
                return Err(broken_stream(&text));
            }
            if let Some(message) = &line.message {
                self.content.push_str(message.content.as_deref().unwrap_or_default());
                self.thinking_bytes += message.thinking.as_deref().unwrap_or_default().len();
            }
            if line.done {
                let is_cut = line.done_reason.as_deref() == Some("length");
                let finish = if is_cut { Finish::Length } else { Finish::Stop };
                return Ok(Some(self.completion(finish, line.prompt_eval_count, line.eval_count)));
            }
        }
        let too_long = self.content.len() + self.thinking_bytes > self.limits.reply_bytes;
        if too_long || self.lines > self.limits.lines() {
            return Ok(Some(self.completion(Finish::Length, None, None)));
        }
        Ok(None)
    }

    /// The model has thought, and may have said nothing else.
    pub(super) fn has_thought(&self) -> bool {
        self.thinking_bytes > 0 || without_thinking(&self.content).len() < self.content.len()
    }

    fn completion(
        &self,
        finish: Finish,
        prompt_tokens: Option<u64>,
        output_tokens: Option<u64>,
    ) -> Completion {
        let tokens = |count: Option<u64>| count.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX));
        let content = without_thinking(&self.content);
        let end = content.floor_char_boundary(self.limits.reply_bytes);
        Completion {
            content: content[..end].to_owned(),
            finish: if end < content.len() { Finish::Length } else { finish },
            prompt_tokens: tokens(prompt_tokens),
            output_tokens: tokens(output_tokens),
            duration: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { line_bytes: 1000, reply_bytes: 2000, output_tokens: 100 };

    fn read(pieces: &[&[u8]]) -> Result<Completion, ModelError> {
        let mut reader = ReplyReader::new(LIMITS);
        for piece in pieces {
            if let Some(completion) = reader.take(piece)? {
                return Ok(completion);
            }
        }
        reader.end()
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
            let mut cuts = cuts;
            cuts.extend([0, WHOLE.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &WHOLE.as_bytes()[w[0]..w[1]]).collect();
            let completion = read(&pieces).unwrap();
            prop_assert_eq!(completion.content, "Grüß Gott");
            prop_assert_eq!((completion.finish, completion.prompt_tokens, completion.output_tokens), (Finish::Stop, 12, 3));
        }

        #[test]
        fn no_bytes_make_it_panic_or_keep_more_than_its_limits(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let mut reader = ReplyReader::new(LIMITS);
            let _ = reader.take(&bytes);
            prop_assert!(reader.rest.len() <= LIMITS.line_bytes);
        }
    }

    #[test]
    fn a_stream_without_done_is_a_failure() {
        let text = "{\"message\":{\"content\":\"half\"},\"done\":false}\n";
        assert!(read(&[text.as_bytes()]).unwrap_err().is_retryable());
        assert!(read(&[]).unwrap_err().is_retryable());
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
    fn the_limits_cut_a_reply_or_fail_a_line() {
        let long = format!("{{\"message\":{{\"content\":\"{}\"}}}}\n", "é".repeat(300));
        let completion = read(&[long.repeat(9).as_bytes()]).unwrap();
        assert_eq!((completion.finish, completion.content.len()), (Finish::Length, 2000));

        let empty = "{\"message\":{\"content\":\"\"}}\n".repeat(LIMITS.lines() + 1);
        assert_eq!(read(&[empty.as_bytes()]).unwrap().finish, Finish::Length);

        assert!(read(&[&[b'x'; 1001]]).unwrap_err().is_retryable());
        let quoted = format!("{{\"eval_count\":\"{}\"}}\n", "x".repeat(900));
        assert!(read(&[quoted.as_bytes()]).unwrap_err().to_string().len() < 800);
        let counted = "{\"message\":{\"content\":\"a\"},\"done\":true,\"done_reason\":\"length\"}\n";
        assert_eq!(read(&[counted.as_bytes()]).unwrap().finish, Finish::Length);
    }
}
