//! One direction of a relayed connection: bytes from one descriptor to another, neither of which blocks.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

/// What may be under way in one direction. A reader that is slow slows the writer, and no memory fills up.
const BUFFER_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Pipe {
    buffer: Box<[u8]>,
    written: usize,
    read: usize,
    is_at_end: bool,
}

/// A side is gone, and the connection with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Pipe {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES].into(), written: 0, read: 0, is_at_end: false }
    }

    pub(crate) fn wants_to_read(&self) -> bool {
        !self.is_at_end && self.is_empty()
    }

    pub(crate) fn wants_to_write(&self) -> bool {
        !self.is_empty()
    }

    /// Its source is at its end, and all of it is delivered.
    pub(crate) fn is_done(&self) -> bool {
        self.is_at_end && self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.written == self.read
    }

    /// Takes and gives what can be had and taken at once, one buffer's worth: other connections have their turn. The end of
    /// the source is passed on.
    pub(crate) fn drive(&mut self, from: &OwnedFd, to: &OwnedFd) -> Result<(), Broken> {
        if self.wants_to_read() {
            match rustix::io::read(from, &mut self.buffer[..]) {
                Ok(0) => {
                    self.is_at_end = true;
                    let _ = rustix::net::shutdown(to, rustix::net::Shutdown::Write);
                    return Ok(());
                }
                Ok(read) => (self.written, self.read) = (0, read),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(_) => return Err(Broken),
            }
        }
        self.write(to)
    }

    fn write(&mut self, to: impl AsFd) -> Result<(), Broken> {
        while !self.is_empty() {
            // A write to a socket whose reader is gone would otherwise be a signal, which ends the process.
            let unsent = &self.buffer[self.written..self.read];
            match rustix::net::send(&to, unsent, rustix::net::SendFlags::NOSIGNAL) {
                Ok(written) => self.written += written,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(_) => return Err(Broken),
            }
        }
        Ok(())
    }
}
