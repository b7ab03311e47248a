//! Commits, references, changed files.

use serde_json::{Value, json};

use super::Urls;
use crate::apiary::forge::repository::{ChangeKind, ChangedFile, CommitInfo, RefInfo};

/// A commit of `full_name`. Its author is nobody's account here: what git says of a person proves nothing.
pub(crate) fn commit(urls: &Urls, full_name: &str, commit: &CommitInfo) -> Value {
    let repo_api = format!("{}/repos/{full_name}", urls.api);
    let html = |sha: &str| format!("{}/{full_name}/commit/{sha}", urls.html);
    let api = |sha: &str| format!("{repo_api}/commits/{sha}");
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|sha| json!({ "sha": sha, "url": api(sha), "html_url": html(sha) }))
        .collect();
    let person = |name: &str, email: &str, date: &str| json!({ "name": name, "email": email, "date": date });
    let (author, committer) = (&commit.author, &commit.committer);
    json!({
        "sha": commit.sha,
        "node_id": format!("C_{}", commit.sha),
        "url": api(&commit.sha),
        "html_url": html(&commit.sha),
        "comments_url": format!("{}/comments", api(&commit.sha)),
        "commit": {
            "url": format!("{repo_api}/git/commits/{}", commit.sha),
            "author": person(&author.name, &author.email, &author.date),
            "committer": person(&committer.name, &committer.email, &committer.date),
            "message": commit.message,
            "comment_count": 0,
            "tree": { "sha": commit.tree, "url": format!("{repo_api}/git/trees/{}", commit.tree) },
            "verification": {
                "verified": false, "reason": "unsigned", "signature": null, "payload": null,
                "verified_at": null,
            },
        },
        "author": null,
        "committer": null,
        "parents": parents,
    })
}

pub(crate) fn git_ref(urls: &Urls, full_name: &str, reference: &RefInfo) -> Value {
    let api = format!("{}/repos/{full_name}/git", urls.api);
    json!({
        "ref": reference.name,
        "node_id": format!("REF_{}_{}", full_name, reference.name),
        "url": format!("{api}/{}", reference.name),
        "object": {
            "sha": reference.sha,
            "type": reference.kind,
            "url": format!("{api}/{}s/{}", reference.kind, reference.sha),
        },
    })
}

/// A file of a difference whose newer side is the commit `sha`.
pub(crate) fn changed_file(urls: &Urls, full_name: &str, sha: &str, file: &ChangedFile) -> Value {
    let status = match file.kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Modified => "modified",
        ChangeKind::Renamed => "renamed",
        ChangeKind::Changed => "changed",
    };
    let path = &file.path;
    let mut shown = json!({
        "sha": file.sha,
        "filename": path,
        "status": status,
        "additions": file.additions,
        "deletions": file.deletions,
        "changes": file.additions + file.deletions,
        "blob_url": format!("{}/{full_name}/blob/{sha}/{path}", urls.html),
        "raw_url": format!("{}/{full_name}/raw/{sha}/{path}", urls.html),
        "contents_url": format!("{}/repos/{full_name}/contents/{path}?ref={sha}", urls.api),
    });
    if let Some(patch) = &file.patch {
        shown["patch"] = json!(patch);
    }
    if let Some(previous) = &file.previous_path {
        shown["previous_filename"] = json!(previous);
    }
    shown
}
