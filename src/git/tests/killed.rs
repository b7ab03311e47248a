//! What a git that was killed in the middle leaves must not stand in the way of the next one.

use std::path::Path;
use std::time::{Duration, SystemTime};

use bzzz_actors::ports::claims::{Claims, Swap};
use bzzz_actors::ports::code::Code;

use super::fixture::{Fixture, git, record, repo, task};

/// A lock as a git leaves it that was killed `age` ago.
fn leave_lock(path: &Path, age: Duration) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

const LONG_AGO: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_is_killed_at_any_moment_does_not_stand_in_the_way_of_the_next() {
    let fixture = Fixture::new();
    let noise: Vec<u8> = (0..150_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(fixture.path("people/noise"), noise).unwrap();
    fixture.commit_and_push("Add noise");
    let began = std::time::Instant::now();
    fixture.node("bob").await.refresh(&repo(), "main").await.unwrap();
    let whole = began.elapsed();
    let aside = fixture.path("nodes/ann/mirrors/acme/rocket.git.broken");
    for n in 0..16_u32 {
        std::fs::write(fixture.path("people/n"), format!("{n}")).unwrap();
        let tip = fixture.commit_and_push("Next");
        let node = fixture.node("ann").await;
        // Dropping the call kills git, as the end of the node's process group does.
        let _ = tokio::time::timeout(whole * n / 14, node.refresh(&repo(), "main")).await;
        // Whatever lock is there is of the git that was just killed: let it grow old.
        for lock in locks_in(&fixture.path("nodes/ann/mirrors")) {
            leave_lock(&lock, LONG_AGO);
        }
        let node = fixture.node("ann").await;
        assert_eq!(node.refresh(&repo(), "main").await.unwrap().commit, tip, "kill {n}");
        assert!(!aside.exists(), "kill {n} cost a whole clone");
    }
    let left = super::super::left_overs::unfinished_packs(&fixture.path("nodes/ann/mirrors/acme/rocket.git"));
    assert_eq!(left, []);
}

fn locks_in(folder: &Path) -> Vec<std::path::PathBuf> {
    let found = std::process::Command::new("find").arg(folder).args(["-name", "*.lock"]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(Into::into).collect()
}

#[tokio::test]
async fn old_locks_in_a_mirror_are_removed_and_a_young_one_is_waited_for() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    node.refresh(&repo(), "main").await.unwrap();
    let mirror = fixture.path("nodes/ann/mirrors/acme/rocket.git");
    std::fs::write(fixture.path("people/new"), "x").unwrap();
    let tip = fixture.commit_and_push("Next");
    let young = mirror.join("refs/heads/main.lock");
    leave_lock(&young, Duration::ZERO);
    let error = node.refresh(&repo(), "main").await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(young.exists());
    let locks = ["refs/heads/main.lock", "packed-refs.lock", "shallow.lock", "objects/maintenance.lock"];
    for lock in locks {
        leave_lock(&mirror.join(lock), LONG_AGO);
    }
    std::fs::write(mirror.join("objects/pack/tmp_idx_x"), "x").unwrap();
    assert_eq!(node.refresh(&repo(), "main").await.unwrap().commit, tip);
    assert_eq!(locks_in(&mirror), Vec::<std::path::PathBuf>::new());
    assert!(!mirror.join("objects/pack/tmp_idx_x").exists());
    assert!(!mirror.with_extension("git.broken").exists());
}

#[tokio::test]
async fn an_old_lock_in_a_tasks_store_does_not_end_the_task() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let base = node.refresh(&repo(), "main").await.unwrap().commit;
    let sandbox = fixture.sandbox("s", &node.code_in(&task(), &base, None).await.unwrap());
    sandbox.write("n", "1\n");
    let tree = node.import(&task(), &base, sandbox.export(), &[]).await.unwrap().tree;
    let lock = fixture.path("nodes/ann/tasks/acme.rocket.7/objects.git/refs/heads/work.lock");
    leave_lock(&lock, Duration::ZERO);
    assert!(node.code_in(&task(), &base, Some(&tree)).await.unwrap_err().is_retryable());
    leave_lock(&lock, LONG_AGO);
    node.code_in(&task(), &base, Some(&tree)).await.unwrap();
}

#[tokio::test]
async fn an_old_lock_on_a_lease_that_was_seen_does_not_hide_the_next_one() {
    let fixture = Fixture::new();
    let (ann, bob) = (fixture.node("ann").await, fixture.node("bob").await);
    let first = ann.draft(None, &record("ann", 1, 1)).await.unwrap();
    assert_eq!(ann.swap(&task(), None, &first, None).await.unwrap(), Swap::Done);
    bob.read(&task()).await.unwrap();
    let second = ann.draft(Some(&first), &record("ann", 1, 2)).await.unwrap();
    assert_eq!(ann.swap(&task(), Some(&first), &second, None).await.unwrap(), Swap::Done);
    let claims = fixture.path("nodes/bob/claims.git");
    leave_lock(&claims.join("refs/seen/acme/rocket/7.lock"), LONG_AGO);
    leave_lock(&claims.join("packed-refs.lock"), LONG_AGO);
    assert_eq!(bob.read(&task()).await.unwrap().unwrap().sha, second);
    assert_eq!(git(&claims, &["rev-parse", "refs/seen/acme/rocket/7"]), second.as_str());
}
