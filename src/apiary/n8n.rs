//! N8N: webhooks that keep what they are sent and answer what they are told to.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

/// What is kept; the oldest are forgotten.
const MAX_DELIVERIES: usize = 10_000;

/// One call of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    pub webhook: String,
    /// The `Idempotency-Key` header.
    pub key: Option<String>,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// `null` when it was no JSON.
    pub body: Value,
}

#[derive(Default)]
struct State {
    deliveries: Vec<Delivery>,
    answers: BTreeMap<String, Value>,
    inactive: Vec<String>,
}

#[derive(Default)]
pub struct N8n {
    state: Mutex<State>,
    delivered: watch::Sender<usize>,
}

impl N8n {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What a webhook answers from now on, such as `{"answer": "…"}`; before that, that the workflow was started.
    pub fn answer_with(&self, webhook: &str, answer: Value) {
        self.lock().answers.insert(webhook.to_owned(), answer);
    }

    /// Takes a webhook's workflow out of service: it answers 404 from now on.
    pub fn deactivate(&self, webhook: &str) {
        self.lock().inactive.push(webhook.to_owned());
    }

    /// Everything that came, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.lock().deliveries.clone()
    }

    /// How often each idempotency key came.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for key in self.lock().deliveries.iter().filter_map(|d| d.key.clone()) {
            *counts.entry(key).or_default() += 1;
        }
        counts
    }

    /// Waits until at least `count` deliveries came.
    pub async fn wait_for(&self, count: usize) -> Vec<Delivery> {
        let mut delivered = self.delivered.subscribe();
        // The sender lives as long as `self`.
        let _ = delivered.wait_for(|so_far| *so_far >= count).await;
        self.deliveries()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, delivery: Delivery) -> Option<Value> {
        let mut state = self.lock();
        if state.inactive.contains(&delivery.webhook) {
            return None;
        }
        let answer = state.answers.get(&delivery.webhook).cloned();
        if state.deliveries.len() == MAX_DELIVERIES {
            state.deliveries.remove(0);
        }
        state.deliveries.push(delivery);
        drop(state);
        self.delivered.send_modify(|n| *n += 1);
        Some(answer.unwrap_or_else(|| json!({ "message": "Workflow was started" })))
    }
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/healthz", web::get().to(async || HttpResponse::Ok().json(json!({ "status": "ok" }))))
        .route("/webhook/{name:.+}", web::post().to(webhook))
        .route("/_apiary/deliveries", web::get().to(deliveries))
        .default_service(web::to(not_registered));
}

async fn webhook(
    n8n: web::Data<N8n>,
    request: HttpRequest,
    name: web::Path<String>,
    body: web::Bytes,
) -> HttpResponse {
    let headers: BTreeMap<String, String> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let delivery = Delivery {
        webhook: name.into_inner(),
        key: headers.get("idempotency-key").cloned(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    match n8n.receive(delivery) {
        Some(answer) => HttpResponse::Ok().json(answer),
        None => not_registered(request).await,
    }
}

async fn deliveries(n8n: web::Data<N8n>) -> HttpResponse {
    HttpResponse::Ok().json(n8n.deliveries())
}

/// N8N's words for a webhook that is not there or not switched on.
async fn not_registered(request: HttpRequest) -> HttpResponse {
    let name = request.path().trim_start_matches("/webhook/");
    let message = format!("The requested webhook \"{} {name}\" is not registered.", request.method());
    HttpResponse::NotFound().json(json!({
        "code": 404,
        "message": message,
        "hint": "The workflow must be active for a production URL to run successfully.",
    }))
}
