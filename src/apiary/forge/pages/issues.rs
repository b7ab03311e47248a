//! Issues: the list, and one with its comments.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::{Html, Missing, Page, answer, assignees, heading, issue_line, labels, public, state_mark, words};
use crate::apiary::forge::Forge;
use crate::apiary::forge::state::{Issue, Repo};

pub(crate) async fn list(forge: web::Data<Forge>, path: web::Path<(String, String)>) -> HttpResponse {
    answer(public(&forge, &path.0, &path.1).map(|repo| {
        let mut html = Html::new();
        heading(&mut html, &repo, "Issues");
        html.raw("<ul class=\"list\">");
        let issues = repo.issues.values().rev().filter(|i| !repo.pulls.contains_key(&i.number));
        issues.for_each(|issue| issue_line(&mut html, &repo, issue));
        html.raw("</ul>");
        html.page(StatusCode::OK, &format!("Issues of {}", repo.full_name()))
    }))
}

pub(crate) async fn show(forge: web::Data<Forge>, path: web::Path<(String, String, u64)>) -> HttpResponse {
    answer(one(&forge, &path))
}

fn one(forge: &Forge, path: &(String, String, u64)) -> Page {
    let repo = public(forge, &path.0, &path.1)?;
    let issue = repo.issues.get(&path.2).ok_or(Missing)?;
    let mut html = Html::new();
    conversation(&mut html, &repo, issue);
    Ok(html.page(StatusCode::OK, &format!("{} #{}", issue.title, issue.number)))
}

/// The words of an issue or pull request: its own, then the comments.
pub(crate) fn conversation(html: &mut Html, repo: &Repo, issue: &Issue) {
    heading(html, repo, &format!("{} #{}", issue.title, issue.number));
    html.raw("<p>");
    state_mark(html, repo, issue);
    labels(html, issue);
    assignees(html, issue);
    html.raw("</p>");
    words(html, &issue.author, &issue.created_at, issue.body.as_deref().unwrap_or_default());
    for comment in repo.comments_of(issue.number) {
        words(html, &comment.author, &comment.created_at, &comment.body);
    }
}
