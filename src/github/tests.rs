//! The adapter against a server that answers exactly as told.

mod forks;
mod trust;

use std::path::Path;
use std::time::Duration;

use bzzz_actors::ports::forge::{CiCheck, CiState, Forge, ForgeError, NewPullRequest, PullRequestState};
use bzzz_actors::task::{RepoId, TaskId};
use serde_json::json;

use super::{GitHub, GitHubOptions};
use crate::forks::Forks;
use crate::http::canned::{Answer, Canned};
use crate::secrets::Secrets;

fn repo() -> RepoId {
    "acme/rocket".parse().unwrap()
}

fn task() -> TaskId {
    "acme/rocket#7".parse().unwrap()
}

fn secrets() -> Secrets {
    Secrets::with_own([("the node's forge token", "t0ken-of-the-node".into())])
}

fn forge_at(api_url: &str, token: &str, listing_file: Option<&Path>) -> GitHub {
    GitHub::new(GitHubOptions {
        api_url: api_url.to_owned(),
        token: token.to_owned().into(),
        request_timeout: Duration::from_secs(5),
        write_interval: Duration::ZERO,
        listing_file: listing_file.map(Path::to_owned),
        forks: Forks::default(),
        secrets: secrets(),
    })
    .unwrap()
}

fn forge(server: &Canned) -> GitHub {
    forge_at(&server.url, "t0ken", None)
}

fn issue_json(number: u64) -> serde_json::Value {
    json!({
        "number": number, "title": format!("issue {number}"), "body": null, "state": "open",
        "labels": [{"name": "bzzz-task"}], "user": {"login": "ann"}, "html_url": "u", "updated_at": "t",
    })
}

