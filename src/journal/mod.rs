//! The journal port on SQLite: the node's write-ahead log and memory, in the data folder.
//!
//! ```text
//! <data>/lock         held by the one node that works with the folder; its process id
//! <data>/journal.db   events (append-only, a chain of hashes), the outbox, the trail's record, what peers' trails are
//! <data>/blobs/       outputs and diffs, by their BLAKE3 hash
//! ```
//!
//! What holds:
//! - An answered `append` is on the disk (WAL, `synchronous = FULL`); a batch is there whole or not at all, with the
//!   notices of its entries.
//! - A batch that a crash cut is thrown away at the next opening, which says so; an answered one that does not read any
//!   more, or an entry that is not what was recorded, makes it refuse (`wal`, `verify`).
//! - Entries are numbered from 1 without a gap, and no entry is changed or removed (`chain`, `schema`).
//! - With each batch stands what the trail is over all entries, signed (`segments`). The trail's files (`crate::trail`) are
//!   compared with that at the opening: damage is mended, a contradiction refused (`trail_check`).
//! - A blob that no entry names is removed at the opening (`unnamed`).
//! - One thread writes (`writer`); reads go by a connection of their own and see every answered append.
//! - An append that fails leaves what was there before. (Should the disk fail in the very moment of a commit and the
//!   machine then crash, a batch may turn up whole that was answered with an error.)

mod blobs;
mod chain;
mod error;
mod lock;
mod proofs;
mod reader;
mod schema;
mod segments;
mod store;
mod trail_check;
mod unnamed;
mod verify;
mod wal;
mod witnesses;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bzzz_actors::ports::journal::{
    Delivery, Entry, Journal, JournalError, NodeEvent, Pending, Recorded, Seq, Witnessed,
};
use bzzz_actors::task::{BlobRef, JournalHead, Lane, NodeId, TaskId};
use bzzz_actors::trail::{Mark, TrailHead};

use blobs::Blobs;
pub use error::{JournalOpenError, VerifyError};
use lock::DataLock;
pub use lock::holder;
pub use proofs::Proofs;
pub use reader::{JournalReader, Kept, Logged, LoggedEvent};
pub(crate) use segments::Segment;
use store::{Opened, Store};
use tracing::{info, warn};
use trail_check::Found;
pub use verify::{TrailReport, VerifyReport};
use writer::Writer;

use crate::folder;
use crate::trail::inspection::State;
use crate::trail::projection::Projection;
use crate::trail::replication::Segments;
use crate::trail::{Archive, AuditKeys, TrailOptions};

/// A node's journal, open for writing. Dropping it waits for the writes that were handed over, then lets another node
/// have the folder.
pub struct SqliteJournal {
    writer: Writer,
    // The order is that of dropping: the connection that writes closes after those that read, and so leaves no log beside the
    // file; the lock goes last.
    reader: Arc<Mutex<JournalReader>>,
    projection: Projection,
    keys: Arc<AuditKeys>,
    blobs: Blobs,
    cut_bytes: u64,
    /// Once the writer has ended. Nobody locks it: a connection may only not be shared.
    store: Mutex<Option<Store>>,
    _lock: DataLock,
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        // All that was handed over is in the file; what is projected after this is all there is.
        self.store = Mutex::new(self.writer.finish());
    }
}

impl SqliteJournal {
    /// Opens the journal in `data_dir`, or begins one there, for the node `node`. Blocks: it reads the whole file and
    /// checks every entry.
    pub fn open(data_dir: &Path, node: NodeId) -> Result<Self, JournalOpenError> {
        Self::open_with(data_dir, node, TrailOptions::default())
    }

    /// The same, with what is to be done with the trail.
    pub fn open_with(data_dir: &Path, node: NodeId, trail: TrailOptions) -> Result<Self, JournalOpenError> {
        let unusable = |source| JournalOpenError::Folder { path: data_dir.to_owned(), source };
        folder::make(data_dir).map_err(unusable)?;
        let lock = DataLock::acquire(data_dir)?;
        let blobs = Blobs::in_folder(data_dir);
        blobs.prepare().map_err(unusable)?;
        let mut named = unnamed::Named::default();
        let Opened { mut store, cut_bytes, segments, keys } =
            Store::open(data_dir, node, trail.segment_blocks, |raw| named.note(raw))?;
        match unnamed::remove(&blobs, &named) {
            Ok(0) => {}
            Ok(removed) => info!(removed, "removed outputs and diffs that no entry names"),
            Err(error) => warn!(%error, "outputs and diffs that no entry names can't be removed"),
        }
        folder::sync(data_dir).map_err(unusable)?;
        let reader = Arc::new(Mutex::new(JournalReader::open(data_dir)?));
        let projection = start_projection(data_dir, keys.clone(), trail.archive, &segments)?;
        note_rebuilt(&mut store, &projection, &segments);
        let goal = projection.goal();
        let writer = Writer::start(store, move |entry| goal.recorded(entry)).map_err(unusable)?;
        Ok(Self { writer, reader, projection, keys, blobs, cut_bytes, store: Mutex::default(), _lock: lock })
    }

