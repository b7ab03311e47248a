//! The code's way in and out.

use bzzz_actors::ports::code::{Code, CodeError};
use bzzz_actors::task::RepoId;

use super::fixture::{Fixture, git, repo, task};

#[tokio::test]
async fn work_goes_out_comes_back_and_becomes_the_same_commit_each_time() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let base = node.refresh(&repo(), "main").await.unwrap();
    assert_eq!(base.branch, "main");
    let code = node.code_in(&task(), &base.commit, None).await.unwrap();
    let sandbox = fixture.sandbox("first", &code);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    assert_eq!(sandbox.git(&["remote"]), "");
    let host_path = fixture.path("").display().to_string();
    let leak =
        std::process::Command::new("grep").args(["-rl", &host_path]).arg(sandbox.tree.join(".git")).output();
    assert_eq!(String::from_utf8(leak.unwrap().stdout).unwrap(), "", "a path of the host is in the sandbox");
    assert!(!sandbox.tree.join(".git/hooks").exists());

    sandbox.write("src/fins.rs", "// four\n// fins\n");
    sandbox.write("README.md", "A rocket with fins.\n");
    std::fs::remove_file(sandbox.tree.join("LIESMICH")).unwrap();
    std::os::unix::fs::symlink("../README.md", sandbox.tree.join("src/readme")).unwrap();
    sandbox.write("bin", [0, 1, 2, 255]);
    let imported = node.import(&task(), &base.commit, sandbox.export(), &[]).await.unwrap();
    assert_eq!((imported.files, imported.insertions, imported.deletions), (5, 4, 2));
    assert!(imported.diff.contains("+// fins\n"), "{}", imported.diff);
    assert_eq!(imported.tree.as_str(), sandbox.git(&["write-tree"]));

    // What was made so far comes into a new sandbox, on another start of the node.
    let node = fixture.node("ann").await;
    let code = node.code_in(&task(), &base.commit, Some(&imported.tree)).await.unwrap();
    let again = fixture.sandbox("second", &code);
    assert_eq!(again.git(&["write-tree"]), imported.tree.as_str());
    assert_eq!(again.git(&["rev-parse", "HEAD"]), base.commit.as_str());

    let commit = node.commit(&task(), &base.commit, &imported.tree, "Add fins\n\nCloses #7").await.unwrap();
    assert_eq!(
        node.commit(&task(), &base.commit, &imported.tree, "Add fins\n\nCloses #7").await.unwrap(),
        commit
    );
    let store = fixture.path("nodes/ann/tasks/acme.rocket.7/objects.git");
    let shown = git(&store, &["show", "--no-patch", "--format=%an <%ae> %cn %P %T%n%B", commit.as_str()]);
    let expected =
        format!("Bzzz <bzzz@example.org> Bzzz {} {}\nAdd fins\n\nCloses #7", base.commit, imported.tree);
    assert_eq!(shown, expected);
    let times = git(&store, &["log", "-2", "--format=%ct", commit.as_str()]);
    let times: Vec<u64> = times.lines().map(|t| t.parse().unwrap()).collect();
    assert_eq!(times[0], times[1] + 1);

    node.forget(&task()).await.unwrap();
    node.forget(&task()).await.unwrap();
    assert!(!store.exists());
}

#[tokio::test]
async fn earlier_imports_stay_for_a_node_that_dies_before_it_recorded_the_last_one() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let base = node.refresh(&repo(), "main").await.unwrap().commit;
    let code = node.code_in(&task(), &base, None).await.unwrap();
    let sandbox = fixture.sandbox("s", &code);
    let mut trees = Vec::new();
    for n in 0..5 {
        sandbox.write("n", format!("{n}\n"));
        trees.push(node.import(&task(), &base, sandbox.export(), &[]).await.unwrap().tree);
    }
    for tree in &trees[3..] {
        node.code_in(&task(), &base, Some(tree)).await.unwrap();
    }
    let packs =
        std::fs::read_dir(fixture.path("nodes/ann/tasks/acme.rocket.7/objects.git/objects/pack")).unwrap();
    let packs = packs.flatten().filter(|e| e.path().extension().is_some_and(|x| x == "pack")).count();
    assert_eq!(packs, 3);
}

#[tokio::test]
async fn a_long_diff_is_cut_and_the_cut_is_said() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let base = node.refresh(&repo(), "main").await.unwrap().commit;
    let sandbox = fixture.sandbox("s", &node.code_in(&task(), &base, None).await.unwrap());
    sandbox.write("long", "a line of it\n".repeat(40_000));
    let imported = node.import(&task(), &base, sandbox.export(), &[]).await.unwrap();
    assert_eq!(imported.insertions, 40_000);
    assert!(imported.diff.len() < 270_000);
    assert!(
        imported.diff.ends_with("more bytes of the diff were left out]\n"),
        "{}",
        &imported.diff[262_000..]
    );
}

#[tokio::test]
async fn the_mirror_follows_the_branch_also_when_it_is_rewritten() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let first = node.refresh(&repo(), "main").await.unwrap().commit;
    git(&fixture.path("people"), &["commit", "--quiet", "--amend", "-m", "Another first stage"]);
    std::fs::write(fixture.path("people/new"), "x").unwrap();
    let second = fixture.commit_and_push("A second stage");
    assert_eq!(node.refresh(&repo(), "main").await.unwrap().commit, second);
    // A task that began before stays possible.
    node.code_in(&task(), &first, None).await.unwrap();
}

