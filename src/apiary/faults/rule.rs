//! One rule: which requests, how often, and what happens to them. Its JSON is the control interface's:
//! `{"method": "POST", "path": "/repos/", "times": 1, "fault": "status", "status": 502, "when": "after"}`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::FaultError;

/// A request, as far as rules look at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Empty where no rule asks for it.
    pub(crate) body: &'a [u8],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `None`: any method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// What the path begins with; empty: any path.
    #[serde(default)]
    pub path: String,
    /// The only client whose requests match, by its address; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// What the body must hold, as it was sent; `None`: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How many matching requests pass before the rule counts.
    #[serde(default)]
    pub skip: u32,
    /// How many requests meet it; `None`: all until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    #[serde(flatten)]
    pub fault: Fault,
}

/// Whether a fault hides what the request did, or keeps it from doing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    Before,
    After,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// The request waits before anything else happens.
    Latency { ms: u64 },
    /// An error in the words of the system that is stood in for.
    Status { status: u16, when: When },
    /// The connection ends without an answer.
    Drop { when: When },
    /// A refusal before the effect: `retry_after_s` makes it GitHub's secondary limit, `reset_in_s` the primary one
    /// with `x-ratelimit-remaining: 0`; with neither there is no hint when to come back.
    RateLimited {
        /// 403 or 429.
        status: u16,
        #[serde(default)]
        retry_after_s: Option<u64>,
        #[serde(default)]
        reset_in_s: Option<u64>,
    },
    /// A proxy's page instead of an answer, before the effect.
    Html { status: u16 },
    /// The answer's first half under the whole one's `content-length`, then the end of the connection.
    HalfBody,
    /// The answer's status and headers, and no body.
    EmptyBody,
    /// More headers on an answer that is otherwise right.
    Headers { headers: BTreeMap<String, String> },
    /// Reads are answered from the state when the rule was added. On the forge these are `GET`s and fetches.
    StaleReads,
    /// The model's stream ends without what says that it is whole: Ollama's last line, as after a repeat-abort; the
    /// other interface's `finish_reason` and `[DONE]`.
    StreamWithoutDone,
    /// The model's stream ends in an error under the status 200.
    StreamError { message: String },
    /// The model's stream never ends: it says the same again and again.
    EndlessStream,
    /// The model's stream falls silent half-way, and stays open.
    StalledStream,
    /// Ollama is an older one, and its window no larger than this whatever is asked for: what does not fit is left out
    /// of the prompt without a word, and `/api/ps` does not tell the window. The other interface has no more than this
    /// either, and refuses what does not fit.
    SmallWindow { tokens: u64 },
}

impl Fault {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::Status { .. } => "status",
            Self::Drop { .. } => "drop",
            Self::RateLimited { .. } => "rate_limited",
            Self::Html { .. } => "html",
            Self::HalfBody => "half_body",
            Self::EmptyBody => "empty_body",
            Self::Headers { .. } => "headers",
            Self::StaleReads => "stale_reads",
            Self::StreamWithoutDone => "stream_without_done",
            Self::StreamError { .. } => "stream_error",
            Self::EndlessStream => "endless_stream",
            Self::StalledStream => "stalled_stream",
            Self::SmallWindow { .. } => "small_window",
        }
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::RateLimited { status, .. } | Self::Html { status } => {
                Some(*status)
            }
            _ => None,
        }
    }
}

impl Rule {
    /// A rule for requests with this method whose path begins with `path`, until it is cleared.
    pub fn new(method: &str, path: &str, fault: Fault) -> Self {
        Self {
            method: Some(method.to_owned()),
            path: path.to_owned(),
            client: None,
            body: None,
            skip: 0,
            times: None,
            fault,
        }
    }

    /// A rule for every request.
    pub fn any(fault: Fault) -> Self {
        Self { method: None, path: String::new(), client: None, body: None, skip: 0, times: None, fault }
    }

    /// The rule for `n` requests only.
    pub fn times(mut self, n: u32) -> Self {
        self.times = Some(n);
        self
    }

    /// The rule after `n` matching requests passed.
    pub fn skip(mut self, n: u32) -> Self {
        self.skip = n;
        self
    }

    /// The rule for one client only.
    pub fn for_client(mut self, client: IpAddr) -> Self {
        self.client = Some(client);
        self
    }

    /// The rule for requests whose body holds this text.
    pub fn with_body(mut self, text: &str) -> Self {
        self.body = Some(text.to_owned());
        self
    }

    pub(crate) fn matches(&self, asked: &Asked<'_>) -> bool {
        let Asked { client, method, path, body } = *asked;
        let is_fetch = method == "POST" && path.ends_with("/git-upload-pack");
        let method_fits = match (&self.fault, &self.method) {
            (Fault::StaleReads, _) => matches!(method, "GET" | "HEAD") || is_fetch,
            (_, Some(wanted)) => wanted.eq_ignore_ascii_case(method),
            (_, None) => true,
        };
        let client_fits = self.client.is_none() || self.client == client;
        let holds = |text: &String| body.windows(text.len().max(1)).any(|part| part == text.as_bytes());
        let body_fits = self.body.as_ref().is_none_or(holds);
        client_fits && body_fits && method_fits && path.starts_with(&self.path)
    }

    pub(crate) fn validate(&self) -> Result<(), FaultError> {
        match self.fault.status() {
            Some(status) if !(200..600).contains(&status) => Err(FaultError::Status(status)),
            _ if self.times == Some(0) => Err(FaultError::Never),
            _ => Ok(()),
        }
    }
}
