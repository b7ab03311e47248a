//! What an error of such a server's means. Each words and wraps its own differently.

use bzzz_actors::ports::model::ModelError;
use serde_json::Value;

use crate::http::excerpt;
use crate::model_server::words;

/// A shorter one stands in other texts too, and is no secret: servers without a key are given "none" or "x".
const MIN_KEY_BYTES: usize = 8;

/// What the errors of a call are made with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// Empty when it is of no model.
    pub(crate) model: &'a str,
    /// What no error may repeat.
    pub(crate) key: Option<&'a str>,
    pub(crate) context_tokens: u32,
}

/// An error as a server says it.
struct Problem {
    /// All of it; what it means is read from this.
    said: String,
    /// What may be passed on of it.
    shown: String,
    /// Its type and code, where they are words.
    kind: String,
    /// Its code, where it is a status.
    status: Option<u16>,
}

impl Call<'_> {
    /// An answer with a status other than success.
    pub(crate) fn refusal(&self, status: u16, body: &[u8]) -> ModelError {
        let problem = self.problem(body).unwrap_or_else(|| Problem {
            said: excerpt(body),
            shown: self.excerpt(body),
            kind: String::new(),
            status: None,
        });
        self.meaning(Some(status), problem)
    }

    /// An error in a stream that began with 200.
    pub(crate) fn broken_stream(&self, said: &[u8]) -> ModelError {
        match self.problem(said) {
            Some(problem) => self.meaning(problem.status, problem),
            None => self.no_stream(said),
        }
    }

    /// A line that is not of a stream of events.
    pub(crate) fn no_stream(&self, line: &[u8]) -> ModelError {
        ModelError::Unavailable(format!("its reply is no stream of events: {}", self.excerpt(line)))
    }

    fn meaning(&self, status: Option<u16>, problem: Problem) -> ModelError {
        let Problem { said, shown, kind, .. } = problem;
        if words::reads_as_overflow(&said) || words::reads_as_overflow(&kind) {
            let wanted = self.context_tokens;
            return ModelError::Overflow(format!(
                "{shown}; the node reckons with `model.context_tokens` = {wanted}, the server must have no less"
            ));
        }
        match status {
            Some(400 | 404) if self.is_missing(&said, &kind) => {
                ModelError::Missing { model: self.model.to_owned(), remedy: remedy(self.model) }
            }
            // A key that is refused is one that is about to be replaced: no task is given up for it.
            Some(status @ (401 | 403)) => {
                ModelError::Unavailable(format!("status {status}: {shown}; look at the setting `model.key`"))
            }
            Some(404) => ModelError::Refused(format!("status 404: {shown}; look at the setting `model.url`")),
            Some(status) => words::refusal(status, &shown),
            None => words::broken_stream(&shown),
        }
    }

    fn is_missing(&self, said: &str, kind: &str) -> bool {
        let said = said.to_ascii_lowercase();
        let says_so = said.contains("not found") || said.contains("does not exist");
        !self.model.is_empty() && (kind.contains("model_not_found") || (said.contains("model") && says_so))
    }

    /// `{"error": {"message", "type", "code"}}`; `{"error": "…"}`, as LM Studio and vLLM have it too; or the inner object
    /// alone, as older servers do.
    fn problem(&self, body: &[u8]) -> Option<Problem> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(&body);
        let said = error.as_str().or_else(|| error.get("message")?.as_str())?;
        let word = |name| error.get(name).and_then(Value::as_str).unwrap_or_default();
        let code = error.get("code").and_then(Value::as_u64);
        Some(Problem {
            said: said.to_owned(),
            shown: self.hidden(&words::shortened(&self.hidden(said))),
            kind: format!("{} {}", word("type"), word("code")),
            status: code.filter(|code| (400..600).contains(code)).and_then(|code| u16::try_from(code).ok()),
        })
    }

    fn excerpt(&self, body: &[u8]) -> String {
        self.hidden(&excerpt(self.hidden(&String::from_utf8_lossy(body)).as_bytes()))
    }

    /// Some servers and proxies repeat the key that they refuse. It is hidden before a text is cut, which could leave a
    /// part of it, and after, since signs that nobody sees go then and may have stood within it.
    fn hidden(&self, text: &str) -> String {
        match self.key.filter(|key| key.len() >= MIN_KEY_BYTES) {
            Some(key) => text.replace(key, "[the key]"),
            None => text.to_owned(),
        }
    }
}

