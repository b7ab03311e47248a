//! Pull requests, reviews, comments on lines.

use serde_json::{Value, json};

use super::{Urls, node_id, repo as show_repo, user};
use crate::apiary::forge::state::{ForgeState, Issue, Pull, Repo, RepoKey, Review, ReviewComment};

/// What only a single pull request shows: git had to be asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullDetails {
    pub(crate) commits: usize,
    pub(crate) additions: u64,
    pub(crate) deletions: u64,
    pub(crate) changed_files: usize,
    /// `None` once it is closed.
    pub(crate) mergeable: Option<bool>,
}

pub(crate) fn pull(
    urls: &Urls,
    state: &ForgeState,
    repo: &Repo,
    issue: &Issue,
    pull: &Pull,
    details: Option<&PullDetails>,
) -> Value {
    let full_name = repo.full_name();
    let number = pull.number;
    let repo_api = format!("{}/repos/{full_name}", urls.api);
    let api = format!("{repo_api}/pulls/{number}");
    let issue_api = format!("{repo_api}/issues/{number}");
    let html = format!("{}/{full_name}/pull/{number}", urls.html);
    let statuses = format!("{repo_api}/statuses/{}", pull.head_sha);
    // The conversation side is the issue's.
    let mut shown = super::issue(urls, state, repo, issue);
    if let Value::Object(fields) = &mut shown {
        for key in
            ["pull_request", "repository_url", "labels_url", "events_url", "timeline_url", "state_reason"]
        {
            fields.remove(key);
        }
        for key in ["comments", "closed_by", "performed_via_github_app"] {
            fields.remove(key);
        }
    }
    let href = |url: &str| json!({ "href": url });
    for (key, value) in [
        ("id", json!(pull.id)),
        ("node_id", json!(node_id("PR", pull.id))),
        ("url", json!(api)),
        ("html_url", json!(html)),
        ("diff_url", json!(format!("{html}.diff"))),
        ("patch_url", json!(format!("{html}.patch"))),
        ("issue_url", json!(issue_api)),
        ("commits_url", json!(format!("{api}/commits"))),
        ("review_comments_url", json!(format!("{api}/comments"))),
        ("review_comment_url", json!(format!("{repo_api}/pulls/comments{{/number}}"))),
        ("comments_url", json!(format!("{issue_api}/comments"))),
        ("statuses_url", json!(statuses)),
        ("head", side(urls, state, &pull.head_repo, &pull.head_ref, &pull.head_sha)),
        ("base", side(urls, state, &repo.key(), &pull.base_ref, &pull.base_sha)),
        ("draft", json!(pull.draft)),
        ("merged_at", json!(pull.merged_at)),
        ("merge_commit_sha", json!(pull.merge_commit_sha)),
        ("requested_reviewers", json!([])),
        ("requested_teams", json!([])),
        ("auto_merge", Value::Null),
        (
            "_links",
            json!({
                "self": href(&api),
                "html": href(&html),
                "issue": href(&issue_api),
                "comments": href(&format!("{issue_api}/comments")),
                "review_comments": href(&format!("{api}/comments")),
                "review_comment": href(&format!("{repo_api}/pulls/comments{{/number}}")),
                "commits": href(&format!("{api}/commits")),
                "statuses": href(&statuses),
            }),
        ),
    ] {
        shown[key] = value;
    }
    if let Some(details) = details {
        let merged_by = pull.merged_by.as_ref().map(|login| user(urls, state, login));
        let state = match details.mergeable {
            _ if pull.draft => "draft",
            Some(true) => "clean",
            Some(false) => "dirty",
            None => "unknown",
        };
        for (key, value) in [
            ("merged", json!(pull.merged_at.is_some())),
            ("merged_by", json!(merged_by)),
            ("mergeable", json!(details.mergeable)),
            ("rebaseable", json!(details.mergeable)),
            ("mergeable_state", json!(state)),
            ("comments", json!(repo.comments_of(number).count())),
            ("review_comments", json!(pull.review_comments.len())),
            ("commits", json!(details.commits)),
            ("additions", json!(details.additions)),
            ("deletions", json!(details.deletions)),
            ("changed_files", json!(details.changed_files)),
            ("maintainer_can_modify", json!(false)),
        ] {
            shown[key] = value;
        }
    }
    shown
}

/// `head` or `base`. The repository is null when it was deleted.
fn side(urls: &Urls, state: &ForgeState, key: &RepoKey, branch: &str, sha: &str) -> Value {
    let repo = state.repo(key);
    let owner = repo.map_or("ghost", |r| r.owner.as_str());
    json!({
        "label": format!("{owner}:{branch}"),
        "ref": branch,
        "sha": sha,
        "user": user(urls, state, owner),
        "repo": repo.map(|r| show_repo(urls, state, r, false)),
    })
}

pub(crate) fn review(urls: &Urls, state: &ForgeState, repo: &Repo, number: u64, review: &Review) -> Value {
    let full_name = repo.full_name();
    let api = format!("{}/repos/{full_name}/pulls/{number}", urls.api);
    let html = format!("{}/{full_name}/pull/{number}#pullrequestreview-{}", urls.html, review.id);
    json!({
        "id": review.id,
        "node_id": node_id("PRR", review.id),
        "user": user(urls, state, &review.author),
        "body": review.body,
        "state": review.state,
        "html_url": html,
        "pull_request_url": api,
        "author_association": repo.association(&review.author),
        "_links": { "html": { "href": html }, "pull_request": { "href": api } },
        "submitted_at": review.submitted_at,
        "commit_id": review.commit_id,
    })
}

pub(crate) fn review_comment(
    urls: &Urls,
    state: &ForgeState,
    repo: &Repo,
    number: u64,
    comment: &ReviewComment,
) -> Value {
    let full_name = repo.full_name();
    let repo_api = format!("{}/repos/{full_name}", urls.api);
    let api = format!("{repo_api}/pulls/comments/{}", comment.id);
    let pull = format!("{repo_api}/pulls/{number}");
    let html = format!("{}/{full_name}/pull/{number}#discussion_r{}", urls.html, comment.id);
    json!({
        "id": comment.id,
        "node_id": node_id("PRRC", comment.id),
        "url": api,
        "html_url": html,
        "pull_request_url": pull,
        "pull_request_review_id": comment.review,
        "in_reply_to_id": comment.in_reply_to,
        "diff_hunk": "",
        "path": comment.path,
        "position": comment.line,
        "original_position": comment.line,
        "line": comment.line,
        "original_line": comment.line,
        "start_line": null,
        "original_start_line": null,
        "start_side": null,
        "side": "RIGHT",
        "subject_type": "line",
        "commit_id": comment.commit_id,
        "original_commit_id": comment.commit_id,
        "user": user(urls, state, &comment.author),
        "body": comment.body,
        "author_association": repo.association(&comment.author),
        "created_at": comment.created_at,
        "updated_at": comment.updated_at,
        "_links": { "self": { "href": api }, "html": { "href": html }, "pull_request": { "href": pull } },
    })
}