#[tokio::test]
async fn files_of_a_commit_are_read_as_text() {
    let fixture = Fixture::new();
    let people = fixture.path("people");
    std::fs::write(people.join(".bzzz.toml"), "checks = []\n").unwrap();
    std::fs::write(people.join("long"), "x".repeat(64 * 1024 + 1)).unwrap();
    std::fs::write(people.join("latin1"), b"caf\xe9").unwrap();
    let commit = fixture.commit_and_push("Set it up");
    let node = fixture.node("ann").await;
    assert_eq!(
        node.read_file(&repo(), &commit, ".bzzz.toml").await.unwrap().as_deref(),
        Some("checks = []\n")
    );
    assert_eq!(node.read_file(&repo(), &commit, "none").await.unwrap(), None);
    assert_eq!(node.read_file(&repo(), &commit, "src/engine.rs/x").await.unwrap(), None);
    for (path, words) in [
        ("long", "longer than"),
        ("latin1", "UTF-8"),
        ("LIESMICH", "regular"),
        ("src", "regular"),
        ("../x", "not a path"),
    ] {
        let repo = repo();
        let error = node.read_file(&repo, &commit, path).await.unwrap_err();
        assert!(matches!(&error, CodeError::Refused(text) if text.contains(words)), "{path}: {error}");
    }
}

#[tokio::test]
async fn an_empty_repository_a_missing_branch_and_a_missing_repository_are_told_apart() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let void: RepoId = "acme/void".parse().unwrap();
    assert_eq!(node.refresh(&void, "main").await.unwrap_err(), CodeError::EmptyRepository { repo: void });
    let missing = node.refresh(&repo(), "gone").await.unwrap_err();
    assert!(matches!(&missing, CodeError::Failed(text) if text.contains("has no branch gone")), "{missing}");
    let nowhere = node.refresh(&"acme/nowhere".parse().unwrap(), "main").await.unwrap_err();
    assert!(matches!(nowhere, CodeError::Denied { .. }), "{nowhere}");
    assert!(node.refresh(&repo(), "--upload-pack=x").await.is_err());
}

/// Overwrites every pack of the mirror with zeros.
fn damage(mirror: &std::path::Path) {
    for entry in std::fs::read_dir(mirror.join("objects/pack")).unwrap().flatten() {
        if entry.path().extension().is_some_and(|x| x == "pack") {
            let length = entry.metadata().unwrap().len();
            std::fs::remove_file(entry.path()).unwrap();
            std::fs::write(entry.path(), vec![0; usize::try_from(length).unwrap()]).unwrap();
        }
    }
}

#[tokio::test]
async fn a_damaged_mirror_is_moved_aside_and_fetched_anew() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let base = node.refresh(&repo(), "main").await.unwrap().commit;
    let mirror = fixture.path("nodes/ann/mirrors/acme/rocket.git");
    let aside = fixture.path("nodes/ann/mirrors/acme/rocket.git.broken");

    damage(&mirror);
    assert_eq!(node.refresh(&repo(), "main").await.unwrap().commit, base);
    assert!(aside.exists());
    damage(&mirror);
    node.code_in(&task(), &base, None).await.unwrap();
    std::fs::remove_dir_all(mirror.join("objects")).unwrap();
    std::fs::write(mirror.join("HEAD"), "").unwrap();
    assert_eq!(node.refresh(&repo(), "main").await.unwrap().commit, base);
}

#[tokio::test]
async fn a_blob_that_is_missing_in_the_mirror_is_noticed_when_the_code_is_packed() {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let base = node.refresh(&repo(), "main").await.unwrap().commit;
    let mirror = fixture.path("nodes/ann/mirrors/acme/rocket.git");
    // The mirror as loose objects, without one of them.
    let pack = std::fs::read_dir(mirror.join("objects/pack")).unwrap().flatten().map(|e| e.path());
    let pack = pack.into_iter().find(|p| p.extension().is_some_and(|x| x == "pack")).unwrap();
    let bytes = std::fs::read(&pack).unwrap();
    for extension in ["pack", "idx", "rev"] {
        let _ = std::fs::remove_file(pack.with_extension(extension));
    }
    super::fixture::git_with(&mirror, &["unpack-objects", "-q"], &bytes);
    let blob = git(&fixture.path("people"), &["rev-parse", "HEAD:README.md"]);
    std::fs::remove_file(mirror.join("objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let code = node.code_in(&task(), &base, None).await.unwrap();
    assert_eq!(fixture.sandbox("s", &code).git(&["show", "HEAD:README.md"]), "A rocket.");
}

#[tokio::test]
async fn a_repository_over_the_limit_is_not_fetched() {
    let fixture = Fixture::new();
    let noise: Vec<u8> = (0..400_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(fixture.path("people/noise"), noise).unwrap();
    fixture.commit_and_push("Add noise");
    let node = fixture.node_with("ann", |options| options.limits.repository_bytes = 100_000).await;
    let error = node.refresh(&repo(), "main").await.unwrap_err();
    assert!(matches!(&error, CodeError::Failed(text) if text.contains("larger than the limit")), "{error}");
}
