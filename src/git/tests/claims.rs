//! Exactly one owner, on real references.

use std::process::Command;

use bzzz_actors::ports::claims::{BranchUpdate, Claims, ClaimsError, LeaseState, SeenLease, Swap};
use bzzz_actors::ports::code::Code;
use bzzz_actors::task::{Sha, TaskId};
use futures_util::future::join_all;

use super::fixture::{Fixture, git, record, repo, task};
use crate::git::Git;

/// Drafts a lease and tries to put it in the place of `from`.
async fn try_for(node: &Git, name: &str, epoch: u64, nonce: u64, from: Option<&Sha>) -> (Sha, Swap) {
    let lease = node.draft(from, &record(name, epoch, nonce)).await.unwrap();
    let swap = node.swap(&task(), from, &lease, None).await.unwrap();
    (lease, swap)
}

async fn race(fixture: &Fixture, round: u64, from: Option<&Sha>) -> Vec<Sha> {
    let nodes = join_all((0..4).map(|n| async move { fixture.node(&format!("n{n}")).await })).await;
    // A takeover has seen the lease that it takes over.
    join_all(nodes.iter().map(|node| async move { node.read(&task()).await.unwrap() })).await;
    let racers = (0..24).map(|n| {
        let node = &nodes[n % 4];
        async move { try_for(node, &format!("n{}", n % 4), round, n as u64, from).await }
    });
    let outcomes = join_all(racers).await;
    outcomes.into_iter().filter(|(_, swap)| *swap == Swap::Done).map(|(lease, _)| lease).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_24_racers_exactly_one_acquires_and_exactly_one_takes_over() {
    let fixture = Fixture::new();
    let winners = race(&fixture, 1, None).await;
    assert_eq!(winners.len(), 1);
    let reader = fixture.node("reader").await;
    assert_eq!(reader.read(&task()).await.unwrap().unwrap().sha, winners[0]);

    let next = race(&fixture, 2, Some(&winners[0])).await;
    assert_eq!(next.len(), 1);
    let seen = reader.read(&task()).await.unwrap().unwrap();
    assert_eq!(seen.sha, next[0]);
    assert_eq!(seen.record.unwrap().epoch.0, 2);
}

#[tokio::test]
async fn a_lease_is_acquired_renewed_read_and_taken_over() {
    let fixture = Fixture::new();
    let (ann, bob) = (fixture.node("ann").await, fixture.node("bob").await);
    assert_eq!(ann.read(&task()).await.unwrap(), None);
    let (first, swap) = try_for(&ann, "ann", 1, 1, None).await;
    assert_eq!(swap, Swap::Done);
    let (_, late) = try_for(&bob, "bob", 1, 2, None).await;
    assert_eq!(late, Swap::Refused);

    let (second, renewed) = try_for(&ann, "ann", 1, 3, Some(&first)).await;
    assert_eq!(renewed, Swap::Done);
    let seen = bob.read(&task()).await.unwrap().unwrap();
    assert_eq!((seen.sha, seen.record), (second.clone(), Some(record("ann", 1, 3))));
    assert_eq!(git(&fixture.server("rocket"), &["rev-list", "--count", "refs/bzzz/claims/7"]), "2");

    let (third, taken) = try_for(&bob, "bob", 2, 4, Some(&second)).await;
    assert_eq!(taken, Swap::Done);
    let (_, stale) = try_for(&ann, "ann", 1, 5, Some(&second)).await;
    assert_eq!(stale, Swap::Refused);
    assert_eq!(ann.read(&task()).await.unwrap().unwrap().sha, third);
}

#[tokio::test]
async fn a_swap_whose_answer_was_lost_is_found_to_be_ours() {
    let fixture = Fixture::new();
    let ann = fixture.node("ann").await;
    let (first, _) = try_for(&ann, "ann", 1, 1, None).await;
    assert_eq!(ann.swap(&task(), None, &first, None).await.unwrap(), Swap::Done);
    let second = ann.draft(Some(&first), &record("ann", 1, 2)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ann.swap(&task(), Some(&first), &second, None).await.unwrap(), Swap::Done);
    }
}

