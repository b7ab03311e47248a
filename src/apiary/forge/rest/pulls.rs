//! Pull requests: listing, reading, opening, editing.

use actix_web::http::header::ACCEPT;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::Value;

use super::{check_body, check_title, resource, sent};
use crate::apiary::clock;
use crate::apiary::forge::answer::{Answer, ApiError, created, ok, parse};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::repository::{Merged, Repository};
use crate::apiary::forge::show::{self, PullDetails};
use crate::apiary::forge::state::{ForgeState, IssueState, NewIssue, Pull, Repo, RepoKey};
use crate::apiary::forge::token::{Access, Permission};

const PULLS: [Permission; 1] = [Permission::PullRequests];
/// GitHub shows no more commits of a pull request than this, and no more files than 3,000.
const MAX_COMMITS: usize = 250;
const MAX_FILES: usize = 3000;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/repos/{owner}/{repo}/pulls").get(list).post(open))
        // GitHub takes POST for PATCH here; some clients still send it.
        .service(resource(r"/repos/{owner}/{repo}/pulls/{number:\d+}").get(get).patch(edit).post(edit))
        .service(resource(r"/repos/{owner}/{repo}/pulls/{number:\d+}/files").get(files))
        .service(resource(r"/repos/{owner}/{repo}/pulls/{number:\d+}/commits").get(commits));
}

/// Brings the repository's pull requests up to date, unless the request is answered from the past.
async fn sync(call: &Call, key: &RepoKey) -> Result<(), ApiError> {
    if call.is_stale() { Ok(()) } else { Ok(call.forge.sync_pulls(key).await?) }
}

#[derive(Deserialize)]
struct ListQuery {
    state: Option<String>,
    /// `owner:branch`. As on GitHub, a branch without an owner is no filter at all.
    head: Option<String>,
    base: Option<String>,
    sort: Option<String>,
    direction: Option<String>,
}

impl ListQuery {
    fn wants(&self, state: &ForgeState, repo: &Repo, pull: &Pull) -> bool {
        let Some(issue) = repo.issues.get(&pull.number) else { return false };
        let state_fits = match self.state.as_deref() {
            Some("all") => true,
            Some("closed") => issue.state == IssueState::Closed,
            _ => issue.state == IssueState::Open,
        };
        let head_fits = match self.head.as_deref().and_then(|head| head.split_once(':')) {
            Some((owner, branch)) => {
                let head_owner = state.repo(&pull.head_repo).map_or("", |r| r.owner.as_str());
                head_owner.eq_ignore_ascii_case(owner) && pull.head_ref == branch
            }
            None => true,
        };
        state_fits && head_fits && self.base.as_ref().is_none_or(|base| pull.base_ref == *base)
    }
}

async fn list(call: Call, path: web::Path<(String, String)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &PULLS)?;
    let query: ListQuery = call.query()?;
    sync(&call, &key).await?;
    call.view_repo(&key, |state, repo| {
        let mut pulls: Vec<&Pull> = repo.pulls.values().filter(|p| query.wants(state, repo, p)).collect();
        if query.sort.as_deref() == Some("updated") {
            pulls.sort_by_key(|p| (&repo.issues[&p.number].updated_at, p.number));
        }
        // GitHub's default is newest first, but oldest first once another order than by creation is asked for.
        let ascending = match query.direction.as_deref() {
            Some(direction) => direction == "asc",
            None => query.sort.as_deref().is_some_and(|sort| sort != "created"),
        };
        if !ascending {
            pulls.reverse();
        }
        page(call.request(), pulls, |p| {
            Ok(show::pull(&call.urls, state, repo, &repo.issues[&p.number], p, None))
        })
    })
}

/// A pull request and what is under it.
pub(crate) fn find(call: &Call, key: &RepoKey, number: u64) -> Result<Pull, ApiError> {
    call.view_repo(key, |_, repo| repo.pulls.get(&number).cloned().ok_or_else(ApiError::not_found))
}

/// From where a pull request's changes are counted: where its branch left the base.
async fn fork_point(git: &Repository, pull: &Pull) -> Result<String, ApiError> {
    // After a merge the base has the head in it: what was merged is counted from the base before.
    Ok(git.merge_base(&pull.base_sha, &pull.head_sha).await?.unwrap_or_else(|| pull.base_sha.clone()))
}

async fn details(call: &Call, key: &RepoKey, pull: &Pull) -> Result<PullDetails, ApiError> {
    let git = call.git(key)?;
    let from = fork_point(&git, pull).await?;
    let files = git.changed_files(&from, &pull.head_sha).await?;
    let is_open = call.view_repo(key, |_, repo| Ok(repo.issues[&pull.number].state == IssueState::Open))?;
    let mergeable = match is_open {
        true => Some(git.try_merge(&pull.base_sha, &pull.head_sha).await? != Merged::Conflict),
        false => None,
    };
    Ok(PullDetails {
        commits: git.count(&from, &pull.head_sha).await?,
        additions: files.iter().map(|f| f.additions).sum(),
        deletions: files.iter().map(|f| f.deletions).sum(),
        changed_files: files.len(),
        mergeable,
    })
}

