//! A place for sandboxes of one backend, for tests, and their removal whatever happens.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bzzz::bubblewrap::{BubblewrapOptions, BubblewrapSandboxes};
use bzzz::docker::{DockerOptions, DockerSandboxes};
use bzzz::network::{HostName, Networks};
use bzzz_actors::ports::sandbox::{
    CommandOutcome, CommandRequest, Purpose, Sandbox, SandboxError, SandboxSpec, Sandboxes,
};
use bzzz_actors::task::{Ending, Epoch, NodeId, RepoId};

pub(crate) const MIB: u64 = 1024 * 1024;

const OUTPUT_CAP_BYTES: u32 = 64 * 1024;

/// What each backend can limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) memory_bytes: u64,
    pub(crate) pids: u32,
    pub(crate) work_bytes: u64,
    pub(crate) orphan_grace: Duration,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            memory_bytes: 512 * MIB,
            pids: 128,
            work_bytes: 128 * MIB,
            orphan_grace: Duration::from_secs(60),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Docker,
    Bubblewrap,
}

/// A node of its own: its name is in the labels of all its containers, and by them they are removed at the end.
/// What bubblewrap started ends with the test's thread.
pub(crate) struct Place {
    backend: Backend,
    pub(crate) node: NodeId,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) sandboxes: Arc<dyn Sandboxes>,
}

impl Place {
    /// `None`, with a line that says so, when this machine has no daemon or no image. In CI that is a failure.
    pub(crate) fn docker() -> Option<Self> {
        let image = image();
        let problem = format!("no Docker daemon with the image {image}: `make sandbox-image` makes it");
        is_there(docker(&["image", "inspect", &image]).is_some(), &problem)
            .then(|| Self::new(Backend::Docker))
    }

    /// The same where bubblewrap is missing.
    pub(crate) fn bubblewrap() -> Option<Self> {
        let has_program = Command::new("bwrap").arg("--version").output().is_ok();
        is_there(has_program, "no bubblewrap: `deploy/prerequisites.sh` installs it")
            .then(|| Self::new(Backend::Bubblewrap))
    }

    fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let node = format!("test-{:x}", getrandom::u64().unwrap()).parse().unwrap();
        let sandboxes = sandboxes(backend, folder.path(), Sizes::default());
        Self { backend, node, folder, sandboxes }
    }

    pub(crate) fn temp_dir(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    pub(crate) fn docker_options(&self, sizes: Sizes) -> DockerOptions {
        docker_options(self.folder.path(), sizes)
    }

    pub(crate) fn bubblewrap_options(&self, sizes: Sizes) -> BubblewrapOptions {
        bubblewrap_options(self.folder.path(), sizes)
    }

    pub(crate) fn spec(&self, purpose: Purpose) -> SandboxSpec {
        let task = "acme/rocket#7".parse().unwrap();
        SandboxSpec { node: self.node.clone(), task, epoch: Epoch(1), purpose }
    }

    pub(crate) async fn start(&self) -> Arc<dyn Sandbox> {
        self.sandboxes.start(&self.spec(Purpose::Work)).await.unwrap()
    }

    pub(crate) async fn start_with(&self, sizes: Sizes) -> Arc<dyn Sandbox> {
        let sandboxes = sandboxes(self.backend, self.folder.path(), sizes);
        sandboxes.start(&self.spec(Purpose::Work)).await.unwrap()
    }

    /// Sandboxes whose commands may connect to `host`, if they are those of this repository.
    pub(crate) fn with_host(&self, repo: &RepoId, host: &HostName, networks: Networks) -> Arc<dyn Sandboxes> {
        let folder = self.folder.path();
        match self.backend {
            Backend::Docker => {
                let options = docker_options(folder, Sizes::default());
                let sandboxes = DockerSandboxes::new(options.clone()).unwrap().with_networks(networks);
                let options = DockerOptions { allowed_hosts: vec![host.clone()], ..options };
                Arc::new(sandboxes.with_repository(repo, options).unwrap())
            }
            Backend::Bubblewrap => {
                let options = bubblewrap_options(folder, Sizes::default());
                let sandboxes = BubblewrapSandboxes::new(options.clone()).unwrap().with_networks(networks);
                let options = BubblewrapOptions { allowed_hosts: vec![host.clone()], ..options };
                Arc::new(sandboxes.with_repository(repo, options).unwrap())
            }
        }
    }

    /// The ids of the node's containers, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        let filter = format!("label=bzzz.node={}", self.node);
        let listed = docker(&["ps", "--all", "--quiet", "--filter", &filter]).unwrap();
        listed.lines().map(str::to_owned).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.backend == Backend::Docker {
            for container in self.containers() {
                docker(&["rm", "--force", &container]);
            }
        }
    }
}

