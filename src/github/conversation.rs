//! An issue's comments, labels and assignees. Every write leaves the same state however often it is made.

use bzzz_actors::ports::forge::{Comment, ForgeError, comment_marker};
use bzzz_actors::task::TaskId;
use serde_json::json;

use super::api::{Api, Call};
use super::wire::{WireComment, outgoing_body, too_many};

/// Comments beyond these pages are not read.
const MAX_PAGES: usize = 30;
const PER_PAGE: usize = 100;

fn issue_route(api: &Api, task: &TaskId, rest: &[&str], query: &[(&str, &str)]) -> String {
    let number = task.number.to_string();
    let mut segments = vec!["repos", task.repo.owner(), task.repo.name(), "issues", &number];
    segments.extend(rest);
    api.route(&segments, query)
}

pub(super) async fn issue_reply(api: &Api, task: &TaskId) -> Result<(Call, super::api::Reply), ForgeError> {
    let call = Call::new(format!("get issue {task}"), "issues: read");
    let reply = api.get(&call, &issue_route(api, task, &[], &[]), None).await?;
    Ok((call, reply))
}

async fn all_comments(api: &Api, task: &TaskId) -> Result<Vec<WireComment>, ForgeError> {
    let call = Call::new(format!("list comments of {task}"), "issues: read");
    let mut comments: Vec<WireComment> = Vec::new();
    for number in 1..=MAX_PAGES {
        let (per_page, number) = (PER_PAGE.to_string(), number.to_string());
        let route = issue_route(api, task, &["comments"], &[("per_page", &per_page), ("page", &number)]);
        let reply = api.get(&call, &route, None).await?;
        comments.extend(reply.parse::<Vec<WireComment>>(&call)?);
        if !reply.has_next_page() {
            return Ok(comments);
        }
    }
    Err(too_many(&call.name, "comments", MAX_PAGES * PER_PAGE))
}

pub(super) async fn comments(api: &Api, login: &str, task: &TaskId) -> Result<Vec<Comment>, ForgeError> {
    let comments = all_comments(api, task).await?;
    Ok(comments.into_iter().map(|comment| comment.into_comment(login)).collect())
}

/// Only a comment of `login`'s own counts: anybody can write the marker into theirs.
pub(super) async fn put_comment(
    api: &Api,
    login: &str,
    task: &TaskId,
    marker: &str,
    body: &str,
) -> Result<(), ForgeError> {
    let marker = comment_marker(marker);
    let body = outgoing_body(body, &format!("\n\n{marker}"));
    let comments = all_comments(api, task).await?;
    // At the end only: the text before it may quote any marker.
    let has_marker = |c: &WireComment| c.body.as_ref().is_some_and(|b| b.trim_end().ends_with(&marker));
    let ours = comments.iter().find(|c| c.is_by(login) && has_marker(c));
    match ours {
        Some(comment) if comment.body.as_deref().map(unix_lines) == Some(unix_lines(&body)) => {}
        Some(comment) => {
            let call = Call::new(format!("edit a comment of {task}"), "issues: write");
            let id = comment.id.to_string();
            let segments = ["repos", task.repo.owner(), task.repo.name(), "issues", "comments", &id];
            let reply = api.patch(&call, &api.route(&segments, &[]), &json!({ "body": body })).await?;
            reply.confirm(&call)?;
        }
        None => {
            let call = Call::new(format!("comment on {task}"), "issues: write");
            let route = issue_route(api, task, &["comments"], &[]);
            api.post(&call, &route, &json!({ "body": body })).await?.confirm(&call)?;
        }
    }
    Ok(())
}

/// A forge may give a text back with the line ends of a browser's form.
fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Only labels that are to change are written: a write costs a second of the forge's patience.
pub(super) async fn change_labels(
    api: &Api,
    task: &TaskId,
    current: &[String],
    add: &[&str],
    remove: &[&str],
) -> Result<(), ForgeError> {
    let is_there = |label: &str| current.iter().any(|c| c.eq_ignore_ascii_case(label));
    let missing: Vec<&str> = add.iter().copied().filter(|label| !is_there(label)).collect();
    if !missing.is_empty() {
        let call = Call::new(format!("add labels to {task}"), "issues: write");
        let route = issue_route(api, task, &["labels"], &[]);
        api.post(&call, &route, &json!({ "labels": missing })).await?.confirm(&call)?;
    }
    for label in remove.iter().filter(|label| is_there(label)) {
        let call = Call::new(format!("remove the label {label} from {task}"), "issues: write");
        match api.delete(&call, &issue_route(api, task, &["labels", label], &[])).await {
            Ok(reply) => reply.confirm(&call)?,
            // Somebody else removed it since; that the issue exists was seen a moment ago.
            Err(ForgeError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) async fn assign(api: &Api, login: &str, task: &TaskId) -> Result<(), ForgeError> {
    let call = Call::new(format!("assign {task}"), "issues: write");
    let route = issue_route(api, task, &["assignees"], &[]);
    api.post(&call, &route, &json!({ "assignees": [login] })).await?.confirm(&call)
}
