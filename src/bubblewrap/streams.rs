//! The streams of a process in a sandbox, as the person's program has them.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use rustix::fs::{FileType, OFlags};
use rustix::termios::Winsize;
use sandboxd::visit::Answer;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{mpsc, watch};

use super::visit::Connection;
use crate::sandbox::{Piece, Visit, VisitInput, VisitProcess};

/// Pieces of output that wait to be shown. Then the process waits.
const OUTPUT_QUEUE: usize = 16;

/// The longest piece.
const MAX_PIECE_BYTES: usize = 16 * 1024;

/// As much as a pipe ever holds for a user who is not root. What comes after a process's end is not its own.
const MAX_LEFT_BYTES: usize = 1024 * 1024;

/// What a shell adds to the number of a signal.
const KILLED: i32 = 128;

/// The process behind `connection`, whose streams were `given`.
///
/// # Errors
/// When they are not those that it must have.
pub(super) fn visit(connection: Connection, given: Vec<OwnedFd>, terminal: bool) -> io::Result<Visit> {
    let kind = if terminal { FileType::CharacterDevice } else { FileType::Fifo };
    let streams: io::Result<Vec<File>> = given.into_iter().map(|it| stream(it, kind)).collect();
    let mut streams = streams?.into_iter();
    let other = || io::Error::other("it gave other streams than it should");
    let first = streams.next().ok_or_else(other)?;
    let (input, master, errors): (VisitInput, _, _) = match terminal {
        true => {
            let input = Sender::from_file_unchecked(first.try_clone()?)?;
            (Box::pin(input), Some(first.try_clone()?), Stream::none())
        }
        false => (Box::pin(tokio::io::sink()), None, Stream::of(streams.next().ok_or_else(other)?)?),
    };
    if streams.next().is_some() {
        return Err(other());
    }
    let (sender, receiver) = mpsc::channel(OUTPUT_QUEUE);
    let (ended, status) = watch::channel(None);
    tokio::spawn(pass_on(connection, Stream::of(first)?, errors, sender, ended));
    let pieces = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece| (Ok(piece), receiver))
    });
    Ok(Visit { input, output: Box::pin(pieces), process: Box::new(Remote { master, status }) })
}

/// A descriptor that must be of `kind`, and does not block.
fn stream(descriptor: OwnedFd, kind: FileType) -> io::Result<File> {
    if FileType::from_raw_mode(rustix::fs::fstat(&descriptor)?.st_mode) != kind {
        return Err(io::Error::other("it gave something else than a stream"));
    }
    let flags = rustix::fs::fcntl_getfl(&descriptor)?;
    rustix::fs::fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK)?;
    Ok(descriptor.into())
}

/// Until the process has ended, or nobody listens. What it has written by then is all there is, whoever else may still have
/// its streams open.
async fn pass_on(
    connection: Connection,
    mut output: Stream,
    mut errors: Stream,
    pieces: mpsc::Sender<Piece>,
    ended: watch::Sender<Option<u8>>,
) {
    let answer = loop {
        let piece = tokio::select! {
            bytes = output.next() => Piece::Out(bytes),
            bytes = errors.next() => Piece::Err(bytes),
            answer = connection.receive() => break answer,
            () = pieces.closed() => return,
        };
        if pieces.send(piece).await.is_err() {
            return;
        }
    };
    if let Ok((answer, _)) = answer {
        let _ = ended.send(status(&answer));
    }
    for bytes in output.left() {
        let _ = pieces.send(Piece::Out(bytes)).await;
    }
    for bytes in errors.left() {
        let _ = pieces.send(Piece::Err(bytes)).await;
    }
}

fn status(answer: &Answer) -> Option<u8> {
    let status = match answer {
        Answer::Exited { code } => *code,
        Answer::Signalled { signal } => KILLED.saturating_add(*signal),
        Answer::Started | Answer::Refused { .. } => return None,
    };
    u8::try_from(status).ok()
}

/// The reading side of a pipe or of a terminal; `None` at its end.
struct Stream(Option<Receiver>);

impl Stream {
    fn of(file: File) -> io::Result<Self> {
        Receiver::from_file_unchecked(file).map(|it| Self(Some(it)))
    }

    fn none() -> Self {
        Self(None)
    }

    /// Never returns at its end: the process itself says when it has ended. Can be given up.
    async fn next(&mut self) -> Vec<u8> {
        if let Some(receiver) = &self.0 {
            let mut bytes = vec![0; MAX_PIECE_BYTES];
            if let Ok(read @ 1..) = read_some(receiver, &mut bytes).await {
                bytes.truncate(read);
                return bytes;
            }
            // A terminal whose last user is gone says so by an error.
            self.0 = None;
        }
        std::future::pending().await
    }

    /// What is there already.
    fn left(&self) -> impl Iterator<Item = Vec<u8>> {
        let mut total = 0;
        std::iter::from_fn(move || {
            let mut bytes = vec![0; MAX_PIECE_BYTES];
            let read = rustix::io::read(self.0.as_ref()?, &mut bytes[..]).ok()?;
            bytes.truncate(read);
            total += read;
            (read > 0 && total <= MAX_LEFT_BYTES).then_some(bytes)
        })
    }
}

/// Not by `AsyncRead`: that takes a buffer which is not filled for the end of what is there, and waits for more to come. A
/// terminal hands out its output in portions.
async fn read_some(receiver: &Receiver, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        receiver.readable().await?;
        match receiver.try_read(bytes) {
            Err(problem) if problem.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

struct Remote {
    master: Option<File>,
    status: watch::Receiver<Option<u8>>,
}

#[async_trait]
impl VisitProcess for Remote {
    async fn resize(&self, columns: u16, rows: u16) {
        if let Some(master) = &self.master {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            let _ = rustix::termios::tcsetwinsize(master, size);
        }
    }

    async fn status(&self) -> Option<u8> {
        *self.status.borrow()
    }
}
