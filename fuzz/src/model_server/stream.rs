//! The stream that a model's reply comes in.

use bzzz_actors::ports::model::{Completion, ModelError};

use super::Dialect;
use super::reply::{Limits, ReplyReader};
use crate::ollama::Lines;
use crate::openai::{self, Events};
use crate::reply;
use crate::text::assert_shown;

/// Small, so that inputs of some kilobytes reach them.
const LIMITS: Limits = Limits { line_bytes: 1000, reply_bytes: 1500, output_tokens: 20 };

/// An error's text is for a person, in a line or two.
const MAX_PROBLEM_BYTES: usize = 800;

/// The same bytes from each provider.
pub(crate) fn hold(bytes: &[u8]) {
    hold_from(bytes, || Lines);
    if let Some(problem) = hold_from(bytes, || Events::new(openai::CALL)) {
        assert!(!problem.contains(openai::KEY), "it shows the key: {problem:?}");
    }
}

/// With the problem's text, if there is one.
fn hold_from<D: Dialect>(bytes: &[u8], dialect: impl Fn() -> D) -> Option<String> {
    let (piece_bytes, stream) = bytes.split_first()?;
    let read = read(stream, usize::from(*piece_bytes) + 1, dialect());
    assert_eq!(read, self::read(stream, usize::MAX, dialect()), "it depends on how the stream is cut");
    match read {
        Ok((completion, _)) => {
            assert!(completion.content.len() <= LIMITS.reply_bytes);
            reply::hold_of(&completion.content, completion.finish);
            None
        }
        Err(problem) => {
            let problem = problem.to_string();
            assert_shown(&problem, MAX_PROBLEM_BYTES);
            Some(problem)
        }
    }
}

/// With whether the model thought.
fn read(stream: &[u8], piece_bytes: usize, dialect: impl Dialect) -> Result<(Completion, bool), ModelError> {
    let mut reader = ReplyReader::new(LIMITS, dialect);
    for piece in stream.chunks(piece_bytes) {
        if let Some(completion) = reader.take(piece)? {
            return Ok((completion, reader.has_thought()));
        }
    }
    reader.end().map(|completion| (completion, reader.has_thought()))
}