/// In CI what is missing is a failure.
pub(crate) fn is_there(is_there: bool, problem: &str) -> bool {
    if !is_there {
        assert!(std::env::var_os("CI").is_none(), "{problem}");
        println!("skipped: {problem}");
    }
    is_there
}

fn sandboxes(backend: Backend, folder: &Path, sizes: Sizes) -> Arc<dyn Sandboxes> {
    match backend {
        Backend::Docker => Arc::new(DockerSandboxes::new(docker_options(folder, sizes)).unwrap()),
        Backend::Bubblewrap => Arc::new(BubblewrapSandboxes::new(bubblewrap_options(folder, sizes)).unwrap()),
    }
}

fn docker_options(folder: &Path, sizes: Sizes) -> DockerOptions {
    DockerOptions {
        host: None,
        certificates: None,
        image: image(),
        runtime: None,
        memory_bytes: sizes.memory_bytes,
        cpus: 2.0,
        pids: sizes.pids,
        work_bytes: sizes.work_bytes,
        tmp_bytes: 32 * MIB,
        home_bytes: 32 * MIB,
        allowed_hosts: Vec::new(),
        output_cap_bytes: OUTPUT_CAP_BYTES,
        orphan_grace: sizes.orphan_grace,
        data_dir: folder.to_owned(),
        temp_dir: folder.join("tmp"),
    }
}

fn bubblewrap_options(folder: &Path, sizes: Sizes) -> BubblewrapOptions {
    BubblewrapOptions {
        program: "bwrap".into(),
        memory_bytes: sizes.memory_bytes,
        pids: sizes.pids,
        work_bytes: sizes.work_bytes,
        tmp_bytes: 32 * MIB,
        home_bytes: 32 * MIB,
        allowed_hosts: Vec::new(),
        output_cap_bytes: OUTPUT_CAP_BYTES,
        orphan_grace: sizes.orphan_grace,
        temp_dir: folder.join("tmp"),
    }
}

pub(crate) fn image() -> String {
    std::env::var("BZZZ_SANDBOX_IMAGE").unwrap_or_else(|_| "bzzz-sandbox:1".to_owned())
}

/// What the command line client prints; `None` when it fails.
pub(crate) fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn request(step: u32, command: &str, timeout: Duration) -> CommandRequest {
    CommandRequest { step, command: command.to_owned(), timeout }
}

pub(crate) async fn run(
    sandbox: &dyn Sandbox,
    step: u32,
    command: &str,
) -> Result<CommandOutcome, SandboxError> {
    sandbox.run(&request(step, command, Duration::from_secs(30))).await
}

/// The output of a command that must succeed.
pub(crate) async fn output(sandbox: &dyn Sandbox, step: u32, command: &str) -> String {
    let outcome = run(sandbox, step, command).await.unwrap();
    let text = text(&outcome);
    assert_eq!(outcome.ending, Ending::Exited { code: 0 }, "{command}: {text}");
    text
}

pub(crate) fn text(outcome: &CommandOutcome) -> String {
    let output = &outcome.output;
    String::from_utf8_lossy(&[output.head.as_slice(), &output.tail].concat()).into_owned()
}

/// Runs git on this machine, away from this user's own configuration.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
