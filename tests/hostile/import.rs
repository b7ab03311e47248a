//! A node's git, and a sandbox in somebody else's hands whose bundles it is given.

use std::time::{Duration, Instant};

use bzzz_actors::ports::code::{Code, CodeError, ImportedTree};
use bzzz_actors::ports::sandbox::WorkBundle;

use tokio::sync::OnceCell;

use crate::fixture::{Fixture, Sandbox, git, git_with, repo, task};
use crate::git::{Git, GitOptions};

/// For honest work to be taken.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) fixture: Fixture,
    pub(crate) node: Git,
    pub(crate) sandbox: Sandbox,
    /// Work of another task, as a bundle.
    honest: OnceCell<Vec<u8>>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut GitOptions)) -> Self {
        Self::of(Fixture::new(), change).await
    }

    pub(crate) async fn of(fixture: Fixture, change: impl FnOnce(&mut GitOptions)) -> Self {
        let node = fixture.node_with("ann", change).await;
        let base = node.refresh(&repo(), "main").await.unwrap().commit;
        let sandbox = fixture.sandbox("s", &node.code_in(&task(), &base, None).await.unwrap());
        Self { fixture, node, sandbox, honest: OnceCell::new() }
    }

    /// With a sandbox that has the objects of the base and no files: not every base can be written down.
    pub(crate) async fn without_a_work_tree(fixture: Fixture) -> Self {
        let node = fixture.node("ann").await;
        let base = node.refresh(&repo(), "main").await.unwrap().commit;
        let tree = fixture.path("sandboxes/s");
        std::fs::create_dir_all(&tree).unwrap();
        git(&tree, &["init", "--quiet"]);
        git(&tree, &["fetch", "--quiet", fixture.server("rocket").to_str().unwrap(), "main"]);
        Self { fixture, node, sandbox: Sandbox { tree, base }, honest: OnceCell::new() }
    }

    pub(crate) async fn import(&self, bundle: WorkBundle) -> Result<ImportedTree, CodeError> {
        self.node.import(&task(), &self.sandbox.base, bundle, &[]).await
    }

    /// Imports, sees it refused with these words, that nothing of it was kept, and that the node takes honest work.
    /// Returns how long the answer took.
    pub(crate) async fn refused(&self, bundle: WorkBundle, words: &str) -> Duration {
        let started = Instant::now();
        let error = self.import(bundle).await.unwrap_err();
        let took = started.elapsed();
        assert!(matches!(&error, CodeError::Refused(text) if text.contains(words)), "{words}: {error:?}");
        assert!(!error.to_string().contains(|c: char| c.is_control()), "{error:?}");
        assert!(!self.fixture.path("nodes/ann/tasks/acme.rocket.7").exists());
        assert_eq!(std::fs::read_dir(self.fixture.path("nodes/ann/git-work")).unwrap().count(), 1);
        self.goes_on().await;
        took
    }

    pub(crate) async fn goes_on(&self) {
        let other = "acme/rocket#8".parse().unwrap();
        let base = &self.sandbox.base;
        let honest = self.honest.get_or_init(async || {
            let code = self.node.code_in(&other, base, None).await.unwrap();
            let sandbox = self.fixture.sandbox("honest", &code);
            sandbox.write("src/fins.rs", "// four\n");
            std::fs::read(&sandbox.export().file).unwrap()
        });
        let honest = honest.await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.node.import(&other, base, bundle_of_bytes(honest), &[]).await {
                Ok(taken) => return assert_eq!(taken.files, 1),
                // Some of these nodes give little time, and this machine may be busy.
                Err(error) if error.to_string().contains("takes more than") && Instant::now() < deadline => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The base with these put over it, each "MODE KIND ID\tNAME".
    pub(crate) async fn refused_tree(&self, entries: &[&str], words: &str) {
        let tree = self.sandbox.tree_with(entries);
        self.refused(self.sandbox.bundle_of(&tree), words).await;
    }

    /// A file of this name, which may be of any bytes but zero and slash.
    pub(crate) async fn refused_name(&self, name: &[u8], words: &str) {
        let blob = self.sandbox.blob("x\n");
        let tree = self.tree_of_any(&[("100644 blob", blob.as_bytes(), name)]);
        self.refused(self.sandbox.bundle_of(&tree), words).await;
    }

    pub(crate) async fn refused_link(&self, path: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.sandbox.tree.join(path)).unwrap();
        self.refused(self.sandbox.export(), "it is a symbolic link").await;
    }

    /// A folder of this name.
    pub(crate) async fn refused_folder(&self, name: &[u8], words: &str) {
        let blob = self.sandbox.blob("#!/bin/sh\n");
        let hooks = self.sandbox.folder_with(&[&format!("100755 blob {blob}\tpost-checkout")]);
        let folder = self.sandbox.folder_with(&[&format!("040000 tree {hooks}\thooks")]);
        let tree = self.tree_of_any(&[("040000 tree", folder.as_bytes(), name)]);
        self.refused(self.sandbox.bundle_of(&tree), words).await;
    }

    fn tree_of_any(&self, entries: &[(&str, &[u8], &[u8])]) -> String {
        let base = self.sandbox.git(&["ls-tree", self.sandbox.base.as_str()]);
        let mut input: Vec<u8> = base.lines().flat_map(|line| [line.as_bytes(), b"\0"].concat()).collect();
        for (kind, id, name) in entries {
            input.extend([kind.as_bytes(), b" ", *id, b"\t", *name, b"\0"].concat());
        }
        git_with(&self.sandbox.tree, &["mktree", "--missing", "-z"], &input)
    }

    /// A tree object of exactly these entries in this order: what no git would make.
    pub(crate) fn raw_tree(&self, entries: &[(&str, &str, &str)]) -> String {
        let mut object = Vec::new();
        for (mode, name, id) in entries {
            object.extend([mode.as_bytes(), b" ", name.as_bytes(), b"\0"].concat());
            object
                .extend((0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()));
        }
        let store = ["hash-object", "-t", "tree", "--literally", "-w", "--stdin"];
        git_with(&self.sandbox.tree, &store, &object)
    }
}

/// Objects that git's own commands would not make of a work tree.
impl Sandbox {
    /// The base's tree with `entries` put over it, each "MODE KIND ID\tNAME" as `git mktree` takes them: git's own
    /// commands would refuse most of what is tried here.
    pub(crate) fn tree_with(&self, entries: &[&str]) -> String {
        let mut lines: Vec<String> =
            self.git(&["ls-tree", self.base.as_str()]).lines().map(str::to_owned).collect();
        lines.extend(entries.iter().map(|e| (*e).to_owned()));
        git_with(&self.tree, &["mktree", "--missing"], lines.join("\n").as_bytes())
    }

    pub(crate) fn folder_with(&self, entries: &[&str]) -> String {
        git_with(&self.tree, &["mktree", "--missing"], entries.join("\n").as_bytes())
    }

    pub(crate) fn blob(&self, content: impl AsRef<[u8]>) -> String {
        git_with(&self.tree, &["hash-object", "-w", "--stdin"], content.as_ref())
    }
}

/// These bytes as a bundle.
pub(crate) fn bundle_of_bytes(bytes: &[u8]) -> WorkBundle {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("work.bundle");
    std::fs::write(&file, bytes).unwrap();
    WorkBundle { file, remover: Box::new(folder) }
}

/// What python prints of `script`: bundles that no git makes.
pub(crate) fn crafted(script: &str, arguments: &[&str]) -> Vec<u8> {
    let mut command = std::process::Command::new("/usr/bin/python3");
    let output = command.arg("-c").arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
