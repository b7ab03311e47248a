//! Pull requests, by octocrab and by git.

use bzzz::apiary::forge::{IssueState, ReviewState};
use octocrab::models::pulls::{MergeableState, PullRequest};
use octocrab::params;
use serde_json::{Value, json};

use crate::meadow::{LOGIN, Meadow, client, git, ok};

async fn open(meadow: &Meadow, branch: &str, body: &str) -> Result<PullRequest, octocrab::Error> {
    let octocrab = meadow.octocrab();
    octocrab.pulls("meadow", "ledger").create("A change", branch, "main").body(body).send().await
}

fn message(error: octocrab::Error) -> String {
    let octocrab::Error::GitHub { source, .. } = error else { panic!("{error:?}") };
    let errors = source.errors.unwrap_or_default();
    let detail = errors[0]["message"].as_str().or(errors[0]["field"].as_str()).unwrap_or_default();
    format!("{} {}: {detail}", source.status_code.as_u16(), source.message)
}

#[tokio::test]
async fn octocrab_opens_reads_and_merges_a_pull_request() {
    let meadow = Meadow::new().await;
    let forge = meadow.apiary.forge();
    forge.open_issue(&meadow.repo, "ann", "add b", "", &[]).unwrap();
    let head = meadow.push_branch("bzzz/issue-1", "b.txt", "new\nfile\n").await;
    let pull = open(&meadow, "bzzz/issue-1", "Closes #1").await.unwrap();
    assert_eq!(
        (pull.number, pull.head.sha.as_str(), pull.base.ref_field.as_str()),
        (2, head.as_str(), "main")
    );
    let octocrab = meadow.octocrab();
    let pulls = octocrab.pulls("meadow", "ledger");
    let found = pulls.list().head("meadow:bzzz/issue-1").state(params::State::All).send().await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].head.label.as_deref(), Some("meadow:bzzz/issue-1"));
    let unfiltered = pulls.list().head("nobody:x").send().await.unwrap();
    assert!(unfiltered.items.is_empty());
    let got = pulls.get(2).await.unwrap();
    assert_eq!(
        (got.additions, got.deletions, got.changed_files, got.commits),
        (Some(2), Some(0), Some(1), Some(1))
    );
    assert_eq!((got.mergeable, got.mergeable_state), (Some(true), Some(MergeableState::Clean)));
    let files = pulls.list_files(2).await.unwrap();
    assert_eq!(files.items[0].filename, "b.txt");
    assert_eq!(files.items[0].patch.as_deref(), Some("@@ -0,0 +1,2 @@\n+new\n+file"));
    let commits = octocrab.pulls("meadow", "ledger").pr_commits(2).send().await.unwrap();
    assert_eq!(commits.items[0].sha, head);
    // The issues interface has it too, marked.
    let issues = octocrab.issues("meadow", "ledger").list().send().await.unwrap();
    let marked: Vec<_> = issues.items.iter().map(|i| (i.number, i.pull_request.is_some())).collect();
    assert_eq!(marked, [(2, true), (1, false)]);
    let clone = meadow.clone("reader").await;
    ok(&clone, &["fetch", "-q", "origin", "refs/pull/2/head"]).await;
    assert_eq!(ok(&clone, &["rev-parse", "FETCH_HEAD"]).await, head);

    let merged = pulls.merge(2).send().await.unwrap();
    assert!(merged.merged);
    let main = forge.read_ref(&meadow.repo, "refs/heads/main").await.unwrap();
    assert_eq!(main, merged.sha);
    assert_eq!(forge.read_file(&meadow.repo, "main", "b.txt").await.unwrap().unwrap(), b"new\nfile\n");
    assert_eq!(forge.issue(&meadow.task(1)).unwrap().state, IssueState::Closed, "by the keyword");
    let got = pulls.get(2).await.unwrap();
    assert_eq!(
        (got.merged, got.merged_by.unwrap().login.as_str(), got.changed_files),
        (Some(true), LOGIN, Some(1))
    );
    let again = pulls.merge(2).send().await.unwrap_err();
    let octocrab::Error::GitHub { source, .. } = again else { panic!("{again:?}") };
    assert_eq!(
        (source.status_code.as_u16(), source.message.as_str()),
        (405, "Pull Request is not mergeable")
    );
}

