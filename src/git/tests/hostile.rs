//! Bundles of a sandbox that is in somebody else's hands.

use std::time::Duration;

use bzzz_actors::ports::code::{Code, CodeError, ImportedTree};
use bzzz_actors::ports::sandbox::WorkBundle;

use super::fixture::{Fixture, Sandbox, repo, task};
use crate::git::{Git, GitOptions};

struct Stage {
    fixture: Fixture,
    node: Git,
    sandbox: Sandbox,
}

impl Stage {
    async fn new(change: impl FnOnce(&mut GitOptions)) -> Self {
        let fixture = Fixture::new();
        let node = fixture.node_with("ann", change).await;
        let base = node.refresh(&repo(), "main").await.unwrap().commit;
        let sandbox = fixture.sandbox("s", &node.code_in(&task(), &base, None).await.unwrap());
        Self { fixture, node, sandbox }
    }

    async fn import(&self, bundle: WorkBundle) -> Result<ImportedTree, CodeError> {
        self.node.import(&task(), &self.sandbox.base, bundle).await
    }

    /// Imports, sees it refused with these words, and sees that nothing of it was kept.
    async fn refused(&self, bundle: WorkBundle, words: &str) {
        let error = self.import(bundle).await.unwrap_err();
        assert!(matches!(&error, CodeError::Refused(text) if text.contains(words)), "{words}: {error}");
        assert!(!self.fixture.path("nodes/ann/tasks/acme.rocket.7").exists());
        assert_eq!(std::fs::read_dir(self.fixture.path("nodes/ann/git-work")).unwrap().count(), 1);
    }

    async fn refused_tree(&self, entries: &[&str], words: &str) {
        let tree = self.sandbox.tree_with(entries);
        self.refused(self.sandbox.bundle_of(&tree), words).await;
    }
}

#[tokio::test]
async fn trees_that_could_harm_a_reader_are_refused() {
    let stage = Stage::new(|_| {}).await;
    let blob = stage.sandbox.blob("x\n");
    let out = stage.sandbox.blob("../../etc/passwd");
    let root = stage.sandbox.blob("/etc/passwd");
    let behind = stage.sandbox.blob("src/../../x");
    let dot_git = stage.sandbox.blob(".git/config");
    for target in [&out, &root, &behind, &dot_git] {
        stage.refused_tree(&[&format!("120000 blob {target}\tlink")], "").await;
    }
    let gitlink = format!("160000 commit {}\tvendor", stage.sandbox.base);
    stage.refused_tree(&[&gitlink], "submodule").await;
    let folder = stage.sandbox.folder_with(&[&format!("100644 blob {blob}\tconfig")]);
    for name in [".GIT", "git~1", ".git ", ".g\u{200c}it"] {
        stage.refused_tree(&[&format!("040000 tree {folder}\t{name}")], "").await;
    }
    let modules = stage.sandbox.blob("[submodule \"x\"]\n\tpath = x\n\turl = -u./payload\n");
    stage.refused_tree(&[&format!("100644 blob {modules}\t.gitmodules")], "").await;
    let innocent = stage.sandbox.blob("# nothing\n");
    stage.refused_tree(&[&format!("100644 blob {innocent}\t.gitmodules")], "submodules are not taken").await;
    for (name, words) in [("-rf", "dash"), ("a\\b", "backslash"), ("CODEOWNERS", "no node may change it")] {
        stage.refused_tree(&[&format!("100644 blob {blob}\t{name}")], words).await;
    }
    let lfs = stage.sandbox.blob("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    stage.refused_tree(&[&format!("100644 blob {lfs}\tmodel.bin")], "LFS").await;
}

#[tokio::test]
async fn workflows_need_a_person_unless_the_operator_allows_them() {
    let stage = Stage::new(|_| {}).await;
    stage.sandbox.write(".GitHub/workflows/x.yml", "on: push\n");
    stage.refused(stage.sandbox.export(), "no node may change it").await;
    let allowing = Stage::new(|o| o.limits.allowed_sensitive = vec![".github/workflows/".to_owned()]).await;
    allowing.sandbox.write(".github/workflows/x.yml", "on: push\n");
    assert_eq!(allowing.import(allowing.sandbox.export()).await.unwrap().files, 1);
}

#[tokio::test]
async fn bundles_of_another_shape_are_refused() {
    let stage = Stage::new(|_| {}).await;
    let sandbox = &stage.sandbox;
    stage.refused(sandbox.export(), "nothing was changed").await;
    sandbox.write("new", "x");
    let honest = sandbox.export();
    let base = format!("^{}", sandbox.base);
    sandbox.git(&["update-ref", "refs/heads/other", "refs/heads/export"]);
    stage.refused(sandbox.bundle(&["refs/heads/export", "refs/heads/other", &base]), "2 references").await;
    stage.refused(sandbox.bundle(&["refs/heads/export"]), "0 prerequisites").await;

    let tree = sandbox.git(&["write-tree"]);
    let rogue = sandbox.git(&["commit-tree", &tree, "-m", "no base"]);
    let child = sandbox.git(&["commit-tree", &tree, "-p", &rogue, "-m", "child"]);
    sandbox.git(&["update-ref", "refs/heads/child", &child]);
    stage.refused(sandbox.bundle(&["refs/heads/child", &format!("^{rogue}")]), "does not build on").await;

    let bytes = std::fs::read(&honest.file).unwrap();
    let rewritten = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b");
        std::fs::write(&file, bytes).unwrap();
        WorkBundle { file, remover: Box::new(folder) }
    };
    stage.refused(rewritten(&bytes[..bytes.len() - 30]), "git does not accept").await;
    stage.refused(rewritten(&[&bytes, b"more".as_slice()].concat()), "git does not accept").await;
    stage.refused(rewritten(b"PACK"), "no git bundle").await;
    stage.refused(rewritten(b""), "no git bundle").await;
    // The honest one, at last, to see that only the differences were refused.
    assert_eq!(stage.import(honest).await.unwrap().files, 1);
}

