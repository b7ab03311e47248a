//! Work from outside: the branches in a fork, the claims in a repository of their own.

use bzzz_actors::ports::claims::{BranchUpdate, Claims, ClaimsError, LeaseState, Swap};
use bzzz_actors::ports::code::Code;
use bzzz_actors::task::{RepoId, Sha, TaskId};

use super::claims::work;
use super::fixture::{Fixture, git, record, repo, task};
use crate::forks::{Fork, Forks};
use crate::git::Git;

const LEASE: &str = "refs/bzzz/claims-of/acme/rocket/7";
const BRANCH: &str = "refs/heads/bzzz/issue-7";

fn forks(name: &RepoId) -> Forks {
    let [branches, claims] = ["acme/fork", "acme/claims"].map(|it| it.parse().unwrap());
    Forks::new(&[Fork { name: name.clone(), branches, claims }])
}

/// A server as [`Fixture`] makes it, with a fork of the rocket, and a repository for claims. Into the rocket nobody pushes.
fn outside() -> Fixture {
    let fixture = Fixture::new();
    let rocket = fixture.server("rocket");
    for name in ["fork", "claims"] {
        let (from, to) = (rocket.to_str().unwrap(), fixture.server(name));
        git(&fixture.path("people"), &["clone", "--quiet", "--bare", from, to.to_str().unwrap()]);
    }
    git(&rocket, &["config", "receive.hideRefs", "refs"]);
    fixture
}

async fn node(fixture: &Fixture, name: &str) -> Git {
    fixture.node_with(name, |options| options.forks = forks(&repo())).await
}

fn refs(fixture: &Fixture, name: &str) -> Vec<String> {
    let shown = git(&fixture.server(name), &["for-each-ref", "--format=%(refname)"]);
    shown.lines().map(str::to_owned).collect()
}

async fn acquire(node: &Git, name: &str) -> (Sha, Swap) {
    let lease = node.draft(None, &record(name, 1, 1)).await.unwrap();
    let swap = node.swap(&task(), None, &lease, None).await.unwrap();
    (lease, swap)
}

async fn take_over(node: &Git, name: &str, from: &Sha) -> Sha {
    node.read(&task()).await.unwrap();
    let lease = node.draft(Some(from), &record(name, 2, 2)).await.unwrap();
    assert_eq!(node.swap(&task(), Some(from), &lease, None).await.unwrap(), Swap::Done);
    lease
}

async fn publish(node: &Git, name: &str, from: &Sha, update: &BranchUpdate) -> (Sha, Swap) {
    let mut done = record(name, 1, 3);
    done.state = LeaseState::Done;
    let lease = node.draft(Some(from), &done).await.unwrap();
    let swap = node.swap(&task(), Some(from), &lease, Some(update)).await.unwrap();
    (lease, swap)
}

#[tokio::test]
async fn claims_and_branches_go_where_the_token_may_push() {
    let fixture = outside();
    let (ann, bob) = (node(&fixture, "ann").await, node(&fixture, "bob").await);
    for (node, name) in [(&ann, "ann"), (&bob, "bob")] {
        node.probe(&repo(), &name.parse().unwrap()).await.unwrap();
    }
    let (first, swap) = acquire(&ann, "ann").await;
    assert_eq!(swap, Swap::Done);
    assert_eq!(acquire(&bob, "bob").await.1, Swap::Refused);
    assert_eq!(refs(&fixture, "claims"), [LEASE, "refs/heads/main"]);
    assert_eq!(bob.list(&repo()).await.unwrap(), [(7, first.clone())]);
    assert_eq!(bob.read_all(&repo(), &[7]).await.unwrap()[0].1.sha, first);

    let commit = work(&fixture, &ann, "ann").await;
    let update = BranchUpdate { from: None, to: commit.clone() };
    let (done, swap) = publish(&ann, "ann", &first, &update).await;
    assert_eq!(swap, Swap::Done);
    assert_eq!(refs(&fixture, "fork"), [BRANCH, "refs/heads/main"]);
    assert_eq!(refs(&fixture, "rocket"), ["refs/heads/main"], "nothing was pushed to it");
    assert_eq!(bob.read_branch(&task()).await.unwrap(), Some(commit.clone()));
    let newest = bob.refresh(&repo(), "main").await.unwrap();
    let pushed = bob.pushed(&task(), &newest).await.unwrap().unwrap();
    assert_eq!((pushed.commit, pushed.base), (commit, Ok(newest)));

    let shown = ann.shown_claims(&repo()).await.unwrap();
    assert_eq!((shown[0].repo.to_string().as_str(), shown[0].reference.as_str()), ("acme/claims", LEASE));
    assert_eq!(ann.delete(&task(), &done).await.unwrap(), Swap::Done);
    assert_eq!(refs(&fixture, "claims"), ["refs/heads/main"]);
}