pub(crate) async fn show_pull(
    call: &Call,
    key: &RepoKey,
    number: u64,
    answer: fn(Value) -> Answer,
) -> Answer {
    let details = details(call, key, &find(call, key, number)?).await?;
    call.view_repo(key, |state, repo| {
        let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
        answer(show::pull(&call.urls, state, repo, &repo.issues[&number], pull, Some(&details)))
    })
}

async fn get(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &PULLS)?;
    sync(&call, &key).await?;
    let accept = call.request().headers().get(ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
    if accept.contains(".diff") || accept.contains(".patch") {
        let pull = find(&call, &key, path.2)?;
        let git = call.git(&key)?;
        let diff = git.patch(&fork_point(&git, &pull).await?, &pull.head_sha).await?;
        return Ok(HttpResponse::Ok().content_type("application/vnd.github.diff; charset=utf-8").body(diff));
    }
    show_pull(&call, &key, path.2, ok).await
}

async fn files(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &PULLS)?;
    sync(&call, &key).await?;
    let pull = find(&call, &key, path.2)?;
    let git = call.git(&key)?;
    let mut files = git.changed_files(&fork_point(&git, &pull).await?, &pull.head_sha).await?;
    files.truncate(MAX_FILES);
    let full_name = call.view_repo(&key, |_, repo| Ok(repo.full_name()))?;
    page(call.request(), files, |f| Ok(show::changed_file(&call.urls, &full_name, &pull.head_sha, &f)))
}

async fn commits(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &PULLS)?;
    sync(&call, &key).await?;
    let pull = find(&call, &key, path.2)?;
    let git = call.git(&key)?;
    let from = fork_point(&git, &pull).await?;
    let mut commits = git.log(Some(&from), &pull.head_sha, None, MAX_COMMITS).await?;
    commits.reverse();
    let full_name = call.view_repo(&key, |_, repo| Ok(repo.full_name()))?;
    page(call.request(), commits, |c| Ok(show::commit(&call.urls, &full_name, &c)))
}

#[derive(Deserialize)]
struct OpenRequest {
    title: Option<String>,
    head: Option<String>,
    base: Option<String>,
    body: Option<String>,
    #[serde(default)]
    draft: bool,
}

/// The branches of a new pull request, as they are now.
struct Sides {
    head_repo: RepoKey,
    head_ref: String,
    head_sha: String,
    base_ref: String,
    base_sha: String,
}

async fn sides(call: &Call, key: &RepoKey, head: &str, base: &str) -> Result<Sides, ApiError> {
    let invalid = |field: &str| ApiError::invalid("PullRequest", field, "invalid");
    let (head_repo, head_ref) = call.forge.head_of(key, head).ok_or_else(|| invalid("head"))?;
    let base_git = call.forge.repository(key).ok_or_else(ApiError::not_found)?;
    let head_git = call.forge.repository(&head_repo).ok_or_else(|| invalid("head"))?;
    let head = head_git.read_ref(&format!("refs/heads/{head_ref}")).await?;
    let head_sha = head.ok_or_else(|| invalid("head"))?.sha;
    let found = base_git.read_ref(&format!("refs/heads/{base}")).await?;
    let base_sha = found.ok_or_else(|| invalid("base"))?.sha;
    if head_repo != *key {
        // Comparing needs the fork's commits here.
        base_git.fetch(head_git.path(), &format!("refs/heads/{head_ref}")).await?;
    }
    match base_git.merge_base(&base_sha, &head_sha).await? {
        None => {
            let message = format!("The {head_ref} branch has no history in common with {base}");
            Err(ApiError::custom("PullRequest", &message))
        }
        Some(common) if common == head_sha => {
            let message = format!("No commits between {base} and {head_ref}");
            Err(ApiError::custom("PullRequest", &message))
        }
        Some(_) => Ok(Sides { head_repo, head_ref, head_sha, base_ref: base.to_owned(), base_sha }),
    }
}

