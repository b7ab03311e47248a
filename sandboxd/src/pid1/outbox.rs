//! What waits to be sent to the host.

use std::os::fd::AsFd;

use sandboxd::{SandboxFrame, frame};

/// Above this the running job's output is left in its pipe: a host that reads slowly slows the job, and no memory
/// fills up.
const ROOM_BYTES: usize = 256 * 1024;

/// Above this the short answers to a host that asks and does not read are dropped.
const MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    wire: Vec<u8>,
    sent: usize,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.wire.len()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.wire.len() - self.sent < ROOM_BYTES
    }

    pub(crate) fn push(&mut self, message: &SandboxFrame) {
        if self.wire.len() - self.sent < MAX_BYTES {
            // Every message is made within the frame's limits.
            let _ = frame::encode(message, &mut self.wire);
        }
    }

    /// What was sent half of ends where the next frame begins.
    pub(crate) fn clear(&mut self) {
        self.wire.clear();
        self.sent = 0;
    }

    /// Sends as much as `host`, which does not block, takes now.
    pub(crate) fn flush(&mut self, host: impl AsFd) {
        while !self.is_empty() {
            match rustix::io::write(&host, &self.wire[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                // Nobody will read this any more. Outcomes are kept elsewhere until they are asked for again.
                Err(_) => self.sent = self.wire.len(),
            }
        }
        if self.is_empty() {
            self.clear();
        } else if self.sent > ROOM_BYTES {
            self.wire.drain(..self.sent);
            self.sent = 0;
        }
    }
}
