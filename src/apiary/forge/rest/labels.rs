//! Labels of an issue and of a repository.

use actix_web::http::StatusCode;
use actix_web::web;
use serde::Deserialize;
use serde_json::Value;

use super::issues::ISSUE_OR_PULL;
use super::resource;
use crate::apiary::clock;
use crate::apiary::forge::answer::{Answer, ApiError, created, no_content, ok, parse, parse_value};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::show;
use crate::apiary::forge::state::{Issue, Label, MAX_LABEL, RepoKey};
use crate::apiary::forge::token::{Access, Permission};

/// GitHub's limit of labels on one issue.
const MAX_LABELS: usize = 100;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            resource(r"/repos/{owner}/{repo}/issues/{number:\d+}/labels")
                .get(of_issue)
                .post(add)
                .put(replace)
                .delete(remove_all),
        )
        .service(resource(r"/repos/{owner}/{repo}/issues/{number:\d+}/labels/{name}").delete(remove))
        .service(resource("/repos/{owner}/{repo}/labels").get(of_repo).post(create))
        .service(resource("/repos/{owner}/{repo}/labels/{name}").get(get).patch(edit).delete(delete));
}

/// A label as a request names it: its name, or an object with the name.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum LabelName {
    Name(String),
    Object { name: String },
}

impl LabelName {
    /// The names, when GitHub takes them all.
    pub(crate) fn checked(labels: Vec<Self>) -> Result<Vec<String>, ApiError> {
        if labels.len() > MAX_LABELS {
            return Err(ApiError::custom("Issue", "too many labels (maximum is 100)"));
        }
        let name = |label| {
            let (Self::Name(name) | Self::Object { name }) = label;
            check_name(&name).map(|()| name)
        };
        labels.into_iter().map(name).collect()
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.trim().is_empty() {
        return Err(ApiError::invalid("Label", "name", "missing_field"));
    }
    if name.chars().count() > MAX_LABEL {
        return Err(ApiError::too_long("Label", "name", MAX_LABEL));
    }
    Ok(())
}

/// The labels of a request: an array, or an object with the key `labels`.
fn names(body: &[u8]) -> Result<Vec<String>, ApiError> {
    let value = match parse_value(body)? {
        Value::Object(mut fields) => fields.remove("labels").unwrap_or_else(|| Value::Array(Vec::new())),
        other => other,
    };
    let labels = serde_json::from_value(value)
        .map_err(|e| ApiError::unprocessable(format!("Invalid request.\n\n{e}.")))?;
    LabelName::checked(labels)
}

fn show_of_issue(call: &Call, key: &RepoKey, number: u64) -> Answer {
    call.view_repo(key, |_, repo| {
        let issue = repo.issues.get(&number).ok_or_else(ApiError::not_found)?;
        let labels = issue.labels.iter().filter_map(|name| repo.label(name));
        ok(labels.map(|l| show::label(&call.urls, repo, l)).collect())
    })
}

async fn of_issue(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &ISSUE_OR_PULL)?;
    show_of_issue(&call, &key, path.2)
}

async fn add(call: Call, path: web::Path<(String, String, u64)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &ISSUE_OR_PULL)?;
    let (names, login) = (names(&body)?, call.login()?);
    call.change(|state| Ok(state.add_labels(&key, path.2, &names, &login, &clock::now())))?;
    show_of_issue(&call, &key, path.2)
}

/// Takes all labels but these off an issue; `None` when there is no such issue.
fn clear(issue: Option<&mut Issue>, kept: &[String], by: &str, now: &str) -> Option<()> {
    issue?.clear_labels(kept, by, now);
    Some(())
}

async fn replace(call: Call, path: web::Path<(String, String, u64)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &ISSUE_OR_PULL)?;
    let (names, login) = (names(&body)?, call.login()?);
    call.change(|state| {
        let now = clock::now();
        let issue = state.repo_mut(&key).and_then(|r| r.issues.get_mut(&path.2));
        let cleared = clear(issue, &names, &login, &now);
        Ok(cleared.and_then(|()| state.add_labels(&key, path.2, &names, &login, &now)))
    })?;
    show_of_issue(&call, &key, path.2)
}

