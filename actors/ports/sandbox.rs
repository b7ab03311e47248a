//! The place where a model's commands run: no network but what the operator allows, no credential, limits on everything.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::task::{Ending, Epoch, NodeId, Sha, TaskId};

use super::code::CodeIn;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// The backend does not answer, or refuses for a reason that may pass.
    #[error("the sandbox backend is not available: {0}")]
    Unavailable(String),
    /// The sandbox is gone or broke its protocol; what ran in it has an unknown outcome. A new one is needed.
    #[error("the sandbox was lost: {0}")]
    Lost(String),
    /// What was asked can't be done in this sandbox as it is; the text is meant for the model.
    #[error("{0}")]
    Refused(String),
    /// The configuration is wrong: no such image, no such runtime. The text says what to do.
    #[error("{0}")]
    Misconfigured(String),
}

impl SandboxError {
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Where the model works.
    Work,
    /// Where the checks run, on a tree that no command of the model has touched since.
    Check,
}

impl Purpose {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Check => "check",
        }
    }
}

/// Whose sandbox it is; stands in its labels, so that a returning node finds its own. Image, limits and runtime are
/// the operator's and the adapter's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SandboxSpec {
    pub node: NodeId,
    pub task: TaskId,
    pub epoch: Epoch,
    pub purpose: Purpose,
}

/// What a task's repository chose of what its operator lets it choose from: whoever hands it over has looked that up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxChoice {
    /// In place of the operator's image, for backends that have images.
    pub image: Option<String>,
    /// Beside the hosts that the operator allows the repository anyway.
    pub hosts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRequest {
    /// The command's number within its sandbox; sandboxd keeps the outcome under it.
    pub step: u32,
    /// Handed to a fresh `bash -c` in the work tree.
    pub command: String,
    /// The command and all that it started are killed then.
    pub timeout: Duration,
}

/// A command's output, standard output and error in one, as the sandbox kept it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapturedOutput {
    pub head: Vec<u8>,
    /// Follows `head` directly when nothing was left out.
    pub tail: Vec<u8>,
    /// Bytes between head and tail that the sandbox's cap dropped.
    pub left_out: u64,
    /// The file in the sandbox that holds the same, for a while; long outputs have one.
    pub file: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutcome {
    pub ending: Ending,
    pub duration: Duration,
    pub output: CapturedOutput,
    pub out_of_memory: bool,
}

/// A bundle of the sandbox's work in a file of the host: untrusted bytes. The file is removed when this is dropped.
#[derive(Debug)]
pub struct WorkBundle {
    pub file: PathBuf,
    pub remover: Box<dyn std::any::Any + Send + Sync>,
}

/// A backend that makes sandboxes.
#[async_trait]
pub trait Sandboxes: Send + Sync {
    /// What and which version, for people: "Docker 28.2 (runc), image bzzz-sandbox:1".
    async fn describe(&self) -> Result<String, SandboxError>;

    /// A new, empty sandbox. One of the same spec that was left over is removed first. Nothing stays of a start whose
    /// future is dropped.
    async fn start_with(
        &self,
        spec: &SandboxSpec,
        choice: &SandboxChoice,
    ) -> Result<Arc<dyn Sandbox>, SandboxError>;

    /// The same, for a repository that chose nothing.
    async fn start(&self, spec: &SandboxSpec) -> Result<Arc<dyn Sandbox>, SandboxError> {
        self.start_with(spec, &SandboxChoice::default()).await
    }

    /// The running sandbox of this spec that an earlier life of the node left, its sandboxd greeted; `None` when there is
    /// none. A command in it goes on, and is to be asked for with [`Sandbox::recall`] before the next one. Whether the
    /// code is in it, the backend can't tell: the journal can.
    ///
    /// # Errors
    /// `Lost` when its sandboxd does not answer.
    async fn adopt_with(
        &self,
        spec: &SandboxSpec,
        choice: &SandboxChoice,
    ) -> Result<Option<Arc<dyn Sandbox>>, SandboxError>;

    /// The same, of a repository that chose nothing.
    async fn adopt(&self, spec: &SandboxSpec) -> Result<Option<Arc<dyn Sandbox>>, SandboxError> {
        self.adopt_with(spec, &SandboxChoice::default()).await
    }

    /// Removes every sandbox of `node` whose spec `keep` does not accept; returns how many.
    async fn remove_strays(
        &self,
        node: &NodeId,
        keep: &(dyn for<'a> Fn(&'a SandboxSpec) -> bool + Send + Sync),
    ) -> Result<usize, SandboxError>;
}

/// One sandbox. Calls on it run one after the other.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// The backend's name for it, for logs and for a person who wants to look inside.
    fn name(&self) -> String;

    /// The connection to it is gone, and with it this value's use. The sandbox itself may stand, and be adopted.
    fn is_lost(&self) -> bool;

    /// The hosts that commands in it may connect to, by https; without any there is no network at all. The operator's
    /// word: a repository has a say in it as far as the operator lets it ask, an issue or a peer none.
    fn allowed_hosts(&self) -> Vec<String> {
        Vec::new()
    }

    /// Puts code into the empty work tree.
    async fn import(&self, code: &CodeIn) -> Result<(), SandboxError>;

    /// Runs one command to its end. `Err(Lost)`: nobody knows what it did.
    async fn run(&self, request: &CommandRequest) -> Result<CommandOutcome, SandboxError>;

    /// The outcome of a command that was begun in it before, by this life of the node or an earlier one; waits for its
    /// end. `None`: it knows nothing of the step, which never arrived, or the calls since have put its outcome out of
    /// mind. Never starts anything. A caller that goes away ends the command.
    ///
    /// # Errors
    /// `Lost` when it has not ended within `patience`, or the sandbox is gone.
    async fn recall(&self, step: u32, patience: Duration) -> Result<Option<CommandOutcome>, SandboxError>;

    /// The work tree as it is, as a git bundle with the one prerequisite `base`, at most `max_bytes` long. `None` when it is
    /// still `known`, or without one that of `base`. Only the sandbox says so: what follows from it may at most be that
    /// the `known` tree, which was checked, is taken for its work.
    async fn export_changes(
        &self,
        base: &Sha,
        known: Option<&Sha>,
        max_bytes: u64,
    ) -> Result<Option<WorkBundle>, SandboxError>;

    /// Removes the sandbox and all in it. Succeeds when it is gone already.
    async fn destroy(&self) -> Result<(), SandboxError>;
}
