//! Repositories, their branches and forks.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::resource;
use crate::apiary::forge::answer::{Answer, ApiError, ok, parse};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::repository::RefInfo;
use crate::apiary::forge::show;
use crate::apiary::forge::state::RepoKey;
use crate::apiary::forge::token::{Access, Permission};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/repos/{owner}/{repo}").get(get))
        .service(resource("/repos/{owner}/{repo}/forks").post(fork))
        .service(resource("/repos/{owner}/{repo}/branches").get(branches))
        .service(resource("/repos/{owner}/{repo}/branches/{branch:.+}").get(branch));
}

async fn get(call: Call, path: web::Path<(String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &[Permission::Metadata])?;
    call.view_repo(&key, |state, repo| ok(show::repo(&call.urls, state, repo, call.may_push(&key))))
}

#[derive(Deserialize)]
struct ForkRequest {
    name: Option<String>,
}

/// Forks to the caller's own account. GitHub answers before the copy is done; here it is done.
async fn fork(call: Call, path: web::Path<(String, String)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &[Permission::Contents])?;
    let login = call.login()?;
    let name = parse::<ForkRequest>(&body)?.name.unwrap_or_else(|| path.1.clone());
    let fork = RepoKey::new(&login, &name);
    if call.view(|state| state.repo(&fork).is_none()) {
        call.forge.fork(&key, &login, &name).await.map_err(|e| ApiError::unprocessable(e.to_string()))?;
    }
    call.view_repo(&fork, |state, repo| {
        Ok(HttpResponse::Accepted().json(show::repo(&call.urls, state, repo, call.may_push(&fork))))
    })
}

fn show_branch(call: &Call, full_name: &str, name: &str, reference: &RefInfo) -> serde_json::Value {
    let commit = format!("{}/repos/{full_name}/commits/{}", call.urls.api, reference.sha);
    json!({ "name": name, "commit": { "sha": reference.sha, "url": commit }, "protected": false })
}

async fn branches(call: Call, path: web::Path<(String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &[Permission::Contents])?;
    let full_name = call.view_repo(&key, |_, repo| Ok(repo.full_name()))?;
    let refs = call.git(&key)?.refs("refs/heads/").await?;
    page(call.request(), refs, |r| {
        let name = r.name.trim_start_matches("refs/heads/");
        Ok(show_branch(&call, &full_name, name, &r))
    })
}

async fn branch(call: Call, path: web::Path<(String, String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &[Permission::Contents])?;
    let full_name = call.view_repo(&key, |_, repo| Ok(repo.full_name()))?;
    let git = call.git(&key)?;
    let missing = || ApiError::new(actix_web::http::StatusCode::NOT_FOUND, "Branch not found");
    let found = git.read_ref(&format!("refs/heads/{}", path.2)).await?.ok_or_else(missing)?;
    let commit = git.commit(&found.sha).await?;
    let mut shown = show_branch(&call, &full_name, &path.2, &found);
    shown["commit"] = show::commit(&call.urls, &full_name, &commit);
    ok(shown)
}
