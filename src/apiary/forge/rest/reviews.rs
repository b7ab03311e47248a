//! Reviews of a pull request, and comments on its lines.

use actix_web::web;
use serde::Deserialize;
use serde_json::Value;

use super::pulls::find;
use super::{check_body, resource};
use crate::apiary::clock;
use crate::apiary::forge::answer::{Answer, ApiError, created, ok, parse};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::show;
use crate::apiary::forge::state::{Review, ReviewComment, ReviewState};
use crate::apiary::forge::token::{Access, Permission};

const PULLS: [Permission; 1] = [Permission::PullRequests];

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource(r"/repos/{owner}/{repo}/pulls/{number:\d+}/reviews").get(list).post(create))
        .service(resource(r"/repos/{owner}/{repo}/pulls/{number:\d+}/comments").get(comments).post(comment))
        .service(resource("/repos/{owner}/{repo}/pulls/comments").get(all_comments));
}

async fn list(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &PULLS)?;
    let pull = find(&call, &key, path.2)?;
    call.view_repo(&key, |state, repo| {
        let reviews: Vec<&Review> = pull.reviews.iter().collect();
        page(call.request(), reviews, |r| Ok(show::review(&call.urls, state, repo, path.2, r)))
    })
}

#[derive(Deserialize)]
struct ReviewRequest {
    event: Option<String>,
    body: Option<String>,
    commit_id: Option<String>,
}

async fn create(call: Call, path: web::Path<(String, String, u64)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &PULLS)?;
    let request: ReviewRequest = parse(&body)?;
    check_body("PullRequestReview", request.body.as_deref())?;
    let review_state = match request.event.as_deref() {
        None => ReviewState::Pending,
        Some("APPROVE") => ReviewState::Approved,
        Some("REQUEST_CHANGES") => ReviewState::ChangesRequested,
        Some("COMMENT") => ReviewState::Commented,
        Some(_) => return Err(ApiError::invalid("PullRequestReview", "event", "invalid")),
    };
    let login = call.login()?;
    let pull = find(&call, &key, path.2)?;
    let is_own = call.view_repo(&key, |_, repo| Ok(repo.issues[&path.2].author == login))?;
    match review_state {
        ReviewState::Approved if is_own => {
            return Err(ApiError::unprocessable("Can not approve your own pull request"));
        }
        ReviewState::ChangesRequested if is_own => {
            return Err(ApiError::unprocessable("Can not request changes on your own pull request"));
        }
        _ => {}
    }
    let review = call.change(|state| {
        let now = clock::now();
        let review = Review {
            id: state.next_id(),
            author: login,
            body: request.body.unwrap_or_default(),
            state: review_state,
            commit_id: request.commit_id.unwrap_or(pull.head_sha),
            submitted_at: now.clone(),
        };
        Ok(state.add_review(&key, path.2, review.clone(), &now).map(|()| review))
    })?;
    call.view_repo(&key, |state, repo| ok(show::review(&call.urls, state, repo, path.2, &review)))
}

async fn comments(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &PULLS)?;
    let pull = find(&call, &key, path.2)?;
    call.view_repo(&key, |state, repo| {
        let comments: Vec<&ReviewComment> = pull.review_comments.iter().collect();
        page(call.request(), comments, |c| Ok(show::review_comment(&call.urls, state, repo, path.2, c)))
    })
}

async fn all_comments(call: Call, path: web::Path<(String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &PULLS)?;
    call.view_repo(&key, |state, repo| {
        let of = |(number, pull)| {
            let pull: &crate::apiary::forge::state::Pull = pull;
            pull.review_comments.iter().map(move |c| (number, c))
        };
        let comments: Vec<(&u64, &ReviewComment)> = repo.pulls.iter().flat_map(of).collect();
        page(call.request(), comments, |(number, c)| -> Result<Value, ApiError> {
            Ok(show::review_comment(&call.urls, state, repo, *number, c))
        })
    })
}

#[derive(Deserialize)]
struct CommentRequest {
    body: Option<String>,
    path: Option<String>,
    line: Option<u64>,
    commit_id: Option<String>,
    in_reply_to: Option<u64>,
}

async fn comment(call: Call, path: web::Path<(String, String, u64)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &PULLS)?;
    let request: CommentRequest = parse(&body)?;
    let missing =
        |field: &'static str| move || ApiError::invalid("PullRequestReviewComment", field, "missing_field");
    let text = request.body.filter(|b| !b.trim().is_empty()).ok_or_else(missing("body"))?;
    check_body("PullRequestReviewComment", Some(&text))?;
    let pull = find(&call, &key, path.2)?;
    let replied = pull.review_comments.iter().find(|c| Some(c.id) == request.in_reply_to);
    let file = request.path.or_else(|| replied.map(|c| c.path.clone())).ok_or_else(missing("path"))?;
    let line = request.line.or_else(|| replied.map(|c| c.line)).ok_or_else(missing("line"))?;
    let login = call.login()?;
    let comment = call.change(|state| {
        let now = clock::now();
        let comment = ReviewComment {
            id: state.next_id(),
            review: None,
            in_reply_to: request.in_reply_to,
            author: login,
            body: text,
            path: file,
            line,
            commit_id: request.commit_id.unwrap_or(pull.head_sha),
            created_at: now.clone(),
            updated_at: now.clone(),
        };
        Ok(state.add_review_comment(&key, path.2, comment.clone(), &now).map(|()| comment))
    })?;
    call.view_repo(&key, |state, repo| {
        created(show::review_comment(&call.urls, state, repo, path.2, &comment))
    })
}