#[tokio::test]
async fn what_can_not_be_opened_is_422_in_githubs_words() {
    let meadow = Meadow::new().await;
    meadow.push_branch("topic", "b.txt", "x\n").await;
    open(&meadow, "topic", "").await.unwrap();
    let exists = "422 Validation Failed: A pull request already exists for meadow:topic.";
    assert_eq!(message(open(&meadow, "topic", "").await.unwrap_err()), exists);
    assert_eq!(message(open(&meadow, "meadow:topic", "").await.unwrap_err()), exists);
    assert_eq!(message(open(&meadow, "none", "").await.unwrap_err()), "422 Validation Failed: head");
    let same = message(open(&meadow, "main", "").await.unwrap_err());
    assert_eq!(same, "422 Validation Failed: No commits between main and main");
    let too_long = message(open(&meadow, "topic", &"é".repeat(65_537)).await.unwrap_err());
    assert_eq!(too_long, "422 Validation Failed: body is too long (maximum is 65536 characters)");
}

#[tokio::test]
async fn of_many_that_open_the_same_one_does() {
    let meadow = Meadow::new().await;
    meadow.push_branch("topic", "b.txt", "x\n").await;
    let all = futures_util::future::join_all((0..8).map(|_| open(&meadow, "topic", ""))).await;
    assert_eq!(all.iter().filter(|r| r.is_ok()).count(), 1);
    assert_eq!(meadow.apiary.forge().pull_requests(&meadow.repo).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_pull_request_follows_its_branch_to_the_end() {
    let meadow = Meadow::new().await;
    let first = meadow.push_branch("topic", "b.txt", "x\n").await;
    open(&meadow, "topic", "").await.unwrap();
    let clone = meadow.path("clone-topic");
    std::fs::write(clone.join("b.txt"), "y\n").unwrap();
    ok(&clone, &["commit", "-q", "-am", "more"]).await;
    let second = ok(&clone, &["rev-parse", "HEAD"]).await;
    ok(&clone, &["push", "-q", "origin", "topic"]).await;
    let octocrab = meadow.octocrab();
    let pulls = octocrab.pulls("meadow", "ledger");
    assert_ne!(first, second);
    assert_eq!(pulls.get(1).await.unwrap().head.sha, second);
    ok(&clone, &["push", "-q", "origin", ":topic"]).await;
    let closed = pulls.get(1).await.unwrap();
    assert_eq!((closed.state, closed.merged), (Some(octocrab::models::IssueState::Closed), Some(false)));
    let reopen = meadow.request(reqwest::Method::PATCH, "/repos/meadow/ledger/pulls/1");
    assert_eq!(reopen.json(&json!({ "state": "open" })).send().await.unwrap().status(), 422);

    // Pushed to the base by hand: merged, as GitHub sees it.
    ok(&clone, &["push", "-q", "origin", "HEAD:refs/heads/other"]).await;
    open(&meadow, "other", "").await.unwrap();
    ok(&clone, &["push", "-q", "origin", "HEAD:main"]).await;
    assert_eq!(pulls.get(2).await.unwrap().merged, Some(true));
}

#[tokio::test]
async fn a_conflict_is_seen_and_not_merged() {
    let meadow = Meadow::new().await;
    meadow.push_branch("one", "README.md", "# One\n").await;
    meadow.push_branch("two", "README.md", "# Two\n").await;
    open(&meadow, "one", "").await.unwrap();
    open(&meadow, "two", "").await.unwrap();
    let octocrab = meadow.octocrab();
    let pulls = octocrab.pulls("meadow", "ledger");
    let stale = pulls.merge(1).sha("0".repeat(40)).send().await.unwrap_err();
    let octocrab::Error::GitHub { source, .. } = stale else { panic!("{stale:?}") };
    assert_eq!(source.status_code.as_u16(), 409);
    pulls.merge(1).method(params::pulls::MergeMethod::Squash).send().await.unwrap();
    let clone = meadow.clone("reader").await;
    assert_eq!(ok(&clone, &["log", "-1", "--format=%s"]).await, "A change (#1)");
    let got = pulls.get(2).await.unwrap();
    assert_eq!((got.mergeable, got.mergeable_state), (Some(false), Some(MergeableState::Dirty)));
    let refused = pulls.merge(2).send().await.unwrap_err();
    let octocrab::Error::GitHub { source, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(source.status_code.as_u16(), 405);
}

#[tokio::test]
async fn a_reference_moves_forward_and_back_only_by_force() {
    let meadow = Meadow::new().await;
    let main = meadow.apiary.forge().read_ref(&meadow.repo, "refs/heads/main").await.unwrap().unwrap();
    let topic = meadow.push_branch("topic", "b.txt", "x\n").await;
    let update = async |body: Value| {
        let path = "/repos/meadow/ledger/git/refs/heads/topic";
        let answer = meadow.request(reqwest::Method::PATCH, path).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, answer) = update(json!({ "sha": main })).await;
    assert_eq!((status, &answer["message"]), (422, &json!("Update is not a fast forward")));
    assert_eq!(update(json!({ "sha": main, "force": true })).await.1["object"]["sha"], main);
    assert_eq!(update(json!({ "sha": topic })).await.0, 200);
    assert_eq!(update(json!({ "sha": "0".repeat(40) })).await.1["message"], "Object does not exist");
}

#[tokio::test]
async fn merging_by_hand_closes_what_it_says() {
    let meadow = Meadow::new().await;
    let forge = meadow.apiary.forge();
    forge.open_issue(&meadow.repo, "ann", "one", "", &[]).unwrap();
    meadow.push_branch("topic", "b.txt", "x\n").await;
    open(&meadow, "topic", "Fixes #1").await.unwrap();
    let commit = forge.merge_pull_request(&meadow.task(2), "ann").await.unwrap();
    assert_eq!(forge.read_ref(&meadow.repo, "refs/heads/main").await.unwrap(), Some(commit));
    assert_eq!(forge.issue(&meadow.task(1)).unwrap().closed_by.as_deref(), Some("ann"));
    let again = forge.merge_pull_request(&meadow.task(2), "ann").await.unwrap_err().to_string();
    assert_eq!(again, "meadow/ledger#2: 405 Pull Request is not mergeable");
}

#[tokio::test]
async fn reviews_and_statuses_reach_the_client() {
    let meadow = Meadow::new().await;
    let forge = meadow.apiary.forge();
    let head = meadow.push_branch("topic", "b.txt", "x\n").await;
    open(&meadow, "topic", "").await.unwrap();
    let pull = meadow.task(1);
    forge.add_review(&pull, "ann", ReviewState::ChangesRequested, "not yet").unwrap();
    forge.add_review_comment(&pull, "ann", "b.txt", 1, "why x?").unwrap();
    forge.set_status(&meadow.repo, &head, bzzz::apiary::forge::StatusState::Failure, "ci").unwrap();
    let octocrab = meadow.octocrab();
    let pulls = octocrab.pulls("meadow", "ledger");
    let reviews = pulls.list_reviews(1).send().await.unwrap();
    assert_eq!(reviews.items[0].state, Some(octocrab::models::pulls::ReviewState::ChangesRequested));
    let comments = pulls.list_comments(Some(1)).send().await.unwrap();
    assert_eq!((comments.items[0].body.as_str(), comments.items[0].line), ("why x?", Some(1)));
    let own = meadow.request(reqwest::Method::POST, "/repos/meadow/ledger/pulls/1/reviews");
    let own = own.json(&json!({ "event": "APPROVE" })).send().await.unwrap();
    let own: Value = own.json().await.unwrap();
    assert_eq!(own["message"], "Can not approve your own pull request");
    let reference = params::repos::Reference::Branch("topic".into());
    let combined = octocrab.repos("meadow", "ledger").combined_status_for_ref(&reference).await.unwrap();
    assert_eq!((combined.state, combined.sha), (octocrab::models::StatusState::Failure, head.clone()));
    let runs = octocrab.workflows("meadow", "ledger").list_all_runs().send().await.unwrap();
    assert_eq!(runs.total_count, Some(0));
    let checks =
        octocrab.checks("meadow", "ledger").list_check_runs_for_git_ref(head.into()).send().await.unwrap();
    assert_eq!(checks.total_count, 0);
}

#[tokio::test]
async fn octocrab_reads_and_moves_references_and_contents() {
    let meadow = Meadow::new().await;
    let octocrab = meadow.octocrab();
    let repos = octocrab.repos("meadow", "ledger");
    let main = params::repos::Reference::Branch("main".into());
    let found = repos.get_ref(&main).await.unwrap();
    let octocrab::models::repos::Object::Commit { sha, .. } = found.object else { panic!("{found:?}") };
    let new = params::repos::Reference::Branch("made/by-rest".into());
    repos.create_ref(&new, sha.clone()).await.unwrap();
    let twice = repos.create_ref(&new, sha.clone()).await.unwrap_err();
    let octocrab::Error::GitHub { source, .. } = twice else { panic!("{twice:?}") };
    assert_eq!((source.status_code.as_u16(), source.message.as_str()), (422, "Reference already exists"));
    repos.delete_ref(&new).await.unwrap();
    let mut file = repos.get_content().path("src/a.txt").r#ref("main").send().await.unwrap();
    assert_eq!(file.take_items()[0].decoded_content().as_deref(), Some("one\ntwo\nthree\n"));
    let mut root = repos.get_content().send().await.unwrap();
    let names: Vec<_> = root.take_items().into_iter().map(|i| (i.name, i.r#type)).collect();
    assert_eq!(names, [("README.md".into(), "file".into()), ("src".into(), String::from("dir"))]);
    let commits = repos.list_commits().send().await.unwrap();
    assert_eq!((commits.items.len(), commits.items[0].sha.as_str()), (1, sha.as_str()));
    let matching: Value = meadow
        .get("/repos/meadow/ledger/git/matching-refs/heads/m")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(matching[0]["ref"], "refs/heads/main");
}

#[tokio::test]
async fn a_fork_s_branch_becomes_a_pull_request_upstream() {
    let meadow = Meadow::new().await;
    let forge = meadow.apiary.forge();
    forge.fork_repository(&meadow.repo, "ann").await.unwrap();
    let fork: bzzz_actors::task::RepoId = "ann/ledger".parse().unwrap();
    let files = [bzzz::apiary::forge::RepositoryFile::text("c.txt", "from afar\n")];
    let main = forge.read_ref(&fork, "refs/heads/main").await.unwrap().unwrap();
    let url = forge.clone_url(&fork);
    ok(&meadow.path(""), &["clone", "-q", &url, "fork"]).await;
    ok(&meadow.path("fork"), &["push", "-q", "origin", &format!("{main}:refs/heads/topic")]).await;
    let head = forge.commit(&fork, "topic", &files, &[], "afar").await.unwrap();
    let pull = open(&meadow, "ann:topic", "").await.unwrap();
    assert_eq!((pull.head.label.as_deref(), pull.head.sha.as_str()), (Some("ann:topic"), head.as_str()));
    meadow.octocrab().pulls("meadow", "ledger").merge(1).send().await.unwrap();
    assert_eq!(forge.read_file(&meadow.repo, "main", "c.txt").await.unwrap().unwrap(), b"from afar\n");
    assert!(git(&meadow.path("fork"), "", &["fetch"]).await.status.success());
}

#[tokio::test]
async fn a_repository_may_refuse_drafts_and_a_draft_shows_as_one_with_its_assignees() {
    let meadow = Meadow::new().await;
    let forge = meadow.apiary.forge();
    meadow.push_branch("topic", "b.txt", "new\n").await;
    let octocrab = meadow.octocrab();
    let pulls = octocrab.pulls("meadow", "ledger");
    let draft = async || pulls.create("A change", "topic", "main").draft(true).send().await;
    forge.set_refuses_drafts(&meadow.repo, true).unwrap();
    let octocrab::Error::GitHub { source, .. } = draft().await.unwrap_err() else { panic!() };
    let refusal = (source.status_code.as_u16(), source.message.as_str());
    assert_eq!(refusal, (422, "Draft pull requests are not supported in this repository."));
    forge.set_refuses_drafts(&meadow.repo, false).unwrap();
    let opened = draft().await.unwrap();
    assert_eq!(opened.draft, Some(true));

    // Who may not be assigned is left out in silence.
    let path = "/repos/meadow/ledger/issues/1/assignees";
    let body = json!({ "assignees": [LOGIN, "stranger"] });
    let answer = meadow.request(reqwest::Method::POST, path).json(&body).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    let shown = pulls.get(opened.number).await.unwrap();
    let assignees: Vec<_> = shown.assignees.unwrap().into_iter().map(|it| it.login).collect();
    assert_eq!(assignees, [LOGIN]);
    let page = format!("{}/meadow/ledger/pull/1", meadow.apiary.forge_url());
    let page = client().get(page).send().await.unwrap().text().await.unwrap();
    assert!(page.contains(">Draft<") && page.contains(&format!("assigned to {LOGIN}")), "{page}");
}
