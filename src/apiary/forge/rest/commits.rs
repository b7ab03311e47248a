//! Commits by the repository interface.

use actix_web::http::StatusCode;
use actix_web::web;
use serde::Deserialize;
use serde_json::{Value, json};

use super::resource;
use crate::apiary::forge::answer::{Answer, ApiError, ok};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::show;
use crate::apiary::forge::token::{Access, Permission};

/// The commits of a listing, over all of its pages.
const MAX_COMMITS: usize = 10_000;
/// The empty tree: what a first commit is compared with.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/repos/{owner}/{repo}/commits").get(list))
        .service(resource("/repos/{owner}/{repo}/commits/{revision:.+}").get(get));
}

#[derive(Deserialize)]
struct ListQuery {
    sha: Option<String>,
    path: Option<String>,
}

async fn list(call: Call, path: web::Path<(String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &[Permission::Contents])?;
    let query: ListQuery = call.query()?;
    let git = call.git(&key)?;
    if git.is_empty().await? {
        return Err(ApiError::new(StatusCode::CONFLICT, "Git Repository is empty."));
    }
    let (full_name, default) =
        call.view_repo(&key, |_, repo| Ok((repo.full_name(), repo.default_branch.clone())))?;
    let revision = query.sha.unwrap_or(default);
    let tip = git.commit_id(&revision).await?.ok_or_else(ApiError::not_found)?;
    let commits = git.log(None, &tip, query.path.as_deref(), MAX_COMMITS).await?;
    page(call.request(), commits, |c| Ok(show::commit(&call.urls, &full_name, &c)))
}

async fn get(call: Call, path: web::Path<(String, String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &[Permission::Contents])?;
    let git = call.git(&key)?;
    let missing = || ApiError::unprocessable(format!("No commit found for SHA: {}", path.2));
    let sha = git.commit_id(&path.2).await?.ok_or_else(missing)?;
    let commit = git.commit(&sha).await?;
    let full_name = call.view_repo(&key, |_, repo| Ok(repo.full_name()))?;
    let parent = commit.parents.first().map_or(EMPTY_TREE, String::as_str);
    let files = git.changed_files(parent, &sha).await?;
    let (additions, deletions) = files.iter().fold((0, 0), |(a, d), f| (a + f.additions, d + f.deletions));
    let mut shown = show::commit(&call.urls, &full_name, &commit);
    shown["stats"] =
        json!({ "additions": additions, "deletions": deletions, "total": additions + deletions });
    let files: Vec<Value> =
        files.iter().map(|f| show::changed_file(&call.urls, &full_name, &sha, f)).collect();
    shown["files"] = Value::Array(files);
    ok(shown)
}
