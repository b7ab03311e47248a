//! What an answer that is not a success means.
//!
//! GitHub says "too fast" with 403 as well as with 429, and tells it from a missing permission only by headers and
//! words; proxies before it answer HTML. The status is what is kept of every such answer.

use std::time::Duration;

use bzzz_actors::ports::forge::ForgeError;
use bzzz_actors::task::printable;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::http::excerpt;

/// What an answer says before the pacing had its word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The wait that the forge named, if it did.
    Limited(Option<Duration>),
    Final(ForgeError),
}

/// The longest message of the forge that is passed on, in bytes.
const MAX_MESSAGE_BYTES: usize = 500;

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<serde_json::Value>,
}

/// The forge's own words on what is wrong.
pub(super) fn message(body: &[u8]) -> String {
    let Ok(error) = serde_json::from_slice::<ErrorBody>(body) else { return excerpt(body) };
    let mut text = error.message;
    for detail in &error.errors {
        let words = match detail {
            serde_json::Value::String(words) => Some(words.as_str()),
            other => other.get("message").or_else(|| other.get("code")).and_then(|v| v.as_str()),
        };
        if let Some(words) = words {
            text.push_str(": ");
            text.push_str(words);
        }
    }
    let mut text = printable(&text).replace('\n', " ");
    text.truncate(text.floor_char_boundary(MAX_MESSAGE_BYTES));
    text
}

/// `permission` is what the call needs, in the words of a fine-grained token.
pub(super) fn refusal(
    call: &str,
    permission: &'static str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Refusal {
    let call = call.to_owned();
    let message = message(body);
    let error = match status.as_u16() {
        401 => ForgeError::Unauthorized { call },
        429 => return Refusal::Limited(stated_wait(headers)),
        403 if is_rate_limit(headers, &message) => return Refusal::Limited(stated_wait(headers)),
        403 => ForgeError::Forbidden { call, permission: permission.to_owned(), message },
        404 => ForgeError::NotFound { call },
        410 => ForgeError::NotFound { call: format!("{call} (410, deleted or switched off: {message})") },
        451 => ForgeError::NotFound { call: format!("{call} (451, blocked: {message})") },
        300..=399 => ForgeError::NotFound {
            call: format!("{call} ({}, renamed or moved: use its new name)", status.as_u16()),
        },
        // 408 is a proxy's time-out: the request may have arrived.
        408 | 500..=599 => {
            ForgeError::Unavailable { call, problem: format!("{}: {message}", status.as_u16()) }
        }
        422 => ForgeError::Invalid { call, message },
        other => ForgeError::Invalid { call, message: format!("status {other}: {message}") },
    };
    Refusal::Final(error)
}

fn is_rate_limit(headers: &HeaderMap, message: &str) -> bool {
    let words = message.to_ascii_lowercase();
    headers.contains_key("retry-after")
        || number(headers, "x-ratelimit-remaining") == Some(0)
        || words.contains("rate limit")
        || words.contains("abuse detection")
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The time of the reset is taken against the forge's own `date`: this machine's clock may be wrong.
fn stated_wait(headers: &HeaderMap) -> Option<Duration> {
    if let Some(seconds) = number(headers, "retry-after") {
        return Some(Duration::from_secs(seconds));
    }
    if number(headers, "x-ratelimit-remaining") != Some(0) {
        return None;
    }
    let reset = number(headers, "x-ratelimit-reset")?;
    let date = httpdate::parse_http_date(headers.get("date")?.to_str().ok()?).ok()?;
    let now = date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    // One second more: the reset's second has to have passed.
    Some(Duration::from_secs(reset.saturating_sub(now) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &str)], body: &str) -> Refusal {
        let headers = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        let status = StatusCode::from_u16(status).unwrap();
        refusal("list issues of a/b", "issues: read", status, &headers, body.as_bytes())
    }

    fn limited(seconds: u64) -> Refusal {
        Refusal::Limited(Some(Duration::from_secs(seconds)))
    }

    #[test]
    fn a_403_is_a_rate_limit_only_when_it_says_so() {
        let secondary = r#"{"message":"You have exceeded a secondary rate limit. Please wait."}"#;
        assert_eq!(refused(403, &[], secondary), Refusal::Limited(None));
        assert_eq!(refused(403, &[("retry-after", "90")], "{}"), limited(90));
        assert_eq!(refused(403, &[("x-ratelimit-remaining", "0")], "{}"), Refusal::Limited(None));
        let Refusal::Final(error) = refused(
            403,
            &[("x-ratelimit-remaining", "4999")],
            r#"{"message":"Resource not accessible by personal access token"}"#,
        ) else {
            panic!("a missing permission is no rate limit")
        };
        assert_eq!(
            error.to_string(),
            "list issues of a/b: the token may not do this (403): it needs the permission issues: read. \
             Resource not accessible by personal access token"
        );
    }

    #[test]
    fn the_reset_counts_from_the_forges_clock() {
        let headers = [
            ("date", "Thu, 01 Jan 1970 00:10:00 GMT"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "630"),
        ];
        assert_eq!(refused(403, &headers, "{}"), limited(31));
        assert_eq!(refused(429, &headers, "{}"), limited(31));
        assert_eq!(refused(429, &headers[1..], "{}"), Refusal::Limited(None));
    }

    #[test]
    fn every_status_has_its_meaning() {
        let html = "<html><head><title>502 Bad Gateway</title></head></html>";
        let text = |status, body: &str| match refused(status, &[], body) {
            Refusal::Final(error) => (error.is_retryable(), error.to_string()),
            Refusal::Limited(_) => (true, "limited".to_owned()),
        };
        assert_eq!(
            text(502, html),
            (
                true,
                "list issues of a/b: the forge is not available: 502: an HTML page: 502 Bad Gateway"
                    .to_owned()
            )
        );
        assert!(text(401, "{}").1.contains("forge.token_file"));
        assert!(text(404, html).1.contains("not found (404)"));
        assert!(text(410, r#"{"message":"Issues are disabled"}"#).1.contains("Issues are disabled"));
        assert!(text(301, "").1.contains("renamed or moved"));
        assert!(text(408, "").0 && text(500, "").0 && text(503, "").0);
        assert!(!text(400, "").0 && !text(409, "").0);
        let invalid = r#"{"message":"Validation Failed","errors":[{"message":"A pull request already exists for a:b."}]}"#;
        assert_eq!(
            text(422, invalid).1,
            "list issues of a/b: the forge found the request invalid (422): Validation Failed: A pull request already \
             exists for a:b."
        );
    }
}