fn user() -> Answer {
    Answer::json(200, r#"{"login":"bzzz-bot"}"#)
}

const NEXT: &str =
    "<http://elsewhere.example/page2>; rel=\"next\", <http://elsewhere.example/9>; rel=\"last\"";

#[tokio::test]
async fn a_listing_follows_pages_drops_pull_requests_and_costs_nothing_when_unchanged() {
    let mut pull = issue_json(2);
    pull["pull_request"] = json!({"url": "x"});
    let page_1 = json!([issue_json(1), pull]).to_string();
    let page_2 = json!([issue_json(3)]).to_string();
    let not_modified = Answer::Raw(b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".to_vec());
    let server = Canned::serve(vec![
        Answer::with_headers(
            200,
            &[("etag", "W/\"one\""), ("link", NEXT), ("x-poll-interval", "90")],
            &page_1,
        ),
        Answer::with_headers(200, &[("etag", "\"two\"")], &page_2),
        not_modified.clone(),
        not_modified.clone(),
        not_modified.clone(),
        not_modified,
        Answer::json(200, "[]"),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("listings.json");
    let base = format!("{}/api/v3", server.url);
    let forge = forge_at(&base, "t0ken", Some(&file));

    let first = forge.open_issues(&repo(), "bzzz-task").await.unwrap();
    assert_eq!(first.issues.iter().map(|i| i.number).collect::<Vec<_>>(), [1, 3]);
    assert_eq!((first.changed, first.not_before), (true, Some(Duration::from_secs(90))));

    let second = forge.open_issues(&repo(), "bzzz-task").await.unwrap();
    assert_eq!((&second.issues, second.changed), (&first.issues, false));

    let after_a_restart = forge_at(&base, "t0ken", Some(&file));
    let third = after_a_restart.open_issues(&repo(), "bzzz-task").await.unwrap();
    assert_eq!((&third.issues, third.changed), (&first.issues, false));

    let other_account = forge_at(&base, "0ther", Some(&file));
    assert!(other_account.open_issues(&repo(), "bzzz-task").await.unwrap().changed);

    let seen = server.seen();
    let asked = "GET /api/v3/repos/acme/rocket/issues?labels=bzzz-task&state=open&sort=created&direction=asc&per_page=100";
    let lines: Vec<_> = seen.iter().map(|s| s.line.clone()).collect();
    let two = format!("{asked}&page=2");
    assert_eq!(lines, [asked, &two, asked, &two, asked, &two, asked]);
    let validators: Vec<_> = seen.iter().map(|s| s.header("if-none-match")).collect();
    assert_eq!(
        validators,
        [None, None, Some("W/\"one\""), Some("\"two\""), Some("W/\"one\""), Some("\"two\""), None]
    );
    assert!(seen[..6].iter().all(|s| s.header("authorization") == Some("Bearer t0ken")), "also on page 2");
}

#[tokio::test]
async fn a_damaged_listing_file_is_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("listings.json");
    std::fs::write(&file, "{\"half").unwrap();
    let answer = json!([issue_json(1)]).to_string();
    let server = Canned::serve(vec![Answer::with_headers(200, &[("etag", "\"a\"")], &answer)]).await;
    let list = forge_at(&server.url, "t0ken", Some(&file)).open_issues(&repo(), "bzzz-task").await.unwrap();
    assert_eq!(list.issues.len(), 1);
    assert!(std::fs::read_to_string(&file).unwrap().contains("issue 1"));
}

#[tokio::test]
async fn every_broken_answer_is_told_apart() {
    let html = "<html><head><title>Bad Gateway</title></head></html>";
    let server = Canned::serve(vec![
        Answer::json(502, html),
        Answer::json(200, html),
        Answer::half(200, "{\"full_name\":"),
        Answer::half(503, "down"),
        Answer::json(200, ""),
        Answer::Drop,
        Answer::json(401, "{\"message\":\"Bad credentials\"}"),
        Answer::json(404, "{\"message\":\"Not Found\"}"),
        Answer::json(403, "{\"message\":\"Resource not accessible by personal access token\"}"),
    ])
    .await;
    let forge = forge(&server);
    let mut texts = Vec::new();
    for _ in 0..9 {
        let error = forge.repository(&repo()).await.unwrap_err();
        texts.push(format!("{}{error}", if error.is_retryable() { "~" } else { "" }));
    }
    let call = "get repository acme/rocket";
    let expected = [
        format!("~{call}: the forge is not available: 502: an HTML page: Bad Gateway"),
        format!(
            "~{call}: the forge's answer can't be read: status 200, expected value at line 1 column 1: an HTML page: \
             Bad Gateway"
        ),
        format!("~{call}: the forge's answer can't be read: status 200: the answer broke off"),
        format!("~{call}: the forge is not available: 503: an empty body"),
        format!(
            "~{call}: the forge's answer can't be read: status 200, EOF while parsing a value at line 1 column 0: an \
             empty body"
        ),
        format!("~{call}: the forge is not available: the request failed"),
        format!("~{call}: the forge refused the token (401): set a valid one in forge.token_file"),
        format!(
            "{call}: not found (404): the repository or issue does not exist, or the token may not see it"
        ),
        format!(
            "{call}: the token may not do this (403): it needs the permission metadata: read. Resource not accessible \
             by personal access token"
        ),
    ];
    for (text, expected) in texts.iter().zip(&expected) {
        assert!(text.starts_with(expected), "{text}\n{expected}");
    }
    assert_eq!(server.seen().len(), 9, "nothing is sent twice");
}

#[tokio::test]
async fn a_stalled_answer_ends_at_the_time_limit() {
    let server =
        Canned::serve(vec![Answer::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec())]).await;
    let forge = GitHub::new(GitHubOptions {
        api_url: server.url.clone(),
        token: "t".to_owned().into(),
        request_timeout: Duration::from_secs(2),
        write_interval: Duration::ZERO,
        listing_file: None,
        forks: Forks::default(),
        secrets: secrets(),
    })
    .unwrap();
    let error = forge.login().await.unwrap_err();
    assert!(matches!(error, ForgeError::Unavailable { .. }), "{error}");
    server.client_gone().await;
}

#[tokio::test]
async fn while_the_forge_says_not_before_nothing_is_sent() {
    let server = Canned::serve(vec![Answer::with_headers(429, &[("retry-after", "40")], "{}")]).await;
    let forge = forge(&server);
    let waits =
        [forge.login().await.unwrap_err().retry_after(), forge.login().await.unwrap_err().retry_after()];
    assert_eq!(waits[0], Some(Duration::from_secs(40)));
    assert!(waits[1].is_some_and(|wait| wait <= Duration::from_secs(40) && wait > Duration::from_secs(20)));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_post_is_not_repeated_on_a_failure() {
    let server = Canned::serve(vec![user(), Answer::json(500, "oops"), Answer::Drop]).await;
    let forge = forge(&server);
    assert!(forge.assign(&task()).await.unwrap_err().is_retryable());
    assert!(forge.assign(&task()).await.unwrap_err().is_retryable());
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_write_is_done_when_the_forge_itself_says_so() {
    let html = "<html><head><title>Sign in to the network</title></head></html>";
    let issue = issue_json(7).to_string();
    let server = Canned::serve(vec![
        user(),
        Answer::json(200, html),
        Answer::json(200, ""),
        Answer::json(201, &issue),
        Answer::json(200, &issue),
        Answer::json(200, html),
        Answer::json(200, "[]"),
        Answer::json(200, html),
    ])
    .await;
    let forge = forge(&server);
    assert!(forge.assign(&task()).await.unwrap_err().is_retryable());
    assert!(forge.assign(&task()).await.unwrap_err().is_retryable());
    forge.assign(&task()).await.unwrap();
    assert!(forge.change_labels(&task(), &["completed"], &[]).await.unwrap_err().is_retryable());
    assert!(forge.put_comment(&task(), "claim", "text").await.unwrap_err().is_retryable());
    assert_eq!(server.seen().len(), 8);
}

#[tokio::test]
async fn a_marked_comment_is_created_edited_or_left() {
    let comment =
        |id: u64, login: &str, body: &str| json!({"id": id, "user": {"login": login}, "body": body});
    let marked = "text\n\n<!-- bzzz:claim -->";
    let none_of_ours =
        json!([comment(1, "mallory", marked), comment(2, "bzzz-bot", "quotes <!-- bzzz:claim --> only")]);
    let ours = json!([comment(3, "bzzz-bot", "text\r\n\r\n<!-- bzzz:claim -->")]);
    let server = Canned::serve(vec![
        user(),
        Answer::with_headers(200, &[("link", NEXT)], &none_of_ours.to_string()),
        Answer::json(200, "[]"),
        Answer::json(201, "{}"),
        Answer::json(200, &ours.to_string()),
        Answer::json(200, &ours.to_string()),
        Answer::json(200, "{}"),
    ])
    .await;
    let forge = forge(&server);
    forge.put_comment(&task(), "claim", "text").await.unwrap();
    forge.put_comment(&task(), "claim", "text").await.unwrap();
    forge.put_comment(&task(), "claim", "other").await.unwrap();
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().map(|s| s.line.as_str()).collect();
    let list = "GET /repos/acme/rocket/issues/7/comments?per_page=100&page=1";
    assert_eq!(
        lines,
        [
            "GET /user",
            list,
            "GET /repos/acme/rocket/issues/7/comments?per_page=100&page=2",
            "POST /repos/acme/rocket/issues/7/comments",
            list,
            list,
            "PATCH /repos/acme/rocket/issues/comments/3",
        ]
    );
    assert_eq!(seen[3].json(), json!({ "body": marked }));
    assert_eq!(seen[6].json(), json!({ "body": "other\n\n<!-- bzzz:claim -->" }));
}

#[tokio::test]
async fn comments_tell_maintainers_from_others() {
    let body = json!([
        {"id": 1, "user": null, "author_association": "NONE", "body": null, "created_at": "a"},
        {"id": 2, "user": {"login": "ann"}, "author_association": "MEMBER", "body": "x\u{1b}[1m", "created_at": "b"},
        {"id": 3, "user": {"login": "Bzzz-Bot"}, "author_association": "NONE", "body": "y", "created_at": "c"},
    ]);
    let server = Canned::serve(vec![user(), Answer::json(200, &body.to_string())]).await;
    let comments = forge(&server).comments(&task()).await.unwrap();
    let seen: Vec<_> =
        comments.iter().map(|c| (c.author.as_str(), c.from_maintainer, c.is_own, c.body.as_str())).collect();
    let expected = [("ghost", false, false, ""), ("ann", true, false, "x"), ("Bzzz-Bot", false, true, "y")];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn labels_are_written_only_where_they_change() {
    let mut issue = issue_json(7);
    issue["labels"] = json!([{"name": "Bzzz-Task"}, {"name": "in progress"}]);
    let server = Canned::serve(vec![
        Answer::json(200, &issue.to_string()),
        Answer::json(200, "[]"),
        Answer::json(404, "{\"message\":\"Label does not exist\"}"),
    ])
    .await;
    let forge = forge(&server);
    forge.change_labels(&task(), &["bzzz-task", "completed"], &["in progress", "gone"]).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[1].line, "POST /repos/acme/rocket/issues/7/labels");
    assert_eq!(seen[1].json(), json!({ "labels": ["completed"] }));
    assert_eq!(seen[2].line, "DELETE /repos/acme/rocket/issues/7/labels/in%20progress");
    assert_eq!(seen.len(), 3);
}

fn pull_json(number: u64, state: &str, repo: Option<&str>) -> serde_json::Value {
    json!({
        "number": number, "html_url": format!("u/{number}"), "state": state, "merged_at": null,
        "head": {"ref": "bzzz/issue-7", "sha": "a".repeat(40), "repo": repo.map(|r| json!({"full_name": r}))},
    })
}

#[tokio::test]
async fn a_second_pull_request_of_a_branch_is_the_first_one() {
    let exists = r#"{"message":"Validation Failed","errors":[{"message":"A pull request already exists for acme:bzzz/issue-7."}]}"#;
    let listed = json!([
        pull_json(9, "open", Some("mallory/rocket")),
        pull_json(8, "open", Some("Acme/rocket")),
        pull_json(10, "open", None),
    ]);
    let listed = Answer::json(200, &listed.to_string());
    let server = Canned::serve(vec![
        Answer::json(422, exists),
        listed.clone(),
        Answer::half(422, exists),
        listed,
        Answer::json(422, "{\"message\":\"No commits between main and bzzz/issue-7\"}"),
        Answer::json(200, "[]"),
    ])
    .await;
    let new = NewPullRequest {
        head: "bzzz/issue-7".to_owned(),
        base: "main".to_owned(),
        title: "a\ntitle".to_owned(),
        body: "b".to_owned(),
        draft: false,
    };
    let forge = forge(&server);
    // The second time the words of the refusal are lost on the way.
    for _ in 0..2 {
        let pull = forge.open_pull_request(&repo(), &new).await.unwrap();
        assert_eq!((pull.number, pull.state), (8, PullRequestState::Open));
    }
    let refused = forge.open_pull_request(&repo(), &new).await.unwrap_err();
    assert!(refused.to_string().contains("No commits between"), "{refused}");
    let seen = server.seen();
    assert_eq!(seen[0].json()["title"], "a title");
    assert!(seen[1].line.contains("head=acme%3Abzzz%2Fissue-7&state=open"), "{}", seen[1].line);
}

#[tokio::test]
async fn a_repository_without_drafts_gets_an_ordinary_pull_request_and_is_asked_once() {
    let refused = r#"{"message":"Draft pull requests are not supported in this repository."}"#;
    let opened = Answer::json(201, &pull_json(8, "open", Some("acme/rocket")).to_string());
    let server = Canned::serve(vec![
        Answer::json(422, refused),
        Answer::json(200, "[]"),
        opened.clone(),
        opened.clone(),
        opened,
    ])
    .await;
    let new = NewPullRequest {
        head: "bzzz/issue-7".to_owned(),
        base: "main".to_owned(),
        title: "t".to_owned(),
        body: "b".to_owned(),
        draft: true,
    };
    let forge = forge(&server);
    for repo in ["acme/rocket", "acme/rocket", "acme/other"] {
        assert_eq!(forge.open_pull_request(&repo.parse().unwrap(), &new).await.unwrap().number, 8);
    }
    let posts = server.seen().into_iter().filter(|seen| seen.line.starts_with("POST "));
    let drafts: Vec<_> = posts.map(|seen| seen.json()["draft"].clone()).collect();
    assert_eq!(drafts, [true, false, false, true]);
}

#[tokio::test]
async fn a_pull_request_is_assigned_by_the_issues_interface() {
    let refused = r#"{"message":"Validation Failed"}"#;
    let server = Canned::serve(vec![Answer::json(201, "{}"), Answer::json(422, refused)]).await;
    let forge = forge(&server);
    forge.assign_pull_request(&repo(), 8, "ann").await.unwrap();
    let error = forge.assign_pull_request(&repo(), 8, "ann").await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /repos/acme/rocket/issues/8/assignees");
    assert_eq!(seen[0].json(), json!({ "assignees": ["ann"] }));
}

#[tokio::test]
async fn a_pull_requests_state_is_read() {
    let mut merged = pull_json(8, "closed", None);
    merged["merged_at"] = json!("2026-01-01T00:00:00Z");
    let closed = pull_json(8, "closed", None);
    let server =
        Canned::serve(vec![Answer::json(200, &merged.to_string()), Answer::json(200, &closed.to_string())])
            .await;
    let forge = forge(&server);
    assert_eq!(forge.pull_request(&repo(), 8).await.unwrap().state, PullRequestState::Merged);
    assert_eq!(forge.pull_request(&repo(), 8).await.unwrap().state, PullRequestState::Closed);
}

#[test]
fn options_that_would_lose_the_token_are_refused() {
    let options = |api_url: &str, token: &str| GitHubOptions {
        api_url: api_url.to_owned(),
        token: token.to_owned().into(),
        request_timeout: Duration::from_secs(1),
        write_interval: Duration::ZERO,
        listing_file: None,
        forks: Forks::default(),
        secrets: secrets(),
    };
    assert!(GitHub::new(options("http://forge.example", "t")).is_err());
    let error = GitHub::new(options("https://forge.example", "s3cret\n")).err().unwrap();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn statuses_and_workflow_runs_are_one_list() {
    let statuses = json!({"state": "failure", "statuses": [
        {"context": "lint", "state": "error"}, {"context": "docs", "state": "pending"},
    ]});
    let run = |name: &str, status: &str, conclusion: Option<&str>| json!({"name": name, "status": status, "conclusion": conclusion});
    let runs = json!({"total_count": 3, "workflow_runs": [
        run("test", "completed", Some("success")),
        run("build", "completed", Some("timed_out")),
        run("bench", "in_progress", None),
    ]});
    let server = Canned::serve(vec![
        Answer::json(200, &statuses.to_string()),
        Answer::json(200, &runs.to_string()),
        Answer::json(403, r#"{"message":"Resource not accessible by personal access token"}"#),
    ])
    .await;
    let forge = forge(&server);
    let sha = "a".repeat(40).parse().unwrap();
    let check = |name: &str, state| CiCheck { name: name.to_owned(), state };
    assert_eq!(
        forge.ci_checks(&repo(), &sha).await.unwrap(),
        [
            check("lint", CiState::Failed),
            check("docs", CiState::Pending),
            check("test", CiState::Passed),
            check("build", CiState::Failed),
            check("bench", CiState::Pending),
        ]
    );
    let seen = server.seen();
    assert_eq!(seen[0].line, format!("GET /repos/acme/rocket/commits/{sha}/status?per_page=100"));
    assert_eq!(seen[1].line, format!("GET /repos/acme/rocket/actions/runs?head_sha={sha}&per_page=100"));
    let refused = forge.ci_checks(&repo(), &sha).await.unwrap_err();
    assert!(refused.to_string().contains("commit statuses: read"), "{refused}");
}

#[tokio::test]
async fn no_secret_goes_out_in_a_text() {
    let made = json!({ "number": 9, "html_url": "u", "state": "open", "head": { "ref": "b", "sha": "s" } });
    let server = Canned::serve(vec![Answer::json(201, &made.to_string())]).await;
    let words = "with t0ken-of-the-node in it";
    let new = NewPullRequest {
        head: "b".into(),
        base: "main".into(),
        title: words.into(),
        body: words.into(),
        draft: false,
    };
    forge(&server).open_pull_request(&repo(), &new).await.unwrap();
    let sent = &server.seen()[0].body;
    assert!(!sent.contains("t0ken-of-the-node"), "{sent}");
    assert_eq!(sent.matches("[removed: the node's forge token]").count(), 2, "{sent}");
}
