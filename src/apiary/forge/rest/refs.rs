//! Git references and commits by the database interface.

use actix_web::http::StatusCode;
use actix_web::web;
use serde::Deserialize;
use serde_json::json;

use super::resource;
use crate::apiary::forge::answer::{Answer, ApiError, created, no_content, ok, parse};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::repository::{Updated, is_full_sha, is_ref_name};
use crate::apiary::forge::show;
use crate::apiary::forge::state::RepoKey;
use crate::apiary::forge::token::{Access, Permission};

const CONTENTS: [Permission; 1] = [Permission::Contents];

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/repos/{owner}/{repo}/git/ref/{name:.+}").get(get))
        .service(resource("/repos/{owner}/{repo}/git/matching-refs/{name:.*}").get(matching))
        .service(resource("/repos/{owner}/{repo}/git/refs").get(all).post(create))
        .service(resource("/repos/{owner}/{repo}/git/refs/{name:.+}").patch(update).delete(delete))
        .service(resource("/repos/{owner}/{repo}/git/commits/{sha}").get(commit));
}

fn full_name(call: &Call, key: &RepoKey) -> Result<String, ApiError> {
    call.view_repo(key, |_, repo| Ok(repo.full_name()))
}

async fn show_ref(call: &Call, key: &RepoKey, name: &str, answer: fn(serde_json::Value) -> Answer) -> Answer {
    let found = call.git(key)?.read_ref(name).await?.ok_or_else(ApiError::not_found)?;
    answer(show::git_ref(&call.urls, &full_name(call, key)?, &found))
}

async fn get(call: Call, path: web::Path<(String, String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &CONTENTS)?;
    show_ref(&call, &key, &format!("refs/{}", path.2), ok).await
}

async fn list(call: Call, owner: &str, repo: &str, prefix: &str) -> Answer {
    let key = call.repo(owner, repo, Access::Read, &CONTENTS)?;
    let git = call.git(&key)?;
    check_not_empty(&git).await?;
    let refs = git.refs(prefix).await?;
    let full_name = full_name(&call, &key)?;
    page(call.request(), refs, |r| Ok(show::git_ref(&call.urls, &full_name, &r)))
}

async fn all(call: Call, path: web::Path<(String, String)>) -> Answer {
    list(call, &path.0, &path.1, "refs/").await
}

async fn matching(call: Call, path: web::Path<(String, String, String)>) -> Answer {
    list(call, &path.0, &path.1, &format!("refs/{}", path.2)).await
}

async fn check_not_empty(git: &crate::apiary::forge::repository::Repository) -> Result<(), ApiError> {
    if git.is_empty().await? {
        return Err(ApiError::new(StatusCode::CONFLICT, "Git Repository is empty."));
    }
    Ok(())
}

#[derive(Deserialize)]
struct CreateRequest {
    #[serde(rename = "ref")]
    name: String,
    sha: String,
}

async fn create(call: Call, path: web::Path<(String, String)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &CONTENTS)?;
    let request: CreateRequest = parse(&body)?;
    let git = call.git(&key)?;
    check_not_empty(&git).await?;
    if !is_ref_name(&request.name) {
        return Err(ApiError::unprocessable("Reference name is not valid"));
    }
    check_object(&git, &request.sha).await?;
    match git.swap_ref(&request.name, None, &request.sha).await? {
        Updated::Done => {}
        Updated::Refused => return Err(ApiError::unprocessable("Reference already exists")),
    }
    call.forge.after_push(&key).await?;
    show_ref(&call, &key, &request.name, created).await
}

async fn check_object(git: &crate::apiary::forge::repository::Repository, sha: &str) -> Result<(), ApiError> {
    if !is_full_sha(sha) {
        return Err(ApiError::unprocessable(
            "The sha parameter must be exactly 40 characters and contain only [0-9a-f].",
        ));
    }
    git.object_kind(sha).await?.map(drop).ok_or_else(|| ApiError::unprocessable("Object does not exist"))
}

#[derive(Deserialize)]
struct UpdateRequest {
    sha: String,
    #[serde(default)]
    force: bool,
}

async fn update(call: Call, path: web::Path<(String, String, String)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &CONTENTS)?;
    let request: UpdateRequest = parse(&body)?;
    let name = format!("refs/{}", path.2);
    let git = call.git(&key)?;
    let missing = || ApiError::unprocessable("Reference does not exist");
    let found = git.read_ref(&name).await?.ok_or_else(missing)?;
    check_object(&git, &request.sha).await?;
    let is_forward = git.merge_base(&found.sha, &request.sha).await?.as_ref() == Some(&found.sha);
    if !is_forward && !request.force {
        return Err(ApiError::unprocessable("Update is not a fast forward"));
    }
    if git.swap_ref(&name, Some(&found.sha), &request.sha).await? == Updated::Refused {
        return Err(ApiError::unprocessable("Reference cannot be updated"));
    }
    call.forge.after_push(&key).await?;
    show_ref(&call, &key, &name, ok).await
}

async fn delete(call: Call, path: web::Path<(String, String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &CONTENTS)?;
    let name = format!("refs/{}", path.2);
    let git = call.git(&key)?;
    let missing = || ApiError::unprocessable("Reference does not exist");
    let found = git.read_ref(&name).await?.ok_or_else(missing)?;
    let default = call.view_repo(&key, |_, repo| Ok(format!("refs/heads/{}", repo.default_branch)))?;
    if name == default {
        return Err(ApiError::unprocessable("Cannot delete the default branch"));
    }
    if git.delete_ref(&name, &found.sha).await? == Updated::Refused {
        return Err(ApiError::unprocessable("Reference cannot be updated"));
    }
    call.forge.after_push(&key).await?;
    no_content()
}

async fn commit(call: Call, path: web::Path<(String, String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &CONTENTS)?;
    let git = call.git(&key)?;
    if git.object_kind(&path.2).await?.as_deref() != Some("commit") {
        return Err(ApiError::not_found());
    }
    let shown = show::commit(&call.urls, &full_name(&call, &key)?, &git.commit(&path.2).await?);
    // The database's commit is the inner one, with the ids beside it.
    let inner = &shown["commit"];
    ok(json!({
        "sha": shown["sha"],
        "node_id": shown["node_id"],
        "url": inner["url"],
        "html_url": shown["html_url"],
        "author": inner["author"],
        "committer": inner["committer"],
        "message": inner["message"],
        "tree": inner["tree"],
        "parents": shown["parents"],
        "verification": inner["verification"],
    }))
}
