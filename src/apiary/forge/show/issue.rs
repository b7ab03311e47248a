//! Issues, comments, labels.

use serde_json::{Value, json};

use super::{Urls, node_id, user};
use crate::apiary::forge::state::{Comment, ForgeState, Issue, Label, Repo};

/// The labels that GitHub gives every new repository.
const DEFAULT_LABELS: [&str; 9] = [
    "bug",
    "documentation",
    "duplicate",
    "enhancement",
    "good first issue",
    "help wanted",
    "invalid",
    "question",
    "wontfix",
];

pub(crate) fn label(urls: &Urls, repo: &Repo, label: &Label) -> Value {
    json!({
        "id": label.id,
        "node_id": node_id("LA", label.id),
        "url": format!("{}/repos/{}/labels/{}", urls.api, repo.full_name(), percent_encoded(&label.name)),
        "name": label.name,
        "color": label.color,
        "default": DEFAULT_LABELS.contains(&label.name.as_str()),
        "description": label.description,
    })
}

/// An issue, or a pull request as the issues interface shows it: with the key `pull_request`.
pub(crate) fn issue(urls: &Urls, state: &ForgeState, repo: &Repo, issue: &Issue) -> Value {
    let full_name = repo.full_name();
    let number = issue.number;
    let api = format!("{}/repos/{full_name}/issues/{number}", urls.api);
    let pull = repo.pulls.get(&number);
    let kind = if pull.is_some() { "pull" } else { "issues" };
    let html = format!("{}/{full_name}/{kind}/{number}", urls.html);
    let assignees: Vec<Value> = issue.assignees.iter().map(|login| user(urls, state, login)).collect();
    let labels: Vec<Value> =
        issue.labels.iter().filter_map(|name| repo.label(name)).map(|l| label(urls, repo, l)).collect();
    let mut shown = json!({
        "id": issue.id,
        "node_id": node_id("I", issue.id),
        "url": api,
        "repository_url": format!("{}/repos/{full_name}", urls.api),
        "labels_url": format!("{api}/labels{{/name}}"),
        "comments_url": format!("{api}/comments"),
        "events_url": format!("{api}/events"),
        "timeline_url": format!("{api}/timeline"),
        "html_url": html,
        "number": number,
        "state": issue.state,
        "state_reason": issue.state_reason,
        "title": issue.title,
        "body": issue.body,
        "user": user(urls, state, &issue.author),
        "labels": labels,
        "assignee": assignees.first(),
        "assignees": assignees,
        "author_association": issue.association.unwrap_or_else(|| repo.association(&issue.author)),
        "milestone": null,
        "locked": issue.locked,
        "active_lock_reason": null,
        "comments": repo.comments_of(number).count(),
        "created_at": issue.created_at,
        "updated_at": issue.updated_at,
        "closed_at": issue.closed_at,
        "closed_by": issue.closed_by.as_ref().map(|login| user(urls, state, login)),
        "performed_via_github_app": null,
    });
    if let Some(pull) = pull {
        shown["draft"] = json!(pull.draft);
        shown["pull_request"] = json!({
            "url": format!("{}/repos/{full_name}/pulls/{number}", urls.api),
            "html_url": html,
            "diff_url": format!("{html}.diff"),
            "patch_url": format!("{html}.patch"),
            "merged_at": pull.merged_at,
        });
    }
    shown
}

pub(crate) fn comment(urls: &Urls, state: &ForgeState, repo: &Repo, comment: &Comment) -> Value {
    let full_name = repo.full_name();
    let api = format!("{}/repos/{full_name}/issues", urls.api);
    let kind = if repo.pulls.contains_key(&comment.issue) { "pull" } else { "issues" };
    json!({
        "id": comment.id,
        "node_id": node_id("IC", comment.id),
        "url": format!("{api}/comments/{}", comment.id),
        "html_url": format!(
            "{}/{full_name}/{kind}/{}#issuecomment-{}", urls.html, comment.issue, comment.id
        ),
        "issue_url": format!("{api}/{}", comment.issue),
        "body": comment.body,
        "user": user(urls, state, &comment.author),
        "author_association": comment.association.unwrap_or_else(|| repo.association(&comment.author)),
        "created_at": comment.created_at,
        "updated_at": comment.updated_at,
        "performed_via_github_app": null,
    })
}

/// A path segment with what can't stand in one encoded.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_label_with_a_space_or_slash_has_a_url_that_leads_to_it() {
        assert_eq!(super::percent_encoded("good first/issue é"), "good%20first%2Fissue%20%C3%A9");
    }
}
