//! What surrounds every REST request: the token, the rate limit, the ETag, GitHub's headers.
//!
//! An ETag is a hash of the answer and the token, as on GitHub, where one token's ETags do not serve another. An
//! answer 304 costs no request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError, error, web};

use super::Forge;
use super::answer::ApiError;
use super::call::{Accepted, Viewer};
use super::rate::Rate;
use super::token::secret_in;

/// Numbers the answers, as GitHub's support asks for.
static NEXT_REQUEST: AtomicU64 = AtomicU64::new(1);

pub(crate) async fn finish(
    forge: web::Data<Forge>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    if !request.headers().contains_key(header::USER_AGENT) {
        return Ok(request.into_response(without_user_agent()));
    }
    let viewer = match viewer(&forge, request.headers()) {
        Ok(viewer) => viewer,
        Err(error) => return Ok(request.into_response(error.error_response())),
    };
    let (login, secret) = match &viewer {
        Viewer::Anonymous => (None, String::new()),
        Viewer::Token(token) => (Some(token.login.clone()), token.secret.clone()),
    };
    let is_free = request.path().ends_with("/rate_limit");
    let rate = forge.rate.count(login.as_deref(), 0);
    if rate.remaining() == 0 && !is_free {
        let mut answer = exhausted(&forge, login.as_deref()).error_response();
        add_rate(answer.headers_mut(), rate);
        return Ok(request.into_response(answer));
    }
    request.extensions_mut().insert(viewer);

    let mut response = with_etag(next.call(request).await?, &secret).await?;
    let is_not_modified = response.status() == StatusCode::NOT_MODIFIED;
    let rate = forge.rate.count(login.as_deref(), u32::from(!is_free && !is_not_modified));
    let accepted = response.request().extensions_mut().remove::<Accepted>();
    let headers = response.headers_mut();
    add_rate(headers, rate);
    headers.insert(name("x-github-api-version-selected"), HeaderValue::from_static("2022-11-28"));
    headers.insert(name("x-github-media-type"), HeaderValue::from_static("github.v3; format=json"));
    let id = format!("A91A:{:06X}", NEXT_REQUEST.fetch_add(1, Ordering::Relaxed));
    headers.insert(
        name("x-github-request-id"),
        HeaderValue::from_str(&id).map_err(error::ErrorInternalServerError)?,
    );
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Authorization, Cookie"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=60, s-maxage=60"));
    if let Some(Ok(value)) = accepted.map(|Accepted(needs)| HeaderValue::from_str(&needs)) {
        headers.insert(name("x-accepted-github-permissions"), value);
    }
    Ok(response)
}

fn viewer(forge: &Forge, headers: &HeaderMap) -> Result<Viewer, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(Viewer::Anonymous) };
    let secret = value.to_str().ok().and_then(secret_in);
    let token = secret.and_then(|s| forge.token(&s)).ok_or_else(ApiError::bad_credentials)?;
    Ok(Viewer::Token(Arc::new(token)))
}

/// Gives an answer to a `GET` its ETag, or turns it into 304 when the client has it already.
async fn with_etag(
    response: ServiceResponse<impl MessageBody + 'static>,
    secret: &str,
) -> Result<ServiceResponse, Error> {
    let is_read = matches!(*response.request().method(), Method::GET | Method::HEAD);
    if !is_read || response.status() != StatusCode::OK {
        return Ok(response.map_into_boxed_body());
    }
    let known = response.request().headers().get(header::IF_NONE_MATCH).cloned();
    let (request, response) = response.into_parts();
    let (mut response, body) = response.into_parts();
    let body = to_bytes(body).await.map_err(|e| error::ErrorInternalServerError(e.into().to_string()))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(secret.as_bytes()).update(b"\0");
    // A new last page changes this header only.
    hasher.update(response.headers().get(header::LINK).map_or(b"", |l| l.as_bytes())).update(b"\0");
    let etag = format!("\"{}\"", hasher.update(&body).finalize().to_hex());
    let is_known = known.is_some_and(|known| matches(&known, &etag));
    response
        .headers_mut()
        .insert(header::ETAG, HeaderValue::from_str(&etag).map_err(error::ErrorInternalServerError)?);
    let response = if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.set_body(BoxBody::new(()))
    } else {
        response.set_body(BoxBody::new(body))
    };
    Ok(ServiceResponse::new(request, response))
}

/// Whether one of the tags of an `If-None-Match` is `etag`, weak or strong.
fn matches(known: &HeaderValue, etag: &str) -> bool {
    let Ok(known) = known.to_str() else { return false };
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

fn name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

fn add_rate(headers: &mut HeaderMap, rate: Rate) {
    headers.insert(name("x-ratelimit-limit"), rate.limit.into());
    headers.insert(name("x-ratelimit-remaining"), rate.remaining().into());
    headers.insert(name("x-ratelimit-used"), rate.used.into());
    headers.insert(name("x-ratelimit-reset"), rate.reset.into());
    headers.insert(name("x-ratelimit-resource"), HeaderValue::from_static("core"));
}

fn exhausted(forge: &Forge, login: Option<&str>) -> ApiError {
    let id = login.and_then(|l| forge.store.read(|s| s.user(l).map(|u| u.id)));
    let who = id.map_or_else(|| "127.0.0.1".to_owned(), |id| format!("user ID {id}"));
    ApiError::new(StatusCode::FORBIDDEN, format!("API rate limit exceeded for {who}."))
}

/// GitHub refuses requests that do not say which program sends them.
fn without_user_agent() -> HttpResponse {
    HttpResponse::Forbidden().content_type("text/html").body(
        "Request forbidden by administrative rules. Please make sure your request has a User-Agent header \
         (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). \
         Check https://developer.github.com for other possible causes.\n",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_matches_weak_strong_and_in_a_list() {
        let matches = |known: &'static str| matches(&HeaderValue::from_static(known), "\"a\"");
        assert!(matches("\"a\"") && matches("W/\"a\"") && matches("\"b\", W/\"a\"") && matches("*"));
        assert!(!matches("\"b\"") && !matches("a"));
    }
}
