//! What every request of a stand-in passes: its faults, and the log of what was asked and answered.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpResponse, web};
use futures_util::{future, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::clock;
use super::faults::{self, Asked, Faults};

/// The requests that a stand-in remembers. A test that makes more than this looks at the end of its story only.
pub const MAX_LOGGED: usize = 20_000;
/// Paths that belong to the apiary itself: neither logged nor subject to faults.
const CONTROL: &str = "/_apiary/";

/// The four outside systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StandIn {
    Forge,
    Hive,
    N8n,
    Ollama,
}

impl StandIn {
    pub const ALL: [StandIn; 4] = [StandIn::Forge, StandIn::Hive, StandIn::N8n, StandIn::Ollama];

    pub fn name(self) -> &'static str {
        match self {
            Self::Forge => "forge",
            Self::Hive => "hive",
            Self::N8n => "n8n",
            Self::Ollama => "ollama",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedRequest {
    pub at: String,
    /// The address that it came from.
    pub client: Option<IpAddr>,
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    /// The status sent; `None` when the connection was dropped instead.
    pub status: Option<u16>,
    /// The fault that the request met.
    pub fault: Option<String>,
    /// The request said which version it has already (`If-None-Match`).
    pub conditional: bool,
    /// How the body was sent when not plainly: `gzip`, `chunked`.
    pub encoding: Option<String>,
}

pub(crate) struct Gate {
    stand_in: StandIn,
    faults: Faults,
    log: Mutex<VecDeque<LoggedRequest>>,
    /// Counts logged requests, so that a waiter looks again.
    logged: watch::Sender<u64>,
}

impl Gate {
    pub(crate) fn new(stand_in: StandIn, faults: Faults) -> Self {
        Self { stand_in, faults, log: Mutex::default(), logged: watch::Sender::new(0) }
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(crate) fn requests(&self) -> Vec<LoggedRequest> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) async fn wait_for(&self, wanted: impl Fn(&[LoggedRequest]) -> bool) -> Vec<LoggedRequest> {
        let mut logged = self.logged.subscribe();
        loop {
            let is_there = wanted(self.log.lock().unwrap_or_else(PoisonError::into_inner).make_contiguous());
            // The sender lives as long as `self`, so waiting can't fail while it is borrowed.
            if is_there || logged.changed().await.is_err() {
                return self.requests();
            }
        }
    }

    fn log(&self, request: LoggedRequest) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == MAX_LOGGED {
            log.pop_front();
        }
        log.push_back(request);
        drop(log);
        self.logged.send_modify(|n| *n += 1);
    }
}

fn encoding(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("content-encoding").or_else(|| headers.get("transfer-encoding"));
    value.and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// The whole body, which is there for whoever reads it next.
async fn body_of(request: &mut ServiceRequest) -> Result<Bytes, Error> {
    let body = request.extract::<Bytes>().await?;
    let again = stream::once(future::ready(Ok(body.clone())));
    request.set_payload(Payload::Stream { payload: Box::pin(again) });
    Ok(body)
}

/// The outermost middleware of every stand-in.
pub(crate) async fn pass(
    gate: web::Data<Gate>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    if request.path().starts_with(CONTROL) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let mut entry = LoggedRequest {
        at: clock::now(),
        client: request.peer_addr().map(|it| it.ip()),
        method: request.method().to_string(),
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        status: None,
        fault: None,
        conditional: request.headers().contains_key("if-none-match"),
        encoding: encoding(request.headers()),
    };
    let body = match gate.faults.look_into_bodies() {
        true => body_of(&mut request).await?,
        false => Bytes::new(),
    };
    let LoggedRequest { client, ref method, ref path, .. } = entry;
    let met = gate.faults.meet(&Asked { client, method, path, body: &body });
    entry.fault = met.name();
    let answered = faults::answer(gate.stand_in, met, request, next).await;
    entry.status = match &answered {
        Ok(answer) if answer.dropped => None,
        Ok(answer) => Some(answer.response.status().as_u16()),
        Err(error) => Some(error.as_response_error().status_code().as_u16()),
    };
    gate.log(entry);
    Ok(answered?.response)
}

/// `/_apiary/`: the faults and the log, for tests in other processes. Bodies must be declared as JSON, which no page
/// of another origin can do without asking first.
pub(crate) fn control(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/_apiary/faults")
                .route(web::get().to(list_faults))
                .route(web::post().to(add_faults))
                .route(web::delete().to(clear_faults)),
        )
        .route("/_apiary/requests", web::get().to(list_requests));
}

async fn list_faults(gate: web::Data<Gate>) -> HttpResponse {
    HttpResponse::Ok().json(gate.faults.rules())
}

/// Takes one rule or a list of rules.
async fn add_faults(gate: web::Data<Gate>, body: web::Json<serde_json::Value>) -> HttpResponse {
    let rules = match body.into_inner() {
        serde_json::Value::Array(rules) => rules,
        rule => vec![rule],
    };
    for rule in rules {
        let added = serde_json::from_value(rule).map_err(|e| e.to_string());
        if let Err(problem) = added.and_then(|r| gate.faults.add(r).map_err(|e| e.to_string())) {
            return HttpResponse::UnprocessableEntity().json(serde_json::json!({ "message": problem }));
        }
    }
    HttpResponse::Created().json(gate.faults.rules())
}

async fn clear_faults(gate: web::Data<Gate>) -> HttpResponse {
    gate.faults.clear();
    HttpResponse::NoContent().finish()
}

async fn list_requests(gate: web::Data<Gate>) -> HttpResponse {
    HttpResponse::Ok().json(gate.requests())
}

/// The gate as the servers carry it.
pub(crate) fn data(gate: &Arc<Gate>) -> web::Data<Gate> {
    web::Data::from(Arc::clone(gate))
}
