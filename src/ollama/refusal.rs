//! What an error of Ollama's means.

use bzzz_actors::ports::model::ModelError;
use serde::Deserialize;

use crate::http::excerpt;
use crate::model_server::words;

#[derive(Deserialize)]
struct ErrorBody {
    error: String,
}

pub(super) fn refusal(status: u16, body: &[u8], model: &str) -> ModelError {
    let said = serde_json::from_slice::<ErrorBody>(body).ok().map(|body| words::shortened(&body.error));
    if status == 404 && said.as_ref().is_some_and(|text| text.contains("not found")) {
        return ModelError::Missing { model: model.to_owned(), remedy: remedy(model) };
    }
    words::refusal(status, &said.unwrap_or_else(|| excerpt(body)))
}

/// What a person does about a model that is not there.
pub(super) fn remedy(model: &str) -> String {
    format!("ollama pull {model}")
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
        assert_eq!(kind(500, "the request exceeds the available context size (4096)"), "overflow");
        assert_eq!(
            kind(503, "server busy, please try again. maximum pending requests exceeded"),
            "unavailable"
        );
        assert_eq!(kind(499, "context canceled"), "refused");
        assert_eq!(kind(400, "invalid options: num_ctx"), "refused");
    }

    #[test]
    fn a_404_of_another_server_is_no_missing_model() {
        let error = refusal(404, b"<html><title>404 Not Found</title></html>", "m");
        assert_eq!(error, ModelError::Refused("status 404: an HTML page: 404 Not Found".to_owned()));
    }
}
