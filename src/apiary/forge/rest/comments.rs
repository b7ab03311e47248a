//! Comments on issues and pull requests.

use actix_web::web;
use serde::Deserialize;

use super::issues::ISSUE_OR_PULL;
use super::{check_body, resource};
use crate::apiary::clock;
use crate::apiary::forge::answer::{Answer, ApiError, created, no_content, ok, parse};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::show;
use crate::apiary::forge::state::{Comment, MAX_COMMENTS, Repo, RepoKey};
use crate::apiary::forge::token::Access;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource(r"/repos/{owner}/{repo}/issues/{number:\d+}/comments").get(list).post(create))
        .service(resource("/repos/{owner}/{repo}/issues/comments").get(list_all))
        // GitHub takes POST for PATCH here; some clients still send it.
        .service(
            resource(r"/repos/{owner}/{repo}/issues/comments/{id:\d+}")
                .get(get)
                .patch(edit)
                .post(edit)
                .delete(delete),
        );
}

#[derive(Deserialize)]
struct ListQuery {
    since: Option<String>,
}

fn show_list(call: &Call, key: &RepoKey, number: Option<u64>) -> Answer {
    let since = match call.query::<ListQuery>()?.since {
        Some(text) => {
            Some(clock::normalized(&text).ok_or_else(|| ApiError::invalid("Comment", "since", "invalid"))?)
        }
        None => None,
    };
    call.view_repo(key, |state, repo| {
        if number.is_some_and(|n| !repo.issues.contains_key(&n)) {
            return Err(ApiError::not_found());
        }
        let wanted = |c: &&Comment| {
            number.is_none_or(|n| c.issue == n) && since.as_ref().is_none_or(|since| c.updated_at >= *since)
        };
        let comments: Vec<&Comment> = repo.comments.values().filter(wanted).collect();
        page(call.request(), comments, |c| Ok(show::comment(&call.urls, state, repo, c)))
    })
}

async fn list(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &ISSUE_OR_PULL)?;
    show_list(&call, &key, Some(path.2))
}

async fn list_all(call: Call, path: web::Path<(String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &ISSUE_OR_PULL)?;
    show_list(&call, &key, None)
}

fn show_one(call: &Call, key: &RepoKey, id: u64, answer: fn(serde_json::Value) -> Answer) -> Answer {
    call.view_repo(key, |state, repo| {
        let comment = repo.comments.get(&id).ok_or_else(ApiError::not_found)?;
        answer(show::comment(&call.urls, state, repo, comment))
    })
}

async fn get(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &ISSUE_OR_PULL)?;
    show_one(&call, &key, path.2, ok)
}

#[derive(Deserialize)]
struct CommentRequest {
    body: Option<String>,
}

impl CommentRequest {
    fn text(body: &[u8]) -> Result<String, ApiError> {
        let text = parse::<Self>(body)?.body.unwrap_or_default();
        if text.trim().is_empty() {
            return Err(ApiError::invalid("IssueComment", "body", "missing_field"));
        }
        check_body("IssueComment", Some(&text))?;
        Ok(text)
    }
}

async fn create(call: Call, path: web::Path<(String, String, u64)>, body: web::Bytes) -> Answer {
    let key = call.repo_for_anyone(&path.0, &path.1, &ISSUE_OR_PULL)?;
    let text = CommentRequest::text(&body)?;
    let login = call.login()?;
    call.view_repo(&key, |_, repo| {
        if repo.comments_of(path.2).count() < MAX_COMMENTS {
            return Ok(());
        }
        let message = "Commenting is disabled on issues with more than 2500 comments";
        Err(ApiError::custom("IssueComment", message))
    })?;
    let id = call.change(|state| Ok(state.add_comment(&key, path.2, &login, None, &text, &clock::now())))?;
    show_one(&call, &key, id, created)
}

async fn edit(call: Call, path: web::Path<(String, String, u64)>, body: web::Bytes) -> Answer {
    let key = call.repo_for_anyone(&path.0, &path.1, &ISSUE_OR_PULL)?;
    let login = call.login()?;
    let is_own =
        |repo: &Repo| repo.comments.get(&path.2).is_some_and(|it| it.author.eq_ignore_ascii_case(&login));
    if !call.view_repo(&key, |_, repo| Ok(is_own(repo)))? {
        call.repo(&path.0, &path.1, Access::Write, &ISSUE_OR_PULL)?;
    }
    let text = CommentRequest::text(&body)?;
    call.change(|state| {
        let comment = state.repo_mut(&key).and_then(|r| r.comments.get_mut(&path.2));
        Ok(comment.map(|comment| {
            comment.body = text;
            comment.updated_at = clock::now();
        }))
    })?;
    show_one(&call, &key, path.2, ok)
}

async fn delete(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &ISSUE_OR_PULL)?;
    call.change(|state| Ok(state.repo_mut(&key).and_then(|r| r.comments.remove(&path.2)).map(drop)))?;
    no_content()
}
