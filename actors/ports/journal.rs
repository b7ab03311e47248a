//! The node's write-ahead log and memory.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::task::{BlobRef, Epoch, JournalHead, Lane, Notice, TaskEvent, TaskId};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The disk is full or does not write: nothing of the batch was recorded.
    #[error("the journal can't be written: {0}")]
    Unavailable(String),
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    /// Whatever wrote it has ended: nothing will be recorded any more in this process.
    #[error("the journal's writer has ended")]
    Ended,
}

/// A place in the journal; the first entry's is 1, and no number is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seq(pub u64);

/// An event about to be recorded, with what it makes the node tell others. Both become durable together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub task: TaskId,
    pub epoch: Epoch,
    pub event: TaskEvent,
    pub notices: Vec<Notice>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    pub seq: Seq,
    /// Wall clock of the node, milliseconds since 1970, UTC; for people only.
    pub at_ms: u64,
    pub task: TaskId,
    pub epoch: Epoch,
    #[serde(flatten)]
    pub event: TaskEvent,
}

/// A notice that waits in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Grows in the order of recording; also part of the notice's idempotency key.
    pub id: u64,
    pub task: TaskId,
    pub epoch: Epoch,
    pub notice: Notice,
    pub recorded_at_ms: u64,
}

/// What became of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    Delivered,
    /// Given up: refused for good, or too old.
    Dropped {
        why: String,
    },
}

#[async_trait]
pub trait Journal: Send + Sync {
    /// Records the entries in this order, all or none, and returns once they are durable.
    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Recorded>, JournalError>;

    /// The last entry that is recorded.
    async fn head(&self) -> Result<JournalHead, JournalError>;

    /// A task's events after `after`, in order.
    async fn events_of(&self, task: &TaskId, after: Seq) -> Result<Vec<Recorded>, JournalError>;

    /// Every task that has events, in the order of its last one.
    async fn tasks(&self) -> Result<Vec<TaskId>, JournalError>;

    /// Every task whose last event, those of the network left out, is neither `CleanedUp` nor `ClaimLost`: those that a
    /// node that comes back must look at.
    async fn unfinished(&self) -> Result<Vec<TaskId>, JournalError>;

    /// Keeps bytes under their hash. Durable before any event that names it.
    async fn put_blob(&self, bytes: &[u8]) -> Result<BlobRef, JournalError>;

    async fn blob(&self, blob: &BlobRef) -> Result<Option<Vec<u8>>, JournalError>;

    /// Of each task the oldest notice of one lane that waits in the outbox, oldest first, at most `limit`.
    async fn pending(&self, lane: Lane, limit: usize) -> Result<Vec<Pending>, JournalError>;

    async fn settle(&self, id: u64, delivery: &Delivery) -> Result<(), JournalError>;

    /// Settles the oldest waiting notices of a lane as dropped, all but the newest `keep`, and returns how many.
    async fn shed(&self, lane: Lane, keep: usize, why: &str) -> Result<usize, JournalError>;
}
