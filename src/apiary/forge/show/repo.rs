//! Repositories and commit statuses.

use serde_json::{Map, Value, json};

use super::{Urls, node_id, user};
use crate::apiary::forge::state::{ForgeState, Repo, Status};

/// The links that begin with the repository's own URL: the key without `_url`, and what follows.
const LINKS: [(&str, &str); 37] = [
    ("archive", "/{archive_format}{/ref}"),
    ("assignees", "/assignees{/user}"),
    ("blobs", "/git/blobs{/sha}"),
    ("branches", "/branches{/branch}"),
    ("collaborators", "/collaborators{/collaborator}"),
    ("comments", "/comments{/number}"),
    ("commits", "/commits{/sha}"),
    ("compare", "/compare/{base}...{head}"),
    ("contents", "/contents/{+path}"),
    ("contributors", "/contributors"),
    ("deployments", "/deployments"),
    ("downloads", "/downloads"),
    ("events", "/events"),
    ("forks", "/forks"),
    ("git_commits", "/git/commits{/sha}"),
    ("git_refs", "/git/refs{/sha}"),
    ("git_tags", "/git/tags{/sha}"),
    ("hooks", "/hooks"),
    ("issue_comment", "/issues/comments{/number}"),
    ("issue_events", "/issues/events{/number}"),
    ("issues", "/issues{/number}"),
    ("keys", "/keys{/key_id}"),
    ("labels", "/labels{/name}"),
    ("languages", "/languages"),
    ("merges", "/merges"),
    ("milestones", "/milestones{/number}"),
    ("notifications", "/notifications{?since,all,participating}"),
    ("pulls", "/pulls{/number}"),
    ("releases", "/releases{/id}"),
    ("stargazers", "/stargazers"),
    ("statuses", "/statuses/{sha}"),
    ("subscribers", "/subscribers"),
    ("subscription", "/subscription"),
    ("tags", "/tags"),
    ("teams", "/teams"),
    ("trees", "/git/trees{/sha}"),
    ("deploy_keys", "/keys"),
];

/// A repository as the caller sees it.
pub(crate) fn repo(urls: &Urls, state: &ForgeState, repo: &Repo, may_push: bool) -> Value {
    let full_name = repo.full_name();
    let api = format!("{}/repos/{full_name}", urls.api);
    let html = format!("{}/{full_name}", urls.html);
    let mut shown = Map::new();
    for (key, rest) in LINKS {
        shown.insert(format!("{key}_url"), json!(format!("{api}{rest}")));
    }
    let open = repo.open_issues_count();
    let named = json!({
        "id": repo.id,
        "node_id": node_id("R", repo.id),
        "name": repo.name,
        "full_name": full_name,
        "owner": user(urls, state, &repo.owner),
        "private": repo.private,
        "visibility": if repo.private { "private" } else { "public" },
        "description": repo.description,
        "fork": repo.fork_of.is_some(),
        "url": api,
        "html_url": html,
        "git_url": format!("git://{}/{full_name}.git", host(&urls.html)),
        "ssh_url": format!("git@{}:{full_name}.git", host(&urls.html)),
        "clone_url": format!("{html}.git"),
        "svn_url": html,
        "permissions": {
            "admin": false, "maintain": false, "push": may_push, "triage": may_push, "pull": true,
        },
        "archived": repo.archived,
        "disabled": false,
        "pushed_at": repo.pushed_at,
        "created_at": repo.created_at,
        "updated_at": repo.updated_at,
        "default_branch": repo.default_branch,
        "open_issues_count": open,
        "open_issues": open,
        "has_issues": repo.has_issues,
    });
    if let Some(origin) = repo.fork_of.as_ref().and_then(|key| state.repo(key)) {
        for field in ["parent", "source"] {
            shown.insert(field.to_owned(), self::repo(urls, state, origin, false));
        }
    }
    for fields in [named, unused()] {
        if let Value::Object(fields) = fields {
            shown.extend(fields);
        }
    }
    Value::Object(shown)
}

/// What GitHub shows of things that are not there: the same for every repository.
fn unused() -> Value {
    json!({
        "mirror_url": null,
        "homepage": null,
        "language": null,
        "license": null,
        "forks_count": 0,
        "forks": 0,
        "stargazers_count": 0,
        "watchers_count": 0,
        "watchers": 0,
        "size": 0,
        "is_template": false,
        "topics": [],
        "has_projects": false,
        "has_wiki": false,
        "has_pages": false,
        "has_downloads": true,
        "has_discussions": false,
        "allow_rebase_merge": false,
        "allow_squash_merge": true,
        "allow_merge_commit": true,
        "allow_auto_merge": false,
        "allow_forking": true,
        "delete_branch_on_merge": false,
        "web_commit_signoff_required": false,
    })
}

fn host(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, host)| host)
}

pub(crate) fn status(urls: &Urls, state: &ForgeState, repo: &Repo, status: &Status) -> Value {
    let creator = user(urls, state, &status.creator);
    json!({
        "id": status.id,
        "node_id": node_id("SC", status.id),
        "url": format!("{}/repos/{}/statuses/{}", urls.api, repo.full_name(), status.sha),
        "avatar_url": creator["avatar_url"],
        "state": status.state,
        "description": status.description,
        "target_url": status.target_url,
        "context": status.context,
        "created_at": status.created_at,
        "updated_at": status.created_at,
        "creator": creator,
    })
}
