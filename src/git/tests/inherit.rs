//! Work that an earlier owner of a task pushed.

use bzzz_actors::ports::code::{Code, CodeError, Pushed};
use bzzz_actors::task::{Base, Sha};

use super::fixture::{Fixture, git, repo, task};
use crate::git::Git;

const BRANCH: &str = "refs/heads/bzzz/issue-7";

/// A person's commit with these files on top of the people's work tree, pushed as the task's branch.
fn push(fixture: &Fixture, files: &[(&str, &[u8])]) -> Sha {
    let tree = fixture.path("people");
    for (path, content) in files {
        let path = tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    git(&tree, &["add", "-A"]);
    git(&tree, &["commit", "--quiet", "-m", "Add fins"]);
    push_head(fixture);
    let commit = git(&tree, &["rev-parse", "HEAD"]).parse().unwrap();
    git(&tree, &["reset", "--quiet", "--hard", "HEAD~1"]);
    commit
}

fn push_head(fixture: &Fixture) {
    let server = fixture.server("rocket");
    let to = format!("HEAD:{BRANCH}");
    git(&fixture.path("people"), &["push", "--quiet", "--force", server.to_str().unwrap(), &to]);
}

async fn newest(node: &Git) -> Base {
    node.refresh(&repo(), "main").await.unwrap()
}

async fn pushed(node: &Git) -> Pushed {
    node.pushed(&task(), &newest(node).await).await.unwrap().unwrap()
}

async fn refusal(node: &Git, base: &Base, commit: &Sha) -> String {
    match node.inherit(&task(), &base.commit, commit, &[]).await.unwrap_err() {
        CodeError::Refused(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_branch_is_gone_on_from_where_it_began() {
    let fixture = Fixture::new();
    let bob = fixture.node("bob").await;
    let began_at = newest(&bob).await;
    assert_eq!(bob.pushed(&task(), &began_at).await.unwrap(), None, "nobody has pushed");
    let commit = push(&fixture, &[("src/fins.rs", b"// four\n// fins\n")]);
    // The branch to work from has moved on meanwhile.
    std::fs::write(fixture.path("people/NEWS"), "A new engine.\n").unwrap();
    fixture.commit_and_push("News");

    assert_eq!(pushed(&bob).await, Pushed { commit: commit.clone(), base: Ok(began_at.clone()) });
    let taken = bob.inherit(&task(), &began_at.commit, &commit, &[]).await.unwrap();
    assert_eq!((taken.files, taken.insertions, taken.deletions), (1, 2, 0));
    assert!(taken.diff.contains("+// fins\n"), "{}", taken.diff);

    // As work done so far it comes into a sandbox, also on another start of the node, and becomes one commit on its base.
    let bob = fixture.node("bob").await;
    let code = bob.code_in(&task(), &began_at.commit, Some(&taken.tree)).await.unwrap();
    let sandbox = fixture.sandbox("second", &code);
    assert_eq!(sandbox.git(&["diff", "--name-only", "HEAD"]), "src/fins.rs");
    sandbox.write("src/nose.rs", "// round\n");
    let imported = bob.import(&task(), &began_at.commit, sandbox.export(), &[]).await.unwrap();
    assert_eq!(imported.files, 2);
    let next = bob.commit(&task(), &began_at.commit, &imported.tree, "Add fins and a nose").await.unwrap();
    let store = fixture.path("nodes/bob/tasks/acme.rocket.7/objects.git");
    assert_eq!(
        git(&store, &["rev-list", "--parents", "-1", next.as_str()]),
        format!("{next} {}", began_at.commit)
    );
}

#[tokio::test]
async fn several_commits_are_taken_as_one_tree() {
    let fixture = Fixture::new();
    let bob = fixture.node("bob").await;
    let began_at = newest(&bob).await;
    let tree = fixture.path("people");
    for (name, content) in [("a", "1\n"), ("b", "2\n")] {
        std::fs::write(tree.join(name), content).unwrap();
        git(&tree, &["add", "-A"]);
        git(&tree, &["commit", "--quiet", "-m", name]);
    }
    push_head(&fixture);
    let Pushed { commit, base } = pushed(&bob).await;
    assert_eq!(base, Ok(began_at.clone()));
    assert_eq!(bob.inherit(&task(), &began_at.commit, &commit, &[]).await.unwrap().files, 2);
}

#[tokio::test]
async fn a_branch_of_another_history_or_without_work_is_left() {
    let fixture = Fixture::new();
    let bob = fixture.node("bob").await;
    git(&fixture.server("rocket"), &["update-ref", BRANCH, "main"]);
    assert_eq!(pushed(&bob).await.base, Err("main has all of it already".to_owned()));
    let tree = fixture.path("people");
    git(&tree, &["checkout", "--quiet", "--orphan", "other"]);
    git(&tree, &["commit", "--quiet", "-m", "Another beginning"]);
    push_head(&fixture);
    assert_eq!(pushed(&bob).await.base, Err("it has no commit in common with main".to_owned()));
}

/// Whoever may push may have made it: what no sandbox may make is not taken from there either.
#[tokio::test]
async fn what_breaks_the_rules_of_an_import_is_left() {
    let fixture = Fixture::new();
    let bob = fixture.node("bob").await;
    let base = newest(&bob).await;
    let commit = push(&fixture, &[(".github/workflows/ci.yml", b"on: push\n")]);
    let why = refusal(&bob, &base, &commit).await;
    assert!(why.contains(".github/workflows/ci.yml"), "{why}");

    let commit = push(&fixture, &[("src/fins.rs", b"// fins\n")]);
    let only_docs = ["docs/**".parse().unwrap()];
    let error = bob.inherit(&task(), &base.commit, &commit, &only_docs).await.unwrap_err();
    assert!(matches!(error, CodeError::Refused(_)), "{error}");
    let store = fixture.path("nodes/bob/tasks/acme.rocket.7/objects.git");
    assert!(!store.exists(), "nothing of it was kept");
}

#[tokio::test]
async fn a_branch_that_is_too_large_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let limit = 512 * 1024;
    let bob = fixture.node_with("bob", |options| {
        (options.limits.bundle_bytes, options.limits.changed_bytes) = (limit, limit);
    });
    let bob = bob.await;
    newest(&bob).await;
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(4 * 1024 * 1024)
    .collect();
    push(&fixture, &[("noise", &noise)]);
    let Err(why) = pushed(&bob).await.base else { panic!("it was taken") };
    assert!(why.contains("larger than what is taken"), "{why}");
    assert_eq!(std::fs::read_dir(fixture.path("nodes/bob/git-work")).unwrap().count(), 1, "only git's home");
}

#[tokio::test]
async fn a_branch_that_moves_meanwhile_is_looked_at_again() {
    let fixture = Fixture::new();
    let bob = fixture.node("bob").await;
    let base = newest(&bob).await;
    let first = push(&fixture, &[("a", b"1\n")]);
    push(&fixture, &[("a", b"2\n")]);
    let error = bob.inherit(&task(), &base.commit, &first, &[]).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}
