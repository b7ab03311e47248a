//! What is asked of the kernel: hardening, the end of every process, news of dead children, kills for want of memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus};

/// Where a cgroup counts the processes that were killed for want of memory: version 2, then version 1.
const OOM_COUNTERS: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// Children are this much likelier than sandboxd to be chosen when the kernel kills for want of memory. Raising it
/// needs no privilege.
const OOM_SCORE_OF_CHILDREN: &[u8] = b"500";

/// The kernel's `__WNOTHREAD`: of this process's children those of the calling thread alone.
const OF_THIS_THREAD: WaitOptions = WaitOptions::from_bits_retain(0x2000_0000);

/// How often the processes of a session are looked for to be killed: those that were being started a moment ago are found
/// then. What is left of one that does nothing but start others is killed with what a job leaves.
const SESSION_ROUNDS: usize = 8;

/// More than `/proc/N/stat` tells.
const MAX_STAT_BYTES: usize = 2048;

/// Out of reach of the commands, which run under the same user: no debugger, no `/proc/1/mem`, no `/proc/1/fd`.
/// And for all that it starts: no set-user-id program gives anything.
pub(crate) fn harden() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// What the one who starts it ignores, the commands would ignore too: a node in a script's background, or under nohup, so
/// ignores interruptions. A signal that is handled is at its default again after exec.
pub(crate) fn ignore_nothing() -> io::Result<()> {
    for signal in ignored_in(&std::fs::read_to_string("/proc/self/status")?) {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    Ok(())
}

/// The signals that `/proc/N/status` tells as ignored and that can be handled. Not SIGPIPE: the standard library ignores it
/// here and gives it back to what it starts.
fn ignored_in(status: &str) -> impl Iterator<Item = i32> {
    const SIGNALS: std::ops::RangeInclusive<i32> = 1..=31;
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    let is_fixed = |signal: &i32| {
        signal_hook::consts::FORBIDDEN.contains(signal) || *signal == signal_hook::consts::SIGPIPE
    };
    SIGNALS.filter(move |signal| mask >> (signal - 1) & 1 == 1 && !is_fixed(signal))
}

/// Closes what it was started with beside its three streams and `kept`, of which it becomes the owner. Whatever the one who
/// starts it has open, a file or a socket of the host, would be inherited by the commands. To be called before anything is
/// opened.
pub(crate) fn close_inherited(kept: Option<RawFd>) -> io::Result<Option<OwnedFd>> {
    const STREAMS: i32 = 3;
    let number = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let open: Vec<_> = std::fs::read_dir("/proc/self/fd")?.filter_map(number).collect();
    for descriptor in
        open.into_iter().filter(|descriptor| *descriptor >= STREAMS && Some(*descriptor) != kept)
    {
        // SAFETY: nothing in this process owns one yet. The one that the list was read from is closed already: the
        // kernel refuses to close it again, and that is all.
        #[allow(unsafe_code)]
        unsafe {
            rustix::io::close(descriptor);
        }
    }
    let Some(kept) = kept.filter(|kept| *kept >= STREAMS) else { return Ok(None) };
    // SAFETY: nothing in this process owns it yet. One that is not open is found by the call below, and never closed.
    #[allow(unsafe_code)]
    let kept = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(kept) });
    rustix::io::fcntl_setfd(&*kept, rustix::io::FdFlags::CLOEXEC)?;
    Ok(Some(std::mem::ManuallyDrop::into_inner(kept)))
}

/// How every process begins that sandboxd starts: in a session of its own, with its standard input for a terminal if that
/// is one.
pub(crate) fn begin_apart(command: &mut Command, has_terminal: bool) {
    let in_child = move || {
        rustix::process::setsid()?;
        if has_terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        // Nobody may write to an undumpable process's files, itself included. After exec it is dumpable anyway.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
        if let Ok(score) = rustix::fs::open("/proc/self/oom_score_adj", flags, rustix::fs::Mode::empty()) {
            // Without it the kernel may choose sandboxd, and the node starts another sandbox.
            let _ = rustix::io::write(score, OOM_SCORE_OF_CHILDREN);
        }
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made: nothing is allocated, no lock is taken.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(in_child);
    }
}

/// SIGKILL to every process but this one. The kernel sends it under the lock that a fork needs, so no process slips
/// through by forking.
pub(crate) fn kill_everything() {
    // It fails only when there is nobody to kill.
    let _ = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
}

/// SIGKILL to every process of a session. One that has left it for a session of its own is not found.
pub(crate) fn kill_session(session: Pid) {
    for _ in 0..SESSION_ROUNDS {
        let mut is_empty = true;
        for process in processes().filter(|process| is_alive_in(*process, session)) {
            is_empty = false;
            let _ = rustix::process::kill_process(process, Signal::KILL);
        }
        if is_empty {
            return;
        }
    }
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    let number = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    entries.filter_map(number).filter_map(Pid::from_raw)
}