/// Imports a change and returns the commit to publish.
pub(super) async fn work(fixture: &Fixture, node: &Git, name: &str) -> Sha {
    let base = node.refresh(&repo(), "main").await.unwrap().commit;
    let code = node.code_in(&task(), &base, None).await.unwrap();
    let sandbox = fixture.sandbox(name, &code);
    sandbox.write("src/fins.rs", format!("// by {name}\n"));
    let imported = node.import(&task(), &base, sandbox.export(), &[]).await.unwrap();
    node.commit(&task(), &base, &imported.tree, "Add fins").await.unwrap()
}

#[tokio::test]
async fn work_is_published_with_the_lease_or_not_at_all() {
    let fixture = Fixture::new();
    let (ann, bob) = (fixture.node("ann").await, fixture.node("bob").await);
    let (first, _) = try_for(&ann, "ann", 1, 1, None).await;
    let commit = work(&fixture, &ann, "ann").await;
    let mut done = record("ann", 1, 2);
    done.state = LeaseState::Done;

    // Bob takes over while Ann is asleep: her branch must not come to be.
    bob.read(&task()).await.unwrap();
    let (second, _) = try_for(&bob, "bob", 2, 3, Some(&first)).await;
    let lease = ann.draft(Some(&first), &done).await.unwrap();
    let update = BranchUpdate { from: None, to: commit };
    assert_eq!(ann.swap(&task(), Some(&first), &lease, Some(&update)).await.unwrap(), Swap::Refused);
    assert_eq!(bob.read_branch(&task()).await.unwrap(), None);

    let commit = work(&fixture, &bob, "bob").await;
    let lease = bob.draft(Some(&second), &record("bob", 2, 4)).await.unwrap();
    let update = BranchUpdate { from: None, to: commit.clone() };
    assert_eq!(bob.swap(&task(), Some(&second), &lease, Some(&update)).await.unwrap(), Swap::Done);
    assert_eq!(ann.read_branch(&task()).await.unwrap(), Some(commit.clone()));
    assert_eq!(git(&fixture.server("rocket"), &["show", "bzzz/issue-7:src/fins.rs"]), "// by bob");

    // Somebody moved the branch: neither it nor the lease is moved.
    git(&fixture.server("rocket"), &["update-ref", "refs/heads/bzzz/issue-7", "main"]);
    let third = bob.draft(Some(&lease), &record("bob", 2, 5)).await.unwrap();
    let update = BranchUpdate { from: Some(commit.clone()), to: commit };
    assert_eq!(bob.swap(&task(), Some(&lease), &third, Some(&update)).await.unwrap(), Swap::Refused);
    assert_eq!(bob.read(&task()).await.unwrap().unwrap().sha, lease);
}

#[tokio::test]
async fn a_claim_is_deleted_only_from_where_it_is() {
    let fixture = Fixture::new();
    let ann = fixture.node("ann").await;
    let (first, _) = try_for(&ann, "ann", 1, 1, None).await;
    let (second, _) = try_for(&ann, "ann", 1, 2, Some(&first)).await;
    assert_eq!(ann.delete(&task(), &first).await.unwrap(), Swap::Refused);
    assert_eq!(ann.read(&task()).await.unwrap().unwrap().sha, second);
    for _ in 0..2 {
        assert_eq!(ann.delete(&task(), &second).await.unwrap(), Swap::Done);
    }
    assert_eq!(ann.read(&task()).await.unwrap(), None);
}