    /// How much of a batch that a crash cut was thrown away at the opening. Nobody was told that it was recorded.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// The trail, for those who replicate it.
    pub fn segments(&self) -> Arc<dyn Segments> {
        self.projection.segments()
    }

    /// Returns once the trail's files have all that was recorded until now.
    pub async fn projected(&self) -> Result<(), JournalError> {
        let head = Journal::head(self).await?;
        self.projection.has(head.entry).await;
        Ok(())
    }

    /// Reads the whole journal and every blob that it names.
    pub async fn verify(&self) -> Result<VerifyReport, VerifyError> {
        let gone = |error: JournalError| VerifyError { seq: Seq(0), why: error.to_string() };
        self.read(|reader| Ok(reader.verify())).await.map_err(gone)?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&JournalReader) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let reader = Arc::clone(&self.reader);
        // A panic under the lock can't leave the connection half changed: it only reads.
        blocking(move || read(&reader.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

/// The trail's files are whole when this returns, unless the disk does not take them now.
fn start_projection(
    data_dir: &Path,
    keys: Arc<AuditKeys>,
    archive: Option<Archive>,
    segments: &[Found],
) -> Result<Projection, JournalOpenError> {
    let is_whole = |found: &&Found| matches!(found.state, State::Whole | State::Archived { .. });
    let from = segments.iter().take_while(is_whole).count().min(segments.len().saturating_sub(1));
    let is_damaged = |found: &&Found| matches!(found.state, State::Damaged { .. } | State::Unreadable { .. });
    let damaged: Vec<u64> = segments.iter().filter(is_damaged).map(|found| found.segment.number).collect();
    let journal = JournalReader::open(data_dir)?;
    let started = Projection::start(data_dir, keys, journal, archive, from as u64, &damaged);
    started
        .map_err(|error| JournalOpenError::Unavailable { path: data_dir.to_owned(), why: error.to_string() })
}

fn note_rebuilt(store: &mut Store, projection: &Projection, segments: &[Found]) {
    for Found { segment, state, .. } in segments {
        let (State::Damaged { why } | State::Unreadable { why }) = state else { continue };
        warn!(segment = segment.number, %why, "the audit trail was damaged and was written anew from the journal");
        let event = NodeEvent::TrailRebuilt { segment: segment.number, why: why.clone() };
        match store.note(&event) {
            Ok(Seq(entry)) => projection.goal().recorded(entry),
            Err(error) => warn!(%error, "that can't be recorded"),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(JournalError::Unavailable(error.to_string())))
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Recorded>, JournalError> {
        self.writer.append(entries).await
    }

    async fn head(&self) -> Result<JournalHead, JournalError> {
        self.read(JournalReader::head).await
    }

    async fn note(&self, event: NodeEvent) -> Result<Seq, JournalError> {
        self.writer.note(event).await
    }

    async fn trail_head(&self) -> Result<TrailHead, JournalError> {
        self.read(JournalReader::trail_head).await
    }

    async fn has_signed(&self, head: &TrailHead) -> Result<bool, JournalError> {
        let keys = &self.keys;
        Ok(head.key == keys.public() && head.segment_key == keys.public_of(head.mark.segment))
    }

    async fn leads_to(&self, mark: Mark) -> Result<bool, JournalError> {
        self.read(move |reader| reader.leads_to(mark)).await
    }

    async fn witness(&self, witnessed: Witnessed) -> Result<(), JournalError> {
        self.writer.witness(witnessed).await
    }

    async fn witnessed(&self) -> Result<Vec<Witnessed>, JournalError> {
        self.read(JournalReader::witnessed).await
    }

    async fn events_of(&self, task: &TaskId, after: Seq) -> Result<Vec<Recorded>, JournalError> {
        let task = task.clone();
        self.read(move |reader| reader.events_of(&task, after)).await
    }

    async fn tasks(&self) -> Result<Vec<TaskId>, JournalError> {
        self.read(JournalReader::tasks).await
    }

    async fn unfinished(&self) -> Result<Vec<TaskId>, JournalError> {
        self.read(JournalReader::unfinished).await
    }

    async fn put_blob(&self, bytes: &[u8]) -> Result<BlobRef, JournalError> {
        let (blobs, bytes) = (self.blobs.clone(), bytes.to_vec());
        blocking(move || blobs.put(&bytes)).await
    }

    async fn blob(&self, blob: &BlobRef) -> Result<Option<Vec<u8>>, JournalError> {
        let (blobs, blob) = (self.blobs.clone(), blob.clone());
        blocking(move || blobs.get(&blob)).await
    }

    async fn pending(&self, lane: Lane, limit: usize) -> Result<Vec<Pending>, JournalError> {
        self.read(move |reader| reader.pending(lane, limit)).await
    }

    async fn settle(&self, id: u64, delivery: &Delivery) -> Result<(), JournalError> {
        self.writer.settle(id, delivery.clone()).await
    }

    async fn shed(&self, lane: Lane, keep: usize, why: &str) -> Result<usize, JournalError> {
        self.writer.shed(lane, keep, why.to_owned()).await
    }
}

#[cfg(test)]
mod tests;
