//! Issues: listing, reading, opening, editing. Pull requests are among them.

use std::cmp::Ordering;

use actix_web::http::StatusCode;
use actix_web::web;
use serde::Deserialize;

use super::labels::LabelName;
use super::{check_body, check_title, resource, sent};
use crate::apiary::clock;
use crate::apiary::forge::answer::{Answer, ApiError, created, ok, parse};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::show;
use crate::apiary::forge::state::{Issue, IssueState, NewIssue, Repo, RepoKey};
use crate::apiary::forge::token::{Access, Permission};

/// What the issues interface of a number asks for: the number may be a pull request's.
pub(crate) const ISSUE_OR_PULL: [Permission; 2] = [Permission::Issues, Permission::PullRequests];

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/repos/{owner}/{repo}/issues").get(list).post(open))
        // GitHub takes POST for PATCH here; some clients still send it.
        .service(resource(r"/repos/{owner}/{repo}/issues/{number:\d+}").get(get).patch(edit).post(edit));
}

/// 410 where issues are switched off.
pub(crate) fn check_has_issues(repo: &Repo) -> Result<(), ApiError> {
    if repo.has_issues {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::GONE, "Issues has been disabled in this repository."))
}

#[derive(Deserialize)]
struct ListQuery {
    state: Option<String>,
    /// Names with commas between; an issue must have all.
    labels: Option<String>,
    sort: Option<String>,
    direction: Option<String>,
    since: Option<String>,
    creator: Option<String>,
    assignee: Option<String>,
}

impl ListQuery {
    fn check(&self) -> Result<(), ApiError> {
        let known = |value: &Option<String>, field: &str, values: &[&str]| match value {
            Some(v) if !v.is_empty() && !values.contains(&v.as_str()) => {
                Err(ApiError::invalid("Issue", field, "invalid"))
            }
            _ => Ok(()),
        };
        known(&self.state, "state", &["open", "closed", "all"])?;
        known(&self.sort, "sort", &["created", "updated", "comments"])?;
        known(&self.direction, "direction", &["asc", "desc"])?;
        match self.since.as_deref() {
            Some(since) if clock::normalized(since).is_none() => {
                Err(ApiError::invalid("Issue", "since", "invalid"))
            }
            _ => Ok(()),
        }
    }

    fn wants(&self, issue: &Issue) -> bool {
        let state = match self.state.as_deref() {
            Some("all") => true,
            Some("closed") => issue.state == IssueState::Closed,
            _ => issue.state == IssueState::Open,
        };
        let names = self.labels.as_deref().unwrap_or_default().split(',');
        let labels = names.map(str::trim).filter(|n| !n.is_empty()).all(|n| issue.has_label(n));
        let since = self.since.as_deref().and_then(clock::normalized);
        let creator = self.creator.as_ref().is_none_or(|c| issue.author.eq_ignore_ascii_case(c));
        let assignee = match self.assignee.as_deref() {
            None => true,
            Some("none") => issue.assignees.is_empty(),
            Some("*") => !issue.assignees.is_empty(),
            Some(login) => issue.assignees.iter().any(|a| a.eq_ignore_ascii_case(login)),
        };
        state && labels && creator && assignee && since.is_none_or(|since| issue.updated_at >= since)
    }

    fn compare(&self, repo: &Repo, one: &Issue, other: &Issue) -> Ordering {
        let comments = |issue: &Issue| repo.comments_of(issue.number).count();
        let by = match self.sort.as_deref() {
            Some("updated") => one.updated_at.cmp(&other.updated_at),
            Some("comments") => comments(one).cmp(&comments(other)),
            _ => one.created_at.cmp(&other.created_at),
        };
        let ascending = by.then(one.number.cmp(&other.number));
        if self.direction.as_deref() == Some("asc") { ascending } else { ascending.reverse() }
    }
}