async fn open(call: Call, path: web::Path<(String, String)>, body: web::Bytes) -> Answer {
    let key = call.repo_for_anyone(&path.0, &path.1, &PULLS)?;
    let request: OpenRequest = parse(&body)?;
    let title = request.title.unwrap_or_default();
    check_title("PullRequest", &title)?;
    check_body("PullRequest", request.body.as_deref())?;
    let missing = |field: &'static str| move || ApiError::invalid("PullRequest", field, "missing_field");
    let head = request.head.ok_or_else(missing("head"))?;
    let base = request.base.ok_or_else(missing("base"))?;
    if request.draft && call.view_repo(&key, |_, repo| Ok(repo.refuses_drafts))? {
        return Err(ApiError::unprocessable("Draft pull requests are not supported in this repository."));
    }
    let author = call.login()?;
    let sides = sides(&call, &key, &head, &base).await?;
    let new =
        NewIssue { author: &author, title: &title, body: request.body.as_deref(), ..NewIssue::default() };
    let pull = call.change(|state| {
        if let Some(owner) = owner_of_open(state, &key, &sides) {
            let message = format!("A pull request already exists for {owner}:{}.", sides.head_ref);
            return Err(ApiError::custom("PullRequest", &message));
        }
        let Some(number) = state.open_issue(&key, &new, &clock::now()) else { return Ok(None) };
        let pull = Pull {
            id: state.next_id(),
            number,
            head_repo: sides.head_repo,
            head_ref: sides.head_ref,
            head_sha: sides.head_sha,
            base_ref: sides.base_ref,
            base_sha: sides.base_sha,
            draft: request.draft,
            merged_at: None,
            merged_by: None,
            merge_commit_sha: None,
            reviews: Vec::new(),
            review_comments: Vec::new(),
        };
        Ok(state.repo_mut(&key).map(|repo| {
            repo.pulls.insert(number, pull.clone());
            pull
        }))
    })?;
    if let Some(repository) = call.forge.repository(&key) {
        call.forge.keep_head(&repository, &pull, &pull.head_sha).await?;
    }
    show_pull(&call, &key, pull.number, created).await
}

/// The owner of the head, when there is an open pull request of the same head and base.
fn owner_of_open(state: &ForgeState, key: &RepoKey, sides: &Sides) -> Option<String> {
    let repo = state.repo(key)?;
    let same = |p: &&Pull| {
        p.head_repo == sides.head_repo && p.head_ref == sides.head_ref && p.base_ref == sides.base_ref
    };
    let is_open = |p: &&Pull| repo.issues[&p.number].state == IssueState::Open;
    repo.pulls.values().filter(same).find(is_open)?;
    state.repo(&sides.head_repo).map(|head| head.owner.clone())
}

#[derive(Deserialize)]
struct EditRequest {
    title: Option<String>,
    #[serde(default, deserialize_with = "sent")]
    body: Option<Option<String>>,
    state: Option<IssueState>,
    base: Option<String>,
}

async fn edit(call: Call, path: web::Path<(String, String, u64)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &PULLS)?;
    let number = path.2;
    let request: EditRequest = parse(&body)?;
    if let Some(title) = &request.title {
        check_title("PullRequest", title)?;
    }
    check_body("PullRequest", request.body.as_ref().and_then(Option::as_deref))?;
    let pull = find(&call, &key, number)?;
    let git = call.git(&key)?;
    let base = match &request.base {
        Some(base) => {
            let found = git.read_ref(&format!("refs/heads/{base}")).await?;
            let sha = found.ok_or_else(|| ApiError::invalid("PullRequest", "base", "invalid"))?.sha;
            Some((base.clone(), sha))
        }
        None => None,
    };
    if request.state == Some(IssueState::Open) {
        check_reopen(&call, &pull).await?;
    }
    let login = call.login()?;
    call.change(|state| {
        let now = clock::now();
        let Some(repo) = state.repo_mut(&key) else { return Ok(None) };
        let (Some(issue), Some(pull)) = (repo.issues.get_mut(&number), repo.pulls.get_mut(&number)) else {
            return Ok(None);
        };
        if let Some(title) = request.title {
            issue.rename(title, &login, &now);
        }
        if let Some(body) = request.body {
            issue.rewrite(body, &login, &now);
        }
        if let Some((name, sha)) = base {
            pull.base_ref = name;
            pull.base_sha = sha;
        }
        match request.state {
            Some(IssueState::Closed) => issue.close(&login, None, &now),
            Some(IssueState::Open) => issue.reopen(&now),
            None => {}
        }
        issue.updated_at = now;
        Ok(Some(()))
    })?;
    sync(&call, &key).await?;
    show_pull(&call, &key, number, ok).await
}

/// A pull request whose branch is gone, or that was merged, stays closed.
async fn check_reopen(call: &Call, pull: &Pull) -> Result<(), ApiError> {
    let refused = |message: &str| Err(ApiError::custom("PullRequest", message));
    if pull.merged_at.is_some() {
        return refused("state cannot be changed. The pull request cannot be reopened.");
    }
    let branch = format!("refs/heads/{}", pull.head_ref);
    let there = match call.forge.repository(&pull.head_repo) {
        Some(git) => git.read_ref(&branch).await?.is_some(),
        None => false,
    };
    if there {
        return Ok(());
    }
    refused(&format!("state cannot be changed. The {} branch has been deleted.", pull.head_ref))
}
