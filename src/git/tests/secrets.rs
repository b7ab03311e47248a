//! Secrets in the work of a sandbox.

use bzzz_actors::ports::code::{Code, CodeError};

use super::fixture::{Fixture, Sandbox, git, repo, task};
use crate::git::Git;
use crate::secrets::Secrets;

const OWN: &str = "the-very-token-of-this-node";

/// In pieces, so that this file holds nothing that looks like a key.
fn github_token(seed: &str) -> String {
    format!("ghp_{seed}8Bk2Zx9QwE7rTy3Ui5Op1As6Df4GhJ0LcVbN")
}

async fn stage(fixture: &Fixture) -> (Git, Sandbox) {
    let own = Secrets::with_own([("the node's forge token", OWN.into())]);
    let node = fixture.node_with("ann", |options| options.secrets = own).await;
    let base = node.refresh(&repo(), "main").await.unwrap().commit;
    let sandbox = fixture.sandbox("s", &node.code_in(&task(), &base, None).await.unwrap());
    (node, sandbox)
}

async fn refused(node: &Git, sandbox: &Sandbox) -> String {
    match node.import(&task(), &sandbox.base, sandbox.export(), &[]).await.unwrap_err() {
        CodeError::Refused(text) => text,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_a_change_adds_is_told_with_its_place_and_not_shown() {
    let fixture = Fixture::new();
    let (node, sandbox) = stage(&fixture).await;
    let token = github_token("a");
    sandbox.write("src/config.rs", format!("// one\n// two\nconst TOKEN: &str = \"{token}\";\n"));
    sandbox.write("binary", [b"\0\xff".as_slice(), OWN.as_bytes(), b"\0"].concat());
    let problem = refused(&node, &sandbox).await;
    assert!(problem.contains("\"src/config.rs\", line 3, holds what looks like a GitHub token"), "{problem}");
    assert!(problem.contains("\"binary\", line 1, holds the node's forge token"), "{problem}");
    assert!(!problem.contains(&token) && !problem.contains(OWN), "{problem}");
    assert!(!fixture.path("nodes/ann/tasks/acme.rocket.7").exists(), "nothing of it was kept");

    sandbox.write("src/config.rs", format!("const TOKEN: &str = \"ghp_{}\";\n", "x".repeat(36)));
    sandbox.write("binary", "\0");
    assert_eq!(node.import(&task(), &sandbox.base, sandbox.export(), &[]).await.unwrap().files, 2);
}

#[tokio::test]
async fn what_the_base_has_already_may_stay_and_move() {
    let fixture = Fixture::new();
    let token = github_token("b");
    std::fs::write(fixture.path("people/fixture.txt"), format!("token {token}\n")).unwrap();
    fixture.commit_and_push("A token of long ago");
    let (node, sandbox) = stage(&fixture).await;
    sandbox.write("fixture.txt", format!("another line\ntoken {token}\n"));
    node.import(&task(), &sandbox.base, sandbox.export(), &[]).await.unwrap();
    git(&sandbox.tree, &["mv", "fixture.txt", "moved.txt"]);
    node.import(&task(), &sandbox.base, sandbox.export(), &[]).await.unwrap();
    sandbox.write("moved.txt", format!("token {token}\ntoken {}\n", github_token("c")));
    assert!(refused(&node, &sandbox).await.contains("\"moved.txt\", line 2"));
}

/// However much of the base goes, the small files of it are looked into: one that moves may keep what it holds.
#[tokio::test]
async fn what_moves_beside_large_files_that_go_is_known() {
    let fixture = Fixture::new();
    let token = github_token("e");
    std::fs::write(fixture.path("people/z.txt"), format!("token {token}\n")).unwrap();
    for n in 0..3 {
        std::fs::write(fixture.path("people").join(format!("data{n}")), format!("{n}\n").repeat(500_000))
            .unwrap();
    }
    fixture.commit_and_push("A token of long ago, and data");
    let node = fixture.node_with("ann", |options| options.limits.changed_bytes = 2_000_000).await;
    let base = node.refresh(&repo(), "main").await.unwrap().commit;
    let sandbox = fixture.sandbox("s", &node.code_in(&task(), &base, None).await.unwrap());
    git(&sandbox.tree, &["rm", "--quiet", "data0", "data1", "data2"]);
    git(&sandbox.tree, &["mv", "z.txt", "moved.txt"]);
    assert_eq!(node.import(&task(), &sandbox.base, sandbox.export(), &[]).await.unwrap().files, 5);
    sandbox.write("moved.txt", github_token("f"));
    assert!(refused(&node, &sandbox).await.contains("\"moved.txt\", line 1"));
}

#[tokio::test]
async fn a_name_of_a_file_is_published_too() {
    let fixture = Fixture::new();
    for (path, words) in [
        (format!("log-{OWN}.txt"), "the name of a new file holds the node's forge token"),
        (format!("{}/x", github_token("d")), "the name of a new file holds what looks like"),
        ("keys/ID_RSA".to_owned(), "is a file for keys"),
    ] {
        let (node, sandbox) = stage(&fixture).await;
        sandbox.write(&path, "x");
        let problem = refused(&node, &sandbox).await;
        assert!(problem.contains(words) && !problem.contains(OWN), "{problem}");
        std::fs::remove_dir_all(&sandbox.tree).unwrap();
    }
}

#[tokio::test]
async fn many_large_files_are_looked_into() {
    let fixture = Fixture::new();
    let (node, sandbox) = stage(&fixture).await;
    for n in 0..4 {
        sandbox.write(&format!("n{n}"), format!("{}{n}\n", "plain text\n".repeat(300_000)));
    }
    sandbox.write("z", format!("{}{OWN}\n", "plain text\n".repeat(300_000)));
    assert!(refused(&node, &sandbox).await.contains("\"z\", line 300001, holds the node's"));
}

#[tokio::test]
async fn a_commits_message_holds_none() {
    let fixture = Fixture::new();
    let (node, sandbox) = stage(&fixture).await;
    sandbox.write("new", "x");
    let tree = node.import(&task(), &sandbox.base, sandbox.export(), &[]).await.unwrap().tree;
    let message = format!("Use {OWN}\n\nCloses #7\n");
    assert_eq!(node.secret_in(&message).as_deref(), Some("the node's forge token"));
    let commit = node.commit(&task(), &sandbox.base, &tree, &message).await.unwrap();
    let store = fixture.path("nodes/ann/tasks/acme.rocket.7/objects.git");
    let shown = git(&store, &["log", "-1", "--format=%B", commit.as_str()]);
    assert_eq!(shown, "Use [removed: the node's forge token]\n\nCloses #7");
}
