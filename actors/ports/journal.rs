//! The node's write-ahead log and memory.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ports::swarm::PeerId;
use crate::task::{BlobRef, Epoch, JournalHead, Lane, Notice, TaskEvent, TaskId};
use crate::trail::{Mark, TrailHead};

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

/// What the node did or saw that is of no task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case")]
pub enum NodeEvent {
    /// What the trail had on the disk was damaged, and was written anew from the journal.
    TrailRebuilt { segment: u64, why: String },
    /// A peer signed two heads of its trail, and the one that it shows does not go on from the one before.
    PeerContradicted { peer: PeerId, witnessed: TrailHead, shown: TrailHead, why: String },
    /// Peers hold a head that this node signed and that its journal does not lead to.
    OwnHistoryLost { witnessed: TrailHead, own: TrailHead },
}

impl NodeEvent {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TrailRebuilt { .. } => "trail_rebuilt",
            Self::PeerContradicted { .. } => "peer_contradicted",
            Self::OwnHistoryLost { .. } => "own_history_lost",
        }
    }
}

/// The last head of a peer's trail that goes on from all before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    pub peer: PeerId,
    pub head: TrailHead,
    /// Wall clock of the witness, milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// Another head of the same peer that does not go on from it.
    pub contradicted_by: Option<TrailHead>,
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

    /// Records what is of no task; durable on return.
    async fn note(&self, event: NodeEvent) -> Result<Seq, JournalError>;

    /// Of the trail: over all entries that are recorded.
    async fn trail_head(&self) -> Result<TrailHead, JournalError>;

    /// Whether the trail leads to this mark: false for one that is further than it, or has another root.
    async fn leads_to(&self, mark: Mark) -> Result<bool, JournalError>;

    /// Whether this node's own keys are those of the head, of which the signature holds: anybody can name its audit key, and
    /// sign with a key that it calls the segment's. A journal that knows the keys of other segments than its last says so of
    /// heads in those too.
    async fn has_signed(&self, head: &TrailHead) -> Result<bool, JournalError> {
        let own = self.trail_head().await?;
        let is_of_segment = match head.mark.segment {
            0 => head.segment_key == own.key,
            segment => segment == own.mark.segment && head.segment_key == own.segment_key,
        };
        Ok(head.key == own.key && is_of_segment)
    }

    /// Keeps what this node knows of a peer's trail, in place of what it knew before.
    async fn witness(&self, witnessed: Witnessed) -> Result<(), JournalError>;

    async fn witnessed(&self) -> Result<Vec<Witnessed>, JournalError>;

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
