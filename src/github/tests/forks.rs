//! Repositories that are worked on from a fork.

use bzzz_actors::ports::forge::{Forge, ForgeError, NewPullRequest};
use serde_json::{Value, json};

use super::{GitHub, GitHubOptions, issue_json, repo, secrets, task, user};
use crate::forks::{Fork, Forks};
use crate::http::canned::{Answer, Canned};

fn forge(server: &Canned) -> GitHub {
    let [branches, claims] = ["us/missile", "us/claims"].map(|it| it.parse().unwrap());
    let forks = Forks::new(&[Fork { name: repo(), branches, claims }]);
    GitHub::new(GitHubOptions {
        api_url: server.url.clone(),
        token: "t0ken".to_owned().into(),
        request_timeout: std::time::Duration::from_secs(5),
        write_interval: std::time::Duration::ZERO,
        listing_file: None,
        forks,
        secrets: secrets(),
    })
    .unwrap()
}

fn answers(bodies: &[Value]) -> Vec<Answer> {
    bodies.iter().map(|body| Answer::json(200, &body.to_string())).collect()
}

fn pull(number: u64, head_repo: &str) -> Value {
    json!({
        "number": number, "html_url": "u", "state": "open",
        "head": {"ref": "bzzz/issue-7", "sha": "c0ffee", "repo": {"full_name": head_repo}},
    })
}

#[tokio::test]
async fn what_can_be_done_is_told_of_the_fork() {
    let upstream =
        json!({"full_name": "acme/rocket", "default_branch": "trunk", "permissions": {"push": false}});
    let of = |name: &str| json!({"full_name": name});
    let fork = json!({"full_name": "us/missile", "fork": true, "permissions": {"push": true}});
    let with = |field: &str, value: Value| {
        let mut fork = fork.clone();
        fork[field] = value;
        fork
    };
    let cases = [
        (with("parent", of("Acme/Rocket")), None),
        (with("source", of("acme/rocket")), None),
        (fork.clone(), None),
        (with("parent", of("acme/other")), Some("it is no fork of acme/rocket")),
        (with("fork", json!(false)), Some("it is no fork of acme/rocket")),
        (with("archived", json!(true)), Some("archived")),
        (with("permissions", json!({"push": false})), Some("contents: write")),
    ];
    for (fork, expected) in cases {
        let server = Canned::serve(answers(&[upstream.clone(), fork.clone()])).await;
        let found = forge(&server).repository(&repo()).await;
        match (found, expected) {
            (Ok(found), None) => assert!(found.can_push && found.default_branch == "trunk", "{fork}"),
            (Err(error @ ForgeError::Unsuitable { .. }), Some(expected)) => {
                let text = error.to_string();
                assert!(text.contains("us/missile") && text.contains(expected), "{text}");
            }
            (found, _) => panic!("{fork}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn pull_requests_are_from_the_fork() {
    let of_others = json!([pull(1, "acme/rocket"), pull(2, "them/rocket"), pull(3, "us/missile")]);
    let server = Canned::serve(answers(&[of_others, pull(3, "us/missile")])).await;
    let forge = forge(&server);
    let found = forge.find_pull_request(&repo(), "bzzz/issue-7").await.unwrap();
    assert_eq!(found.map(|pull| pull.number), Some(3));
    let new = NewPullRequest {
        head: "bzzz/issue-7".into(),
        base: "trunk".into(),
        title: "t".into(),
        body: "b".into(),
        draft: false,
    };
    forge.open_pull_request(&repo(), &new).await.unwrap();
    let seen = server.seen();
    assert!(seen[0].line.contains("head=us%3Abzzz%2Fissue-7"), "{}", seen[0].line);
    assert!(seen[1].line.contains("/repos/acme/rocket/pulls"), "{}", seen[1].line);
    let sent = seen[1].json();
    assert_eq!((&sent["head"], &sent["head_repo"]), (&json!("us:bzzz/issue-7"), &json!("missile")));
}

#[tokio::test]
async fn what_only_insiders_may_sort_stays_as_it_is() {
    let no = || Answer::json(403, r#"{"message":"Must have triage rights"}"#);
    let issue = || Answer::json(200, &issue_json(7).to_string());
    let server = Canned::serve(vec![issue(), no(), user(), no(), no(), Answer::json(502, "x")]).await;
    let forge = forge(&server);
    forge.change_labels(&task(), &["in-progress"], &[]).await.unwrap();
    forge.assign(&task()).await.unwrap();
    forge.assign_pull_request(&repo(), 9, "ann").await.unwrap();
    assert!(forge.assign(&task()).await.unwrap_err().is_retryable(), "what may pass is not passed over");
}
