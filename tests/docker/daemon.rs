//! Sandboxes of a real Docker daemon for tests, and their removal whatever happens.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bzzz::docker::{DockerOptions, DockerSandboxes};
use bzzz_actors::ports::sandbox::{
    CommandOutcome, CommandRequest, Purpose, Sandbox, SandboxError, SandboxSpec, Sandboxes,
};
use bzzz_actors::task::{Ending, Epoch, NodeId};

pub(crate) const MIB: u64 = 1024 * 1024;

/// A node of its own: its name is in the labels of all its containers, and by them they are removed at the end.
pub(crate) struct Docker {
    pub(crate) node: NodeId,
    pub(crate) folder: tempfile::TempDir,
}

impl Docker {
    /// `None`, with a line that says so, when this machine has no daemon or no image. In CI that is a failure.
    pub(crate) fn new() -> Option<Self> {
        let image = image();
        let has_image = docker(&["image", "inspect", &image]).is_some();
        if !has_image {
            let problem = format!("no Docker daemon with the image {image}: `make sandbox-image` makes it");
            assert!(std::env::var_os("CI").is_none(), "{problem}");
            println!("skipped: {problem}");
            return None;
        }
        let node = format!("test-{:x}", getrandom::u64().unwrap()).parse().unwrap();
        Some(Self { node, folder: tempfile::tempdir().unwrap() })
    }

    pub(crate) fn options(&self) -> DockerOptions {
        let temp_dir = self.folder.path().join("tmp");
        std::fs::create_dir_all(&temp_dir).unwrap();
        DockerOptions {
            host: None,
            image: image(),
            runtime: None,
            memory_bytes: 512 * MIB,
            cpus: 2.0,
            pids: 128,
            work_bytes: 128 * MIB,
            tmp_bytes: 32 * MIB,
            home_bytes: 32 * MIB,
            allowed_hosts: Vec::new(),
            output_cap_bytes: 64 * 1024,
            orphan_grace: Duration::from_secs(60),
            data_dir: self.folder.path().to_owned(),
            temp_dir,
        }
    }

    pub(crate) fn spec(&self, purpose: Purpose) -> SandboxSpec {
        let task = "acme/rocket#7".parse().unwrap();
        SandboxSpec { node: self.node.clone(), task, epoch: Epoch(1), purpose }
    }

    pub(crate) async fn start(&self) -> Arc<dyn Sandbox> {
        self.start_with(self.options()).await
    }

    pub(crate) async fn start_with(&self, options: DockerOptions) -> Arc<dyn Sandbox> {
        DockerSandboxes::new(options).unwrap().start(&self.spec(Purpose::Work)).await.unwrap()
    }

    /// The ids of the node's containers, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        let filter = format!("label=bzzz.node={}", self.node);
        let listed = docker(&["ps", "--all", "--quiet", "--filter", &filter]).unwrap();
        listed.lines().map(str::to_owned).collect()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        for container in self.containers() {
            docker(&["rm", "--force", &container]);
        }
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
