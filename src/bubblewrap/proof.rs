//! The proof that sandboxes hold on this machine: one is made and tries what must not work.
//!
//! Without it there would be no knowing: kernels, distributions and security modules each switch off some of what
//! bubblewrap builds on, and an old version lacks options.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bzzz_actors::ports::sandbox::{CommandRequest, Sandbox, SandboxError};
use bzzz_actors::task::Ending;
use tokio::process::Command;

use super::options::BubblewrapOptions;
use super::sandbox::BubblewrapSandbox;
use crate::sandbox::common::{MAX_OPEN_FILES, USER_ID};

/// The first one that can give a file system a size, switch nested user namespaces off and take several filters.
const LEAST_VERSION: (u32, u32) = (0, 8);

const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// For everything that is tried in the sandbox; it takes a tenth of a second.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// After so long a command that does not want to end must be killed.
const KILL_AFTER: Duration = Duration::from_millis(200);

const STUBBORN: &str = "trap '' TERM HUP INT; setsid sleep 1000 & sleep 1000 & while :; do wait; done";

const TRIAL: &str = include_str!("trial.sh");

/// Sandboxd, the shell, and the two programs that count.
const MOST_PROCESSES: u32 = 4;

/// The program as an absolute path.
pub(super) fn find(program: &Path) -> Result<PathBuf, SandboxError> {
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    // A path that is absolute stays as it is.
    let found = std::env::split_paths(&folders).map(|folder| folder.join(program)).find(is_program);
    found.ok_or_else(|| {
        SandboxError::Unavailable(format!(
            "the program {} is missing: install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap)",
            program.display()
        ))
    })
}

