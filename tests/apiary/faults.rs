//! Failing on request: each fault does what it says, and only that.

use std::time::{Duration, Instant};

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule, When};
use reqwest::Method;
use serde_json::{Value, json};

use crate::meadow::{Meadow, TOKEN, client, error_of, git, ok};

const COMMENTS: &str = "/repos/meadow/ledger/issues/1/comments";

async fn meadow() -> Meadow {
    let meadow = Meadow::new().await;
    meadow.apiary.forge().open_issue(&meadow.repo, "ann", "one", "", &[]).unwrap();
    meadow
}

fn fail(meadow: &Meadow, rule: Rule) {
    meadow.apiary.faults(StandIn::Forge).add(rule).unwrap();
}

fn comment(meadow: &Meadow) -> reqwest::RequestBuilder {
    meadow.request(Method::POST, COMMENTS).json(&json!({ "body": "hello" }))
}

fn comments(meadow: &Meadow) -> usize {
    meadow.apiary.forge().comments(&meadow.task(1)).len()
}

#[tokio::test]
async fn a_status_comes_before_or_after_the_effect() {
    let meadow = meadow().await;
    let status = |status, when| Rule::new("POST", COMMENTS, Fault::Status { status, when }).times(1);
    fail(&meadow, status(503, When::Before));
    fail(&meadow, status(502, When::After));
    let first = comment(&meadow).send().await.unwrap();
    assert_eq!((first.status().as_u16(), comments(&meadow)), (503, 0));
    assert_eq!(first.json::<Value>().await.unwrap()["message"], "Service Unavailable");
    let second = comment(&meadow).send().await.unwrap();
    assert_eq!((second.status().as_u16(), comments(&meadow)), (502, 1));
    let third = comment(&meadow).send().await.unwrap();
    assert_eq!((third.status().as_u16(), comments(&meadow)), (201, 2));
    let log = meadow.apiary.requests(StandIn::Forge);
    let seen: Vec<_> = log.iter().map(|r| (r.status.unwrap(), r.fault.as_deref())).collect();
    assert_eq!(seen, [(503, Some("status")), (502, Some("status")), (201, None)]);
}

