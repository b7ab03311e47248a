//! GitHub's JSON, as much of it as is used. Unknown fields are ignored and nearly every field may be missing or null:
//! servers of other versions, and accounts that were deleted, leave them out.

use bzzz_actors::ports::forge::{Comment, ForgeError, PullRequest, PullRequestState, Repository};
use bzzz_actors::task::{Issue, IssueState, RepoId, printable};
use serde::Deserialize;

/// Who is meant where an account was deleted, as GitHub shows it.
const GHOST: &str = "ghost";

#[derive(Debug, Deserialize)]
pub(super) struct WireUser {
    pub(super) login: String,
}

fn login(user: Option<WireUser>) -> String {
    user.map_or_else(|| GHOST.to_owned(), |user| user.login)
}

#[derive(Debug, Deserialize)]
pub(super) struct WireRepository {
    full_name: String,
    default_branch: Option<String>,
    #[serde(default)]
    archived: bool,
    language: Option<String>,
    permissions: Option<WirePermissions>,
    fork: Option<bool>,
    /// What it was forked from, and where that comes from in the end.
    parent: Option<WireNamed>,
    source: Option<WireNamed>,
}

#[derive(Debug, Deserialize)]
struct WireNamed {
    full_name: String,
}

impl WireNamed {
    fn is(&self, repo: &RepoId) -> bool {
        self.full_name.eq_ignore_ascii_case(&repo.to_string())
    }
}

#[derive(Debug, Deserialize)]
struct WirePermissions {
    #[serde(default)]
    push: bool,
}

impl WireRepository {
    /// As far as the forge says.
    pub(super) fn is_fork_of(&self, repo: &RepoId) -> bool {
        let mut origins = [&self.parent, &self.source].into_iter().flatten().peekable();
        let is_any = origins.peek().is_none() || origins.any(|it| it.is(repo));
        self.fork != Some(false) && is_any
    }

    pub(super) fn into_repository(self, asked: &RepoId) -> Repository {
        Repository {
            id: self.full_name.parse().unwrap_or_else(|_| asked.clone()),
            default_branch: self.default_branch.unwrap_or_else(|| "main".to_owned()),
            can_push: self.permissions.is_some_and(|p| p.push),
            archived: self.archived,
            language: self.language.map(|language| printable(&language)),
        }
    }
}

/// A label is an object, or in old answers its name alone.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum WireLabel {
    Object { name: Option<String> },
    Name(String),
}