#[tokio::test]
async fn who_lost_the_claim_does_not_touch_the_branch() {
    let fixture = outside();
    let (ann, bob) = (node(&fixture, "ann").await, node(&fixture, "bob").await);
    let (first, _) = acquire(&ann, "ann").await;
    let commit = work(&fixture, &ann, "ann").await;
    take_over(&bob, "bob", &first).await;
    let update = BranchUpdate { from: None, to: commit };
    assert_eq!(publish(&ann, "ann", &first, &update).await.1, Swap::Refused);
    assert_eq!(refs(&fixture, "fork"), ["refs/heads/main"]);
}

#[tokio::test]
async fn the_claim_is_never_done_without_the_branch() {
    let fixture = outside();
    let ann = node(&fixture, "ann").await;
    let (first, _) = acquire(&ann, "ann").await;
    let commit = work(&fixture, &ann, "ann").await;

    // Somebody moved the branch: neither is moved.
    git(&fixture.server("fork"), &["update-ref", BRANCH, "main"]);
    let update = BranchUpdate { from: None, to: commit.clone() };
    assert_eq!(publish(&ann, "ann", &first, &update).await.1, Swap::Refused);
    assert_eq!(ann.read(&task()).await.unwrap().unwrap().sha, first);

    // The claims' repository takes nothing just now, after the branch was pushed.
    let update = BranchUpdate { from: ann.read_branch(&task()).await.unwrap(), to: commit.clone() };
    git(&fixture.server("claims"), &["config", "receive.hideRefs", "refs"]);
    let mut done = record("ann", 1, 9);
    done.state = LeaseState::Done;
    let lease = ann.draft(Some(&first), &done).await.unwrap();
    assert_eq!(ann.swap(&task(), Some(&first), &lease, Some(&update)).await.unwrap(), Swap::Refused);
    assert_eq!(ann.read_branch(&task()).await.unwrap(), Some(commit.clone()));
    assert_eq!(ann.read(&task()).await.unwrap().unwrap().sha, first, "still held");

    // The same again is no other: it ends what it began, and then nothing.
    git(&fixture.server("claims"), &["config", "--unset", "receive.hideRefs"]);
    for _ in 0..2 {
        assert_eq!(ann.swap(&task(), Some(&first), &lease, Some(&update)).await.unwrap(), Swap::Done);
    }
    assert_eq!(ann.read(&task()).await.unwrap().unwrap().sha, lease);
    assert_eq!(ann.read_branch(&task()).await.unwrap(), Some(commit));
}

#[tokio::test]
async fn the_claims_of_many_repositories_lie_side_by_side() {
    let fixture = outside();
    let ann = node(&fixture, "ann").await;
    let void: RepoId = "acme/void".parse().unwrap();
    let of_void = fixture.node_with("bob", |options| options.forks = forks(&void)).await;
    let own = fixture.node("eve").await;
    let claims: RepoId = "acme/claims".parse().unwrap();
    acquire(&ann, "ann").await;
    for (node, repo) in [(&of_void, &void), (&own, &claims)] {
        let mut record = record("bob", 1, 2);
        record.task = TaskId::new(repo.clone(), 7);
        let lease = node.draft(None, &record).await.unwrap();
        assert_eq!(node.swap(&record.task, None, &lease, None).await.unwrap(), Swap::Done, "{repo}");
        assert_eq!(node.list(repo).await.unwrap(), [(7, lease)], "{repo}");
    }
    let expected = ["refs/bzzz/claims/7", LEASE, "refs/bzzz/claims-of/acme/void/7", "refs/heads/main"];
    let mut found = refs(&fixture, "claims");
    found.sort();
    let mut expected: Vec<&str> = expected.into();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_repository_for_claims_that_has_no_commit_is_named() {
    let fixture = outside();
    let [branches, claims] = ["acme/fork", "acme/void"].map(|it| it.parse().unwrap());
    let forks = Forks::new(&[Fork { name: repo(), branches, claims }]);
    let ann = fixture.node_with("ann", |options| options.forks = forks).await;
    let error = ann.read(&task()).await.unwrap_err();
    assert_eq!(error, ClaimsError::EmptyRepository { repo: "acme/void".parse().unwrap() });
}