#[tokio::test]
async fn a_dropped_connection_gives_no_answer_before_or_after() {
    let meadow = meadow().await;
    for (when, there) in [(When::Before, 0), (When::After, 1)] {
        fail(&meadow, Rule::new("POST", COMMENTS, Fault::Drop { when }).times(1));
        let error = comment(&meadow).send().await.unwrap_err();
        assert!(error.is_request(), "{error:?}");
        assert_eq!(comments(&meadow), there);
    }
    assert_eq!(meadow.apiary.requests(StandIn::Forge)[0].status, None);
    assert_eq!(comment(&meadow).send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn limits_html_and_broken_bodies_look_like_the_real_ones() {
    let meadow = meadow().await;
    let rule = |fault| Rule::new("GET", "/repos/", fault).times(1);
    let ask = || meadow.get("/repos/meadow/ledger").send();
    fail(&meadow, rule(Fault::RateLimited { status: 429, retry_after_s: Some(7), reset_in_s: None }));
    let secondary = ask().await.unwrap();
    assert_eq!(
        (secondary.status().as_u16(), secondary.headers()["retry-after"].to_str().unwrap()),
        (429, "7")
    );
    fail(&meadow, rule(Fault::RateLimited { status: 403, retry_after_s: None, reset_in_s: Some(60) }));
    let primary = ask().await.unwrap();
    assert_eq!(primary.headers()["x-ratelimit-remaining"], "0");
    let reset: u64 = primary.headers()["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((50..=61).contains(&reset.saturating_sub(now)));
    fail(&meadow, rule(Fault::Html { status: 502 }));
    let html = ask().await.unwrap();
    assert_eq!(html.status(), 502);
    assert!(html.text().await.unwrap().starts_with("<!DOCTYPE html>"));

    fail(&meadow, rule(Fault::HalfBody));
    let half = ask().await.unwrap();
    let declared = half.content_length().unwrap();
    assert!((half.status() == 200) && declared > 100);
    assert!(half.text().await.unwrap_err().is_decode() || declared > 0);
    fail(&meadow, rule(Fault::EmptyBody));
    let empty = ask().await.unwrap();
    assert_eq!((empty.status().as_u16(), empty.text().await.unwrap().as_str()), (200, ""));
    let poll = [("x-poll-interval".to_owned(), "90".to_owned())].into();
    fail(&meadow, rule(Fault::Headers { headers: poll }));
    assert_eq!(ask().await.unwrap().headers()["x-poll-interval"], "90");
    assert_eq!(ask().await.unwrap().json::<Value>().await.unwrap()["name"], "ledger");
}

#[tokio::test]
async fn half_a_body_breaks_in_the_middle() {
    let meadow = meadow().await;
    fail(&meadow, Rule::any(Fault::HalfBody).times(1));
    let half = meadow.get("/repos/meadow/ledger").send().await.unwrap();
    let declared = half.content_length().unwrap() as usize;
    let mut half = half;
    let mut received = 0;
    let broken = loop {
        match half.chunk().await {
            Ok(Some(chunk)) => received += chunk.len(),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken);
    assert_eq!(received, declared / 2);
}

#[tokio::test]
async fn latency_is_waited_out_first() {
    let meadow = meadow().await;
    fail(&meadow, Rule::any(Fault::Latency { ms: 120 }).times(1));
    let begun = Instant::now();
    assert_eq!(meadow.get("/user").send().await.unwrap().status(), 200);
    assert!(begun.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn stale_reads_show_the_past_while_writes_go_on() {
    let meadow = meadow().await;
    let clone = meadow.clone("clone").await;
    fail(&meadow, Rule::any(Fault::StaleReads));
    assert_eq!(comment(&meadow).send().await.unwrap().status(), 201);
    ok(&clone, &["push", "-q", "origin", "HEAD:refs/bzzz/claims/1"]).await;
    let url = meadow.apiary.forge().clone_url(&meadow.repo);
    let list = async || ok(&clone, &["ls-remote", &url, "refs/bzzz/*"]).await;
    let shown = async || meadow.get(COMMENTS).send().await.unwrap().json::<Value>().await.unwrap();
    let reference = async || {
        meadow.get("/repos/meadow/ledger/git/ref/bzzz/claims/1").send().await.unwrap().status().as_u16()
    };
    assert_eq!((list().await.as_str(), shown().await, reference().await), ("", json!([]), 404));
    // What decides is the present: the same reference can't be created again.
    let again = ["push", "--force-with-lease=refs/bzzz/claims/1:", "origin", "HEAD~0:refs/bzzz/claims/1"];
    let head = ok(&clone, &["commit-tree", "HEAD^{tree}", "-m", "other"]).await;
    let again = again.map(|a| a.replace("HEAD~0", &head));
    let lost = git(&clone, TOKEN, &again.each_ref().map(String::as_str)).await;
    assert!(!lost.status.success(), "{}", error_of(&lost));
    meadow.apiary.faults(StandIn::Forge).clear();
    assert_eq!((shown().await.as_array().unwrap().len(), reference().await), (1, 200));
    assert!(list().await.ends_with("refs/bzzz/claims/1"));
}

#[tokio::test]
async fn a_push_that_arrived_can_look_failed_and_one_that_did_not_too() {
    let meadow = meadow().await;
    let clone = meadow.clone("clone").await;
    let push = "/meadow/ledger.git/git-receive-pack";
    for (number, (when, arrived)) in [(When::Before, false), (When::After, true)].into_iter().enumerate() {
        for fault in [Fault::Status { status: 502, when }, Fault::Drop { when }] {
            let name = format!("refs/bzzz/claims/{number}{}", matches!(fault, Fault::Drop { .. }));
            // Not once only: curl sends again by itself what was dropped on a connection that it used before.
            fail(&meadow, Rule::new("POST", push, fault));
            let failed = git(&clone, TOKEN, &["push", "origin", &format!("HEAD:{name}")]).await;
            assert!(!failed.status.success());
            meadow.apiary.faults(StandIn::Forge).clear();
            let there = meadow.apiary.forge().read_ref(&meadow.repo, &name).await.unwrap().is_some();
            assert_eq!(there, arrived, "{name}");
        }
    }
}

#[tokio::test]
async fn faults_and_the_log_are_at_hand_over_http() {
    let meadow = meadow().await;
    let control = format!("{}/_apiary/faults", meadow.apiary.forge_url());
    let rules = json!([
        { "method": "GET", "path": "/user", "times": 1, "fault": "status", "status": 500, "when": "before" },
        { "fault": "latency", "ms": 1 },
    ]);
    let added = client().post(&control).json(&rules).send().await.unwrap();
    assert_eq!(added.status(), 201);
    assert_eq!(meadow.get("/user").send().await.unwrap().status(), 500);
    let left: Value = client().get(&control).send().await.unwrap().json().await.unwrap();
    assert_eq!(left, json!([{ "path": "", "skip": 0, "fault": "latency", "ms": 1 }]));
    let wrong = client().post(&control).json(&json!({ "fault": "nonsense" })).send().await.unwrap();
    assert_eq!(wrong.status(), 422);
    assert!(wrong.text().await.unwrap().contains("unknown variant `nonsense`"));
    assert_eq!(client().post(&control).body("[]").send().await.unwrap().status(), 400, "no content type");
    assert_eq!(client().delete(&control).send().await.unwrap().status(), 204);
    assert!(meadow.apiary.faults(StandIn::Forge).rules().is_empty());
    let log = format!("{}/_apiary/requests", meadow.apiary.forge_url());
    let log: Value = client().get(log).send().await.unwrap().json().await.unwrap();
    assert_eq!((log[0]["path"].as_str(), log[0]["status"].as_u64()), (Some("/user"), Some(500)));
    assert_eq!(log.as_array().unwrap().len(), 1, "the control interface is not logged");
}

#[tokio::test]
async fn a_waiter_sees_the_request_it_waits_for() {
    let meadow = meadow().await;
    let asked = async {
        meadow.get("/user").send().await.unwrap();
        meadow.get("/rate_limit").send().await.unwrap();
    };
    let waited = meadow
        .apiary
        .wait_for_requests(StandIn::Forge, |requests| requests.iter().any(|r| r.path == "/rate_limit"));
    let ((), requests) = tokio::join!(asked, waited);
    assert_eq!(requests.len(), 2);
}
