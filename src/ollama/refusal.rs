//! What an error of the server's means. Its words are the only sign in most cases.

use bzzz_actors::ports::model::ModelError;
use bzzz_actors::task::printable;
use serde::Deserialize;

use crate::http::excerpt;

#[derive(Deserialize)]
struct ErrorBody {
    error: String,
}

/// The longest text of the server's that is passed on, in bytes.
const MAX_TEXT_BYTES: usize = 300;

pub(super) fn refusal(status: u16, body: &[u8], model: &str) -> ModelError {
    let said = serde_json::from_slice::<ErrorBody>(body).ok().map(|body| shortened(&body.error));
    let is_missing = said.as_ref().is_some_and(|text| text.contains("not found"));
    let text = said.unwrap_or_else(|| excerpt(body));
    match status {
        _ if reads_as_overflow(&text) => ModelError::Overflow(text),
        404 if is_missing => ModelError::Missing { model: model.to_owned() },
        408 | 429 | 500..=599 => ModelError::Unavailable(format!("status {status}: {text}")),
        _ => ModelError::Refused(format!("status {status}: {text}")),
    }
}

/// An error line in a stream that began with 200.
pub(super) fn broken_stream(text: &str) -> ModelError {
    let text = shortened(text);
    if reads_as_overflow(&text) { ModelError::Overflow(text) } else { ModelError::Unavailable(text) }
}

fn shortened(text: &str) -> String {
    let mut text = printable(text).replace('\n', " ");
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    text
}

/// The servers' versions and runners word it differently: "input length exceeds the context length", "exceeds the
/// available context size", "prompt is too long".
fn reads_as_overflow(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let of_context =
        text.contains("context") && ["exceed", "too long", "too large"].iter().any(|w| text.contains(w));
    of_context || text.contains("prompt is too long") || text.contains("prompt too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_status_decide_together() {
        let kind = |status, text: &str| {
            let body = serde_json::json!({ "error": text }).to_string();
            match refusal(status, body.as_bytes(), "m") {
                ModelError::Unavailable(_) => "unavailable",
                ModelError::Missing { .. } => "missing",
                ModelError::Overflow(_) => "overflow",
                ModelError::Refused(_) => "refused",
            }
        };
        assert_eq!(kind(404, "model 'm' not found"), "missing");
        assert_eq!(kind(400, "the input length exceeds the context length"), "overflow");
        assert_eq!(kind(500, "the request exceeds the available context size (4096)"), "overflow");
        assert_eq!(
            kind(503, "server busy, please try again. maximum pending requests exceeded"),
            "unavailable"
        );
        assert_eq!(kind(500, "model requires more system memory than is available"), "unavailable");
        assert_eq!(kind(499, "context canceled"), "refused");
        assert_eq!(kind(400, "invalid options: num_ctx"), "refused");
    }

    #[test]
    fn a_404_of_another_server_is_no_missing_model() {
        let error = refusal(404, b"<html><title>404 Not Found</title></html>", "m");
        assert_eq!(error, ModelError::Refused("status 404: an HTML page: 404 Not Found".to_owned()));
    }
}
