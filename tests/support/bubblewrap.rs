//! Sandboxes by bubblewrap as this machine sees them: processes below the node's.

#![allow(dead_code, reason = "each test program uses another part of it")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a sandbox may take to run a command, or to be gone.
const PATIENCE: Duration = Duration::from_secs(240);

/// Whether such sandboxes can be made here. Where they can't, a line says so; in CI that is a failure.
pub(crate) fn can_run() -> bool {
    is_there(Command::new("bwrap").arg("--version").output().is_ok(), "no bubblewrap")
}

/// Whether this machine's `/usr` has what the examples are built and tested with.
pub(crate) fn can_run_the_examples() -> bool {
    let pytest = Command::new("/usr/bin/python3").args(["-m", "pytest", "--version"]).output();
    let has_pytest = pytest.is_ok_and(|output| output.status.success());
    let has_tools =
        has_pytest && ["cargo", "gcc", "git"].iter().all(|it| Path::new("/usr/bin").join(it).exists());
    can_run() && is_there(has_tools, "no pytest, cargo, gcc or git in /usr")
}

fn is_there(is_there: bool, problem: &str) -> bool {
    if !is_there {
        let problem = format!("{problem}: `deploy/prerequisites.sh test` installs it");
        assert!(std::env::var_os("CI").is_none(), "{problem}");
        println!("skipped: {problem}");
    }
    is_there
}

/// A process by its number and the moment of its start, which no later one of the number has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    id: u32,
    started: String,
    command: String,
}

impl Process {
    pub(crate) fn runs(&self, command: &str) -> bool {
        self.command.starts_with(command)
    }

    fn is_there(&self) -> bool {
        stat(self.id).is_some_and(|(_, started)| started == self.started)
    }
}

/// All that `id` has started, and what that has started.
pub(crate) fn below(id: u32) -> Vec<Process> {
    let numbers =
        fs::read_dir("/proc").unwrap().filter_map(|it| it.unwrap().file_name().to_str()?.parse().ok());
    let all: HashMap<u32, (u32, String)> = numbers.filter_map(|id: u32| Some((id, stat(id)?))).collect();
    let is_below = |mut it: u32| {
        while let Some((parent, _)) = all.get(&it) {
            if *parent == id {
                return true;
            }
            it = *parent;
        }
        false
    };
    let process = |(id, (_, started)): (&u32, &(u32, String))| {
        let command = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        Process { id: *id, started: started.clone(), command }
    };
    all.iter().filter(|(id, _)| is_below(**id)).map(process).collect()
}

/// The parent, and the start in clock ticks.
fn stat(id: u32) -> Option<(u32, String)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    Some((parent, fields.nth(17)?.to_owned()))
}

/// Waits until something below `id` runs `command`; all that is below it then.
pub(crate) async fn until_runs(id: u32, command: &str) -> Vec<Process> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let processes = below(id);
        if processes.iter().any(|process| process.runs(command)) {
            return processes;
        }
        assert!(Instant::now() < deadline, "nothing runs {command}: {processes:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until none of `processes` is left.
pub(crate) async fn until_gone(processes: &[Process]) {
    let deadline = Instant::now() + PATIENCE;
    while let Some(left) = processes.iter().find(|process| process.is_there()) {
        assert!(Instant::now() < deadline, "{left:?} is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