impl WireLabel {
    pub(super) fn into_name(self) -> Option<String> {
        match self {
            Self::Object { name } => name,
            Self::Name(name) => Some(name),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireIssue {
    number: u64,
    #[serde(default)]
    title: String,
    body: Option<String>,
    state: String,
    #[serde(default)]
    labels: Vec<WireLabel>,
    user: Option<WireUser>,
    #[serde(default)]
    html_url: String,
    #[serde(default)]
    updated_at: String,
    /// Present when the issue is a pull request.
    pull_request: Option<serde_json::Value>,
}

impl WireIssue {
    /// `None` for a pull request, which GitHub lists and counts among the issues.
    pub(super) fn into_issue(self) -> Option<Issue> {
        if self.pull_request.is_some() {
            return None;
        }
        let issue = Issue {
            number: self.number,
            title: self.title,
            body: self.body.unwrap_or_default(),
            // An unknown state counts as closed: nobody works on what may be over.
            state: if self.state == "open" { IssueState::Open } else { IssueState::Closed },
            labels: self.labels.into_iter().filter_map(WireLabel::into_name).collect(),
            author: login(self.user),
            url: self.html_url,
            updated_at: self.updated_at,
        };
        Some(issue.sanitized())
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireComment {
    pub(super) id: u64,
    user: Option<WireUser>,
    #[serde(default)]
    author_association: String,
    pub(super) body: Option<String>,
    #[serde(default)]
    created_at: String,
}

impl WireComment {
    pub(super) fn is_by(&self, login: &str) -> bool {
        self.user.as_ref().is_some_and(|user| user.login.eq_ignore_ascii_case(login))
    }

    /// `own` is the node's login.
    pub(super) fn into_comment(self, own: &str) -> Comment {
        Comment {
            is_own: self.is_by(own),
            id: self.id,
            author: printable(&login(self.user)),
            from_maintainer: matches!(self.author_association.as_str(), "OWNER" | "MEMBER" | "COLLABORATOR"),
            body: printable(&self.body.unwrap_or_default()),
            created_at: self.created_at,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WirePullRequest {
    number: u64,
    html_url: String,
    state: String,
    merged_at: Option<String>,
    closed_at: Option<String>,
    #[serde(default)]
    merged: bool,
    head: WireHead,
}

#[derive(Debug, Deserialize)]
struct WireHead {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    /// Null when the fork was deleted.
    repo: Option<WireNamed>,
}

impl WirePullRequest {
    /// Whether it asks for `branch` of `repo`: a server that does not know the filter lists all of them.
    pub(super) fn is_from(&self, repo: &RepoId, branch: &str) -> bool {
        self.head.branch == branch && self.head.repo.as_ref().is_some_and(|head| head.is(repo))
    }

    pub(super) fn into_pull_request(self) -> PullRequest {
        let state = match self.state.as_str() {
            "open" => PullRequestState::Open,
            _ if self.merged || self.merged_at.is_some() => PullRequestState::Merged,
            _ => PullRequestState::Closed,
        };
        PullRequest {
            number: self.number,
            url: self.html_url,
            head: self.head.branch,
            head_sha: self.head.sha,
            state,
            ended_at: self.closed_at.or(self.merged_at),
        }
    }
}

/// GitHub's limit for a body is 65,536 characters; bytes are counted here, which is never more.
const MAX_BODY_BYTES: usize = 65_536;
/// GitHub's limit for a title, in characters.
const MAX_TITLE_CHARS: usize = 256;

/// `text` cut to what the forge takes, with `ending` kept whole after it.
pub(super) fn outgoing_body(text: &str, ending: &str) -> String {
    const CUT: &str = "\n\n[… cut: longer than the forge takes]";
    let room = MAX_BODY_BYTES.saturating_sub(ending.len());
    if text.len() <= room {
        return format!("{text}{ending}");
    }
    let kept = &text[..text.floor_char_boundary(room.saturating_sub(CUT.len()))];
    format!("{kept}{CUT}{ending}")
}

pub(super) fn outgoing_title(title: &str) -> String {
    let line = printable(title).replace(['\n', '\t'], " ");
    if line.chars().count() <= MAX_TITLE_CHARS {
        return line;
    }
    line.chars().take(MAX_TITLE_CHARS - 1).chain(['…']).collect()
}

/// How calls name an error that comes from more pages than are read.
pub(super) fn too_many(call: &str, what: &str, max: usize) -> ForgeError {
    ForgeError::Malformed { call: call.to_owned(), problem: format!("more than {max} {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outgoing_text_keeps_within_the_forges_limits() {
        let body = outgoing_body(&"é".repeat(100_000), "\n<!-- end -->");
        assert!(body.len() <= MAX_BODY_BYTES && body.ends_with("takes]\n<!-- end -->"), "{}", body.len());
        assert_eq!(outgoing_body("a", "b"), "ab");
        assert_eq!(outgoing_title("two\nlines"), "two lines");
        assert_eq!(outgoing_title(&"é".repeat(300)).chars().count(), MAX_TITLE_CHARS);
    }

    #[test]
    fn a_deleted_account_and_null_fields_are_read() {
        let text = r#"{"number":3,"title":"t","body":null,"state":"open","labels":["a",{"name":"b"},{"name":null}],
            "user":null,"html_url":"u","updated_at":"2026-01-01T00:00:00Z","future":[1]}"#;
        let issue = serde_json::from_str::<WireIssue>(text).unwrap().into_issue().unwrap();
        assert_eq!(
            (issue.author.as_str(), issue.body.as_str(), issue.labels),
            (GHOST, "", vec!["a".into(), "b".into()])
        );
    }
}
