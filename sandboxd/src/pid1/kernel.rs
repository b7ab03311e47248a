//! What is asked of the kernel: hardening, the end of every process, news of dead children, kills for want of memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus};

/// Where a cgroup counts the processes that were killed for want of memory: version 2, then version 1.
const OOM_COUNTERS: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// Out of reach of the commands, which run under the same user: no debugger, no `/proc/1/mem`, no `/proc/1/fd`.
/// And for all that it starts: no set-user-id program gives anything.
pub(crate) fn harden() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Closes what it was started with beside its three streams. Whatever the one who starts it has open, a file or a
/// socket of the host, would be inherited by the commands. To be called before anything is opened.
pub(crate) fn close_inherited() -> io::Result<()> {
    const STREAMS: i32 = 3;
    let number = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let open: Vec<_> = std::fs::read_dir("/proc/self/fd")?.filter_map(number).collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor >= STREAMS) {
        // SAFETY: nothing in this process owns one yet. The one that the list was read from is closed already: the
        // kernel refuses to close it again, and that is all.
        #[allow(unsafe_code)]
        unsafe {
            rustix::io::close(descriptor);
        }
    }
    Ok(())
}

/// SIGKILL to every process but this one. The kernel sends it under the lock that a fork needs, so no process slips
/// through by forking.
pub(crate) fn kill_everything() {
    // It fails only when there is nobody to kill.
    let _ = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
}

pub(crate) enum Reaped {
    Child(Pid, WaitStatus),
    /// Children are left, none of them dead.
    NoneDead,
    NoneLeft,
}

pub(crate) fn reap() -> Reaped {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => return Reaped::Child(pid, status),
            Ok(None) => return Reaped::NoneDead,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Reaped::NoneLeft,
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
}
