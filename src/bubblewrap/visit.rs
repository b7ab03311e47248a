//! A person's look into a sandbox, from the side of the person's program: it finds the socket, asks sandboxd behind it for a
//! process, and gets that process's streams.
//!
//! It needs no privilege and enters nothing: sandboxd starts the process, and ends it when this program goes away. What
//! comes back is bounded, and of the kinds that it must be.

use std::fs;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::sandbox::SandboxError;
use bzzz_actors::task::{NodeId, printable};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags};
use sandboxd::visit::{
    self, Answer, MAX_STREAMS, MAX_VISIT_BYTES, Request, Terminal as TerminalRequest, VISIT_VERSION,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::entrance;
use super::streams;
use crate::sandbox::{Standing, TERMINAL, Visit, Visitor, WORK_TREE, common};

/// For sandboxd to start the process. It takes milliseconds, unless the machine is very busy.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A terminal's size until it is told another one.
const FIRST_SIZE: (u16, u16) = (80, 24);

/// More sandboxes than a node ever has.
const MAX_STANDING: usize = 10_000;

/// The sandboxes of the node whose temporary files are in a folder.
pub struct BubblewrapVisitor {
    node: NodeId,
    folder: PathBuf,
}

impl BubblewrapVisitor {
    pub fn new(node: NodeId, temp_dir: &Path) -> Self {
        Self { node, folder: entrance::folder(temp_dir) }
    }

    /// Those with a sandboxd behind their socket.
    fn found(&self) -> io::Result<Vec<Standing>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let standing = entries.take(MAX_STANDING).filter_map(|entry| {
            let entry = entry.ok()?;
            let spec = entrance::spec(entry.file_name().to_str()?, &self.node)?;
            // A busy one counts.
            let is_gone = |problem: &io::Error| problem.kind() != io::ErrorKind::WouldBlock;
            if entrance::connect(&entry.path()).as_ref().err().is_some_and(is_gone) {
                return None;
            }
            let handle = entry.path().to_str()?.to_owned();
            Some(Standing { name: common::name(&spec), spec, handle })
        });
        Ok(standing.collect())
    }

    fn not_seen(&self, problem: &io::Error) -> SandboxError {
        let folder = self.folder.display();
        if problem.kind() != io::ErrorKind::PermissionDenied {
            return SandboxError::Unavailable(format!(
                "bubblewrap's sandboxes can't be looked for in {folder}: {problem}"
            ));
        }
        // The nearest folder that says who its user is.
        let owner = self.folder.ancestors().find_map(|folder| fs::metadata(folder).ok());
        let who = match owner.map(|found| found.uid()) {
            None => "the node's user, or as root".to_owned(),
            Some(0) => "root".to_owned(),
            Some(user) => format!("user {user}, or as root"),
        };
        SandboxError::Unavailable(format!(
            "{folder} is the node's own, and leads to bubblewrap's sandboxes: run this as {who}"
        ))
    }
}

#[async_trait]
impl Visitor for BubblewrapVisitor {
    async fn standing(&self) -> Result<Vec<Standing>, SandboxError> {
        self.found().map_err(|problem| self.not_seen(&problem))
    }

    async fn visit(
        &self,
        standing: &Standing,
        command: Vec<String>,
        terminal: bool,
    ) -> Result<Visit, SandboxError> {
        let connected =
            entrance::connect(Path::new(&standing.handle)).map_err(|problem| match problem.kind() {
                io::ErrorKind::WouldBlock => {
                    SandboxError::Unavailable("too many look into this sandbox already".to_owned())
                }
                _ => lost(&problem),
            });
        let connection = Connection::new(connected?).map_err(|problem| lost(&problem))?;
        let (columns, rows) = FIRST_SIZE;
        let request = Request {
            version: VISIT_VERSION,
            command,
            cwd: WORK_TREE.to_owned(),
            terminal: terminal.then(|| TerminalRequest { kind: TERMINAL.to_owned(), columns, rows }),
        };
        let packet = visit::packet(&request)
            .ok_or_else(|| SandboxError::Refused("the command is too long".to_owned()))?;
        let asked = async {
            connection.send(&packet).await?;
            connection.receive().await
        };
        let answered = tokio::time::timeout(START_TIMEOUT, asked).await;
        let answered = answered.map_err(|_| {
            SandboxError::Unavailable(format!("the sandbox has not started it within {START_TIMEOUT:?}"))
        })?;
        match answered.map_err(|problem| lost(&problem))? {
            (Answer::Started, given) => streams::visit(connection, given, terminal).map_err(|e| lost(&e)),
            (Answer::Refused { why }, _) => Err(SandboxError::Refused(printable(&why))),
            (Answer::Exited { .. } | Answer::Signalled { .. }, _) => {
                Err(lost(&io::Error::other("it said something else than was asked")))
            }
        }
    }
}

fn lost(problem: &io::Error) -> SandboxError {
    SandboxError::Lost(format!("it does not let anybody look in ({problem})"))
}

/// With sandboxd, in packets. Closed, it ends the process that was asked for.
pub(super) struct Connection(UnixStream);

impl Connection {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        UnixStream::from_std(socket.into()).map(Self)
    }

    async fn send(&self, packet: &[u8]) -> io::Result<()> {
        let send = || Ok(rustix::net::send(&self.0, packet, SendFlags::NOSIGNAL)?);
        self.0.async_io(Interest::WRITABLE, send).await.map(|_| ())
    }

    /// The next answer, with the descriptors beside it.
    ///
    /// # Errors
    /// Also when sandboxd has gone, or what came is none.
    pub(super) async fn receive(&self) -> io::Result<(Answer, Vec<OwnedFd>)> {
        self.0.async_io(Interest::READABLE, || receive(&self.0)).await
    }
}

fn receive(socket: &UnixStream) -> io::Result<(Answer, Vec<OwnedFd>)> {
    let mut packet = vec![0; MAX_VISIT_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_STREAMS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut packet)];
    let received = rustix::net::recvmsg(socket, &mut into, &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    let given = beside.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let given: Vec<OwnedFd> = given.flatten().collect();
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let answer = visit::message(&packet[..received.bytes]);
    let answer = answer.ok_or_else(|| io::Error::other("its answer can't be understood"))?;
    Ok((answer, given))
}
