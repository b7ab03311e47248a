//! The REST interface, by octocrab's own types and by plain requests.

use bzzz::apiary::forge::{
    Access, Association, IssueState, NewRepository, Permission, RepositoryFile, Token,
};
use bzzz::apiary::{Apiary, ApiaryError, ApiaryOptions};
use bzzz_actors::task::RepoId;
use octocrab::params;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::meadow::{LOGIN, Meadow, TOKEN, client};

const ISSUES: &str = "/repos/meadow/ledger/issues";

#[tokio::test]
async fn octocrab_reads_the_account_and_the_repository() {
    let meadow = Meadow::new().await;
    let octocrab = meadow.octocrab();
    let me = octocrab.current().user().await.unwrap();
    assert_eq!((me.login.as_str(), me.r#type.as_str()), (LOGIN, "User"));
    let repo = octocrab.repos("Meadow", "LEDGER").get().await.unwrap();
    assert_eq!(repo.full_name.as_deref(), Some("meadow/ledger"));
    assert_eq!(repo.default_branch.as_deref(), Some("main"));
    assert_eq!((repo.archived, repo.private), (Some(false), Some(false)));
    assert!(repo.permissions.unwrap().push);
    assert_eq!(repo.clone_url.unwrap().as_str(), format!("{}/meadow/ledger.git", meadow.apiary.forge_url()));
    let mine = octocrab.current().list_repos_for_authenticated_user().send().await.unwrap();
    assert_eq!(mine.items.len(), 1);
    let rate = octocrab.ratelimit().get().await.unwrap();
    assert_eq!((rate.rate.limit, rate.rate.used), (5000, 3));
}

#[tokio::test]
async fn octocrab_lives_through_an_issue() {
    let meadow = Meadow::new().await;
    let octocrab = meadow.octocrab();
    let issues = octocrab.issues("meadow", "ledger");
    let labels = vec!["bzzz-task".to_owned(), "bug".to_owned()];
    let opened = issues.create("It is broken").body("Please *fix*.").labels(labels).send().await.unwrap();
    assert_eq!((opened.number, opened.labels.len(), opened.user.login.as_str()), (1, 2, LOGIN));

    let comment = issues.create_comment(1, "first").await.unwrap();
    let edited = issues.update_comment(comment.id, "second").await.unwrap();
    assert_eq!(edited.body.as_deref(), Some("second"));
    meadow.apiary.forge().add_comment(&meadow.task(1), "eve", None, "me too").unwrap();
    let boss = Some(Association::Member);
    meadow.apiary.forge().add_comment(&meadow.task(1), "boss", boss, "do it").unwrap();
    let comments = issues.list_comments(1).send().await.unwrap().items;
    let seen: Vec<_> = comments
        .iter()
        .map(|c| (c.body.as_deref().unwrap(), format!("{:?}", c.author_association.as_ref().unwrap())))
        .collect();
    let expected = [("second", "Collaborator"), ("me too", "None"), ("do it", "Member")];
    assert_eq!(seen, expected.map(|(body, who)| (body, who.to_owned())));
    issues.delete_comment(comment.id).await.unwrap();

    issues.add_labels(1, &["in-progress".to_owned()]).await.unwrap();
    let left = issues.remove_label(1, "BZZZ-task").await.unwrap();
    assert_eq!(left.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["bug", "in-progress"]);
    let assigned = issues.add_assignees(1, &[LOGIN, "eve", "stranger"]).await.unwrap();
    let assignees: Vec<_> = assigned.assignees.iter().map(|a| a.login.as_str()).collect();
    assert_eq!(assignees, [LOGIN, "eve"], "eve commented; a stranger is ignored");

    let slashed = issues.add_labels(1, &["a/b c".to_owned()]).await.unwrap();
    assert_eq!(slashed.len(), 3);
    let left = meadow.request(Method::DELETE, "/repos/meadow/ledger/issues/1/labels/a%2Fb%20c");
    assert_eq!(left.send().await.unwrap().json::<Value>().await.unwrap().as_array().unwrap().len(), 2);
    let closed = issues.update(1).state(octocrab::models::IssueState::Closed).send().await.unwrap();
    assert_eq!(closed.closed_by.unwrap().login, LOGIN);
    let got = issues.get(1).await.unwrap();
    assert_eq!((got.comments, got.body.as_deref()), (2, Some("Please *fix*.")));
    assert_eq!(got.state_reason, Some(octocrab::models::issues::IssueStateReason::Completed));
    assert_eq!(meadow.apiary.forge().issue(&meadow.task(1)).unwrap().state, IssueState::Closed);
}

#[tokio::test]
async fn listings_filter_sort_and_page() {
    let meadow = Meadow::new().await;
    let forge = meadow.apiary.forge();
    for n in 1..=7 {
        let labels: &[&str] = if n % 2 == 0 { &["bzzz-task"] } else { &["bzzz-task", "bug"] };
        forge.open_issue(&meadow.repo, "ann", &format!("issue {n}"), "", labels).unwrap();
    }
    forge.close_issue(&meadow.task(3), "ann").unwrap();
    let octocrab = meadow.octocrab();
    let issues = octocrab.issues("meadow", "ledger");
    let both = ["bzzz-task".to_owned(), "bug".to_owned()];
    let mut page = issues
        .list()
        .state(params::State::Open)
        .labels(&both)
        .sort(params::issues::Sort::Created)
        .direction(params::Direction::Ascending)
        .per_page(2)
        .send()
        .await
        .unwrap();
    let numbers =
        |items: &[octocrab::models::issues::Issue]| items.iter().map(|i| i.number).collect::<Vec<_>>();
    assert_eq!(numbers(&page.items), [1, 5]);
    assert_eq!(page.number_of_pages(), Some(2));
    let next =
        octocrab.get_page::<octocrab::models::issues::Issue>(&page.next.take()).await.unwrap().unwrap();
    assert_eq!((numbers(&next.items), next.next.is_none(), next.prev.is_some()), (vec![7], true, true));
    let all = octocrab.all_pages(issues.list().per_page(3).send().await.unwrap()).await.unwrap();
    assert_eq!(numbers(&all), [7, 6, 5, 4, 2, 1], "newest first is the default");
    let none = meadow.get(&format!("{ISSUES}?state=open&since=2999-01-01T00:00:00Z")).send().await.unwrap();
    assert_eq!(none.json::<Value>().await.unwrap(), json!([]));
}

#[tokio::test]
async fn an_unchanged_listing_is_304_and_costs_nothing() {
    let meadow = Meadow::new().await;
    let forge = meadow.apiary.forge();
    forge.open_issue(&meadow.repo, "ann", "one", "", &["bzzz-task"]).unwrap();
    let path = format!("{ISSUES}?labels=bzzz-task&state=open");
    let first = meadow.get(&path).send().await.unwrap();
    let etag = first.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(first.headers()["x-ratelimit-used"], "1");
    let again = meadow.get(&path).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(
        (again.status(), again.headers()["etag"].to_str().unwrap()),
        (StatusCode::NOT_MODIFIED, etag.as_str())
    );
    assert_eq!(again.headers()["x-ratelimit-used"], "1");
    assert_eq!(again.text().await.unwrap(), "");

    // Another token's ETags are its own.
    forge.add_token(Token::read_only("other", "ann")).unwrap();
    let other = meadow.request_as(Some("other"), Method::GET, &path).header("if-none-match", &etag);
    let other = other.send().await.unwrap();
    assert_ne!(other.headers()["etag"].to_str().unwrap(), etag);

    forge.add_labels(&meadow.task(1), "ann", &["bug"]).unwrap();
    let changed = meadow.get(&path).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    assert_eq!(changed.headers()["x-ratelimit-remaining"], "4998");
}

async fn status_and_message(request: reqwest::RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["status"], status.to_string());
    assert!(body["documentation_url"].is_string());
    let detail = body["errors"][0]["message"].as_str().or(body["errors"][0]["code"].as_str());
    (
        status,
        format!(
            "{}{}",
            body["message"].as_str().unwrap(),
            detail.map_or(String::new(), |d| format!(": {d}"))
        ),
    )
}

#[tokio::test]
async fn errors_are_worded_as_github_words_them() {
    let meadow = Meadow::new().await;
    let forge = meadow.apiary.forge();
    forge.open_issue(&meadow.repo, "ann", "one", "", &[]).unwrap();
    forge.add_token(Token::read_only("read", "ann")).unwrap();
    let no_issues = Token::full("no-issues", "ann").with(Permission::Issues, Access::Read);
    forge.add_token(no_issues.with(Permission::PullRequests, Access::Read)).unwrap();
    let post_as =
        |token: &str, path: &str, body: Value| meadow.request_as(Some(token), Method::POST, path).json(&body);
    let post = |path: &str, body: Value| post_as(TOKEN, path, body);
    let comment =
        |token: &str| post_as(token, "/repos/meadow/ledger/issues/1/comments", json!({ "body": "x" }));
    let delete_label = meadow.request(Method::DELETE, "/repos/meadow/ledger/issues/1/labels/none");
    let long = "x".repeat(257);
    for (request, status, message) in [
        (meadow.request_as(Some("wrong"), Method::GET, "/user"), 401, "Bad credentials"),
        (meadow.request_as(None, Method::GET, "/user"), 401, "Requires authentication"),
        (meadow.get("/repos/meadow/none"), 404, "Not Found"),
        (meadow.get("/repos/meadow/ledger/issues/99"), 404, "Not Found"),
        (meadow.get("/no/such/thing/here"), 404, "Not Found"),
        (delete_label, 404, "Label does not exist"),
        (comment("read"), 403, "Resource not accessible by personal access token"),
        (comment("no-issues"), 403, "Resource not accessible by personal access token"),
        (post(ISSUES, json!({ "body": "no title" })), 422, "Validation Failed: missing_field"),
        (
            post(ISSUES, json!({ "title": long })),
            422,
            "Validation Failed: title is too long (maximum is 256 characters)",
        ),
        (post(ISSUES, json!([1])), 400, "Body should be a JSON object"),
        (meadow.request(Method::POST, ISSUES).body("{"), 400, "Problems parsing JSON"),
        (meadow.get(&format!("{ISSUES}?state=maybe")), 422, "Validation Failed: invalid"),
    ] {
        assert_eq!(status_and_message(request).await, (status, message.to_owned()));
    }
    forge.set_has_issues(&meadow.repo, false).unwrap();
    let gone = status_and_message(meadow.get(ISSUES)).await;
    assert_eq!(gone, (410, "Issues has been disabled in this repository.".into()));
    forge.set_archived(&meadow.repo, true).unwrap();
    assert_eq!(status_and_message(comment(TOKEN)).await.1, "Repository was archived so is read-only.");
}

#[tokio::test]
async fn what_a_token_may_not_see_is_not_there() {
    let meadow = Meadow::new().await;
    let forge = meadow.apiary.forge();
    forge.set_private(&meadow.repo, true).unwrap();
    forge.add_token(Token::full("elsewhere", "eve").only_for(&[("meadow", "other")])).unwrap();
    let ask = |token: Option<&str>| meadow.request_as(token, Method::GET, "/repos/meadow/ledger");
    assert_eq!(ask(None).send().await.unwrap().status(), 404);
    assert_eq!(ask(Some("elsewhere")).send().await.unwrap().status(), 404);
    assert_eq!(ask(Some(TOKEN)).send().await.unwrap().status(), 200);
    let without_agent = client().get(meadow.apiary.forge_url()).send().await.unwrap();
    assert_eq!(without_agent.status(), 403);
    assert!(without_agent.text().await.unwrap().contains("User-Agent"));
    forge.revoke_token(TOKEN);
    assert_eq!(ask(Some(TOKEN)).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn the_rate_limit_ends_in_403_with_nothing_remaining() {
    let meadow = Meadow::with(|options| options.rate_limit = 2).await;
    for _ in 0..2 {
        assert_eq!(meadow.get("/user").send().await.unwrap().status(), 200);
    }
    let refused = meadow.get("/user").send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["x-ratelimit-remaining"].to_str().unwrap()),
        (403, "0")
    );
    assert!(refused.text().await.unwrap().contains("API rate limit exceeded for user ID"));
    assert_eq!(meadow.get("/rate_limit").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_enterprise_prefix_leads_to_itself() {
    let meadow = Meadow::new().await;
    meadow.apiary.forge().open_issue(&meadow.repo, "ann", "one", "", &[]).unwrap();
    let issue: Value = meadow.get(&format!("/api/v3{ISSUES}/1")).send().await.unwrap().json().await.unwrap();
    let root = meadow.apiary.forge_url();
    assert_eq!(issue["url"], format!("{root}/api/v3{ISSUES}/1"));
    assert_eq!(issue["html_url"], format!("{root}/meadow/ledger/issues/1"));
}

/// A port that nobody has and that nobody is given for port 0 either.
fn quiet_port() -> u16 {
    let begin = std::process::id() as u16 % 10_000;
    let candidates = (0..10_000).map(|n| 20_000 + (begin + n) % 10_000);
    candidates.into_iter().find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

#[tokio::test]
async fn everything_is_there_after_a_restart_on_the_same_port() {
    let folder = tempfile::tempdir().unwrap();
    let port = quiet_port();
    let options = || {
        let mut options = ApiaryOptions::new(folder.path(), TOKEN);
        options.forge_port = port;
        options
    };
    let repo: RepoId = "meadow/ledger".parse().unwrap();
    let first = Apiary::start(options()).unwrap();
    let second = Apiary::start(options()).err().unwrap();
    assert!(second.to_string().contains("is used by another apiary"), "{second}");
    let elsewhere = ApiaryOptions { state_dir: folder.path().join("other"), ..options() };
    let taken = Apiary::start(elsewhere).err().unwrap().to_string();
    assert!(taken.contains(&format!("forge can't listen on port {port}")), "{taken}");

    let new = NewRepository { files: vec![RepositoryFile::text("a", "b")], ..NewRepository::default() };
    first.forge().create_repository(&repo, new).await.unwrap();
    first.forge().open_issue(&repo, "ann", "one", "", &["bzzz-task"]).unwrap();
    first.stop().await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let again = loop {
        match Apiary::start(options()) {
            Ok(again) => break again,
            // A process that another test is starting holds a copy of the listener until it has begun.
            Err(ApiaryError::Listen { .. }) if std::time::Instant::now() < deadline => {
                tokio::task::yield_now().await
            }
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(again.forge().issues(&repo)[0].labels, ["bzzz-task"]);
    assert_eq!(again.forge().read_file(&repo, "main", "a").await.unwrap().unwrap(), b"b");
    assert_eq!(again.forge().open_issue(&repo, "ann", "two", "", &[]).unwrap(), 2);
}