/// Whoever claims while others delete has the claim, or has been told that it has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_claim_and_its_deletion_at_once_one_wins() {
    let fixture = Fixture::new();
    let nodes = [fixture.node("ann").await, fixture.node("bob").await, fixture.node("cid").await];
    let [ann, bob, cid] = &nodes;
    let mut from = None;
    for round in 0..12 {
        let (released, _) = try_for(ann, "ann", 1, 10 * round, from.as_ref()).await;
        bob.read(&task()).await.unwrap();
        let (id, other) = (task(), task());
        let (claimed, deleted, also) = tokio::join!(
            try_for(bob, "bob", 2, 10 * round + 1, Some(&released)),
            ann.delete(&id, &released),
            cid.delete(&other, &released),
        );
        let there = cid.read(&task()).await.unwrap().map(|seen| seen.sha);
        let (lease, swap) = claimed;
        match swap {
            Swap::Done => {
                assert_eq!(
                    (there.as_ref(), deleted, also),
                    (Some(&lease), Ok(Swap::Refused), Ok(Swap::Refused))
                );
            }
            Swap::Refused => {
                assert_eq!((there.as_ref(), deleted, also), (None, Ok(Swap::Done), Ok(Swap::Done)))
            }
        }
        from = there;
    }
}

#[tokio::test]
async fn the_claims_of_a_repository_are_listed_and_nothing_else() {
    let fixture = Fixture::new();
    let ann = fixture.node("ann").await;
    assert_eq!(ann.list(&repo()).await.unwrap(), []);
    let (lease, _) = try_for(&ann, "ann", 1, 1, None).await;
    for name in ["refs/bzzz/claims/x", "refs/bzzz/claims/7x", "refs/bzzz/probe/7", "refs/heads/7"] {
        git(&fixture.server("rocket"), &["update-ref", name, "main"]);
    }
    assert_eq!(ann.list(&repo()).await.unwrap(), [(7, lease)]);
    assert_eq!(ann.list(&"acme/void".parse().unwrap()).await.unwrap(), []);
    let error = ann.list(&"acme/nowhere".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, ClaimsError::Denied { .. }), "{error}");
}

/// More claims than fit into what is read: the last line that does is cut, and not taken for another issue's.
#[tokio::test]
async fn a_list_that_is_too_long_is_read_as_far_as_it_goes() {
    let fixture = Fixture::new();
    let server = fixture.server("rocket");
    let tip = git(&server, &["rev-parse", "main"]);
    let count = 20_000;
    let refs: String =
        (1..=count).map(|n| format!("create refs/bzzz/claims/{} {tip}\n", 100_000 + n)).collect();
    super::fixture::git_with(&server, &["update-ref", "--stdin"], refs.as_bytes());
    git(&server, &["pack-refs", "--all"]);
    let listed = fixture.node("ann").await.list(&repo()).await.unwrap();
    assert!(listed.len() > 10_000 && listed.len() < count, "{}", listed.len());
    assert!(listed.iter().all(|(number, _)| *number > 100_000));
}

#[tokio::test]
async fn a_lease_that_only_the_server_has_is_fetched_for_its_successor() {
    let fixture = Fixture::new();
    let (first, _) = try_for(&fixture.node("ann").await, "ann", 1, 1, None).await;
    let (_, taken) = try_for(&fixture.node("bob").await, "bob", 2, 2, Some(&first)).await;
    assert_eq!(taken, Swap::Done);
}

#[tokio::test]
async fn many_claims_are_read_at_once_and_one_that_is_too_large_does_not_hide_the_others() {
    let fixture = Fixture::new();
    let ann = fixture.node("ann").await;
    let numbered = |number| TaskId::new(repo(), number);
    let mut leases = Vec::new();
    for number in 1..=3 {
        let lease = ann.draft(None, &record("ann", number, number)).await.unwrap();
        assert_eq!(ann.swap(&numbered(number), None, &lease, None).await.unwrap(), Swap::Done);
        leases.push(lease);
    }
    git(&fixture.server("rocket"), &["update-ref", "refs/bzzz/claims/9", "main"]);
    let bob = fixture.node("bob").await;
    let seen = bob.read_all(&repo(), &[1, 3, 4, 9]).await.unwrap();
    let epochs = |seen: &[(u64, SeenLease)]| -> Vec<_> {
        seen.iter().map(|(number, it)| (*number, it.record.as_ref().map(|it| it.epoch.0))).collect()
    };
    assert_eq!(epochs(&seen), [(1, Some(1)), (3, Some(3)), (9, None)]);
    assert_eq!(seen[1].1.sha, leases[2]);

    let noise: Vec<u8> = std::iter::successors(Some(1u64), |it| {
        Some(it.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1))
    })
    .map(|it| (it >> 56) as u8)
    .take(24 * 1024 * 1024)
    .collect();
    std::fs::write(fixture.path("people/noise"), noise).unwrap();
    let huge = fixture.commit_and_push("Noise");
    git(&fixture.server("rocket"), &["update-ref", "refs/bzzz/claims/9", huge.as_str()]);
    let cid = fixture.node("cid").await;
    let seen = cid.read_all(&repo(), &[1, 2, 9]).await.unwrap();
    assert_eq!(epochs(&seen), [(1, Some(1)), (2, Some(2)), (9, None)]);
    assert_eq!(seen[2].1.sha, huge);
}

