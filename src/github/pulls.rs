//! Pull requests: never two open ones of the same branch.

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

/// The newest one from `branch` of the same repository.
pub(super) async fn find(
    api: &Api,
    repo: &RepoId,
    branch: &str,
    which: Which,
) -> Result<Option<PullRequest>, ForgeError> {
    let call = Call::new(format!("find the pull request of {branch} in {repo}"), "pull requests: read");
    let head = format!("{}:{branch}", repo.owner());
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
    let ours = found.into_iter().filter(|pull| pull.is_from(repo, branch));
    Ok(ours.map(WirePullRequest::into_pull_request).max_by_key(|pull| pull.number))
}

pub(super) async fn open(api: &Api, repo: &RepoId, new: &NewPullRequest) -> Result<PullRequest, ForgeError> {
    let call = Call::new(format!("open a pull request from {} in {repo}", new.head), "pull requests: write");
    let body = json!({
        "title": outgoing_title(&new.title),
        "body": outgoing_body(&new.body, ""),
        "head": new.head,
        "base": new.base,
        "draft": new.draft,
    });
    match api.post(&call, &pulls_route(api, repo, &[], &[]), &body).await {
        Ok(reply) => Ok(reply.parse::<WirePullRequest>(&call)?.into_pull_request()),
        // Most often because there is one already; the words that say so may have been lost on the way.
        Err(error @ ForgeError::Invalid { .. }) => {
            find(api, repo, &new.head, Which::Open).await?.ok_or(error)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn get(api: &Api, repo: &RepoId, number: u64) -> Result<PullRequest, ForgeError> {
    let call = Call::new(format!("get pull request {repo}#{number}"), "pull requests: read");
    let reply = api.get(&call, &pulls_route(api, repo, &[&number.to_string()], &[]), None).await?;
    Ok(reply.parse::<WirePullRequest>(&call)?.into_pull_request())
}
