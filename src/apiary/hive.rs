//! Hive: the projects it wants watched, and what it was told of them.
//!
//! Every error is 500 with `{"detail": …}`, as its backend does it; only a wrong key is 401. The tasks of a project
//! and whether it is ready are read from the forge, as the real Hive reads them from GitHub.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use bzzz_actors::task::{RepoId, TaskId, label};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::forge::{Forge, Issue, IssueState};
use super::options::ApiaryOptions;
use super::store::Store;
use super::{ApiaryError, clock};

/// What is kept of each kind of report; the oldest are forgotten.
const MAX_REPORTS: usize = 10_000;

/// A project as Hive lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// A number or a text.
    pub project_id: Value,
    pub repo: RepoId,
    pub branch: Option<String>,
}

/// A claim that was registered; once again for each time it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimReport {
    pub project_id: String,
    pub task_number: u64,
    pub agent_id: String,
    pub at: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    pub project_id: String,
    pub task_number: u64,
    pub status: String,
    pub metadata: Value,
    pub at: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct HiveState {
    projects: Vec<Project>,
    claims: Vec<ClaimReport>,
    statuses: Vec<StatusReport>,
    antennae_logs: Vec<Value>,
}

pub struct Hive {
    store: Store<HiveState>,
    key: Option<String>,
    forge: Arc<Forge>,
}

impl Hive {
    pub(crate) fn open(options: &ApiaryOptions, forge: Arc<Forge>) -> Result<Self, ApiaryError> {
        let store = Store::open(options.state_dir.join("hive.json"))?;
        Ok(Self { store, key: options.hive_key.clone(), forge })
    }

    /// Adds a project, or replaces the one with the same id.
    pub fn add_project(
        &self,
        project_id: impl Into<Value>,
        repo: &RepoId,
        branch: Option<&str>,
    ) -> Result<(), ApiaryError> {
        let project =
            Project { project_id: project_id.into(), repo: repo.clone(), branch: branch.map(str::to_owned) };
        self.store.change(|state| {
            state.projects.retain(|p| p.project_id != project.project_id);
            state.projects.push(project);
            Ok(())
        })
    }

    /// Removes all projects; what was reported stays.
    pub fn clear_projects(&self) -> Result<(), ApiaryError> {
        self.store.change(|state| {
            state.projects.clear();
            Ok(())
        })
    }

    pub fn projects(&self) -> Vec<Project> {
        self.store.read(|state| state.projects.clone())
    }

    /// The claims registered, oldest first.
    pub fn claims(&self) -> Vec<ClaimReport> {
        self.store.read(|state| state.claims.clone())
    }

    /// The statuses reported, oldest first.
    pub fn statuses(&self) -> Vec<StatusReport> {
        self.store.read(|state| state.statuses.clone())
    }

    /// The bodies of the antennae's reports, oldest first.
    pub fn antennae_logs(&self) -> Vec<Value> {
        self.store.read(|state| state.antennae_logs.clone())
    }

    fn project(&self, id: &str) -> Option<Project> {
        self.store.read(|state| state.projects.iter().find(|p| id_text(&p.project_id) == id).cloned())
    }

    /// The open issues of a project that people want done.
    fn wanted(&self, project: &Project) -> Vec<Issue> {
        let mut issues = self.forge.issues(&project.repo);
        issues.retain(|i| i.state == IssueState::Open && i.has_label(label::TASK));
        issues
    }

    fn authorize(&self, request: &HttpRequest) -> Result<(), Failure> {
        let Some(key) = &self.key else { return Ok(()) };
        let sent = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if sent.and_then(|text| text.strip_prefix("Bearer ")) == Some(key) {
            return Ok(());
        }
        Err(Failure { status: StatusCode::UNAUTHORIZED, detail: "Invalid or missing API key".into() })
    }
}

fn id_text(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

fn push_bounded<T>(list: &mut Vec<T>, item: T) {
    if list.len() == MAX_REPORTS {
        list.remove(0);
    }
    list.push(item);
}

/// An error in the words of Hive's backend.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    detail: String,
}

impl Failure {
    fn new(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, detail: detail.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status).json(json!({ "detail": self.detail }))
    }
}

impl From<ApiaryError> for Failure {
    fn from(error: ApiaryError) -> Self {
        Self::new(error.to_string())
    }
}

type Answer = Result<HttpResponse, Failure>;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/health", web::get().to(health))
        .route("/api/bzzz/active-repos", web::get().to(active_repos))
        .route("/api/bzzz/projects/{id}/tasks", web::get().to(tasks))
        .route("/api/bzzz/projects/{id}/claim", web::post().to(claim))
        .route("/api/bzzz/projects/{id}/status", web::put().to(status))
        .route("/api/bzzz/antennae-log", web::post().to(antennae_log))
        .route("/_apiary/reports", web::get().to(reports))
        .default_service(web::to(async || HttpResponse::NotFound().json(json!({ "detail": "Not Found" }))));
}

/// What was told, for tests in other processes.
async fn reports(hive: web::Data<Hive>) -> HttpResponse {
    HttpResponse::Ok().json(hive.store.read(|state| json!(state)))
}

async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "healthy", "timestamp": clock::now() }))
}

/// The forge's root for this client: the host as the client named it, and the forge's port.
fn forge_url(hive: &Hive, request: &HttpRequest) -> String {
    let here = request.connection_info();
    let host = here.host().rsplit_once(':').map_or(here.host(), |(host, _)| host);
    let port = hive.forge.url().rsplit_once(':').map_or("80", |(_, port)| port);
    format!("{}://{host}:{port}", here.scheme())
}

