//! Puts a reply together from the lines of its stream. Pure; the bytes come from outside.

use std::time::Duration;

use bzzz_actors::ports::model::{Completion, Finish, ModelError};

use super::thinking::without_thinking;
use crate::http::excerpt;

/// What one provider's lines say.
pub(crate) trait Dialect {
    /// The most lines that carry one token.
    const LINES_A_TOKEN: usize;

    /// Takes a line, without white space around it and not empty. `Some` when it completes the reply.
    fn take_line(&mut self, line: &[u8], draft: &mut Draft) -> Result<Option<Finish>, ModelError>;

    /// How the reply ended if nothing more comes; `None` when it is not whole.
    fn finish_so_far(&self) -> Option<Finish>;
}

/// What was said so far.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    content: String,
    thinking_bytes: usize,
    prompt_tokens: u32,
    output_tokens: u32,
}

impl Draft {
    pub(crate) fn say(&mut self, content: Option<&str>) {
        self.content.push_str(content.unwrap_or_default());
    }

    pub(crate) fn think(&mut self, thought: Option<&str>) {
        self.thinking_bytes += thought.unwrap_or_default().len();
    }

    /// As the server counts; it may not.
    pub(crate) fn count(&mut self, prompt_tokens: Option<u64>, output_tokens: Option<u64>) {
        let tokens = |count: Option<u64>| count.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX));
        (self.prompt_tokens, self.output_tokens) = (tokens(prompt_tokens), tokens(output_tokens));
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) line_bytes: usize,
    /// Content and thinking together.
    pub(crate) reply_bytes: usize,
    pub(crate) output_tokens: u32,
}

impl Limits {
    /// The servers also send lines without any token. A stream of more than this does not keep its own limit and would
    /// never end.
    fn lines<D: Dialect>(&self) -> usize {
        2 * D::LINES_A_TOKEN * self.output_tokens as usize + 256
    }
}

pub(crate) struct ReplyReader<D> {
    limits: Limits,
    dialect: D,
    /// The bytes after the last line's end.
    rest: Vec<u8>,
    draft: Draft,
    lines: usize,
}

impl<D: Dialect> ReplyReader<D> {
    pub(crate) fn new(limits: Limits, dialect: D) -> Self {
        Self { limits, dialect, rest: Vec::new(), draft: Draft::default(), lines: 0 }
    }

    /// `Some` when the reply is complete or a limit cut it; no more bytes are wanted then.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<Option<Completion>, ModelError> {
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
    pub(crate) fn end(&mut self) -> Result<Completion, ModelError> {
        let line = std::mem::take(&mut self.rest);
        if let Some(completion) = self.take_line(&line)? {
            return Ok(completion);
        }
        let broken = || ModelError::Unavailable("the stream ended before the reply did".to_owned());
        self.broken_off().ok_or_else(broken)
    }

    /// The stream broke off. `Some` when the reply was whole without its end.
    pub(crate) fn broken_off(&self) -> Option<Completion> {
        self.dialect.finish_so_far().map(|finish| self.completion(finish))
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
        let line = line.trim_ascii();
        if !line.is_empty()
            && let Some(finish) = self.dialect.take_line(line, &mut self.draft)?
        {
            return Ok(Some(self.completion(finish)));
        }
        let too_long = self.draft.content.len() + self.draft.thinking_bytes > self.limits.reply_bytes;
        let is_cut = too_long || self.lines > self.limits.lines::<D>();
        Ok(is_cut.then(|| self.completion(Finish::Length)))
    }

    /// The model has thought, and may have said nothing else.
    pub(crate) fn has_thought(&self) -> bool {
        let content = &self.draft.content;
        self.draft.thinking_bytes > 0 || without_thinking(content).len() < content.len()
    }

    fn completion(&self, finish: Finish) -> Completion {
        let content = without_thinking(&self.draft.content);
        let end = content.floor_char_boundary(self.limits.reply_bytes);
        Completion {
            content: content[..end].to_owned(),
            finish: if end < content.len() { Finish::Length } else { finish },
            prompt_tokens: self.draft.prompt_tokens,
            output_tokens: self.draft.output_tokens,
            duration: Duration::ZERO,
        }
    }
}

/// A line that is not what the provider's lines are.
pub(crate) fn unreadable(line: &[u8], error: &serde_json::Error) -> ModelError {
    // The error quotes what it stumbled over, whole.
    let why = excerpt(error.to_string().as_bytes());
    ModelError::Unavailable(format!("its reply can't be read, {why}: {}", excerpt(line)))
}

/// For the tests of this and of every dialect.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) const LIMITS: Limits = Limits { line_bytes: 1000, reply_bytes: 2000, output_tokens: 100 };

    pub(crate) fn read(pieces: &[&[u8]], dialect: impl Dialect) -> Result<Completion, ModelError> {
        let mut reader = ReplyReader::new(LIMITS, dialect);
        for piece in pieces {
            if let Some(completion) = reader.take(piece)? {
                return Ok(completion);
            }
        }
        reader.end()
    }

    /// What lies between the `cuts`, which may come in any order.
    pub(crate) fn cut_up(text: &str, mut cuts: Vec<usize>) -> Vec<&[u8]> {
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|w| &text.as_bytes()[w[0]..w[1]]).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::LIMITS;
    use super::*;

    /// Each line is said; "." ends the reply, and after "!" it is whole.
    #[derive(Default)]
    struct Plain {
        is_whole: bool,
    }

    impl Dialect for Plain {
        const LINES_A_TOKEN: usize = 1;

        fn take_line(&mut self, line: &[u8], draft: &mut Draft) -> Result<Option<Finish>, ModelError> {
            self.is_whole |= line == b"!";
            draft.say(Some(&String::from_utf8_lossy(line)));
            Ok((line == b".").then_some(Finish::Stop))
        }

        fn finish_so_far(&self) -> Option<Finish> {
            self.is_whole.then_some(Finish::Stop)
        }
    }

    fn read(stream: &[u8]) -> Result<Completion, ModelError> {
        testing::read(&[stream], Plain::default())
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_keep_more_than_its_limits(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let mut reader = ReplyReader::new(LIMITS, Plain::default());
            let _ = reader.take(&bytes);
            prop_assert!(reader.rest.len() <= LIMITS.line_bytes);
        }
    }

    #[test]
    fn a_stream_that_ends_before_the_reply_is_a_failure() {
        assert!(read(b"half\n").unwrap_err().is_retryable());
        assert!(read(b"").unwrap_err().is_retryable());
        assert_eq!(read(b"whole\n!\n").unwrap().content, "whole!");
        assert_eq!(read(b"whole\n.").unwrap().content, "whole.", "without its last line feed");
        let mut reader = ReplyReader::new(LIMITS, Plain::default());
        assert_eq!(reader.take(b"half\n"), Ok(None));
        assert_eq!(reader.broken_off(), None);
        assert_eq!(reader.take(b"!\nmo"), Ok(None));
        assert_eq!(reader.broken_off().unwrap().content, "half!");
    }

    #[test]
    fn the_limits_cut_a_reply_or_fail_a_line() {
        let long = format!("{}\n", "é".repeat(300)).repeat(9);
        let completion = read(long.as_bytes()).unwrap();
        assert_eq!((completion.finish, completion.content.len()), (Finish::Length, 2000));

        let empty = "\n".repeat(LIMITS.lines::<Plain>() + 1);
        assert_eq!(read(empty.as_bytes()).unwrap().finish, Finish::Length);

        assert!(read(&[b'x'; 1001]).unwrap_err().is_retryable());
    }
}
