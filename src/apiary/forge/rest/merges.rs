//! Merging a pull request: a real merge, or a squash, in the bare repository.

use actix_web::http::StatusCode;
use actix_web::web;
use serde::Deserialize;
use serde_json::json;

use super::pulls::find;
use super::resource;
use crate::apiary::clock;
use crate::apiary::forge::Forge;
use crate::apiary::forge::answer::{Answer, ApiError, no_content, ok, parse};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::pulls::set_merged;
use crate::apiary::forge::repository::{Author, Merged, Updated};
use crate::apiary::forge::state::{ForgeState, IssueState, Pull, RepoKey};
use crate::apiary::forge::token::{Access, Permission};

/// Commits whose messages are looked through for "closes".
const MAX_COMMITS: usize = 250;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(resource(r"/repos/{owner}/{repo}/pulls/{number:\d+}/merge").get(is_merged).put(merge));
}

async fn is_merged(call: Call, path: web::Path<(String, String, u64)>) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Read, &[Permission::PullRequests])?;
    if find(&call, &key, path.2)?.merged_at.is_some() { no_content() } else { Err(ApiError::not_found()) }
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Method {
    #[default]
    Merge,
    Squash,
    Rebase,
}

#[derive(Deserialize, Default)]
pub(crate) struct MergeRequest {
    #[serde(default)]
    merge_method: Method,
    commit_title: Option<String>,
    commit_message: Option<String>,
    /// What the head must be at.
    sha: Option<String>,
}

fn not_allowed(message: &str) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

async fn merge(call: Call, path: web::Path<(String, String, u64)>, body: web::Bytes) -> Answer {
    let key = call.repo(&path.0, &path.1, Access::Write, &[Permission::Contents])?;
    let request: MergeRequest = parse(&body)?;
    let commit = merge_now(&call.forge, &key, path.2, &request, &call.login()?).await?;
    ok(json!({ "sha": commit, "merged": true, "message": "Pull Request successfully merged" }))
}

/// Merges a pull request as `by`, and returns the commit.
pub(crate) async fn merge_now(
    forge: &Forge,
    key: &RepoKey,
    number: u64,
    request: &MergeRequest,
    by: &str,
) -> Result<String, ApiError> {
    forge.sync_pulls(key).await?;
    if request.merge_method == Method::Rebase {
        return Err(not_allowed("Rebase merges are not allowed on this repository."));
    }
    let (pull, title) = forge.store.read(|state| mergeable(state, key, number))?;
    if request.sha.as_ref().is_some_and(|sha| *sha != pull.head_sha) {
        let message = "Head branch was modified. Review and try the merge again.";
        return Err(ApiError::new(StatusCode::CONFLICT, message));
    }
    let (commit, messages) = write(forge, key, &pull, &title, request, by).await?;
    forge.store.change(|state| {
        set_merged(state, key, number, &commit, Some(by), &messages, &clock::now());
        Ok::<_, ApiError>(())
    })?;
    forge.after_push(key).await?;
    Ok(commit)
}

/// The pull request and its title, when it is one that can be merged.
fn mergeable(state: &ForgeState, key: &RepoKey, number: u64) -> Result<(Pull, String), ApiError> {
    let repo = state.repo(key).ok_or_else(ApiError::not_found)?;
    let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
    let issue = repo.issues.get(&number).ok_or_else(ApiError::not_found)?;
    if issue.state == IssueState::Closed {
        return Err(not_allowed("Pull Request is not mergeable"));
    }
    if pull.draft {
        return Err(not_allowed("Pull Request is still a draft"));
    }
    Ok((pull.clone(), issue.title.clone()))
}

/// Makes the commit and moves the base to it; returns it with the messages of what was merged.
async fn write(
    forge: &Forge,
    key: &RepoKey,
    pull: &Pull,
    title: &str,
    request: &MergeRequest,
    by: &str,
) -> Result<(String, Vec<String>), ApiError> {
    let git = forge.repository(key).ok_or_else(ApiError::not_found)?;
    let Merged::Clean(tree) = git.try_merge(&pull.base_sha, &pull.head_sha).await? else {
        return Err(not_allowed("Pull Request is not mergeable"));
    };
    let commits = git.log(Some(&pull.base_sha), &pull.head_sha, None, MAX_COMMITS).await?;
    let messages: Vec<String> = commits.into_iter().map(|c| c.message).collect();
    let owner = forge.store.read(|state| state.repo(&pull.head_repo).map(|r| r.owner.clone()));
    let (number, branch, owner) = (pull.number, &pull.head_ref, owner.unwrap_or_default());
    let (default_title, default_message) = match request.merge_method {
        Method::Squash => (format!("{title} (#{number})"), messages.join("\n\n")),
        Method::Merge | Method::Rebase => {
            (format!("Merge pull request #{number} from {owner}/{branch}"), title.to_owned())
        }
    };
    let title = request.commit_title.as_ref().unwrap_or(&default_title);
    let message = request.commit_message.as_ref().unwrap_or(&default_message);
    let message = format!("{title}\n\n{message}\n");
    let both = [pull.base_sha.as_str(), pull.head_sha.as_str()];
    let parents = if request.merge_method == Method::Squash { &both[..1] } else { &both[..] };
    let email = format!("{by}@users.noreply.apiary.invalid");
    let author = Author { name: by, email: &email, at: clock::unix() };
    let commit = git.commit_tree(&tree, parents, &author, &message).await?;
    match git.advance(&pull.base_ref, &pull.base_sha, &commit).await? {
        Updated::Done => Ok((commit, messages)),
        Updated::Refused => Err(not_allowed("Base branch was modified. Review and try the merge again.")),
    }
}
