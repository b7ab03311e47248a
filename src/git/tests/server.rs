//! What a server's answers over HTTP become.

use bzzz_actors::ports::claims::{Claims, ClaimsError};
use bzzz_actors::ports::code::{Code, CodeError};
use bzzz_actors::task::RepoId;

use super::fixture::{Fixture, record, repo, task};
use crate::git::Git;
use crate::http::canned::{Answer, Canned};

async fn node(fixture: &Fixture, url: &str) -> Git {
    fixture
        .node_with("ann", |options| {
            options.git_url = url.to_owned();
            options.token = Some("ghp_s3cret".to_owned().into());
        })
        .await
}

/// Every git command may ask more than once.
fn always(answer: Answer) -> Vec<Answer> {
    vec![answer; 8]
}

#[tokio::test]
async fn the_token_goes_in_a_header_and_a_refusal_is_told_without_it() {
    for status in [401, 403, 404] {
        let fixture = Fixture::new();
        let server = Canned::serve(always(Answer::with_headers(
            status,
            &[("www-authenticate", "Basic realm=\"x\"")],
            "no ghp_s3cret for you",
        )))
        .await;
        let node = node(&fixture, &server.url).await;
        let error = node.refresh(&repo(), "main").await.unwrap_err();
        assert!(matches!(error, CodeError::Denied { .. }), "{status}: {error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
        let error = node.read(&task()).await.unwrap_err();
        assert!(matches!(error, ClaimsError::Denied { .. }), "{status}: {error}");
        let lease = node.draft(None, &record("ann", 1, 1)).await.unwrap();
        let error = node.swap(&task(), None, &lease, None).await.unwrap_err();
        assert!(matches!(error, ClaimsError::Denied { .. }), "{status}: {error}");
        for seen in server.seen() {
            assert_eq!(seen.header("authorization"), Some("Basic eC1hY2Nlc3MtdG9rZW46Z2hwX3MzY3JldA=="));
            assert!(seen.line.starts_with("GET /acme/rocket.git/info/refs?service=git-"), "{}", seen.line);
        }
    }
}

#[tokio::test]
async fn a_failing_server_leaves_the_outcome_unclear() {
    let answers = [
        Answer::json(503, ""),
        Answer::json(429, ""),
        Answer::Drop,
        Answer::half(200, "001e# service=git-receive-pack\n"),
    ];
    for answer in answers {
        let fixture = Fixture::new();
        let server = Canned::serve(always(answer.clone())).await;
        let node = node(&fixture, &server.url).await;
        let lease = node.draft(None, &record("ann", 1, 1)).await.unwrap();
        let error = node.swap(&task(), None, &lease, None).await.unwrap_err();
        assert!(matches!(error, ClaimsError::Unclear(_)), "{answer:?}: {error}");
        let error = node.read(&task()).await.unwrap_err();
        assert!(matches!(error, ClaimsError::Unclear(_)), "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_or_silent_is_unavailable() {
    let fixture = Fixture::new();
    let away = node(&fixture, "http://127.0.0.1:1").await;
    assert!(away.refresh(&repo(), "main").await.unwrap_err().is_retryable());

    let server = Canned::serve(vec![Answer::Stall(Vec::new()), Answer::Stall(Vec::new())]).await;
    let silent = fixture
        .node_with("bob", |options| {
            options.git_url = server.url.clone();
            options.limits.fetch_timeout = std::time::Duration::from_millis(500);
            options.limits.claim_timeout = std::time::Duration::from_millis(500);
        })
        .await;
    assert!(silent.refresh(&repo(), "main").await.unwrap_err().is_retryable());
    let error = silent.read(&task()).await.unwrap_err();
    assert!(matches!(error, ClaimsError::Unclear(_)), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fixture = Fixture::new();
    let elsewhere = Canned::serve(always(Answer::json(200, ""))).await;
    let location = format!("{}/other/name.git/info/refs?service=git-upload-pack", elsewhere.url);
    let server = Canned::serve(always(Answer::with_headers(301, &[("location", &location)], ""))).await;
    let error = node(&fixture, &server.url).await.refresh(&repo(), "main").await.unwrap_err();
    assert!(matches!(error, CodeError::Denied { .. }), "{error}");
    assert_eq!(elsewhere.seen().len(), 0);
}

#[tokio::test]
async fn other_transports_are_closed() {
    let fixture = Fixture::new();
    // A repository's name can't reach another transport, and a file address is refused unless it is allowed.
    let refused = Git::open(crate::git::GitOptions {
        git_url: format!("file://{}", fixture.path("server").display()),
        token: None,
        data_dir: fixture.path("nodes/x"),
        author_name: "Bzzz".to_owned(),
        author_email: "b@example.org".to_owned(),
        allow_file: false,
        limits: crate::git::GitLimits::default(),
        forks: Default::default(),
        secrets: crate::secrets::Secrets::default(),
    });
    assert!(refused.await.is_err());
    assert!("ext::sh/x".parse::<RepoId>().is_err());
}
