//! One request to the forge and its whole answer, within limits of time and length.
//!
//! octocrab carries the request: base address, token, headers. Its typed calls are not used: they read a body of any
//! length, and its models ask for fields that a GitHub Enterprise of another version does not send.

use std::time::Duration;

use bzzz_actors::ports::forge::ForgeError;
use octocrab::Octocrab;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::pacing::Pacing;
use super::refusal::{Refusal, refusal};
use crate::http::{BaseUrl, BodyError, PlainHttp, SetupError, client, describe, excerpt, read_to_end};

/// The longest answer that is read. A page of 100 issues with the longest bodies stays under it.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;
/// The longest wait for a connection; it is part of the call's whole time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a call is named in errors, and the fine-grained permission that it needs.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) permission: &'static str,
}

impl Call {
    pub(super) fn new(name: String, permission: &'static str) -> Self {
        Self { name, permission }
    }
}

enum Request<'a, B> {
    Get(Option<HeaderMap>),
    Post(&'a B),
    Patch(&'a B),
    Delete,
}

#[derive(Deserialize)]
struct GraphAnswer<T> {
    data: Option<T>,
    errors: Option<Vec<GraphError>>,
}

#[derive(Deserialize)]
struct GraphError {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    message: String,
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn parse<T: DeserializeOwned>(&self, call: &Call) -> Result<T, ForgeError> {
        serde_json::from_slice(&self.body).map_err(|error| ForgeError::Malformed {
            call: call.name.clone(),
            problem: format!("status {}, {error}: {}", self.status.as_u16(), excerpt(&self.body)),
        })
    }

    /// That it is the forge's own answer to a write: a proxy's page or nothing under a success says nothing of it.
    pub(super) fn confirm(&self, call: &Call) -> Result<(), ForgeError> {
        self.parse::<IgnoredAny>(call).map(|_| ())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn has_next_page(&self) -> bool {
        self.header("link").is_some_and(|link| link.contains("rel=\"next\""))
    }
}

pub(super) struct Api {
    octocrab: Octocrab,
    base: BaseUrl,
    timeout: Duration,
    pacing: Pacing,
}

impl Api {
    pub(super) fn new(
        api_url: &str,
        token: &SecretString,
        timeout: Duration,
        write_interval: Duration,
    ) -> Result<Self, SetupError> {
        let base = BaseUrl::parse(api_url, PlainHttp::LoopbackOnly)?;
        // octocrab panics on such a token.
        if HeaderValue::from_str(token.expose_secret()).is_err() {
            return Err(SetupError::Secret { what: "forge's token" });
        }
        let failed = |error: octocrab::Error| SetupError::Client {
            address: base.as_str().to_owned(),
            problem: describe(&error),
        };
        let octocrab = Octocrab::builder()
            // Routes bear the address's path themselves.
            .base_uri(&base.url()[..url::Position::BeforePath])
            .map_err(failed)?
            .personal_token(token.clone())
            .build_with_reqwest(client(&base, CONNECT_TIMEOUT)?)
            .map_err(failed)?;
        Ok(Self { octocrab, base, timeout, pacing: Pacing::new(write_interval) })
    }

    pub(super) async fn get(
        &self,
        call: &Call,
        route: &str,
        etag: Option<&str>,
    ) -> Result<Reply, ForgeError> {
        let validator = etag.and_then(|etag| HeaderValue::from_str(etag).ok());
        let headers = validator.map(|etag| HeaderMap::from_iter([(IF_NONE_MATCH, etag)]));
        self.send(call, route, Request::<()>::Get(headers)).await
    }

    pub(super) async fn post(
        &self,
        call: &Call,
        route: &str,
        body: &impl Serialize,
    ) -> Result<Reply, ForgeError> {
        self.wait_for_write(call).await?;
        self.send(call, route, Request::Post(body)).await
    }

    /// A question to the GraphQL interface, which lies beside this one. It changes nothing, so it waits for no turn to write.
    ///
    /// # Errors
    /// `Invalid` also when the forge has no such interface.
    pub(super) async fn query<T: DeserializeOwned>(
        &self,
        call: &Call,
        query: &str,
        variables: &Value,
    ) -> Result<T, ForgeError> {
        let body = json!({ "query": query, "variables": variables });
        let answer: GraphAnswer<T> =
            self.send(call, &self.graph_route(), Request::Post(&body)).await?.parse(call)?;
        if let Some(error) = answer.errors.into_iter().flatten().next() {
            if error.kind == "RATE_LIMITED" {
                let retry_after = self.pacing.limited(Instant::now(), None);
                return Err(ForgeError::RateLimited { call: call.name.clone(), retry_after });
            }
            let message = excerpt(error.message.as_bytes());
            return Err(ForgeError::Invalid { call: call.name.clone(), message });
        }
        answer.data.ok_or_else(|| ForgeError::Malformed {
            call: call.name.clone(),
            problem: "neither data nor errors".to_owned(),
        })
    }

    /// `/graphql`, or on GitHub Enterprise, where this interface is at `/api/v3`, `/api/graphql`.
    fn graph_route(&self) -> String {
        let route = self.route(&["graphql"], &[]);
        match route.strip_suffix("/v3/graphql") {
            Some(before) => format!("{before}/graphql"),
            None => route,
        }
    }

    pub(super) async fn patch(
        &self,
        call: &Call,
        route: &str,
        body: &impl Serialize,
    ) -> Result<Reply, ForgeError> {
        self.wait_for_write(call).await?;
        self.send(call, route, Request::Patch(body)).await
    }

    pub(super) async fn delete(&self, call: &Call, route: &str) -> Result<Reply, ForgeError> {
        self.wait_for_write(call).await?;
        self.send(call, route, Request::<()>::Delete).await
    }

    /// Path and query of what lies at `segments`, from the host on.
    pub(super) fn route(&self, segments: &[&str], query: &[(&str, &str)]) -> String {
        let mut url = self.base.join(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url[url::Position::BeforePath..].to_owned()
    }

    async fn wait_for_write(&self, call: &Call) -> Result<(), ForgeError> {
        self.may_ask(call)?;
        let slot = self.pacing.take_write_slot(Instant::now());
        let slot =
            slot.map_err(|retry_after| ForgeError::RateLimited { call: call.name.clone(), retry_after })?;
        tokio::time::sleep_until(slot).await;
        Ok(())
    }

    fn may_ask(&self, call: &Call) -> Result<(), ForgeError> {
        let allowed = self.pacing.may_ask(Instant::now());
        allowed.map_err(|retry_after| ForgeError::RateLimited { call: call.name.clone(), retry_after })
    }

    async fn send<B: Serialize>(
        &self,
        call: &Call,
        route: &str,
        request: Request<'_, B>,
    ) -> Result<Reply, ForgeError> {
        self.may_ask(call)?;
        let unavailable = |problem| ForgeError::Unavailable { call: call.name.clone(), problem };
        let exchange = async {
            let response = match request {
                Request::Get(headers) => self.octocrab._get_with_headers(route, headers).await,
                Request::Post(body) => self.octocrab._post(route, Some(body)).await,
                Request::Patch(body) => self.octocrab._patch(route, Some(body)).await,
                Request::Delete => self.octocrab._delete(route, None::<&()>).await,
            };
            let response = response.map_err(|error| unavailable(describe(cause(&error))))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let response = reqwest::Response::from(response.map(reqwest::Body::wrap));
            Ok((status, headers, read_to_end(response, MAX_BODY_BYTES).await))
        };
        let (status, headers, body) = tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| unavailable(format!("no whole answer within {:?}", self.timeout)))??;
        self.judge(call, status, headers, body)
    }

    fn judge(
        &self,
        call: &Call,
        status: StatusCode,
        headers: HeaderMap,
        body: Result<Vec<u8>, BodyError>,
    ) -> Result<Reply, ForgeError> {
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            self.pacing.answered();
            let body = body.map_err(|error| ForgeError::Malformed {
                call: call.name.clone(),
                problem: format!("status {}: {error}", status.as_u16()),
            })?;
            return Ok(Reply { status, headers, body });
        }
        // A refusal's body only explains it; the status counts also when the body broke off.
        let body = body.unwrap_or_default();
        match refusal(&call.name, call.permission, status, &headers, &body) {
            Refusal::Final(error) => Err(error),
            Refusal::Limited(stated) => {
                let retry_after = self.pacing.limited(Instant::now(), stated);
                Err(ForgeError::RateLimited { call: call.name.clone(), retry_after })
            }
        }
    }
}

/// The failure beneath octocrab's and its layers' own words.
fn cause(error: &octocrab::Error) -> &(dyn std::error::Error + 'static) {
    let mut inner: &(dyn std::error::Error + 'static) = error;
    while !inner.is::<reqwest::Error>() {
        match inner.source() {
            Some(source) => inner = source,
            None => return error,
        }
    }
    inner
}