async fn active_repos(hive: web::Data<Hive>, request: HttpRequest) -> Answer {
    hive.authorize(&request)?;
    let forge = forge_url(&hive, &request);
    let shown = hive.projects().into_iter().map(|project| {
        json!({
            "project_id": project.project_id,
            "name": project.repo.name(),
            "git_url": format!("{forge}/{}.git", project.repo),
            "owner": project.repo.owner(),
            "repository": project.repo.name(),
            "branch": project.branch,
            "bzzz_enabled": true,
            "ready_to_claim": !hive.wanted(&project).is_empty(),
            "private_repo": false,
            "github_token_required": false,
        })
    });
    Ok(HttpResponse::Ok().json(json!({ "repositories": shown.collect::<Vec<_>>() })))
}

async fn tasks(hive: web::Data<Hive>, request: HttpRequest, id: web::Path<String>) -> Answer {
    hive.authorize(&request)?;
    // The backend answers an unknown project with an empty list.
    let Some(project) = hive.project(&id) else { return Ok(HttpResponse::Ok().json(json!([]))) };
    let forge = forge_url(&hive, &request);
    let claimed: Vec<u64> =
        hive.claims().into_iter().filter(|c| c.project_id == *id).map(|c| c.task_number).collect();
    let shown = hive.wanted(&project).into_iter().map(|issue| {
        let task = TaskId::new(project.repo.clone(), issue.number);
        json!({
            "number": issue.number,
            "title": issue.title,
            "description": issue.body,
            "state": "open",
            "labels": issue.labels,
            "created_at": issue.created_at,
            "updated_at": issue.updated_at,
            "html_url": format!("{forge}/{}/issues/{}", task.repo, task.number),
            "is_claimed": !issue.assignees.is_empty() || claimed.contains(&issue.number),
            "assignees": issue.assignees,
            "task_type": task_type(&issue.labels),
        })
    });
    Ok(HttpResponse::Ok().json(shown.collect::<Vec<_>>()))
}

/// Hive's own guess of what a task is, from its labels.
fn task_type(labels: &[String]) -> &'static str {
    const KINDS: [(&str, &str); 9] = [
        ("bug", "bug"),
        ("enhancement", "feature"),
        ("feature", "feature"),
        ("documentation", "documentation"),
        ("refactor", "refactor"),
        ("test", "testing"),
        ("infrastructure", "infrastructure"),
        ("security", "security"),
        ("ui", "ui/ux"),
    ];
    let kind = |label: &String| KINDS.iter().find(|(word, _)| label.to_lowercase().contains(word));
    labels.iter().find_map(kind).map_or("general", |(_, kind)| kind)
}

/// A request's body as an object; what it is not is an error of validation.
fn object(body: &[u8]) -> Result<serde_json::Map<String, Value>, Failure> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Failure::new("Input should be a valid dictionary")),
        Err(e) => Err(Failure::new(format!("JSON decode error: {e}"))),
    }
}

async fn claim(
    hive: web::Data<Hive>,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
) -> Answer {
    hive.authorize(&request)?;
    let fields = object(&body)?;
    let needed = || Failure::new("Failed to claim task: 400: task_number and agent_id are required");
    let task_number = fields.get("task_number").and_then(Value::as_u64).ok_or_else(needed)?;
    let agent_id = fields.get("agent_id").and_then(Value::as_str).filter(|a| !a.is_empty());
    let agent_id = agent_id.ok_or_else(needed)?.to_owned();
    let claim_id = format!("{id}-{task_number}-{agent_id}");
    let report = ClaimReport { project_id: id.into_inner(), task_number, agent_id, at: clock::now() };
    hive.store.change(|state| {
        push_bounded(&mut state.claims, report);
        Ok::<_, ApiaryError>(())
    })?;
    Ok(HttpResponse::Ok().json(json!({ "success": true, "claim_id": claim_id })))
}

async fn status(
    hive: web::Data<Hive>,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
) -> Answer {
    hive.authorize(&request)?;
    let fields = object(&body)?;
    let needed = || Failure::new("Failed to update task status: 400: task_number and status are required");
    let report = StatusReport {
        project_id: id.into_inner(),
        task_number: fields.get("task_number").and_then(Value::as_u64).ok_or_else(needed)?,
        status: fields.get("status").and_then(Value::as_str).ok_or_else(needed)?.to_owned(),
        metadata: fields.get("metadata").cloned().unwrap_or_else(|| json!({})),
        at: clock::now(),
    };
    hive.store.change(|state| {
        push_bounded(&mut state.statuses, report);
        Ok::<_, ApiaryError>(())
    })?;
    Ok(HttpResponse::Ok().json(json!({ "success": true })))
}

async fn antennae_log(hive: web::Data<Hive>, request: HttpRequest, body: web::Bytes) -> Answer {
    hive.authorize(&request)?;
    let fields = object(&body)?;
    for key in ["antennaeData", "metrics", "timestamp", "activeAgents"] {
        if !fields.contains_key(key) {
            return Err(Failure::new(format!("Failed to log antennae data: '{key}'")));
        }
    }
    hive.store.change(|state| {
        push_bounded(&mut state.antennae_logs, Value::Object(fields));
        Ok::<_, ApiaryError>(())
    })?;
    Ok(HttpResponse::Ok().json(json!({ "success": true, "logged": true, "patterns_count": 0 })))
}
