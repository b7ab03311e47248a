//! Contents and names that make the node do long work, take the attacker's words for its own, or publish what it should
//! not.

use std::time::{Duration, Instant};

use crate::fixture::{Fixture, git, git_with};
use crate::import::Stage;

crate::cases! {
    a_key_s_beginning_again_and_again,
    a_private_key_in_utf_16,
    a_key_beside_a_large_file_that_goes,
    a_refusal_that_speaks_of_a_full_disk,
    a_pointer_behind_blank_lines,
    a_pointer_before_blank_lines,
    a_pointer_of_an_older_format,
    a_base_with_deep_folders,
}

/// For work of some megabytes, on a machine that runs other tests too.
const SOON: Duration = Duration::from_secs(20);
/// The longest that other tasks of the same thread may wait.
const SHORT: Duration = Duration::from_secs(2);

/// How long this thread was kept from all else at most, while `work` went on.
async fn longest_wait<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    loop {
        tokio::select! {
            done = &mut work => return (done, longest.max(last.elapsed())),
            _ = ticks.tick() => {
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
        }
    }
}

async fn a_key_s_beginning_again_and_again() {
    let stage = Stage::new().await;
    for begin in ["sk-ant-", "glpat-", "xoxb-", "-----BEGIN PRIVATE KEY-----"] {
        stage.sandbox.write("a.txt", begin.repeat(1_000_000 / begin.len()));
        let bundle = stage.sandbox.export();
        let started = Instant::now();
        let (taken, waited) = longest_wait(stage.import(bundle)).await;
        let took = started.elapsed();
        println!("{begin}: {took:?}, and others waited for {waited:?}");
        assert_eq!(taken.unwrap().files, 1);
        assert!(took < SOON && waited < SHORT, "{begin}: {took:?} {waited:?}");
    }
}

/// In pieces, so that this file holds nothing that looks like a key.
fn private_key() -> String {
    format!("-----BEGIN RSA {}-----\r\n{}\r\n", "PRIVATE KEY", "a8Bk2Zx9QwE7rTy3Ui5Op1As6Df4GhJ0Lc".repeat(8))
}

async fn a_private_key_in_utf_16() {
    let stage = Stage::new().await;
    for mark in ["", "\u{feff}", "deploy with: "] {
        let text = format!("{mark}{}", private_key());
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [little, big] {
            stage.sandbox.write("deploy.pem", bytes);
            stage.refused(stage.sandbox.export(), "\"deploy.pem\", line 1, holds a private key").await;
        }
    }
}

/// The file of the base is longer than one that is looked into.
async fn a_key_beside_a_large_file_that_goes() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("people/data"), "0123456789abcdef\n".repeat(700_000)).unwrap();
    fixture.commit_and_push("Data");
    let stage = Stage::of(fixture, |_| {}).await;
    std::fs::remove_file(stage.sandbox.tree.join("data")).unwrap();
    stage.sandbox.write("deploy.pem", private_key());
    stage.refused(stage.sandbox.export(), "\"deploy.pem\", line 1, holds a private key").await;
    std::fs::remove_file(stage.sandbox.tree.join("deploy.pem")).unwrap();
    assert_eq!(stage.import(stage.sandbox.export()).await.unwrap().files, 1);
}

/// What git says of the objects quotes them.
async fn a_refusal_that_speaks_of_a_full_disk() {
    let stage = Stage::new().await;
    for quoted in [
        "[submodule \"../No space left on device\"]\n\tpath = x\n\turl = https://example.org/x\n",
        "[submodule \"../x: Out of memory, malloc failed\"]\n\tpath = x\n\turl = https://example.org/x\n",
        "[submodule \"x\"]\n\tpath = x\n\turl = \"-x\\nfatal: write error: No space left on device\"\n",
        "[submodule \"x\"]\n\tpath = \"-x\\nfatal: write error: Input/output error\\n\"\n\turl = https://example.org/x\n",
    ] {
        stage.sandbox.write(".gitmodules", quoted);
        stage.refused(stage.sandbox.export(), "git does not accept").await;
    }
    // So much of it that git's own words behind it are cut.
    let lines = "\\nfatal: write error: No space left on device".repeat(2000);
    stage.sandbox.write(".gitmodules", format!("[submodule \"x\"]\n\tpath = x\n\turl = \"-{lines}\"\n"));
    stage.refused(stage.sandbox.export(), "git does not accept").await;
}

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";

