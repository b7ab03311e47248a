//! Files and folders of a commit.

use actix_web::http::StatusCode;
use actix_web::http::header::ACCEPT;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::resource;
use crate::apiary::forge::answer::{Answer, ApiError, ok};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::repository::{TreeEntry, base64_lines};
use crate::apiary::forge::token::{Access, Permission};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/repos/{owner}/{repo}/contents").get(root))
        .service(resource("/repos/{owner}/{repo}/contents/{path:.*}").get(get))
        .service(resource("/repos/{owner}/{repo}/readme").get(readme));
}

#[derive(Deserialize)]
struct Query {
    #[serde(rename = "ref")]
    revision: Option<String>,
}

async fn root(call: Call, path: web::Path<(String, String)>) -> Answer {
    show(&call, &path.0, &path.1, "").await
}

async fn get(call: Call, path: web::Path<(String, String, String)>) -> Answer {
    show(&call, &path.0, &path.1, path.2.trim_matches('/')).await
}

async fn readme(call: Call, path: web::Path<(String, String)>) -> Answer {
    show(&call, &path.0, &path.1, "README.md").await
}

async fn show(call: &Call, owner: &str, name: &str, path: &str) -> Answer {
    let key = call.repo(owner, name, Access::Read, &[Permission::Contents])?;
    let git = call.git(&key)?;
    let not_found = |message: String| ApiError::new(StatusCode::NOT_FOUND, message);
    if git.is_empty().await? {
        return Err(not_found("This repository is empty.".into()));
    }
    let (full_name, default) =
        call.view_repo(&key, |_, repo| Ok((repo.full_name(), repo.default_branch.clone())))?;
    let revision = call.query::<Query>()?.revision.unwrap_or(default);
    let commit = git.commit_id(&revision).await?;
    let commit = commit.ok_or_else(|| not_found(format!("No commit found for the ref {revision}")))?;
    let entry = git.entry(&commit, path).await?.ok_or_else(ApiError::not_found)?;
    if entry.kind == "tree" {
        let entries = git.folder(&entry).await?;
        let shown: Vec<Value> = entries.iter().map(|e| fields(call, &full_name, &revision, e)).collect();
        return ok(Value::Array(shown));
    }
    let too_large = || {
        let message = "This API returns blobs up to 1 MB in size. The requested blob is too large.";
        ApiError::new(StatusCode::FORBIDDEN, message)
    };
    let bytes = git.blob(&entry).await?.ok_or_else(too_large)?;
    let accept = call.request().headers().get(ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
    if accept.contains(".raw") {
        return Ok(HttpResponse::Ok().content_type("application/vnd.github.raw; charset=utf-8").body(bytes));
    }
    let mut shown = fields(call, &full_name, &revision, &entry);
    shown["encoding"] = json!("base64");
    shown["content"] = json!(base64_lines(&bytes));
    ok(shown)
}

fn fields(call: &Call, full_name: &str, revision: &str, entry: &TreeEntry) -> Value {
    let path = &entry.path;
    let is_folder = entry.kind == "tree";
    let kind = match (entry.kind.as_str(), entry.mode.as_str()) {
        ("tree", _) => "dir",
        ("commit", _) => "submodule",
        (_, "120000") => "symlink",
        _ => "file",
    };
    let url = format!("{}/repos/{full_name}/contents/{path}?ref={revision}", call.urls.api);
    let objects = if is_folder { "trees" } else { "blobs" };
    let git = format!("{}/repos/{full_name}/git/{objects}/{}", call.urls.api, entry.sha);
    let view = if is_folder { "tree" } else { "blob" };
    let html = format!("{}/{full_name}/{view}/{revision}/{path}", call.urls.html);
    let download = (!is_folder).then(|| format!("{}/{full_name}/raw/{revision}/{path}", call.urls.html));
    json!({
        "type": kind,
        "name": path.rsplit('/').next().unwrap_or(path),
        "path": path,
        "sha": entry.sha,
        "size": entry.size,
        "url": url,
        "git_url": git,
        "html_url": html,
        "download_url": download,
        "_links": { "self": url, "git": git, "html": html },
    })
}
