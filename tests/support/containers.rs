//! The containers of a test's nodes, by the label that bears the node's name; on the machine's Docker daemon unless a
//! test has one of its own.

#![allow(dead_code, reason = "each test program uses another part of it")]

use std::process::Command;
use std::time::{Duration, Instant};

/// How long a container may take to run a command.
const PATIENCE: Duration = Duration::from_secs(240);

/// Removes the containers of every node whose name begins with `prefix` when it is dropped.
pub(crate) struct Containers {
    pub(crate) prefix: String,
}

impl Containers {
    /// The names of those that are there, running or not.
    pub(crate) fn names(&self) -> Vec<String> {
        of_nodes(&self.prefix)
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        for name in self.names() {
            docker(&["rm", "--force", "--volumes", &name]);
        }
    }
}

/// The containers of all nodes whose name begins so, running or not.
pub(crate) fn of_nodes(prefix: &str) -> Vec<String> {
    Docker::default().of_nodes(prefix).unwrap_or_default()
}

/// Whether whole nodes can run here. Where they can't, a line says so; in CI that is a failure.
pub(crate) fn can_run() -> bool {
    let image = image();
    if docker(&["image", "inspect", &image]).is_some() {
        return true;
    }
    let problem = format!("no Docker daemon with the image {image}: `make sandbox-image` makes it");
    assert!(std::env::var_os("CI").is_none(), "{problem}");
    println!("skipped: {problem}");
    false
}

pub(crate) fn image() -> String {
    std::env::var("BZZZ_SANDBOX_IMAGE").unwrap_or_else(|_| "bzzz-sandbox:1".to_owned())
}

/// Waits until a container runs `command`; it may not be there yet.
pub(crate) async fn until_runs(name: &str, command: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !docker(&["top", name]).is_some_and(|top| top.contains(command)) {
        assert!(Instant::now() < deadline, "{name} does not run {command}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the command line client prints; `None` when it fails.
pub(crate) fn docker(arguments: &[&str]) -> Option<String> {
    Docker::default().run(arguments)
}

/// A daemon, as the command line client reaches it: without an address the machine's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Docker {
    pub(crate) host: Option<String>,
}

impl Docker {
    pub(crate) fn at(host: String) -> Self {
        Self { host: Some(host) }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(self.host.iter().flat_map(|host| ["--host", host])).args(arguments);
        command
    }

    /// What the client prints; `None` when it fails.
    pub(crate) fn run(&self, arguments: &[&str]) -> Option<String> {
        let output = self.command(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The containers of all nodes whose name begins so, running or not; `None` when the daemon does not tell.
    pub(crate) fn of_nodes(&self, prefix: &str) -> Option<Vec<String>> {
        let format = "{{.Label \"bzzz.node\"}} {{.Names}}";
        let listed = self.run(&["ps", "--all", "--filter", "label=bzzz.node", "--format", format])?;
        let of_ours = |line: &str| Some(line.strip_prefix(prefix)?.split_once(' ')?.1.to_owned());
        Some(listed.lines().filter_map(of_ours).collect())
    }
}