#[tokio::test]
async fn a_tip_that_is_not_in_the_bundle_is_refused() {
    let stage = Stage::new(|_| {}).await;
    stage.sandbox.write("new", "x");
    let bundle = stage.sandbox.export();
    let text = std::fs::read(&bundle.file).unwrap();
    let commit = stage.sandbox.git(&["rev-parse", "refs/heads/export"]);
    let at = text.windows(40).position(|w| w == commit.as_bytes()).unwrap();
    let forged = [&text[..at], "0123456789".repeat(4).as_bytes(), &text[at + 40..]].concat();
    std::fs::write(&bundle.file, forged).unwrap();
    stage.refused(bundle, "no commit").await;
}

#[tokio::test]
async fn what_unfolds_to_more_than_is_taken_is_refused() {
    let stage = Stage::new(|options| options.limits.file_bytes = 1024 * 1024).await;
    stage.sandbox.write("zeros", vec![0; 64 * 1024 * 1024]);
    let bundle = stage.sandbox.export();
    assert!(std::fs::metadata(&bundle.file).unwrap().len() < 200_000, "it is a small bundle");
    stage.refused(bundle, "67108864 bytes").await;

    let memory = Stage::new(|options| options.limits.import_memory_bytes = 40 * 1024 * 1024).await;
    memory.sandbox.write("zeros", vec![0; 64 * 1024 * 1024]);
    memory.refused(memory.sandbox.export(), "git does not accept").await;

    let time = Stage::new(|options| options.limits.import_timeout = Duration::from_millis(1)).await;
    time.sandbox.write("zeros", vec![0; 64 * 1024 * 1024]);
    time.refused(time.sandbox.export(), "to unpack").await;

    let total = Stage::new(|options| options.limits.changed_bytes = 10_000).await;
    for n in 0..20 {
        total.sandbox.write(&format!("n{n}"), "x".repeat(1000));
    }
    total.refused(total.sandbox.export(), "20000 bytes together").await;

    let packed = Stage::new(|options| options.limits.bundle_bytes = 1000).await;
    let noise: Vec<u8> = (0..1000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    packed.sandbox.write("noise", noise);
    packed.refused(packed.sandbox.export(), "bytes packed").await;

    let many = Stage::new(|options| options.limits.changed_files = 10).await;
    for n in 0..11 {
        many.sandbox.write(&format!("n{n}"), "x");
    }
    many.refused(many.sandbox.export(), "11 files").await;
    for n in 0..400 {
        many.sandbox.write(&format!("m{n}"), "x");
    }
    many.refused(many.sandbox.export(), "more files").await;
}
