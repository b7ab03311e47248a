//! Pull requests: never two open ones of the same branch.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use bzzz_actors::ports::forge::{ForgeError, NewPullRequest, PullRequest};
use bzzz_actors::task::RepoId;
use serde_json::json;

use super::api::{Api, Call};
use super::wire::{WirePullRequest, outgoing_body, outgoing_title};

fn pulls_route(api: &Api, repo: &RepoId, rest: &[&str], query: &[(&str, &str)]) -> String {
    let mut segments = vec!["repos", repo.owner(), repo.name(), "pulls"];
    segments.extend(rest);
    api.route(&segments, query)
}

#[derive(Clone, Copy)]
pub(super) enum Which {
    Open,
    All,
}

/// A branch that is to be pulled, of the repository itself or of a fork.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) repo: &'a RepoId,
    pub(super) branch: &'a str,
}

/// The newest one from `head`.
pub(super) async fn find(
    api: &Api,
    repo: &RepoId,
    head: Head<'_>,
    which: Which,
) -> Result<Option<PullRequest>, ForgeError> {
    let Head { repo: from, branch } = head;
    let call = Call::new(format!("find the pull request of {branch} in {repo}"), "pull requests: read");
    let head = format!("{}:{branch}", from.owner());
    let state = match which {
        Which::Open => "open",
        Which::All => "all",
    };
    let query = [
        ("head", head.as_str()),
        ("state", state),
        ("sort", "created"),
        ("direction", "desc"),
        ("per_page", "30"),
    ];
    let reply = api.get(&call, &pulls_route(api, repo, &[], &query), None).await?;
    let found: Vec<WirePullRequest> = reply.parse(&call)?;
    let ours = found.into_iter().filter(|pull| pull.is_from(from, branch));
    Ok(ours.map(WirePullRequest::into_pull_request).max_by_key(|pull| pull.number))
}

/// From a branch of `from`. `without_drafts`: the repositories that are known to refuse them, as GitHub does for private ones of some plans.
pub(super) async fn open(
    api: &Api,
    repo: &RepoId,
    from: &RepoId,
    new: &NewPullRequest,
    without_drafts: &Mutex<HashSet<RepoId>>,
) -> Result<PullRequest, ForgeError> {
    // Nothing that is done under the lock can leave the set half changed.
    let known = || without_drafts.lock().unwrap_or_else(PoisonError::into_inner);
    let draft = new.draft && !known().contains(repo);
    match open_as(api, repo, from, new, draft).await {
        Err(ForgeError::Invalid { message, .. }) if draft && refuses_drafts(&message) => {
            known().insert(repo.clone());
            open_as(api, repo, from, new, false).await
        }
        other => other,
    }
}

/// "Draft pull requests are not supported in this repository."
fn refuses_drafts(message: &str) -> bool {
    let words = message.to_ascii_lowercase();
    words.contains("draft") && words.contains("not supported")
}

async fn open_as(
    api: &Api,
    repo: &RepoId,
    from: &RepoId,
    new: &NewPullRequest,
    draft: bool,
) -> Result<PullRequest, ForgeError> {
    let call = Call::new(format!("open a pull request from {} in {repo}", new.head), "pull requests: write");
    let mut body = json!({
        "title": outgoing_title(&new.title),
        "body": outgoing_body(&new.body, ""),
        "head": new.head,
        "base": new.base,
        "draft": draft,
    });
    if !from.is_same(repo) {
        body["head"] = json!(format!("{}:{}", from.owner(), new.head));
        // Where one owner has both, the owner does not say which is meant.
        body["head_repo"] = json!(from.name());
    }
    match api.post(&call, &pulls_route(api, repo, &[], &[]), &body).await {
        Ok(reply) => Ok(reply.parse::<WirePullRequest>(&call)?.into_pull_request()),
        // Most often because there is one already; the words that say so may have been lost on the way.
        Err(error @ ForgeError::Invalid { .. }) => {
            let head = Head { repo: from, branch: &new.head };
            find(api, repo, head, Which::Open).await?.ok_or(error)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn get(api: &Api, repo: &RepoId, number: u64) -> Result<PullRequest, ForgeError> {
    let call = Call::new(format!("get pull request {repo}#{number}"), "pull requests: read");
    let reply = api.get(&call, &pulls_route(api, repo, &[&number.to_string()], &[]), None).await?;
    Ok(reply.parse::<WirePullRequest>(&call)?.into_pull_request())
}
