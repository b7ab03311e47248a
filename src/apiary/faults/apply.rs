//! Doing to a request what its faults say.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody, SizedStream, to_bytes_limited};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, HttpResponse, HttpResponseBuilder, error};
use futures_util::stream;
use serde_json::json;

use super::{Fault, Met, When};
use crate::apiary::clock;
use crate::apiary::gate::StandIn;
use crate::apiary::ollama;

/// An answer longer than this can't be held back for a fault that comes after the effect.
const MAX_HELD_BYTES: usize = 64 * 1024 * 1024;
/// Half a body must have left before the connection breaks, or the client sees a dropped connection instead.
const HALF_BODY_PAUSE: Duration = Duration::from_millis(50);

/// A second handle on the request's connection, by which it can be ended without an answer.
#[derive(Clone)]
pub(crate) struct Socket(pub(crate) Arc<TcpStream>);

impl Socket {
    fn end(&self) {
        // Fails only when the client was faster.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// What the model's handlers find among a request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StreamFault {
    WithoutDone,
    Error(String),
    Endless,
    Stalled,
    SmallWindow(u64),
}

pub(crate) struct Answer {
    pub(crate) response: ServiceResponse,
    /// The connection was ended: the response goes nowhere.
    pub(crate) dropped: bool,
}

pub(crate) async fn answer(
    stand_in: StandIn,
    met: Met,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<Answer, Error> {
    if !met.latency.is_zero() {
        tokio::time::sleep(met.latency).await;
    }
    if let Some(snapshot) = met.snapshot {
        request.extensions_mut().insert(snapshot);
    }
    let socket = request.conn_data::<Socket>().cloned();
    let mut dropped = false;
    let mut drop_it = || {
        dropped = true;
        if let Some(socket) = &socket {
            socket.end();
        }
    };
    let mut response = match met.fault {
        None => next.call(request).await?.map_into_boxed_body(),
        Some(Fault::Status { status, when: When::Before }) => {
            let error = own_error(stand_in, request.path(), status);
            request.into_response(error)
        }
        Some(Fault::Status { status, when: When::After }) => {
            let (request, _, _) = run(next, request).await?;
            let error = own_error(stand_in, request.path(), status);
            ServiceResponse::new(request, error)
        }
        Some(Fault::Drop { when: When::Before }) => {
            drop_it();
            request.into_response(HttpResponse::NoContent().finish())
        }
        Some(Fault::Drop { when: When::After }) => {
            let (request, _, _) = run(next, request).await?;
            drop_it();
            ServiceResponse::new(request, HttpResponse::NoContent().finish())
        }
        Some(Fault::RateLimited { status, retry_after_s, reset_in_s }) => {
            request.into_response(rate_limited(status, retry_after_s, reset_in_s))
        }
        Some(Fault::Html { status }) => request.into_response(html_page(status)),
        Some(Fault::HalfBody) => {
            let (request, response, body) = run(next, request).await?;
            ServiceResponse::new(request, half(response, body))
        }
        Some(Fault::EmptyBody) => {
            let (request, response, _) = run(next, request).await?;
            ServiceResponse::new(request, response.set_body(BoxBody::new(())))
        }
        Some(Fault::StreamWithoutDone) => {
            request.extensions_mut().insert(StreamFault::WithoutDone);
            next.call(request).await?.map_into_boxed_body()
        }
        Some(Fault::StreamError { message }) => {
            request.extensions_mut().insert(StreamFault::Error(message));
            next.call(request).await?.map_into_boxed_body()
        }
        Some(Fault::EndlessStream) => {
            request.extensions_mut().insert(StreamFault::Endless);
            next.call(request).await?.map_into_boxed_body()
        }
        Some(Fault::StalledStream) => {
            request.extensions_mut().insert(StreamFault::Stalled);
            next.call(request).await?.map_into_boxed_body()
        }
        Some(Fault::SmallWindow { tokens }) => {
            request.extensions_mut().insert(StreamFault::SmallWindow(tokens));
            next.call(request).await?.map_into_boxed_body()
        }
        // These never stand here: they come together with the others.
        Some(Fault::Latency { .. } | Fault::Headers { .. } | Fault::StaleReads) => {
            next.call(request).await?.map_into_boxed_body()
        }
    };
    for (name, value) in &met.headers {
        let name: HeaderName = name.parse().map_err(error::ErrorInternalServerError)?;
        let value: HeaderValue = value.parse().map_err(error::ErrorInternalServerError)?;
        response.headers_mut().insert(name, value);
    }
    Ok(Answer { response, dropped })
}

/// Lets the request have its effect to the end, and returns the answer instead of sending it.
async fn run(
    next: Next<impl MessageBody + 'static>,
    request: ServiceRequest,
) -> Result<(actix_web::HttpRequest, HttpResponse<()>, Bytes), Error> {
    let (request, response) = next.call(request).await?.into_parts();
    let (response, body) = response.into_parts();
    let body = to_bytes_limited(body, MAX_HELD_BYTES)
        .await
        .map_err(|_| error::ErrorInternalServerError("the answer is too long to be held back"))?
        .map_err(|e| error::ErrorInternalServerError(e.into().to_string()))?;
    Ok((request, response, body))
}

fn half(response: HttpResponse<()>, body: Bytes) -> HttpResponse {
    let declared = body.len().max(1) as u64;
    let first_half = body.slice(..body.len() / 2);
    let sent = stream::once(async move { Ok::<_, Error>(first_half) });
    let pause = stream::once(async {
        tokio::time::sleep(HALF_BODY_PAUSE).await;
        Err(error::ErrorInternalServerError("half a body, as asked for"))
    });
    let body = SizedStream::new(declared, futures_util::StreamExt::chain(sent, pause));
    response.set_body(BoxBody::new(body))
}

fn builder(status: u16) -> HttpResponseBuilder {
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

/// An error as the system stood in for words its own.
fn own_error(stand_in: StandIn, path: &str, status: u16) -> HttpResponse {
    let reason = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
    builder(status).json(match stand_in {
        StandIn::Forge => json!({ "message": reason, "documentation_url": "https://docs.github.com/rest" }),
        StandIn::Hive => json!({ "detail": reason }),
        StandIn::N8n => json!({ "code": 0, "message": reason }),
        StandIn::Ollama if path.starts_with("/v1/") => ollama::completions_error(reason, status),
        StandIn::Ollama if status == 503 => {
            json!({ "error": "server busy, please try again.  maximum pending requests exceeded" })
        }
        StandIn::Ollama => json!({ "error": reason }),
    })
}

fn rate_limited(status: u16, retry_after_s: Option<u64>, reset_in_s: Option<u64>) -> HttpResponse {
    let mut answer = builder(status);
    if let Some(seconds) = retry_after_s {
        answer.insert_header((RETRY_AFTER, seconds));
    }
    if let Some(seconds) = reset_in_s {
        answer.insert_header(("x-ratelimit-limit", 5000));
        answer.insert_header(("x-ratelimit-remaining", 0));
        answer.insert_header(("x-ratelimit-used", 5000));
        answer.insert_header(("x-ratelimit-resource", "core"));
        answer.insert_header(("x-ratelimit-reset", clock::unix() + seconds));
    }
    let message = if reset_in_s.is_some() {
        "API rate limit exceeded for user ID 1."
    } else {
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    };
    let documentation = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api";
    answer
        .json(json!({ "message": message, "documentation_url": documentation, "status": status.to_string() }))
}

fn html_page(status: u16) -> HttpResponse {
    let reason = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
    builder(status).content_type("text/html; charset=utf-8").body(format!(
        "<!DOCTYPE html>\n<html><head><title>{status} {reason}</title></head>\n\
         <body><center><h1>{status} {reason}</h1></center><hr><center>nginx</center></body></html>\n"
    ))
}
