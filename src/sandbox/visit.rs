//! A person's look into a sandbox that runs, whatever backend made it: a process beside the commands, as one of them.

use std::pin::Pin;

use async_trait::async_trait;
use bzzz_actors::ports::sandbox::{SandboxError, SandboxSpec};
use futures_util::Stream;
use tokio::io::AsyncWrite;

/// What a terminal of a visit is called there. Every program knows it.
pub(crate) const TERMINAL: &str = "xterm-256color";

/// A sandbox that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// For people.
    pub name: String,
    pub spec: SandboxSpec,
    /// By what its backend finds it.
    pub handle: String,
}

/// The sandboxes of one node that run now, for whoever is not that node.
#[async_trait]
pub trait Visitor: Send + Sync {
    /// # Errors
    /// When they can't be seen; the text says what to do.
    async fn standing(&self) -> Result<Vec<Standing>, SandboxError>;

    /// Starts `command` in the work tree. With `terminal` it has one of its own, else none and no input.
    ///
    /// # Errors
    /// When it can't be started, or the sandbox is gone.
    async fn visit(
        &self,
        standing: &Standing,
        command: Vec<String>,
        terminal: bool,
    ) -> Result<Visit, SandboxError>;
}

/// A piece of what a process writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Out(Vec<u8>),
    Err(Vec<u8>),
}

pub type VisitInput = Pin<Box<dyn AsyncWrite + Send>>;
pub type VisitOutput = Pin<Box<dyn Stream<Item = Result<Piece, SandboxError>> + Send>>;

/// A process in a sandbox. It is untrusted, like everything there.
pub struct Visit {
    pub input: VisitInput,
    /// With a terminal, both its outputs come as [`Piece::Out`].
    pub output: VisitOutput,
    pub process: Box<dyn VisitProcess>,
}

#[async_trait]
pub trait VisitProcess: Send + Sync {
    /// Of its terminal. One that has ended has no size, which is no matter.
    async fn resize(&self, columns: u16, rows: u16);

    /// Once its output has ended: its exit status, as a shell has it; `None` when nobody knows. A sandbox that ended with it
    /// is gone.
    async fn status(&self) -> Option<u8>;
}