async fn remove_all(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &ISSUE_OR_PULL)?;
    let login = call.login()?;
    call.change(|state| {
        let issue = state.repo_mut(&key).and_then(|r| r.issues.get_mut(&path.2));
        Ok(clear(issue, &[], &login, &clock::now()))
    })?;
    no_content()
}

async fn remove(call: Call, path: web::Path<(String, String, u64, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &ISSUE_OR_PULL)?;
    let (_, _, number, name) = path.into_inner();
    let login = call.login()?;
    call.change(|state| {
        let Some(issue) = state.repo_mut(&key).and_then(|r| r.issues.get_mut(&number)) else {
            return Ok(None);
        };
        if !issue.remove_label(&name, &login, &clock::now()) {
            return Err(ApiError::new(StatusCode::NOT_FOUND, "Label does not exist"));
        }
        Ok(Some(()))
    })?;
    show_of_issue(&call, &key, number)
}

async fn of_repo(call: Call, path: web::Path<(String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &ISSUE_OR_PULL)?;
    call.view_repo(&key, |_, repo| {
        let labels: Vec<&Label> = repo.labels.values().collect();
        page(call.request(), labels, |l| Ok(show::label(&call.urls, repo, l)))
    })
}

fn show_one(call: &Call, key: &RepoKey, name: &str, answer: fn(Value) -> Answer) -> Answer {
    call.view_repo(key, |_, repo| {
        let label = repo.label(name).ok_or_else(ApiError::not_found)?;
        answer(show::label(&call.urls, repo, label))
    })
}

async fn get(call: Call, path: web::Path<(String, String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &ISSUE_OR_PULL)?;
    show_one(&call, &key, &path.2, ok)
}

#[derive(Deserialize)]
struct LabelRequest {
    name: Option<String>,
    color: Option<String>,
    description: Option<String>,
}

impl LabelRequest {
    fn check_color(&self) -> Result<(), ApiError> {
        let is_color = |c: &String| c.len() == 6 && c.bytes().all(|b| b.is_ascii_hexdigit());
        match &self.color {
            Some(color) if !is_color(color) => Err(ApiError::invalid("Label", "color", "invalid")),
            _ => Ok(()),
        }
    }
}

async fn create(call: Call, path: web::Path<(String, String)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &[Permission::Issues])?;
    let request: LabelRequest = parse(&body)?;
    request.check_color()?;
    let name = request.name.unwrap_or_default();
    check_name(&name)?;
    call.change(|state| {
        if state.repo(&key).is_some_and(|repo| repo.label(&name).is_some()) {
            return Err(ApiError::invalid("Label", "name", "already_exists"));
        }
        state.ensure_label(&key, &name);
        Ok(set(
            state.repo_mut(&key).and_then(|r| r.labels.get_mut(&name.to_lowercase())),
            &request.color,
            request.description,
        ))
    })?;
    show_one(&call, &key, &name, created)
}

fn set(label: Option<&mut Label>, color: &Option<String>, description: Option<String>) -> Option<()> {
    let label = label?;
    if let Some(color) = color {
        label.color = color.to_lowercase();
    }
    if description.is_some() {
        label.description = description;
    }
    Some(())
}

/// Colour and description; a label's name stays what it is.
async fn edit(call: Call, path: web::Path<(String, String, String)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &[Permission::Issues])?;
    let request: LabelRequest = parse(&body)?;
    request.check_color()?;
    call.change(|state| {
        let label = state.repo_mut(&key).and_then(|r| r.labels.get_mut(&path.2.to_lowercase()));
        Ok(set(label, &request.color, request.description))
    })?;
    show_one(&call, &key, &path.2, ok)
}

/// Deletes a label everywhere.
async fn delete(call: Call, path: web::Path<(String, String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &[Permission::Issues])?;
    let login = call.login()?;
    call.change(|state| {
        let now = clock::now();
        let Some(repo) = state.repo_mut(&key) else { return Ok(None) };
        let removed = repo.labels.remove(&path.2.to_lowercase());
        for issue in repo.issues.values_mut() {
            issue.remove_label(&path.2, &login, &now);
        }
        Ok(removed.map(drop))
    })?;
    no_content()
}