/// What a person does about a model that is not there.
pub(crate) fn remedy(model: &str) -> String {
    format!("start the server with {model}, or set `model.names` to what its /v1/models lists")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call<'_> = Call { model: "m", key: Some("sk-s3cret"), context_tokens: 8192 };

    #[test]
    fn a_prompt_that_is_too_long_is_known_and_the_setting_named() {
        let vllm = r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 1024 output tokens and your prompt contains at least 3100 input tokens.","type":"BadRequestError","param":"input_tokens","code":400}}"#;
        let older_vllm = r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}"#;
        let llama_cpp = r#"{"error":{"code":400,"message":"request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}"#;
        let by_its_type = r#"{"error":{"code":500,"message":"no","type":"exceed_context_size_error"}}"#;
        let by_its_code =
            r#"{"error":{"message":"no","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
        let lm_studio = r#"{"error":"The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx: 4096)."}"#;
        for body in [vllm, older_vllm, llama_cpp, by_its_type, by_its_code, lm_studio] {
            for error in [CALL.refusal(400, body.as_bytes()), CALL.broken_stream(body.as_bytes())] {
                assert!(matches!(error, ModelError::Overflow(_)), "{error}: {body}");
                assert!(error.to_string().contains("`model.context_tokens` = 8192"), "{error}");
            }
        }
    }

    #[test]
    fn a_model_that_is_missing_is_told_from_an_address_that_is_wrong() {
        let missing = ModelError::Missing { model: "m".to_owned(), remedy: remedy("m") };
        for (status, body) in [
            (
                404,
                r#"{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
            ),
            (404, r#"{"error":{"message":"No such model","code":"model_not_found"}}"#),
            (400, r#"{"error":{"code":400,"message":"model 'm' not found","type":"invalid_request_error"}}"#),
        ] {
            assert_eq!(CALL.refusal(status, body.as_bytes()), missing, "{body}");
        }
        for body in [
            r#"{"detail":"Not Found"}"#,
            r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#,
            "<html><title>404 Not Found</title></html>",
        ] {
            let error = CALL.refusal(404, body.as_bytes());
            assert!(matches!(&error, ModelError::Refused(text) if text.contains("`model.url`")), "{error}");
        }
        assert!(missing.to_string().contains("model.names") && !missing.to_string().contains("ollama"));
    }

    #[test]
    fn a_key_that_is_refused_is_never_repeated() {
        let far = "x".repeat(295);
        for (status, body) in [
            (401, r#"{"error":"Unauthorized: sk-s3cret"}"#.to_owned()),
            (
                403,
                r#"{"error":{"message":"Invalid API Key sk-s3cret","type":"authentication_error"}}"#
                    .to_owned(),
            ),
            (401, format!(r#"{{"error":"{far}sk-s3cret"}}"#)),
            (401, format!("{far}sk-s3cret")),
            (401, "{\"error\":\"sk-\\u001bs3cret\"}".to_owned()),
            (401, "sk-\u{200b}s3cret".to_owned()),
        ] {
            let error = CALL.refusal(status, body.as_bytes());
            assert!(
                matches!(&error, ModelError::Unavailable(text) if text.contains("`model.key`")),
                "{error}"
            );
            assert!(!error.to_string().contains("sk-s"), "{error}");
            assert!(!CALL.broken_stream(body.as_bytes()).to_string().contains("sk-s"));
        }
    }

    #[test]
    fn a_key_that_is_a_word_of_the_error_hides_no_meaning() {
        for key in ["x", "context", "available"] {
            let call = Call { key: Some(key), ..CALL };
            let error = call.refusal(400, br#"{"error":"it exceeds the available context size"}"#);
            assert!(matches!(error, ModelError::Overflow(_)), "{key}: {error}");
        }
    }

    #[test]
    fn what_may_pass_by_itself_is_asked_again() {
        for (status, body) in [
            (429, r#"{"error":{"message":"Rate limit exceeded","code":"rate_limit_exceeded"}}"#),
            (503, r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#),
            (500, "Internal Server Error"),
        ] {
            assert!(CALL.refusal(status, body.as_bytes()).is_retryable(), "{body}");
        }
        let of_stream = |body: &str| CALL.broken_stream(body.as_bytes()).is_retryable();
        assert!(of_stream(r#"{"error":{"message":"the engine died","code":500}}"#));
        assert!(of_stream(r#"{"error":"the engine died"}"#));
        assert!(!of_stream(r#"{"error":{"message":"the template failed","code":400}}"#));
    }
}
