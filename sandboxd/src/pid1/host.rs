//! The ways on which a host speaks to sandboxd and is answered: the standard streams, and beside them, where the host is the
//! same machine, a socket of its own.
//!
//! The standard streams of a container go through two processes of Docker's, each of which takes its time. A host that has
//! attached to them may ask to be answered on the socket instead; whatever it says then, it says there. It is not there
//! for commands: only who can write to the standard input can ask, and the socket is told who connects by the nonce that
//! came from there.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::stdio::{stdin, stdout};
use sandboxd::HostFrame;
use sandboxd::frame::Decoder;

use super::kernel;

/// How often a standard input that has ended is tried again: a host that went away may come back to it.
const DETACHED_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) struct Host {
    /// Where a host listens that wants to be spoken to directly.
    socket: Option<PathBuf>,
    standard: Decoder,
    /// Standard input is at its end and not worth polling before this.
    detached_until: Option<Instant>,
    /// Where the host is answered, if not on standard output.
    direct: Option<Direct>,
}

struct Direct {
    connection: OwnedFd,
    decoder: Decoder,
}

impl Host {
    pub(crate) fn new(socket: Option<PathBuf>) -> io::Result<Self> {
        kernel::do_not_block(stdout())?;
        Ok(Self { socket, standard: Decoder::new(), detached_until: None, direct: None })
    }

    /// To be polled, when it is worth it.
    pub(super) fn standard_input(&self, now: Instant) -> Option<BorrowedFd<'_>> {
        self.detached_until.is_none_or(|until| now >= until).then(|| stdin())
    }

    pub(super) fn detached_until(&self, now: Instant) -> Option<Instant> {
        self.detached_until.filter(|until| *until > now)
    }

    pub(super) fn direct(&self) -> Option<BorrowedFd<'_>> {
        self.direct.as_ref().map(|direct| direct.connection.as_fd())
    }

    /// Does not block.
    pub(super) fn output(&self) -> BorrowedFd<'_> {
        self.direct().unwrap_or(stdout())
    }

    /// To be called when there is something to be read.
    pub(super) fn read_standard_input(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.detached_until = None;
        match rustix::io::read(stdin(), &mut *buffer) {
            Ok(0) => self.detached_until = Some(Instant::now() + DETACHED_INTERVAL),
            Ok(read) => self.standard.feed(&buffer[..read]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(problem) => return Err(problem.into()),
        }
        Ok(())
    }

    /// A host that goes away comes back by the standard streams.
    pub(super) fn read_direct(&mut self, buffer: &mut [u8]) {
        let Some(direct) = &mut self.direct else { return };
        match rustix::io::read(&direct.connection, &mut *buffer) {
            Ok(read @ 1..) => direct.decoder.feed(&buffer[..read]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Ok(0) | Err(_) => self.direct = None,
        }
    }

    /// The next frame of what was read; to be called until there is none.
    pub(super) fn next_frame(&mut self) -> Option<HostFrame> {
        if let Some(frame) = self.direct.as_mut().and_then(|direct| next(&mut direct.decoder)) {
            return Some(frame);
        }
        let frame = next(&mut self.standard)?;
        if matches!(frame, HostFrame::Hello { .. }) {
            // One that attaches takes the place of the one before.
            self.direct = None;
        }
        Some(frame)
    }

    /// Answers go over the socket from here on, unless it can't be connected to: then nobody waits there.
    pub(super) fn go_direct(&mut self) {
        let connection = self.socket.as_deref().and_then(|socket| connect(socket).ok());
        self.direct = connection.map(|connection| Direct { connection, decoder: Decoder::new() });
    }
}

fn next(decoder: &mut Decoder) -> Option<HostFrame> {
    loop {
        // A damaged frame is what a dead host sent half of. The one behind it is whole.
        if let Ok(frame) = decoder.next()? {
            return Some(frame);
        }
    }
}

/// At once or not at all; does not block afterwards either.
pub(super) fn connect(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}
