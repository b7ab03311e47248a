//! Claims where the server hides the references that are meant for them.

use std::os::unix::fs::PermissionsExt;

use bzzz_actors::ports::claims::{Claims, ClaimsError, Swap};
use bzzz_actors::ports::code::Code;
use bzzz_actors::task::{Sha, TaskId};

use super::fixture::{Fixture, git, record, repo, task};
use crate::git::Git;
use crate::git::names::Namespace;

async fn claim(node: &Git, name: &str, number: u64) -> Result<(Sha, Swap), ClaimsError> {
    let lease = node.draft(None, &record(name, 1, number)).await?;
    let swap = node.swap(&TaskId::new(repo(), number), None, &lease, None).await?;
    Ok((lease, swap))
}

async fn probe(node: &Git, name: &str) -> Result<(), ClaimsError> {
    node.probe(&repo(), &name.parse().unwrap()).await
}

fn refs(fixture: &Fixture) -> String {
    let places = ["refs/bzzz", "refs/heads/bzzz-claims", "refs/heads/bzzz-probe"];
    let args = [&["for-each-ref", "--format=%(refname)"][..], &places[..]].concat();
    git(&fixture.server("rocket"), &args)
}

fn hide(fixture: &Fixture, what: &str, refs: &str) {
    git(&fixture.server("rocket"), &["config", what, refs]);
}

#[tokio::test]
async fn where_the_place_is_hidden_claims_are_branches_for_everyone() {
    for what in ["transfer.hideRefs", "receive.hideRefs"] {
        let fixture = Fixture::new();
        hide(&fixture, what, "refs/bzzz");
        let (ann, bob) = (fixture.node("ann").await, fixture.node("bob").await);
        for node in [(&ann, "ann.lock"), (&bob, "bob")] {
            probe(node.0, node.1).await.unwrap();
        }
        assert_eq!(refs(&fixture), "", "nothing is left of the probes");
        let (first, swap) = claim(&ann, "ann", 7).await.unwrap();
        assert_eq!(swap, Swap::Done);
        assert_eq!(refs(&fixture), "refs/heads/bzzz-claims/7");
        assert_eq!(claim(&bob, "bob", 7).await.unwrap().1, Swap::Refused);
        assert_eq!(bob.list(&repo()).await.unwrap(), [(7, first.clone())]);

        let seen = bob.read(&task()).await.unwrap().unwrap();
        assert_eq!((seen.sha, seen.record.unwrap().node.as_str()), (first.clone(), "ann"));
        let taken = bob.draft(Some(&first), &record("bob", 2, 8)).await.unwrap();
        assert_eq!(bob.swap(&task(), Some(&first), &taken, None).await.unwrap(), Swap::Done);
        assert_eq!(ann.read_all(&repo(), &[7]).await.unwrap()[0].1.sha, taken);
        assert_eq!(ann.delete(&task(), &taken).await.unwrap(), Swap::Done);
        assert_eq!(refs(&fixture), "");
    }
}

#[tokio::test]
async fn who_comes_later_uses_what_is_in_use() {
    let fixture = Fixture::new();
    hide(&fixture, "transfer.hideRefs", "refs/bzzz");
    let ann = fixture.node("ann").await;
    probe(&ann, "ann").await.unwrap();
    claim(&ann, "ann", 7).await.unwrap();
    // For this one nothing is hidden any more.
    git(&fixture.server("rocket"), &["config", "--unset", "transfer.hideRefs"]);
    let bob = fixture.node("bob").await;
    probe(&bob, "bob").await.unwrap();
    assert_eq!(claim(&bob, "bob", 8).await.unwrap().1, Swap::Done);
    assert_eq!(refs(&fixture), "refs/heads/bzzz-claims/7\nrefs/heads/bzzz-claims/8");
}

#[tokio::test]
async fn where_others_claims_are_in_their_own_place_nobody_uses_another() {
    let fixture = Fixture::new();
    claim(&fixture.node("ann").await, "ann", 7).await.unwrap();
    hide(&fixture, "receive.hideRefs", "refs/bzzz");
    let error = probe(&fixture.node("bob").await, "bob").await.unwrap_err();
    let ClaimsError::Denied { message, .. } = &error else { panic!("{error:?}") };
    assert!(message.contains("refs/bzzz/claims") && message.contains("hidden ref"), "{message}");
    assert_eq!(refs(&fixture), "refs/bzzz/claims/7");
}

#[tokio::test]
async fn a_token_that_may_write_nowhere_is_told_so() {
    let fixture = Fixture::new();
    let hook = fixture.server("rocket").join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = probe(&fixture.node("ann").await, "ann").await.unwrap_err();
    assert!(matches!(error, ClaimsError::Denied { .. }), "{error}");
}

/// Nothing tells two nodes where the claims are before there is one, and their probes may differ.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_that_claim_in_both_places_at_once_at_most_one_has_the_task() {
    let fixture = Fixture::new();
    let mut both = 0;
    for number in 1..=12 {
        let (ann, bob) = (fixture.node("ann").await, fixture.node("bob").await);
        bob.namespaces.settle(&repo(), Namespace::Branches);
        let (first, second) = tokio::join!(claim(&ann, "ann", number), claim(&bob, "bob", number));
        let won = [&first, &second].iter().filter(|it| matches!(it, Ok((_, Swap::Done)))).count();
        assert!(won <= 1, "{number}: {first:?} {second:?}");
        both += usize::from(won == 0);
        for name in refs(&fixture).lines() {
            git(&fixture.server("rocket"), &["update-ref", "-d", name]);
        }
    }
    println!("in {both} of 12 rounds both stepped back");
}

#[tokio::test]
async fn a_task_with_a_claim_in_both_places_is_nobodys_to_take() {
    let fixture = Fixture::new();
    let ann = fixture.node("ann").await;
    let (lease, _) = claim(&ann, "ann", 7).await.unwrap();
    let server = fixture.server("rocket");
    git(&server, &["update-ref", "refs/heads/bzzz-claims/7", lease.as_str()]);
    let bob = fixture.node("bob").await;
    assert_eq!(bob.read(&task()).await.unwrap().unwrap().record, None);
    let all = bob.read_all(&repo(), &[7]).await.unwrap();
    assert_eq!((all.len(), &all[0].1.record), (1, &None));
    assert_eq!(bob.list(&repo()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn claims_among_the_branches_are_no_code() {
    let fixture = Fixture::new();
    let void: TaskId = "acme/void#1".parse().unwrap();
    let ann = fixture.node("ann").await;
    let (lease, _) = claim(&ann, "ann", 7).await.unwrap();
    git(&fixture.server("rocket"), &["update-ref", "refs/heads/bzzz-claims/7", lease.as_str()]);
    let error = ann.refresh(&repo(), "bzzz-claims/7").await.unwrap_err();
    assert!(error.to_string().contains("is not a branch's name"), "{error}");
    let (server, from) = (fixture.server("void"), fixture.server("rocket"));
    git(&server, &["fetch", "--quiet", from.to_str().unwrap(), &format!("{lease}:refs/heads/bzzz-claims/9")]);
    let error = ann.read(&void).await.unwrap_err();
    assert_eq!(error, ClaimsError::EmptyRepository { repo: void.repo });
}
