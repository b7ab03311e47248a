//! Pull requests: the list, and one with its words, reviews and diff.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::issues::conversation;
use super::{Html, Missing, Page, answer, heading, issue_line, public, words};
use crate::apiary::forge::Forge;
use crate::apiary::forge::repository::Repository;
use crate::apiary::forge::state::{Pull, ReviewState};
use crate::apiary::git::GitError;

pub(crate) async fn list(forge: web::Data<Forge>, path: web::Path<(String, String)>) -> HttpResponse {
    answer(public(&forge, &path.0, &path.1).map(|repo| {
        let mut html = Html::new();
        heading(&mut html, &repo, "Pull requests");
        html.raw("<ul class=\"list\">");
        for number in repo.pulls.keys().rev() {
            if let Some(issue) = repo.issues.get(number) {
                issue_line(&mut html, &repo, issue);
            }
        }
        html.raw("</ul>");
        html.page(StatusCode::OK, &format!("Pull requests of {}", repo.full_name()))
    }))
}

type Path = web::Path<(String, String, u64)>;

pub(crate) async fn show(forge: web::Data<Forge>, path: Path) -> HttpResponse {
    answer(one(&forge, &path).await)
}

pub(crate) async fn diff(forge: web::Data<Forge>, path: Path) -> HttpResponse {
    answer(plain_diff(&forge, &path).await)
}

async fn sides(git: &Repository, pull: &Pull) -> Result<(String, String), GitError> {
    let from = git.merge_base(&pull.base_sha, &pull.head_sha).await?;
    Ok((from.unwrap_or_else(|| pull.base_sha.clone()), pull.head_sha.clone()))
}

async fn plain_diff(forge: &Forge, path: &(String, String, u64)) -> Page {
    let repo = public(forge, &path.0, &path.1)?;
    let pull = repo.pulls.get(&path.2).ok_or(Missing)?;
    let git = forge.repository_of(&repo);
    let (from, to) = sides(&git, pull).await?;
    let patch = git.patch(&from, &to).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header(("x-content-type-options", "nosniff"))
        .body(patch))
}

async fn one(forge: &Forge, path: &(String, String, u64)) -> Page {
    let key = public(forge, &path.0, &path.1)?.key();
    forge.sync_pulls(&key).await?;
    let repo = public(forge, &path.0, &path.1)?;
    let pull = repo.pulls.get(&path.2).ok_or(Missing)?;
    let issue = repo.issues.get(&path.2).ok_or(Missing)?;
    let mut html = Html::new();
    conversation(&mut html, &repo, issue);
    html.raw("<p class=\"quiet\">").text(&pull.head_ref).raw(" → ").text(&pull.base_ref).raw("</p>");
    for review in &pull.reviews {
        let verdict = match review.state {
            ReviewState::Approved => "approved",
            ReviewState::ChangesRequested => "requested changes",
            ReviewState::Commented => "reviewed",
            ReviewState::Pending => "has begun a review",
        };
        words(&mut html, &format!("{} {verdict}", review.author), &review.submitted_at, &review.body);
    }
    for comment in &pull.review_comments {
        let who = format!("{} on {}:{}", comment.author, comment.path, comment.line);
        words(&mut html, &who, &comment.created_at, &comment.body);
    }
    html.raw("<h2>Changes</h2>");
    let git = forge.repository_of(&repo);
    let (from, to) = sides(&git, pull).await?;
    for file in git.changed_files(&from, &to).await? {
        let title = format!("{}  +{} −{}", file.path, file.additions, file.deletions);
        super::diff(&mut html, &title, file.patch.as_deref());
    }
    Ok(html.page(StatusCode::OK, &format!("{} #{}", issue.title, issue.number)))
}
