//! Frames over the two streams of one sandbox, or over the socket that takes their place.

use std::time::Duration;

use sandboxd::frame::{self, Decoder};
use sandboxd::{HostFrame, PROTOCOL_VERSION, SandboxFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::lost::Lost;
use super::{Sink, Source, Streams};

/// Sandboxd always reads, so a write that takes this long goes to a sandbox that is dead or lies.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// From the greeting to its answer. A container that has just started answers within milliseconds; a machine that
/// builds on all its cores may take seconds.
const GREETING_TIMEOUT: Duration = Duration::from_secs(20);

/// The same when it may answer on a socket. Then it is greeted once more, without one.
const DIRECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Those who connect to the socket and say nothing at first are not sandboxd.
const CALLER_TIMEOUT: Duration = Duration::from_secs(1);

/// So many of them at once.
const MAX_CALLERS: usize = 8;

/// From the end of the socket to that of the streams beside it.
const BESIDE_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// What listens on to the streams that are not spoken over, until their end.
    beside: Option<AbortOnDropHandle<()>>,
}

/// What sandboxd answers.
struct Greeting {
    version: u16,
    running: Option<u32>,
}

impl Link {
    fn new(reader: Source, writer: Sink) -> Self {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Self {
            reader,
            writer,
            decoder: Decoder::new(),
            buffer,
            wire: Vec::new(),
            read_bytes: 0,
            beside: None,
        }
    }

    /// Says hello and waits for the answer; returns the job that is running already.
    pub(super) async fn open(streams: Streams) -> Result<(Self, Option<u32>), Lost> {
        let mut link = Self::new(streams.reader, streams.writer);
        let greeting = match streams.direct {
            Some(direct) => link.greet_directly(direct).await?,
            None => None,
        };
        let greeting = match greeting {
            Some(greeting) => greeting,
            None => link.greet().await?,
        };
        if greeting.version != PROTOCOL_VERSION {
            return Err(Lost(format!(
                "the sandboxd in it speaks version {} of the protocol, this node {PROTOCOL_VERSION}",
                greeting.version
            )));
        }
        Ok((link, greeting.running))
    }

    async fn greet(&mut self) -> Result<Greeting, Lost> {
        let nonce = self.hello(false).await?;
        let timed_out = || Lost(format!("it did not answer within {} s", GREETING_TIMEOUT.as_secs()));
        let answer = self.greeting(nonce);
        tokio::time::timeout(GREETING_TIMEOUT, answer).await.unwrap_or_else(|_| Err(timed_out()))
    }

    /// Sandboxd answers on the socket, or, when it can't connect to it, on the streams. `None`: on neither in time.
    async fn greet_directly(&mut self, direct: UnixListener) -> Result<Option<Greeting>, Lost> {
        let nonce = self.hello(true).await?;
        let (link, greeting) = tokio::select! {
            greeting = self.greeting(nonce) => {
                tracing::debug!("sandboxd is spoken to over its standard streams");
                return greeting.map(Some);
            }
            answer = first_that_knows(nonce, &direct) => answer,
            () = tokio::time::sleep(DIRECT_TIMEOUT) => return Ok(None),
        };
        let mut streams = std::mem::replace(self, link);
        let listen = async move {
            // Its writer stays open so long, too.
            let _ = tokio::io::copy(&mut streams.reader, &mut tokio::io::sink()).await;
        };
        self.beside = Some(AbortOnDropHandle::new(tokio::spawn(listen)));
        Ok(Some(greeting))
    }

    /// Returns what the answer will have in it.
    async fn hello(&mut self, directly: bool) -> Result<u64, Lost> {
        let nonce = getrandom::u64().map_err(|e| Lost(format!("no random numbers: {e}")))?;
        self.send(&HostFrame::Hello { version: PROTOCOL_VERSION, nonce, directly }).await?;
        Ok(nonce)
    }

    async fn greeting(&mut self, nonce: u64) -> Result<Greeting, Lost> {
        loop {
            match self.next_whole().await? {
                Ok(SandboxFrame::Greeting { version, nonce: theirs, running }) if theirs == nonce => {
                    return Ok(Greeting { version, running });
                }
                _ if self.read_bytes > MAX_STALE_BYTES => {
                    return Err(Lost::broke_protocol("it does not answer the greeting"));
                }
                // Meant for the session before this one, or the second half of a frame that was.
                _ => {}
            }
        }
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
            let lost = match self.reader.read(&mut self.buffer).await {
                Ok(0) => Lost("it has ended".to_owned()),
                Ok(read) => {
                    self.read_bytes = self.read_bytes.saturating_add(read);
                    self.decoder.feed(&self.buffer[..read]);
                    continue;
                }
                Err(problem) => Lost(format!("its output can't be read: {problem}")),
            };
            return Err(self.ended(lost).await);
        }
    }

    /// Whoever asks then what became of the sandbox is to be told its end, and its last words.
    async fn ended(&mut self, lost: Lost) -> Lost {
        if let Some(beside) = &mut self.beside {
            let _ = tokio::time::timeout(BESIDE_TIMEOUT, beside).await;
        }
        lost
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
            Ok(Err(problem)) => {
                let lost = Lost(format!("it can't be written to: {problem}"));
                Err(self.ended(lost).await)
            }
            Err(_) => Err(Lost(format!("it has taken no input for {} s", WRITE_TIMEOUT.as_secs()))),
        }
    }
}

/// The connection whose first frame is the greeting with `nonce`. Any process of the sandbox may connect.
async fn first_that_knows(nonce: u64, direct: &UnixListener) -> (Link, Greeting) {
    let mut callers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = direct.accept(), if callers.len() < MAX_CALLERS => {
                // The other way is left.
                let Ok((stream, _)) = accepted else { return std::future::pending().await };
                callers.spawn(tokio::time::timeout(CALLER_TIMEOUT, caller(nonce, stream)));
            }
            Some(caller) = callers.join_next() => {
                if let Ok(Ok(Some(known))) = caller {
                    return known;
                }
            }
        }
    }
}

async fn caller(nonce: u64, stream: UnixStream) -> Option<(Link, Greeting)> {
    let (reader, writer) = stream.into_split();
    let mut link = Link::new(Box::new(reader), Box::new(writer));
    match link.next_whole().await {
        Ok(Ok(SandboxFrame::Greeting { version, nonce: theirs, running })) if theirs == nonce => {
            Some((link, Greeting { version, running }))
        }
        _ => None,
    }
}
