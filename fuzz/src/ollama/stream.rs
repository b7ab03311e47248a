//! The stream that a model's reply comes in.

use bzzz_actors::ports::model::{Completion, ModelError};

use super::reply::{Limits, ReplyReader};
use crate::reply;
use crate::text::assert_shown;

/// Small, so that inputs of some kilobytes reach them.
const LIMITS: Limits = Limits { line_bytes: 1000, reply_bytes: 1500, output_tokens: 20 };

/// An error's text is for a person, in a line or two.
const MAX_PROBLEM_BYTES: usize = 800;

pub(crate) fn hold(bytes: &[u8]) {
    let Some((piece_bytes, stream)) = bytes.split_first() else { return };
    let read = read(stream, usize::from(*piece_bytes) + 1);
    assert_eq!(read, self::read(stream, usize::MAX), "it depends on how the stream is cut");
    match read {
        Ok((completion, _)) => {
            assert!(completion.content.len() <= LIMITS.reply_bytes);
            reply::hold_of(&completion.content, completion.finish);
        }
        Err(problem) => assert_shown(&problem.to_string(), MAX_PROBLEM_BYTES),
    }
}

/// With whether the model thought.
fn read(stream: &[u8], piece_bytes: usize) -> Result<(Completion, bool), ModelError> {
    let mut reader = ReplyReader::new(LIMITS);
    for piece in stream.chunks(piece_bytes) {
        if let Some(completion) = reader.take(piece)? {
            return Ok((completion, reader.has_thought()));
        }
    }
    reader.end().map(|completion| (completion, reader.has_thought()))
}
