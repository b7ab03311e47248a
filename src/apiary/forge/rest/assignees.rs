//! Who an issue is assigned to, and who could be.

use actix_web::web;
use serde::Deserialize;

use super::issues::{ISSUE_OR_PULL, show_issue};
use super::resource;
use crate::apiary::clock;
use crate::apiary::forge::answer::{Answer, ApiError, created, no_content, ok, parse};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::show;
use crate::apiary::forge::token::{Access, Permission};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource(r"/repos/{owner}/{repo}/issues/{number:\d+}/assignees").post(add).delete(remove))
        .service(resource("/repos/{owner}/{repo}/assignees").get(list))
        .service(resource("/repos/{owner}/{repo}/assignees/{login}").get(check));
}

#[derive(Deserialize)]
struct AssigneesRequest {
    #[serde(default)]
    assignees: Vec<String>,
}

async fn add(call: Call, path: web::Path<(String, String, u64)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &ISSUE_OR_PULL)?;
    let request: AssigneesRequest = parse(&body)?;
    call.change(|state| Ok(state.assign(&key, path.2, &request.assignees, &clock::now())))?;
    show_issue(&call, &key, path.2, created)
}

async fn remove(call: Call, path: web::Path<(String, String, u64)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &ISSUE_OR_PULL)?;
    let request: AssigneesRequest = parse(&body)?;
    call.change(|state| {
        let Some(issue) = state.repo_mut(&key).and_then(|r| r.issues.get_mut(&path.2)) else {
            return Ok(None);
        };
        let before = issue.assignees.len();
        issue.assignees.retain(|a| !request.assignees.iter().any(|r| r.eq_ignore_ascii_case(a)));
        if issue.assignees.len() != before {
            issue.updated_at = clock::now();
        }
        Ok(Some(()))
    })?;
    show_issue(&call, &key, path.2, ok)
}

async fn list(call: Call, path: web::Path<(String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &[Permission::Metadata])?;
    call.view_repo(&key, |state, repo| {
        let logins: Vec<&String> = repo.collaborators.iter().collect();
        page(call.request(), logins, |login| Ok(show::user(&call.urls, state, login)))
    })
}

async fn check(call: Call, path: web::Path<(String, String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &[Permission::Metadata])?;
    call.view_repo(
        &key,
        |_, repo| {
            if repo.may_write(&path.2) { no_content() } else { Err(ApiError::not_found()) }
        },
    )
}