#[tokio::test]
async fn something_else_at_the_claim_is_seen_without_a_record() {
    let fixture = Fixture::new();
    git(&fixture.server("rocket"), &["update-ref", "refs/bzzz/claims/7", "main"]);
    let seen = fixture.node("ann").await.read(&task()).await.unwrap().unwrap();
    assert_eq!(seen.record, None);
    let other: TaskId = "acme/rocket#70".parse().unwrap();
    assert_eq!(fixture.node("bob").await.read(&other).await.unwrap(), None);
}

#[tokio::test]
async fn the_probe_tells_whether_the_server_lets_a_node_claim() {
    let fixture = Fixture::new();
    let ann = fixture.node("ann").await;
    let node = "ann.lock".parse().unwrap();
    for _ in 0..2 {
        ann.probe(&repo(), &node).await.unwrap();
    }
    assert_eq!(git(&fixture.server("rocket"), &["for-each-ref", "refs/bzzz"]), "", "nothing is left");

    // A probe that was killed half way left its reference.
    git(&fixture.server("rocket"), &["update-ref", "refs/bzzz/probe/ann.lock-probe", "main"]);
    ann.probe(&repo(), &node).await.unwrap();
}

#[tokio::test]
async fn an_empty_repository_can_not_be_claimed_in() {
    let fixture = Fixture::new();
    let task: TaskId = "acme/void#1".parse().unwrap();
    let error = fixture.node("ann").await.read(&task).await.unwrap_err();
    assert_eq!(error, ClaimsError::EmptyRepository { repo: task.repo });
}

/// Somebody with push access moves the claim to something huge: it is no lease, and nothing of it stays.
#[tokio::test]
async fn a_claim_that_brings_too_much_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let ann = fixture.node("ann").await;
    let (first, _) = try_for(&ann, "ann", 1, 1, None).await;
    let noise: Vec<u8> = (0..24 * 1024 * 1024u64)
        .scan(1u64, |state, _| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Some((*state >> 56) as u8)
        })
        .collect();
    std::fs::write(fixture.path("people/noise"), noise).unwrap();
    let huge = fixture.commit_and_push("Noise");
    git(&fixture.server("rocket"), &["update-ref", "refs/bzzz/claims/7", huge.as_str()]);

    let bob = fixture.node("bob").await;
    for _ in 0..2 {
        let seen = bob.read(&task()).await.unwrap().unwrap();
        assert_eq!((seen.sha, seen.record), (huge.clone(), None));
    }
    let folder = fixture.path("nodes/bob/claims.git");
    let size = Command::new("du").args(["-sk"]).arg(&folder).output().unwrap();
    let kib: u64 = String::from_utf8(size.stdout).unwrap().split('\t').next().unwrap().parse().unwrap();
    assert!(kib < 1024, "{kib} KiB in the claims' repository");
    assert_eq!(std::fs::read_dir(fixture.path("nodes/bob/git-work")).unwrap().count(), 1, "only git's home");

    git(&fixture.server("rocket"), &["update-ref", "refs/bzzz/claims/7", first.as_str()]);
    assert_eq!(bob.read(&task()).await.unwrap().unwrap().record, Some(record("ann", 1, 1)));
}
