//! What a server's words mean. They are the only sign in most cases.

use bzzz_actors::ports::model::ModelError;
use bzzz_actors::task::printable;

/// The longest text of the server's that is passed on, in bytes.
const MAX_TEXT_BYTES: usize = 300;

/// One line, for an error's text.
pub(crate) fn shortened(text: &str) -> String {
    let mut text = printable(text).replace('\n', " ");
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    text
}

/// An answer with a status other than success, after what only its provider can tell.
pub(crate) fn refusal(status: u16, text: &str) -> ModelError {
    let said = format!("status {status}: {text}");
    match status {
        _ if reads_as_overflow(text) => ModelError::Overflow(text.to_owned()),
        408 | 429 | 500..=599 => ModelError::Unavailable(said),
        _ => ModelError::Refused(said),
    }
}

/// An error in a stream that began with 200.
pub(crate) fn broken_stream(text: &str) -> ModelError {
    let text = shortened(text);
    if reads_as_overflow(&text) { ModelError::Overflow(text) } else { ModelError::Unavailable(text) }
}

/// The servers, their versions and runners word it differently: "input length exceeds the context length", "exceeds the
/// available context size", "prompt is too long", "This model's maximum context length is", "tokens to keep from the
/// initial prompt is greater than the context length", "longer than the maximum model length".
pub(crate) fn reads_as_overflow(text: &str) -> bool {
    const OF_CONTEXT: [&str; 6] =
        ["exceed", "too long", "too large", "maximum context", "than the", "length of only"];
    const ALONE: [&str; 3] =
        ["prompt is too long", "prompt too long", "longer than the maximum model length"];
    let text = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|it| text.contains(it));
    (text.contains("context") && has(&OF_CONTEXT)) || has(&ALONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_that_is_too_long_is_known_in_every_servers_words() {
        for text in [
            "the input length exceeds the context length",
            "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
            "Context size has been exceeded.",
            "prompt is too long",
            "This model's maximum context length is 8192 tokens. However, you requested 9000 output tokens",
            "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
            "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
            "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with \
             context length of only 4096 tokens, which is not enough.",
            "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 9000>= \
             n_ctx: 4096).",
            "exceed_context_size_error",
            "context_length_exceeded",
        ] {
            assert!(matches!(refusal(400, text), ModelError::Overflow(_)), "{text}");
            assert!(matches!(broken_stream(text), ModelError::Overflow(_)), "{text}");
        }
        for text in [
            "context canceled",
            "server busy, please try again.  maximum pending requests exceeded",
            "model requires more system memory than is available",
            "failed to create a context: not enough memory",
            "rate limit exceeded",
        ] {
            assert!(!reads_as_overflow(text), "{text}");
        }
    }

    #[test]
    fn the_status_decides_what_may_be_asked_again() {
        for (status, again) in
            [(400, false), (401, false), (403, false), (404, false), (408, true), (429, true), (499, false)]
        {
            assert_eq!(refusal(status, "no").is_retryable(), again, "{status}");
        }
        assert!(refusal(500, "no").is_retryable() && refusal(503, "no").is_retryable());
    }
}
