//! What a sandbox is given, whatever backend makes it: its name, its user, its surroundings and its limits.

use std::time::Duration;

use bzzz_actors::ports::sandbox::{SandboxChoice, SandboxError, SandboxSpec};
use bzzz_actors::task::RepoId;

use crate::network::HostName;

/// The user and the group that commands run as, and their name.
pub(crate) const USER_ID: u32 = 1000;
pub(crate) const USER_NAME: &str = "agent";

/// Its home folder.
pub(crate) const HOME: &str = "/home/agent";

/// The file system that the work tree is on. Every job that has no folder of its own starts there.
pub(crate) const WORK: &str = "/work";

/// Where sandboxd is.
pub(crate) const SANDBOXD: &str = "/sandboxd";

pub(crate) const HOST_NAME: &str = "sandbox";

/// Nobody sits at a terminal; byte code next to the sources would end up in the diff.
pub(crate) const ENVIRONMENT: [(&str, &str); 8] = [
    ("HOME", HOME),
    ("USER", USER_NAME),
    // Else every bash looks itself up among the users.
    ("SHELL", "/bin/bash"),
    // Not LANG: every program would read all the other categories too, which are those of C.
    ("LC_CTYPE", "C.UTF-8"),
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// More open files than any build needs, and few enough that all processes together can't use the host's up.
pub(crate) const MAX_OPEN_FILES: u64 = 16 * 1024;

/// By so much the largest file may outgrow the largest file system: a full disk shall say "no space left", which a
/// program understands, before this limit kills it. The limit is there for files with holes.
pub(crate) const FILE_SIZE_MARGIN_BYTES: u64 = 1024 * 1024;

/// `/dev/shm`: enough for the semaphores of test runners.
pub(crate) const SHM_BYTES: u64 = 64 * 1024 * 1024;

/// A shell, git and its children.
pub(crate) const MIN_PIDS: u32 = 16;

/// A sandbox whose grace is shorter might end between two heartbeats of a node that is only busy.
pub(crate) const MIN_ORPHAN_GRACE: Duration = Duration::from_secs(2);

/// How often sandboxd hears of the node at most; the grace divided by four when that is sooner.
const HEARTBEAT: Duration = Duration::from_secs(20);

pub(crate) fn heartbeat(orphan_grace: Duration) -> Duration {
    HEARTBEAT.min(orphan_grace / 4)
}

/// Under what the options of a repository are kept: its name means the same in capitals.
pub(crate) fn repository_key(repo: &RepoId) -> String {
    repo.to_string().to_ascii_lowercase()
}

/// What is wrong with the options of one repository.
pub(crate) fn of_repository(repo: &RepoId, error: SandboxError) -> SandboxError {
    match error {
        SandboxError::Misconfigured(text) => SandboxError::Misconfigured(format!("for {repo}: {text}")),
        other => other,
    }
}

/// Adds the hosts that a repository chose.
///
/// # Errors
/// `Misconfigured` when one is no host's name, which none is that an operator could write down.
pub(crate) fn allow_chosen(allowed: &mut Vec<HostName>, choice: &SandboxChoice) -> Result<(), SandboxError> {
    for host in &choice.hosts {
        let host: HostName = host.parse().map_err(SandboxError::Misconfigured)?;
        if !allowed.contains(&host) {
            allowed.push(host);
        }
    }
    Ok(())
}

/// The sandbox of `spec`, always the same.
pub(crate) fn name(spec: &SandboxSpec) -> String {
    format!("bzzz-{}-{}-e{}-{}", spec.node, spec.task.slug(), spec.epoch, spec.purpose.as_str())
}

#[cfg(test)]
mod tests {
    use bzzz_actors::ports::sandbox::Purpose;
    use bzzz_actors::task::Epoch;

    use super::*;

    #[test]
    fn chosen_hosts_come_to_those_that_are_allowed_once_each() {
        let mut allowed: Vec<HostName> = vec!["crates.io".parse().unwrap()];
        let choice = |hosts: &[&str]| {
            let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            SandboxChoice { image: None, hosts }
        };
        allow_chosen(&mut allowed, &choice(&["a.example", "crates.io", "a.example"])).unwrap();
        assert_eq!(allowed.iter().map(HostName::as_str).collect::<Vec<_>>(), ["crates.io", "a.example"]);
        assert!(matches!(allow_chosen(&mut allowed, &choice(&["*"])), Err(SandboxError::Misconfigured(_))));
    }

    #[test]
    fn a_name_is_one_that_docker_takes() {
        let spec = SandboxSpec {
            node: "node-1".parse().unwrap(),
            task: "acme/rocket.rs#42".parse().unwrap(),
            epoch: Epoch(3),
            purpose: Purpose::Check,
        };
        assert_eq!(name(&spec), "bzzz-node-1-acme.rocket.rs.42-e3-check");
    }
}