fn is_alive_in(process: Pid, session: Pid) -> bool {
    let mut stat = [0; MAX_STAT_BYTES];
    let path = format!("/proc/{}/stat", process.as_raw_nonzero());
    let read = File::open(path).and_then(|file| file.read_at(&mut stat, 0)).unwrap_or(0);
    let alive = session_in(&String::from_utf8_lossy(&stat[..read]));
    alive == Some(session.as_raw_nonzero().get())
}

/// The session in a line of `/proc/N/stat`; `None` when the process is dead.
fn session_in(stat: &str) -> Option<i32> {
    // The name in parentheses may hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let is_alive = !matches!(fields.next()?, "Z" | "X" | "x");
    // Between them the parent and the process group.
    fields.nth(2)?.parse().ok().filter(|_| is_alive)
}

pub(crate) enum Reaped {
    Child(Pid, WaitStatus),
    /// Children are left, none of them dead.
    NoneDead,
    NoneLeft,
}

/// Takes the dead children of jobs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaper(WaitOptions);

impl Reaper {
    /// `beside_visits`: another thread has children of its own.
    pub(crate) fn new(beside_visits: bool) -> Self {
        let whose = if beside_visits { OF_THIS_THREAD } else { WaitOptions::empty() };
        Self(WaitOptions::NOHANG | whose)
    }

    pub(crate) fn reap(self) -> Reaped {
        loop {
            match rustix::process::wait(self.0) {
                Ok(Some((pid, status))) => return Reaped::Child(pid, status),
                Ok(None) => return Reaped::NoneDead,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Reaped::NoneLeft,
            }
        }
    }
}

/// Readable as soon as a child has died. Not `pidfd`: the children that count most are orphans that nobody has a
/// descriptor of, and old gVisor has none.
pub(crate) struct ChildNews(UnixStream);

impl ChildNews {
    pub(crate) fn new() -> io::Result<Self> {
        let (here, in_handler) = UnixStream::pair()?;
        here.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, in_handler)?;
        Ok(Self(here))
    }

    /// Forgets the news so far.
    pub(crate) fn drain(&mut self) {
        let mut buffer = [0; 256];
        while matches!(self.0.read(&mut buffer), Ok(read) if read > 0) {}
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Counts the kernel's kills for want of memory in this sandbox; always zero where no counter can be read.
pub(crate) struct OomCounter(Option<File>);

impl OomCounter {
    pub(crate) fn new() -> Self {
        Self(OOM_COUNTERS.iter().find_map(|path| File::open(path).ok()))
    }

    pub(crate) fn kills(&self) -> u64 {
        let mut text = [0; 1024];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        kills_in(&String::from_utf8_lossy(&text[..read]))
    }
}

/// Both versions write a line `oom_kill N` among others.
fn kills_in(text: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|n| n.trim().parse().ok())
        .unwrap_or(0)
}

/// A pipe whose reading end does not block and whose ends no child inherits.
pub(crate) fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    do_not_block(reader.as_fd())?;
    Ok((reader, writer))
}

/// A pipe whose writing end does not block and whose ends no child inherits.
pub(crate) fn input_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    do_not_block(writer.as_fd())?;
    Ok((reader, writer))
}

pub(crate) fn do_not_block(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(descriptor)?;
    rustix::fs::fcntl_setfl(descriptor, flags | rustix::fs::OFlags::NONBLOCK)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_the_counter_are_read() {
        assert_eq!(kills_in("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), 2);
        assert_eq!(kills_in("oom_kill_disable 0\nunder_oom 0\noom_kill 41\n"), 41);
        assert_eq!(kills_in(""), 0);
    }

    #[test]
    fn ignored_signals_are_read_but_for_those_that_stay_as_they_are() {
        let ignored = |text: &str| ignored_in(text).collect::<Vec<_>>();
        assert_eq!(ignored("SigBlk:\tff\nSigIgn:\t0000000000001107\nSigCgt:\tff\n"), [1, 2, 3]);
        assert_eq!(ignored("SigIgn:\tffffffff00000000\n"), [0; 0]);
        assert_eq!(ignored("Name:\tx\n"), [0; 0]);
    }

    #[test]
    fn a_session_is_read_whatever_the_name() {
        assert_eq!(session_in("12 (a) b) S 1 12 7 34816 12 0"), Some(7));
        assert_eq!(session_in("12 (sh) Z 1 12 7 0 -1 0"), None);
        assert_eq!(session_in("12 (sh) S 1"), None);
        assert_eq!(session_in(""), None);
    }
}