async fn list(call: Call, path: web::Path<(String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &ISSUE_OR_PULL)?;
    let query: ListQuery = call.query()?;
    query.check()?;
    call.view_repo(&key, |state, repo| {
        check_has_issues(repo)?;
        let mut issues: Vec<&Issue> = repo.issues.values().filter(|i| query.wants(i)).collect();
        issues.sort_by(|one, other| query.compare(repo, one, other));
        page(call.request(), issues, |issue| Ok(show::issue(&call.urls, state, repo, issue)))
    })
}

/// One issue as the answer to a request about it.
pub(crate) fn show_issue(
    call: &Call,
    key: &RepoKey,
    number: u64,
    answer: fn(serde_json::Value) -> Answer,
) -> Answer {
    call.view_repo(key, |state, repo| {
        let issue = repo.issues.get(&number).ok_or_else(ApiError::not_found)?;
        answer(show::issue(&call.urls, state, repo, issue))
    })
}

async fn get(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &ISSUE_OR_PULL)?;
    show_issue(&call, &key, path.2, ok)
}

#[derive(Deserialize)]
struct OpenRequest {
    title: Option<String>,
    body: Option<String>,
    #[serde(default)]
    labels: Vec<LabelName>,
    #[serde(default)]
    assignees: Vec<String>,
}

async fn open(call: Call, path: web::Path<(String, String)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &[Permission::Issues])?;
    let request: OpenRequest = parse(&body)?;
    let title = request.title.unwrap_or_default();
    check_title("Issue", &title)?;
    check_body("Issue", request.body.as_deref())?;
    let labels = LabelName::checked(request.labels)?;
    let author = call.login()?;
    call.view_repo(&key, |_, repo| check_has_issues(repo))?;
    let new = NewIssue {
        author: &author,
        title: &title,
        body: request.body.as_deref(),
        labels: &labels,
        assignees: &request.assignees,
    };
    let number = call.change(|state| Ok(state.open_issue(&key, &new, &clock::now())))?;
    show_issue(&call, &key, number, created)
}

#[derive(Deserialize)]
struct EditRequest {
    title: Option<String>,
    #[serde(default, deserialize_with = "sent")]
    body: Option<Option<String>>,
    state: Option<IssueState>,
    state_reason: Option<String>,
    labels: Option<Vec<LabelName>>,
    assignees: Option<Vec<String>>,
}

async fn edit(call: Call, path: web::Path<(String, String, u64)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &ISSUE_OR_PULL)?;
    let number = path.2;
    let request: EditRequest = parse(&body)?;
    if let Some(title) = &request.title {
        check_title("Issue", title)?;
    }
    check_body("Issue", request.body.as_ref().and_then(Option::as_deref))?;
    let labels = request.labels.map(LabelName::checked).transpose()?;
    let login = call.login()?;
    call.change(|state| {
        let now = clock::now();
        let Some(issue) = state.repo_mut(&key).and_then(|r| r.issues.get_mut(&number)) else {
            return Ok(None);
        };
        if let Some(title) = request.title {
            issue.rename(title, &login, &now);
        }
        if let Some(body) = request.body {
            issue.rewrite(body, &login, &now);
        }
        match request.state {
            Some(IssueState::Closed) => issue.close(&login, request.state_reason.as_deref(), &now),
            Some(IssueState::Open) => issue.reopen(&now),
            None => {}
        }
        issue.updated_at.clone_from(&now);
        if let Some(labels) = labels {
            issue.clear_labels(&labels, &login, &now);
            state.add_labels(&key, number, &labels, &login, &now);
        }
        if let Some(assignees) = request.assignees {
            if let Some(issue) = state.repo_mut(&key).and_then(|r| r.issues.get_mut(&number)) {
                issue.assignees.clear();
            }
            state.assign(&key, number, &assignees, &now);
        }
        Ok(Some(()))
    })?;
    show_issue(&call, &key, number, ok)
}
