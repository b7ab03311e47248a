//! What is collected, and what stays.

use std::path::Path;
use std::time::{Duration, SystemTime};

use bzzz_actors::ports::claims::{Claims, Swap};
use bzzz_actors::ports::code::{Code, CodeError};
use bzzz_actors::task::{RepoId, Sha, TaskId};

use super::fixture::{Fixture, git, record, repo, task};
use crate::git::{Collected, Git, InUse};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn in_days(days: u32) -> SystemTime {
    SystemTime::now() + DAY * days
}

fn standing_on(base: Option<&Sha>) -> Vec<InUse> {
    vec![InUse { task: task(), base: base.cloned() }]
}

fn mirror(fixture: &Fixture) -> std::path::PathBuf {
    fixture.path("nodes/ann/mirrors/acme/rocket.git")
}

fn has_object(repository: &Path, id: &Sha) -> bool {
    let args = ["cat-file", "-e", id.as_str()];
    std::process::Command::new("git").current_dir(repository).args(args).status().unwrap().success()
}

async fn mirrors_removed(node: &Git, in_use: &[InUse], days: u32) -> usize {
    node.collect(in_use, in_days(days)).await.mirrors
}

#[tokio::test]
async fn a_mirror_goes_when_nobody_has_fetched_from_it_for_two_weeks_and_comes_back_when_it_is_needed() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let base = node.refresh(&repo(), "main").await.unwrap().commit;
    let archive = node.code_in(&task(), &base, None).await.unwrap().archive;
    assert_eq!(mirrors_removed(&node, &[], 13).await, 0);
    assert_eq!(mirrors_removed(&node, &standing_on(Some(&base)), 400).await, 0, "a task stands on it");
    assert_eq!(mirrors_removed(&node, &standing_on(None), 400).await, 0, "a task is about to");
    assert!(mirror(&fixture).exists() && archive.exists());

    // A repository whose name begins alike is another one.
    let other = InUse { task: "acme/rocket-2#7".parse().unwrap(), base: None };
    assert_eq!(mirrors_removed(&node, &[other], 15).await, 1);
    assert!(!mirror(&fixture).exists() && !archive.exists());
    let left =
        std::fs::read_dir(fixture.path("nodes/ann/git-work")).unwrap().flatten().map(|it| it.file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["empty"]);

    assert!(node.code_in(&task(), &base, None).await.unwrap().archive.exists());
    assert_eq!(node.refresh(&repo(), "main").await.unwrap().commit, base);
}

#[tokio::test]
async fn each_fetch_keeps_a_mirror_and_an_unmarked_one_begins_to_grow_old() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    node.refresh(&repo(), "main").await.unwrap();
    let mark = mirror(&fixture).join("fetched");
    let long_ago = SystemTime::now() - DAY * 100;
    std::fs::File::options().append(true).open(&mark).unwrap().set_modified(long_ago).unwrap();
    node.refresh(&repo(), "main").await.unwrap();
    assert_eq!(mirrors_removed(&node, &[], 0).await, 0, "it was fetched into just now, with nothing new");

    std::fs::remove_file(&mark).unwrap();
    assert_eq!(mirrors_removed(&node, &[], 100).await, 0, "how old it is was not known");
    assert_eq!(mirrors_removed(&node, &[], 113).await, 0);
    assert_eq!(mirrors_removed(&node, &[], 114).await, 1);
}

#[tokio::test]
async fn a_task_that_comes_while_its_mirror_is_collected_finds_one() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    node.refresh(&repo(), "main").await.unwrap();
    for _ in 0..5 {
        let (repo, now) = (repo(), in_days(20));
        let (_, base) = tokio::join!(node.collect(&[], now), node.refresh(&repo, "main"));
        let base = base.unwrap().commit;
        node.code_in(&task(), &base, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_mirror_that_was_set_aside_is_kept_for_two_weeks() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    node.refresh(&repo(), "main").await.unwrap();
    std::fs::write(mirror(&fixture).join("HEAD"), "").unwrap();
    node.refresh(&repo(), "main").await.unwrap();
    let aside = fixture.path("nodes/ann/mirrors/acme/rocket.git.broken");
    assert!(aside.exists());
    assert_eq!(mirrors_removed(&node, &standing_on(None), 13).await, 0);
    assert_eq!(mirrors_removed(&node, &standing_on(None), 14).await, 1);
    assert!(!aside.exists() && mirror(&fixture).exists());
}

#[tokio::test]
async fn a_first_fetch_that_fails_leaves_no_mirror() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let nowhere: RepoId = "acme/nowhere".parse().unwrap();
    assert!(matches!(node.refresh(&nowhere, "main").await, Err(CodeError::Denied { .. })));
    assert!(node.refresh(&repo(), "gone").await.is_err());
    assert!(!fixture.path("nodes/ann/mirrors/acme").exists());
}

