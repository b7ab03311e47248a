//! What continuous integration says of a commit: statuses; and the empty lists of check runs and workflow runs.

use actix_web::web;
use serde::Deserialize;
use serde_json::{Value, json};

use super::resource;
use crate::apiary::clock;
use crate::apiary::forge::answer::{Answer, ApiError, created, ok, parse};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::show;
use crate::apiary::forge::state::{MAX_STATUSES, RepoKey, Status, StatusState};
use crate::apiary::forge::token::{Access, Permission};

const STATUSES: [Permission; 1] = [Permission::Statuses];

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/repos/{owner}/{repo}/statuses/{sha}").post(create))
        .service(resource("/repos/{owner}/{repo}/commits/{revision:.+}/statuses").get(list))
        .service(resource("/repos/{owner}/{repo}/commits/{revision:.+}/status").get(combined))
        .service(resource("/repos/{owner}/{repo}/commits/{revision:.+}/check-runs").get(check_runs))
        .service(resource("/repos/{owner}/{repo}/commits/{revision:.+}/check-suites").get(check_suites))
        .service(resource("/repos/{owner}/{repo}/actions/runs").get(workflow_runs))
        .service(resource("/repos/{owner}/{repo}/actions/workflows").get(workflows));
}

type Revision = web::Path<(String, String, String)>;

async fn commit_of(
    call: &Call,
    path: &Revision,
    needs: &[Permission],
) -> Result<(RepoKey, String), ApiError> {
    let key = call.repo(&path.0, &path.1, Access::Read, needs)?;
    let missing = || ApiError::unprocessable(format!("No commit found for SHA: {}", path.2));
    let sha = call.git(&key)?.commit_id(&path.2).await?.ok_or_else(missing)?;
    Ok((key, sha))
}

#[derive(Deserialize)]
struct StatusRequest {
    state: StatusState,
    #[serde(default = "default_context")]
    context: String,
    description: Option<String>,
    target_url: Option<String>,
}

fn default_context() -> String {
    "default".to_owned()
}

async fn create(call: Call, path: Revision, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &STATUSES)?;
    let request: StatusRequest = parse(&body)?;
    let missing = || ApiError::unprocessable(format!("No commit found for SHA: {}", path.2));
    let sha = call.git(&key)?.commit_id(&path.2).await?.ok_or_else(missing)?;
    let creator = call.login()?;
    call.view_repo(&key, |_, repo| {
        let of_context = |s: &&Status| s.sha == sha && s.context == request.context;
        if repo.statuses.iter().filter(of_context).count() < MAX_STATUSES {
            return Ok(());
        }
        let message = "This SHA and context has reached the maximum number of statuses.";
        Err(ApiError::custom("Status", message))
    })?;
    let status = call.change(|state| {
        let status = Status {
            id: state.next_id(),
            sha,
            state: request.state,
            context: request.context,
            description: request.description,
            target_url: request.target_url,
            creator,
            created_at: clock::now(),
        };
        Ok(state.repo_mut(&key).map(|repo| {
            repo.statuses.push(status.clone());
            status
        }))
    })?;
    call.view_repo(&key, |state, repo| created(show::status(&call.urls, state, repo, &status)))
}

async fn list(call: Call, path: Revision) -> Answer {
    let (key, sha) = commit_of(&call, &path, &STATUSES).await?;
    call.view_repo(&key, |state, repo| {
        let statuses: Vec<&Status> = repo.statuses.iter().rev().filter(|s| s.sha == sha).collect();
        page(call.request(), statuses, |s| Ok(show::status(&call.urls, state, repo, s)))
    })
}

/// GitHub's rule: any failure or error fails, anything pending or nothing at all is pending.
fn combined_state(statuses: &[&Status]) -> StatusState {
    let any = |state| statuses.iter().any(|s| s.state == state);
    if any(StatusState::Failure) || any(StatusState::Error) {
        StatusState::Failure
    } else if statuses.is_empty() || any(StatusState::Pending) {
        StatusState::Pending
    } else {
        StatusState::Success
    }
}

async fn combined(call: Call, path: Revision) -> Answer {
    let (key, sha) = commit_of(&call, &path, &STATUSES).await?;
    call.view_repo(&key, |state, repo| {
        let latest = repo.latest_statuses(&sha);
        let commit_url = format!("{}/repos/{}/commits/{sha}", call.urls.api, repo.full_name());
        let shown: Vec<Value> = latest.iter().map(|s| show::status(&call.urls, state, repo, s)).collect();
        ok(json!({
            "state": combined_state(&latest),
            "sha": sha,
            "total_count": latest.len(),
            "statuses": shown,
            "repository": show::repo(&call.urls, state, repo, call.may_push(&key)),
            "commit_url": commit_url,
            "url": format!("{commit_url}/status"),
        }))
    })
}

async fn check_runs(call: Call, path: Revision) -> Answer {
    commit_of(&call, &path, &[Permission::Checks]).await?;
    ok(json!({ "total_count": 0, "check_runs": [] }))
}

async fn check_suites(call: Call, path: Revision) -> Answer {
    commit_of(&call, &path, &[Permission::Checks]).await?;
    ok(json!({ "total_count": 0, "check_suites": [] }))
}

async fn workflow_runs(call: Call, path: web::Path<(String, String)>) -> Answer {
    call.repo(&path.0, &path.1, Access::Read, &[Permission::Actions])?;
    ok(json!({ "total_count": 0, "workflow_runs": [] }))
}

async fn workflows(call: Call, path: web::Path<(String, String)>) -> Answer {
    call.repo(&path.0, &path.1, Access::Read, &[Permission::Actions])?;
    ok(json!({ "total_count": 0, "workflows": [] }))
}
