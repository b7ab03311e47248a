//! Who may do what in a repository, who put which label on an issue, and who changed it: what a node asks before it takes
//! somebody's word.

use actix_web::{Resource, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::issues::ISSUE_OR_PULL;
use super::resource;
use crate::apiary::forge::answer::{Answer, ApiError, ok, parse};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::show::{self, Urls};
use crate::apiary::forge::state::{ForgeState, Issue, IssueEvent, Repo};
use crate::apiary::forge::token::{Access, Permission};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/repos/{owner}/{repo}/collaborators/{login}/permission").get(permission))
        .service(resource(r"/repos/{owner}/{repo}/issues/{number:\d+}/events").get(events));
}

/// It lies beside the REST interface: at `/graphql`, or at `/api/graphql` beside that at `/api/v3`.
pub(crate) fn graphql(path: &str) -> Resource {
    resource(path).post(last_edit)
}

/// Of labels and titles only: nothing else that happens to an issue is kept with who did it.
async fn events(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &ISSUE_OR_PULL)?;
    call.view_repo(&key, |state, repo| {
        let issue = repo.issues.get(&path.2).ok_or_else(ApiError::not_found)?;
        let events: Vec<(usize, &IssueEvent)> = issue.events.iter().enumerate().collect();
        page(call.request(), events, |(at, event)| Ok(show_event(&call.urls, state, repo, issue, at, event)))
    })
}

fn show_event(
    urls: &Urls,
    state: &ForgeState,
    repo: &Repo,
    issue: &Issue,
    at: usize,
    event: &IssueEvent,
) -> Value {
    let color = |name: &String| repo.label(name).map(|label| label.color.as_str());
    let mut shown = json!({
        "id": issue.id * 10_000 + at as u64,
        "url": format!("{}/repos/{}/issues/{}/events", urls.api, repo.full_name(), issue.number),
        "actor": show::user(urls, state, &event.actor),
        "event": event.kind,
        "commit_id": null,
        "created_at": event.created_at,
        "performed_via_github_app": null,
    });
    if let Some(label) = &event.label {
        shown["label"] = json!({ "name": label, "color": color(label) });
    }
    shown
}

#[derive(Deserialize)]
struct GraphRequest {
    query: String,
    variables: GraphVariables,
}

#[derive(Deserialize)]
struct GraphVariables {
    owner: String,
    name: String,
    number: u64,
}

/// Of GraphQL the one question that a node asks there: GitHub's REST interface does not tell who changed an issue's body.
async fn last_edit(call: Call, body: web::Bytes) -> Answer {
    let request: GraphRequest = parse(&body)?;
    if !request.query.contains("lastEditedAt") {
        return ok(
            json!({ "errors": [{ "message": "this forge answers no other query than lastEditedAt" }] }),
        );
    }
    let GraphVariables { owner, name, number } = request.variables;
    let key = call.repo(&owner, &name, Access::Read, &ISSUE_OR_PULL)?;
    call.view_repo(&key, |_, repo| {
        let issue = repo.issues.get(&number).map(|issue| {
            let edited = issue.edited.as_ref();
            json!({ "lastEditedAt": edited.map(|(_, at)| at), "editor": edited.map(|(by, _)| json!({ "login": by })) })
        });
        ok(json!({ "data": { "repository": { "issue": issue } } }))
    })
}

/// GitHub's old word for a role says "read" for one who may triage.
async fn permission(call: Call, path: web::Path<(String, String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &[Permission::Metadata])?;
    // On GitHub only those who may push to a repository learn this, also of a public one.
    if !call.may_push(&key) {
        return Err(ApiError::new(
            actix_web::http::StatusCode::FORBIDDEN,
            "Must have push access to view collaborator permission.",
        ));
    }
    call.view_repo(&key, |state, repo| {
        let login = &path.2;
        state.user(login).ok_or_else(ApiError::not_found)?;
        let is_owner = repo.owner.eq_ignore_ascii_case(login);
        let (writes, triages) = (repo.may_write(login), repo.may_triage(login));
        let (permission, role) = match (is_owner, writes, triages) {
            (true, ..) => ("admin", "admin"),
            (_, true, _) => ("write", "write"),
            (_, _, true) => ("read", "triage"),
            _ if repo.private => ("none", "none"),
            _ => ("read", "read"),
        };
        let mut user = show::user(&call.urls, state, login);
        user["permissions"] = json!({
            "admin": is_owner, "maintain": is_owner, "push": writes, "triage": triages,
            "pull": triages || !repo.private,
        });
        user["role_name"] = json!(role);
        ok(json!({ "permission": permission, "role_name": role, "user": user }))
    })
}
