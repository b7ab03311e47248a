//! Files, folders and commits.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::{Html, Missing, Page, answer, heading, public};
use crate::apiary::forge::Forge;

/// The empty tree: what a first commit is compared with.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

type Path = web::Path<(String, String, String, String)>;

pub(crate) async fn entry(forge: web::Data<Forge>, path: Path) -> HttpResponse {
    answer(show_entry(&forge, &path).await)
}

async fn show_entry(forge: &Forge, path: &(String, String, String, String)) -> Page {
    let (owner, name, revision, path) = path;
    let repo = public(forge, owner, name)?;
    let git = forge.repository_of(&repo);
    let commit = git.commit_id(revision).await?.ok_or(Missing)?;
    let entry = git.entry(&commit, path.trim_end_matches('/')).await?.ok_or(Missing)?;
    let mut html = Html::new();
    heading(&mut html, &repo, if path.is_empty() { "/" } else { path });
    if entry.kind == "tree" {
        html.raw("<ul class=\"list\">");
        for entry in git.folder(&entry).await? {
            let view = if entry.kind == "tree" { "tree" } else { "blob" };
            let to = format!("/{}/{view}/{revision}/{}", repo.full_name(), entry.path);
            html.raw("<li>").link(&to, &entry.path).raw("</li>");
        }
        html.raw("</ul>");
    } else {
        let bytes = git.blob(&entry).await?;
        html.raw("<section class=\"card\"><pre class=\"file\">");
        match bytes.as_deref().map(str::from_utf8) {
            Some(Ok(text)) => html.text(text),
            Some(Err(_)) => html.raw("(not text)"),
            None => html.raw("(too long to be shown)"),
        };
        html.raw("</pre></section>");
    }
    Ok(html.page(StatusCode::OK, path))
}

pub(crate) async fn raw(forge: web::Data<Forge>, path: Path) -> HttpResponse {
    answer(show_raw(&forge, &path).await)
}

async fn show_raw(forge: &Forge, path: &(String, String, String, String)) -> Page {
    let repo = public(forge, &path.0, &path.1)?;
    let git = forge.repository_of(&repo);
    let commit = git.commit_id(&path.2).await?.ok_or(Missing)?;
    let bytes = git.file(&commit, &path.3).await?.ok_or(Missing)?;
    // Plain text whatever it is: nothing here is to run in a browser.
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header(("x-content-type-options", "nosniff"))
        .body(bytes))
}

pub(crate) async fn commit(
    forge: web::Data<Forge>,
    path: web::Path<(String, String, String)>,
) -> HttpResponse {
    answer(show_commit(&forge, &path).await)
}

async fn show_commit(forge: &Forge, path: &(String, String, String)) -> Page {
    let repo = public(forge, &path.0, &path.1)?;
    let git = forge.repository_of(&repo);
    let sha = git.commit_id(&path.2).await?.ok_or(Missing)?;
    let commit = git.commit(&sha).await?;
    let mut html = Html::new();
    heading(&mut html, &repo, &format!("Commit {}", &sha[..12]));
    super::words(&mut html, &commit.author.name, &commit.author.date, &commit.message);
    let parent = commit.parents.first().map_or(EMPTY_TREE, String::as_str);
    for file in git.changed_files(parent, &sha).await? {
        super::diff(&mut html, &file.path, file.patch.as_deref());
    }
    Ok(html.page(StatusCode::OK, &format!("Commit {}", &sha[..12])))
}
