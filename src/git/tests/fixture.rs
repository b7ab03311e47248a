//! A folder of bare repositories that stands for the server, nodes that work against it, and a sandbox's side of the
//! bundle.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bzzz_actors::ports::claims::{LeaseRecord, LeaseState};
use bzzz_actors::ports::code::CodeIn;
use bzzz_actors::ports::sandbox::WorkBundle;
use bzzz_actors::task::{Epoch, RepoId, Sha, TaskId};
use tempfile::TempDir;

use crate::git::{Git, GitLimits, GitOptions};

pub(super) fn repo() -> RepoId {
    "acme/rocket".parse().unwrap()
}

pub(super) fn task() -> TaskId {
    "acme/rocket#7".parse().unwrap()
}

pub(super) fn record(node: &str, epoch: u64, nonce: u64) -> LeaseRecord {
    LeaseRecord {
        v: 1,
        task: task(),
        node: node.parse().unwrap(),
        epoch: Epoch(epoch),
        nonce: nonce.to_string(),
        ttl_s: 900,
        state: LeaseState::Held,
    }
}

/// Runs a person's git in `folder`, and returns what it printed.
pub(super) fn git(folder: &Path, args: &[&str]) -> String {
    git_with(folder, args, b"")
}

pub(super) fn git_with(folder: &Path, args: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("git")
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "ann"), ("GIT_AUTHOR_EMAIL", "ann@example.org")])
        .envs([("GIT_COMMITTER_NAME", "ann"), ("GIT_COMMITTER_EMAIL", "ann@example.org")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

pub(super) struct Fixture {
    folder: TempDir,
}

impl Fixture {
    /// A server with `acme/rocket`, which has one commit on `main`, and the empty `acme/void`.
    pub(super) fn new() -> Self {
        let fixture = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["rocket", "void"] {
            let path = fixture.server(name);
            std::fs::create_dir_all(&path).unwrap();
            git(&path, &["init", "--quiet", "--bare", "--initial-branch=main"]);
        }
        let tree = fixture.path("people");
        std::fs::create_dir_all(tree.join("src")).unwrap();
        git(&tree, &["init", "--quiet", "--initial-branch=main"]);
        std::fs::write(tree.join("README.md"), "A rocket.\n").unwrap();
        std::fs::write(tree.join("src/engine.rs"), "fn ignite() {}\n".repeat(20)).unwrap();
        std::os::unix::fs::symlink("README.md", tree.join("LIESMICH")).unwrap();
        fixture.commit_and_push("The first stage");
        fixture
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn server(&self, name: &str) -> PathBuf {
        self.path("server/acme").join(format!("{name}.git"))
    }

    /// Commits what lies in the people's work tree.
    pub(super) fn commit_and_push(&self, message: &str) -> Sha {
        let tree = self.path("people");
        git(&tree, &["add", "-A"]);
        git(&tree, &["commit", "--quiet", "-m", message]);
        git(
            &tree,
            &["push", "--quiet", "--force", self.server("rocket").to_str().unwrap(), "HEAD:refs/heads/main"],
        );
        git(&tree, &["rev-parse", "HEAD"]).parse().unwrap()
    }

    pub(super) async fn node(&self, name: &str) -> Git {
        self.node_with(name, |_| {}).await
    }

    pub(super) async fn node_with(&self, name: &str, change: impl FnOnce(&mut GitOptions)) -> Git {
        let mut options = GitOptions {
            git_url: format!("file://{}", self.path("server").display()),
            token: None,
            data_dir: self.path("nodes").join(name),
            author_name: "Bzzz".to_owned(),
            author_email: "bzzz@example.org".to_owned(),
            allow_file: true,
            limits: GitLimits::default(),
            forks: Default::default(),
            secrets: crate::secrets::Secrets::default(),
        };
        change(&mut options);
        Git::open(options).await.unwrap()
    }

    /// What a sandbox does with what it is given: a work tree at the base, with the earlier work in it.
    pub(super) fn sandbox(&self, name: &str, code: &CodeIn) -> Sandbox {
        let tree = self.path("sandboxes").join(name);
        std::fs::create_dir_all(&tree).unwrap();
        let unpacked =
            Command::new("tar").arg("-xf").arg(&code.archive).arg("-C").arg(&tree).status().unwrap();
        assert!(unpacked.success());
        git(&tree, &["reset", "--quiet", "--hard", code.base.as_str()]);
        if let Some((bundle, commit)) = &code.changes {
            git(&tree, &["bundle", "unbundle", bundle.to_str().unwrap()]);
            git(&tree, &["read-tree", "-u", "--reset", commit.as_str()]);
        }
        Sandbox { tree, base: code.base.clone() }
    }
}

pub(super) struct Sandbox {
    pub(super) tree: PathBuf,
    pub(super) base: Sha,
}

impl Sandbox {
    pub(super) fn git(&self, args: &[&str]) -> String {
        git(&self.tree, args)
    }

    pub(super) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The work tree as a bundle.
    pub(super) fn export(&self) -> WorkBundle {
        self.git(&["add", "-A"]);
        let tree = self.git(&["write-tree"]);
        self.bundle_of(&tree)
    }

    /// A bundle whose commit has `tree`.
    pub(super) fn bundle_of(&self, tree: &str) -> WorkBundle {
        let commit = self.git(&["commit-tree", tree, "-p", self.base.as_str(), "-m", "work"]);
        self.git(&["update-ref", "refs/heads/export", &commit]);
        self.bundle(&["refs/heads/export", &format!("^{}", self.base)])
    }

    pub(super) fn bundle(&self, revisions: &[&str]) -> WorkBundle {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("work.bundle");
        let mut args = vec!["bundle", "create", "--quiet", "--version=2", file.to_str().unwrap()];
        args.extend(revisions);
        self.git(&args);
        WorkBundle { file, remover: Box::new(folder) }
    }
}