pub(super) async fn version(program: &Path) -> Result<String, SandboxError> {
    let shown = program.display();
    let mut command = Command::new(program);
    command.arg("--version").env_clear().stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(VERSION_TIMEOUT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(SandboxError::Unavailable(format!("{shown} can't be run: {error}"))),
        Err(_) => return Err(SandboxError::Unavailable(format!("{shown} does not tell its version"))),
    };
    let said = bzzz_actors::task::printable(&String::from_utf8_lossy(&output.stdout));
    let version = said.trim().trim_start_matches("bubblewrap ").to_owned();
    match numbers(&version) {
        Some(version) if version < LEAST_VERSION => {}
        Some(_) => return Ok(version),
        None => return Err(SandboxError::Misconfigured(format!("{shown} is no bubblewrap"))),
    }
    let (major, minor) = LEAST_VERSION;
    Err(SandboxError::Misconfigured(format!(
        "bubblewrap {version} is too old: {major}.{minor} or newer is needed (Debian 12, Ubuntu 24.04)"
    )))
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// Why no sandbox could be made, with what mostly is the reason.
pub(super) fn not_made(error: SandboxError) -> SandboxError {
    match error {
        SandboxError::Lost(why) | SandboxError::Misconfigured(why) => SandboxError::Misconfigured(format!(
            "bubblewrap can't make a sandbox on this machine: {why}. Mostly the system does not let users make \
             namespaces (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces, \
             kernel.apparmor_restrict_unprivileged_userns; a container around the node): allow it, or use Docker"
        )),
        other => other,
    }
}

/// Tries in `sandbox` what must not work.
pub(super) async fn examine(
    sandbox: &BubblewrapSandbox,
    options: &BubblewrapOptions,
) -> Result<(), SandboxError> {
    let mut failings = Vec::new();
    match sandbox.enclosure.process.host_user() {
        Some(0) => failings.push("it runs as root on the host".to_owned()),
        Some(_) => {}
        None => failings.push("its user on the host can't be seen".to_owned()),
    }
    let said = run(sandbox, 1, TRIAL, TRIAL_TIMEOUT).await?;
    if said.ending != (Ending::Exited { code: 0 }) {
        failings.push(format!("the trial in it ended with {:?}: {}", said.ending, said.text.trim()));
    }
    failings.extend(failings_in(&said.text, options));

    let stubborn = run(sandbox, 2, STUBBORN, KILL_AFTER).await?;
    if !matches!(stubborn.ending, Ending::TimedOut { .. }) {
        failings.push(format!("a command that must be killed ended with {:?}", stubborn.ending));
    }
    let left = run(sandbox, 3, "ls -d /proc/[0-9]* | wc -l", TRIAL_TIMEOUT).await?.text;
    if left.trim().parse().is_ok_and(|count: u32| count > MOST_PROCESSES) {
        failings.push(format!("of a command that was killed {} processes are left", left.trim()));
    }
    if failings.is_empty() {
        return Ok(());
    }
    Err(SandboxError::Misconfigured(format!(
        "bubblewrap's sandboxes do not hold on this machine, so none is used: {}",
        failings.join("; ")
    )))
}

struct Said {
    ending: Ending,
    text: String,
}

async fn run(
    sandbox: &BubblewrapSandbox,
    step: u32,
    command: &str,
    timeout: Duration,
) -> Result<Said, SandboxError> {
    let request = CommandRequest { step, command: command.to_owned(), timeout };
    let outcome = sandbox.run(&request).await?;
    let bytes = [outcome.output.head, outcome.output.tail].concat();
    let text = bzzz_actors::task::printable(&String::from_utf8_lossy(&bytes));
    Ok(Said { ending: outcome.ending, text })
}

/// What the trial says that should not be so, and what it should say and does not.
fn failings_in(said: &str, options: &BubblewrapOptions) -> Vec<String> {
    // The shell counts memory in KiB.
    let limits = format!("limits {} {MAX_OPEN_FILES} 0 {}", options.pids, options.memory_bytes / 1024);
    let identity = format!("identity {USER_ID} {USER_ID} {USER_ID}");
    let wanted = [
        (identity.as_str(), "its user is not the one that it should be"),
        ("capabilities 0000000000000000", "it has capabilities"),
        ("new privileges 1", "set-user-id programs give privileges"),
        ("filter 2", "system calls are not filtered"),
        (&limits, "its processes are not limited"),
        ("interfaces lo", "it has a network"),
        ("namespace refused", "it can make namespaces"),
        ("processes few", "it sees processes of the host"),
    ];
    let mut failings: Vec<String> = Vec::new();
    for (line, failing) in wanted {
        let about = line.split(' ').next().unwrap_or_default();
        let found: Vec<_> = said.lines().filter(|it| it.split(' ').next() == Some(about)).collect();
        if found != [line] {
            failings.push(format!("{failing} ({})", found.join(", ")));
        }
    }
    for line in said.lines() {
        match line.split_once(' ') {
            Some(("writable", path)) => failings.push(format!("{path} can be written to")),
            Some(("visible", path)) => failings.push(format!("{path} can be seen")),
            _ => {}
        }
    }
    failings
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "identity 1000 1000 1000\ncapabilities 0000000000000000\nnew privileges 1\nfilter 2\n\
                        limits 512 16384 0 2097152\ninterfaces lo\nnamespace refused\nprocesses few\n";

    /// As it is with a node's user who is in more groups, none of which the sandbox's namespace knows.
    #[test]
    fn groups_that_are_unknown_inside_are_no_failing() {
        if !rustix::process::geteuid().is_root() {
            return println!("skipped: only root can be who it wants");
        }
        let (question, _) = TRIAL.split_once("\nsed ").unwrap();
        let identity_of = |groups: &str| {
            let user = USER_ID.to_string();
            let mut command = std::process::Command::new("setpriv");
            command.args(["--reuid", &user, "--regid", &user, "--groups", groups, "bash", "-c", question]);
            let said = String::from_utf8(command.current_dir("/").output().unwrap().stdout).unwrap();
            said.lines().next().unwrap().to_owned()
        };
        assert_eq!(identity_of("1000,65534"), "identity 1000 1000 1000");
        assert_eq!(identity_of("1000,0"), "identity 1000 1000 1000 0");
    }

    #[test]
    fn each_failing_is_found_and_so_is_silence() {
        let options = super::super::options::tests::options();
        assert_eq!(failings_in(GOOD, &options), [""; 0]);
        assert_eq!(failings_in("", &options).len(), 8);
        for (good, bad, failing) in [
            ("1000 1000 1000", "0 0 0", "its user"),
            ("0000000000000000", "0000000000000000\ncapabilities 00000000000000c0", "capabilities"),
            ("filter 2", "filter 0", "not filtered"),
            ("limits 512", "limits 96364", "not limited"),
            ("interfaces lo", "interfaces eth0 lo", "network"),
            ("refused", "made", "namespaces"),
            ("processes few\n", "processes few\nwritable /usr\n", "/usr can be written to"),
            ("processes few\n", "processes few\nvisible /root\n", "/root can be seen"),
        ] {
            let failings = failings_in(&GOOD.replace(good, bad), &options);
            assert!(failings.len() == 1 && failings[0].contains(failing), "{failings:?}");
        }
    }

    #[test]
    fn a_version_is_told_from_an_older_one() {
        for (version, is_new_enough) in [("0.8.0", true), ("0.11.0", true), ("1.0", true), ("0.6.1", false)] {
            assert_eq!(numbers(version).unwrap() >= LEAST_VERSION, is_new_enough, "{version}");
        }
        assert_eq!(numbers("unknown"), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_its_remedy() {
        let Err(SandboxError::Unavailable(text)) = find(Path::new("no-such-bwrap")) else { panic!() };
        assert!(text.contains("no-such-bwrap") && text.contains("apt-get install bubblewrap"), "{text}");
        assert!(find(Path::new("sh")).unwrap().is_absolute());
    }
}
