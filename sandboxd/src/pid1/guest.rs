//! One visit: what is asked for, the process that is started for it, and its end.
//!
//! ```text
//! Asking ── a request ──► Running ── its process ends ──► over, and told
//!    │                       │
//!    └── gone ──► over       └── its host is gone ──► Leaving ── its process is dead ──► over
//! ```

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use sandboxd::visit::{self, Answer, MAX_STREAMS, MAX_VISIT_BYTES, Request, VISIT_VERSION};

use super::job::usable_cwd;
use super::kernel;

pub(crate) struct Guest {
    /// `None` when the host is gone.
    connection: Option<OwnedFd>,
    process: Option<Process>,
}

/// The head of a session of its own.
struct Process {
    id: Pid,
    /// Readable when it has ended.
    descriptor: OwnedFd,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    On,
    Over,
}

/// What came on the connection.
enum Heard {
    Nothing,
    Packet(Vec<u8>),
    End,
}

impl Guest {
    pub(crate) fn new(connection: OwnedFd) -> Self {
        Self { connection: Some(connection), process: None }
    }

    /// What is worth waiting for.
    pub(crate) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let process = self.process.as_ref().map(|process| process.descriptor.as_fd());
        self.connection.as_ref().map(OwnedFd::as_fd).into_iter().chain(process)
    }

    /// Does what can be done at once.
    pub(crate) fn drive(&mut self) -> Stay {
        if let Some(process) = &self.process {
            if let Some(status) = process.ended() {
                self.tell(&ending(status), &[]);
                return Stay::Over;
            }
            if self.connection.is_some() && !matches!(self.hear(), Heard::Nothing) {
                // It has nothing more to say: it is gone, or not what it should be.
                self.connection = None;
                kernel::kill_session(process.id);
            }
            return Stay::On;
        }
        match self.hear() {
            Heard::Nothing => Stay::On,
            Heard::End => Stay::Over,
            Heard::Packet(packet) => self.begin(&packet),
        }
    }

    fn begin(&mut self, packet: &[u8]) -> Stay {
        let started = match visit::message(packet) {
            Some(request) => start(&request),
            None => Err(other_version()),
        };
        match started {
            Ok((process, streams)) => {
                let streams: Vec<_> = streams.iter().map(OwnedFd::as_fd).collect();
                self.process = Some(process);
                self.tell(&Answer::Started, &streams);
                Stay::On
            }
            Err(why) => {
                self.tell(&Answer::Refused { why }, &[]);
                Stay::Over
            }
        }
    }

    fn hear(&self) -> Heard {
        let Some(connection) = &self.connection else { return Heard::End };
        let mut buffer = vec![0; MAX_VISIT_BYTES];
        loop {
            return match rustix::net::recv(connection, &mut buffer[..], RecvFlags::TRUNC) {
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => Heard::Nothing,
                // A length that is more than there is: cut off, and no message then.
                Ok((read @ 1.., length)) if read == length => Heard::Packet(buffer[..read].to_vec()),
                Ok((1.., _)) => Heard::Packet(Vec::new()),
                Ok((0, _)) | Err(_) => Heard::End,
            };
        }
    }

    /// A host that does not hear it is gone, which is found next.
    fn tell(&self, answer: &Answer, streams: &[BorrowedFd<'_>]) {
        let (Some(connection), Some(packet)) = (&self.connection, visit::packet(answer)) else { return };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_STREAMS))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !streams.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(streams));
        }
        let _ = rustix::net::sendmsg(connection, &[IoSlice::new(&packet)], &mut beside, SendFlags::NOSIGNAL);
    }
}

impl Process {
    /// Its status, once it and its session have ended.
    fn ended(&self) -> Option<WaitStatus> {
        let mut polled = [rustix::event::PollFd::new(&self.descriptor, rustix::event::PollFlags::IN)];
        let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if !matches!(rustix::event::poll(&mut polled, Some(&at_once)), Ok(1..)) {
            return None;
        }
        // Before it is waited for: until then nobody else has its number.
        kernel::kill_session(self.id);
        rustix::process::waitpid(Some(self.id), WaitOptions::NOHANG).ok().flatten().map(|(_, status)| status)
    }
}

fn ending(status: WaitStatus) -> Answer {
    match status.exit_status() {
        Some(code) => Answer::Exited { code },
        None => Answer::Signalled { signal: status.terminating_signal().unwrap_or(0) },
    }
}

fn other_version() -> String {
    "the sandbox is of another version of bzzz: use that version, or start the node anew".to_owned()
}

/// Starts what is asked for. With it come the host's ends of its streams. The error is for the person.
fn start(request: &Request) -> Result<(Process, Vec<OwnedFd>), String> {
    if request.version != VISIT_VERSION {
        return Err(other_version());
    }
    let Some((program, arguments)) = request.command.split_first() else {
        return Err("no command was named".to_owned());
    };
    spawn(request, program, arguments).map_err(|problem| format!("{program} can't be started: {problem}"))
}

fn spawn(request: &Request, program: &str, arguments: &[String]) -> io::Result<(Process, Vec<OwnedFd>)> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(usable_cwd(&request.cwd));
    let streams = match &request.terminal {
        Some(terminal) => {
            let (master, slave) = open_terminal(terminal)?;
            command.env("TERM", &terminal.kind);
            command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
            vec![master]
        }
        None => {
            // Made here, so that what is theirs to open (`/dev/stderr`) belongs to the user of the commands.
            let (output, stdout) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            let (errors, stderr) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
            vec![output, errors]
        }
    };
    kernel::begin_apart(&mut command, request.terminal.is_some());
    let child = command.spawn()?;
    let id = Pid::from_raw(child.id() as i32).ok_or_else(|| io::Error::other("it has no process id"))?;
    match rustix::process::pidfd_open(id, PidfdFlags::empty()) {
        Ok(descriptor) => Ok((Process { id, descriptor }, streams)),
        Err(problem) => {
            kernel::kill_session(id);
            let _ = rustix::process::waitpid(Some(id), WaitOptions::empty());
            Err(problem.into())
        }
    }
}

/// One of the sandbox's own: its name is one here, and it belongs to the user of the commands.
fn open_terminal(terminal: &visit::Terminal) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&master)?;
    let size = Winsize { ws_row: terminal.rows, ws_col: terminal.columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size)?;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    Ok((master, slave))
}
