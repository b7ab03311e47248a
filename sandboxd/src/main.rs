//! PID 1 of a sandbox: runs one job after the other for the host at the other end of its standard streams, and
//! leaves no process of a job behind.
//!
//! It holds nothing secret and needs no privilege, but it is the only process that outlives a command, so commands
//! must not get at it: they run under the same user and see an undumpable process that only the kernel can signal.

mod pid1;

use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use pid1::{Daemon, Host, Reaper, close_inherited, harden, ignore_nothing, start_relay, start_visits};

const USAGE: &str =
    "usage: sandboxd --orphan-grace-ms NUMBER [--direct SOCKET] [--proxy SOCKET] [--visits DESCRIPTOR]";

/// As `sysexits.h` has it: the command was used incorrectly.
const EXIT_USAGE: u8 = 64;

#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    orphan_grace: Duration,
    /// The socket of a host that may want to be spoken to there. Without one there are only the standard streams.
    direct: Option<PathBuf>,
    /// The socket of the node's network proxy. Without one there is no relay.
    proxy: Option<PathBuf>,
    /// The socket, already open, on which a person's visits are asked for. Without one there are none.
    visits: Option<RawFd>,
}

fn read(mut arguments: impl Iterator<Item = String>) -> Option<Arguments> {
    let (flag, value) = (arguments.next()?, arguments.next()?);
    let milliseconds: u64 = value.parse().ok()?;
    if flag != "--orphan-grace-ms" || milliseconds == 0 {
        return None;
    }
    let mut read = Arguments { orphan_grace: Duration::from_millis(milliseconds), ..Arguments::default() };
    while let Some(flag) = arguments.next() {
        let value = arguments.next()?;
        match flag.as_str() {
            "--direct" if read.direct.is_none() => read.direct = Some(value.into()),
            "--proxy" if read.proxy.is_none() => read.proxy = Some(value.into()),
            "--visits" if read.visits.is_none() => read.visits = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some(read)
}

fn run(arguments: Arguments) -> io::Result<()> {
    let visits = close_inherited(arguments.visits)?;
    ignore_nothing()?;
    harden()?;
    // Before the first command, which could take its port.
    if let Some(proxy) = arguments.proxy {
        start_relay(proxy)?;
    }
    let reaper = Reaper::new(visits.is_some());
    if let Some(listener) = visits {
        start_visits(listener)?;
    }
    Daemon::new(arguments.orphan_grace, Host::new(arguments.direct)?, reaper)?.run()
}

fn main() -> ExitCode {
    // `kill(-1)` is how a job ends: anywhere but at the head of a process namespace it would end the whole machine.
    if std::process::id() != 1 {
        eprintln!("sandboxd: this is the PID 1 of a sandbox and runs nowhere else");
        return ExitCode::from(EXIT_USAGE);
    }
    let Some(arguments) = read(std::env::args().skip(1)) else {
        eprintln!("sandboxd: {USAGE}");
        return ExitCode::from(EXIT_USAGE);
    };
    match run(arguments) {
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
        let read = |line: &str| read(line.split_whitespace().map(str::to_owned));
        let orphan_grace = Duration::from_millis(1500);
        let least = Arguments { orphan_grace, ..Arguments::default() };
        assert_eq!(read("--orphan-grace-ms 1500"), Some(least));
        let (direct, proxy) = (Some("/node/direct".into()), Some("/network/proxy".into()));
        let line = "--orphan-grace-ms 1500 --direct /node/direct --proxy /network/proxy --visits 7";
        assert_eq!(read(line), Some(Arguments { orphan_grace, direct, proxy, visits: Some(7) }));
        for bad in [
            "",
            "--orphan-grace-ms",
            "--orphan-grace-ms 0",
            "--orphan-grace-ms 1 2",
            "--other 5",
            "--orphan-grace-ms 1 --proxy",
            "--orphan-grace-ms 1 --other /x",
            "--orphan-grace-ms 1 --proxy /x y",
            "--proxy /x --orphan-grace-ms 1",
            "--orphan-grace-ms 1 --direct /x --direct /x",
            "--orphan-grace-ms 1 --visits",
            "--orphan-grace-ms 1 --visits x",
            "--orphan-grace-ms 1 --visits 7 --visits 8",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
