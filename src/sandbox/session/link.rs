//! Frames over the two streams of one sandbox.

use std::time::Duration;

use sandboxd::frame::{self, Decoder};
use sandboxd::{HostFrame, PROTOCOL_VERSION, SandboxFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::lost::Lost;
use super::{Sink, Source};

/// Sandboxd always reads, so a write that takes this long goes to a sandbox that is dead or lies.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// From the greeting to its answer. A container that has just started answers within milliseconds; a machine that
/// builds on all its cores may take seconds.
const GREETING_TIMEOUT: Duration = Duration::from_secs(20);

/// How much may come before the answer to the greeting: what sandboxd was sending to the session before.
const MAX_STALE_BYTES: usize = 16 * 1024 * 1024;

const READ_BYTES: usize = 64 * 1024;

pub(super) struct Link {
    reader: Source,
    writer: Sink,
    decoder: Decoder,
    buffer: Box<[u8]>,
    wire: Vec<u8>,
    read_bytes: usize,
}

impl Link {
    pub(super) fn new(reader: Source, writer: Sink) -> Self {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Self { reader, writer, decoder: Decoder::new(), buffer, wire: Vec::new(), read_bytes: 0 }
    }

    /// Says hello and waits for the answer; returns the job that is running already.
    pub(super) async fn greet(&mut self, nonce: u64) -> Result<Option<u32>, Lost> {
        self.send(&HostFrame::Hello { version: PROTOCOL_VERSION, nonce }).await?;
        let answer = async {
            loop {
                match self.next_whole().await? {
                    Ok(SandboxFrame::Greeting { version, nonce: theirs, running }) if theirs == nonce => {
                        return Ok((version, running));
                    }
                    _ if self.read_bytes > MAX_STALE_BYTES => {
                        return Err(Lost::broke_protocol("it does not answer the greeting"));
                    }
                    // Meant for the session before this one, or the second half of a frame that was.
                    _ => {}
                }
            }
        };
        let timed_out = || Lost(format!("it did not answer within {} s", GREETING_TIMEOUT.as_secs()));
        let (version, running) =
            tokio::time::timeout(GREETING_TIMEOUT, answer).await.unwrap_or_else(|_| Err(timed_out()))?;
        if version != PROTOCOL_VERSION {
            return Err(Lost(format!(
                "the sandboxd in it speaks version {version} of the protocol, this node {PROTOCOL_VERSION}"
            )));
        }
        Ok(running)
    }

    /// The next frame. Dropping this future loses nothing.
    pub(super) async fn receive(&mut self) -> Result<SandboxFrame, Lost> {
        self.next_whole().await?.map_err(Lost::broke_protocol)
    }

    async fn next_whole(&mut self) -> Result<Result<SandboxFrame, frame::FrameError>, Lost> {
        loop {
            if let Some(frame) = self.decoder.next() {
                return Ok(frame);
            }
            let read = self.reader.read(&mut self.buffer).await;
            match read.map_err(|problem| Lost(format!("its output can't be read: {problem}")))? {
                0 => return Err(Lost("it has ended".to_owned())),
                read => {
                    self.read_bytes = self.read_bytes.saturating_add(read);
                    self.decoder.feed(&self.buffer[..read]);
                }
            }
        }
    }

    pub(super) async fn send(&mut self, frame: &HostFrame) -> Result<(), Lost> {
        self.send_all(std::slice::from_ref(frame)).await
    }

    /// Sends frames in one write.
    pub(super) async fn send_all(&mut self, frames: &[HostFrame]) -> Result<(), Lost> {
        self.wire.clear();
        for frame in frames {
            frame::encode(frame, &mut self.wire).map_err(|e| Lost(format!("a frame can't be sent: {e}")))?;
        }
        let write = async {
            self.writer.write_all(&self.wire).await?;
            self.writer.flush().await
        };
        match tokio::time::timeout(WRITE_TIMEOUT, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(problem)) => Err(Lost(format!("it can't be written to: {problem}"))),
            Err(_) => Err(Lost(format!("it has taken no input for {} s", WRITE_TIMEOUT.as_secs()))),
        }
    }
}