#[tokio::test]
async fn what_was_rewritten_on_the_server_goes_in_time_and_what_a_task_stands_on_stays() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let stood_on = node.refresh(&repo(), "main").await.unwrap().commit;
    let mut rewritten = Vec::new();
    for n in 0..3 {
        git(&fixture.path("people"), &["commit", "--quiet", "--amend", "-m", &format!("Stage {n}")]);
        std::fs::write(fixture.path("people/new"), format!("{n}")).unwrap();
        rewritten.push(fixture.commit_and_push("Next"));
        node.refresh(&repo(), "main").await.unwrap();
    }
    let tip = rewritten.pop().unwrap();
    let packs = || super::super::mirror::Mirrors::packs(&mirror(&fixture));
    assert_eq!(packs(), 4);

    let tidied = |tidied| Collected { mirrors: 0, tidied };
    let in_use = standing_on(Some(&stood_on));
    assert_eq!(node.collect(&in_use, in_days(0)).await, tidied(1));
    assert_eq!(packs(), 2, "what branches hold, and what they don't");
    assert!(rewritten.iter().all(|commit| has_object(&mirror(&fixture), commit)), "it is young");
    assert_eq!(node.collect(&in_use, in_days(6)).await, tidied(0), "not again so soon");

    // The packs grow old.
    for entry in std::fs::read_dir(mirror(&fixture).join("objects/pack")).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|it| it == "mtimes") {
            make_cruft_old(&path);
        }
    }
    assert_eq!(node.collect(&in_use, in_days(8)).await, tidied(1));
    assert!(!rewritten.iter().any(|commit| has_object(&mirror(&fixture), commit)));
    assert!(has_object(&mirror(&fixture), &tip) && has_object(&mirror(&fixture), &stood_on));
    node.code_in(&task(), &stood_on, None).await.unwrap();

    // The task has ended.
    assert_eq!(git(&mirror(&fixture), &["for-each-ref", "refs/kept"]).lines().count(), 1);
    node.refresh(&repo(), "main").await.unwrap();
    assert_eq!(node.collect(&[], in_days(13)).await, tidied(0));
    assert_eq!(node.collect(&standing_on(None), in_days(16)).await, tidied(1));
    assert_eq!(git(&mirror(&fixture), &["for-each-ref", "refs/kept"]), "");
}

/// Lets all objects of a pack that nothing holds have come in 1970: git keeps the times in a table of the format
/// `MTME`, version, hash, one number of four bytes for each object, and two check sums (gitformat-pack).
fn make_cruft_old(table: &Path) {
    let bytes = std::fs::read(table).unwrap();
    let count = (bytes.len() - 12 - 40) / 4;
    let mut made = bytes[..12].to_vec();
    made.extend(std::iter::repeat_n([0, 0, 0, 1], count).flatten());
    made.extend(&bytes[bytes.len() - 40..bytes.len() - 20]);
    // Git does not look at the table's own check sum when it reads the times.
    made.extend([0; 20]);
    std::fs::remove_file(table).unwrap();
    std::fs::write(table, made).unwrap();
}

#[tokio::test]
async fn only_unfinished_tasks_keep_their_stores() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let base = node.refresh(&repo(), "main").await.unwrap().commit;
    let other: TaskId = "acme/rocket#70".parse().unwrap();
    for task in [&task(), &other] {
        let sandbox = fixture.sandbox(&task.slug(), &node.code_in(task, &base, None).await.unwrap());
        sandbox.write("n", "1\n");
        node.import(task, &base, sandbox.export(), &[]).await.unwrap();
    }
    let stores = || std::fs::read_dir(fixture.path("nodes/ann/tasks")).unwrap().count();
    assert_eq!(stores(), 2);
    assert_eq!(node.collect_stores(&standing_on(Some(&base))).await.unwrap(), 1);
    assert!(fixture.path("nodes/ann/tasks/acme.rocket.7/objects.git").exists());
    assert_eq!(node.collect_stores(&[]).await.unwrap(), 1);
    assert_eq!(stores(), 0);
}

#[tokio::test]
async fn leases_of_long_ago_are_let_go_and_fetched_again() {
    let fixture = Fixture::new();
    let (ann, bob) = (fixture.node("ann").await, fixture.node("bob").await);
    let lease = ann.draft(None, &record("ann", 1, 1)).await.unwrap();
    assert_eq!(ann.swap(&task(), None, &lease, None).await.unwrap(), Swap::Done);
    bob.read(&task()).await.unwrap();
    let seen = || git(&fixture.path("nodes/bob/claims.git"), &["for-each-ref"]).lines().count();
    bob.collect(&[], in_days(13)).await;
    assert_eq!(seen(), 1);
    bob.collect(&[], in_days(15)).await;
    assert_eq!(seen(), 0);
    assert_eq!(bob.read(&task()).await.unwrap().unwrap().record, Some(record("ann", 1, 1)));
}