async fn a_pointer_behind_blank_lines() {
    let stage = Stage::new().await;
    for before in
        ["\n", "\r\n\r\n", " \t\u{b}\u{c}", "\u{85}\u{a0}\u{2003}", "\u{feff}", "ext-0-x sha256:00\n"]
    {
        stage.sandbox.write("model.bin", format!("{before}{POINTER}"));
        stage.refused(stage.sandbox.export(), "LFS").await;
    }
}

/// It is longer than a pointer is, and read as one.
async fn a_pointer_before_blank_lines() {
    let stage = Stage::new().await;
    for behind in ["\n".repeat(1000), " ".repeat(70_000), "x".repeat(2000)] {
        stage.sandbox.write("model.bin", format!("{POINTER}{behind}"));
        stage.refused(stage.sandbox.export(), "LFS").await;
    }
}

async fn a_pointer_of_an_older_format() {
    let stage = Stage::new().await;
    for pointer in [
        "version https://hawser.github.com/spec/v1\noid sha256:00\nsize 1\n".to_owned(),
        "version http://git-media.io/v/2\noid sha256:00\nsize 1\n".to_owned(),
        "[git-media]\nversion=\"http://git-media.io/v/2\"\noid=00\nsize=1\n".to_owned(),
        format!("# git-media\n{}\n", "0a".repeat(32)),
        format!("# external\n{}\n", "0a".repeat(32)),
    ] {
        stage.sandbox.write("model.bin", pointer);
        stage.refused(stage.sandbox.export(), "LFS").await;
    }
    // What speaks of pointers is none.
    stage.sandbox.write("model.bin", format!("# Large files\n\nA pointer is\n\n{POINTER}"));
    stage.sandbox.write("src/version.sh", "version git-lfs\n");
    assert_eq!(stage.import(stage.sandbox.export()).await.unwrap().files, 2);
}

/// Each of the paths has thousands of folders. That the base has them is not the model's doing: the work is taken.
async fn a_base_with_deep_folders() {
    const DEPTH: usize = 1900;
    const FILES: usize = 5000;
    let fixture = Fixture::new();
    let (people, server) = (fixture.path("people"), fixture.server("rocket"));
    let folder = "a/".repeat(DEPTH);
    let files: String = (0..FILES).map(|it| format!("M 100644 :1 {folder}{it}\n")).collect();
    let commit =
        "commit refs/heads/deep\ncommitter ann <ann@example.org> 1 +0000\ndata 0\nfrom refs/heads/main^0\n";
    let input = format!("blob\nmark :1\ndata 1\nx\n{commit}{files}\n");
    git_with(&people, &["fast-import", "--quiet"], input.as_bytes());
    git(&people, &["push", "--quiet", server.to_str().unwrap(), "refs/heads/deep:refs/heads/main"]);
    let stage = Stage::without_a_work_tree(fixture).await;

    let blob = stage.sandbox.blob("x\n");
    let work = stage.sandbox.bundle_of(&stage.sandbox.tree_with(&[&format!("100644 blob {blob}\tb")]));
    let started = Instant::now();
    let (taken, waited) = longest_wait(stage.import(work)).await;
    let took = started.elapsed();
    println!("{took:?}, and others waited for {waited:?}");
    assert_eq!(taken.unwrap().files, 1);
    assert!(took < SOON && waited < SHORT, "{took:?} {waited:?}");

    let other = stage.sandbox.bundle_of(&stage.sandbox.tree_with(&[&format!("100644 blob {blob}\tA")]));
    let error = stage.import(other).await.unwrap_err().to_string();
    assert!(error.contains("upper and lower case"), "{error}");
}
