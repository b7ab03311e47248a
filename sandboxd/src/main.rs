//! PID 1 of a sandbox: runs one job after the other for the host at the other end of its standard streams, and
//! leaves no process of a job behind.
//!
//! It holds nothing secret and needs no privilege, but it is the only process that outlives a command, so commands
//! must not get at it: they run under the same user and see an undumpable process that only the kernel can signal.

mod pid1;

use std::process::ExitCode;
use std::time::Duration;

use pid1::{Daemon, close_inherited, harden};

const USAGE: &str = "usage: sandboxd --orphan-grace-ms NUMBER";

/// As `sysexits.h` has it: the command was used incorrectly.
const EXIT_USAGE: u8 = 64;

fn orphan_grace(mut arguments: impl Iterator<Item = String>) -> Option<Duration> {
    let flag = arguments.next()?;
    let value = arguments.next()?;
    let is_all = arguments.next().is_none();
    let milliseconds: u64 = value.parse().ok()?;
    (flag == "--orphan-grace-ms" && is_all && milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

fn main() -> ExitCode {
    // `kill(-1)` is how a job ends: anywhere but at the head of a process namespace it would end the whole machine.
    if std::process::id() != 1 {
        eprintln!("sandboxd: this is the PID 1 of a sandbox and runs nowhere else");
        return ExitCode::from(EXIT_USAGE);
    }
    let Some(grace) = orphan_grace(std::env::args().skip(1)) else {
        eprintln!("sandboxd: {USAGE}");
        return ExitCode::from(EXIT_USAGE);
    };
    match close_inherited().and_then(|()| harden()).and_then(|()| Daemon::new(grace)).and_then(Daemon::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("sandboxd: {problem}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_strictly() {
        let read = |line: &str| orphan_grace(line.split_whitespace().map(str::to_owned));
        assert_eq!(read("--orphan-grace-ms 1500"), Some(Duration::from_millis(1500)));
        for bad in ["", "--orphan-grace-ms", "--orphan-grace-ms 0", "--orphan-grace-ms 1 2", "--other 5"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
