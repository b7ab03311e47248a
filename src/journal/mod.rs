//! The journal port on SQLite: the node's write-ahead log and memory, in the data folder.
//!
//! ```text
//! <data>/lock         held by the one node that works with the folder; its process id
//! <data>/journal.db   events (append-only, a chain of hashes) and the outbox
//! <data>/blobs/       outputs and diffs, by their BLAKE3 hash
//! ```
//!
//! What holds:
//! - An answered `append` is on the disk (WAL, `synchronous = FULL`); a batch is there whole or not at all, with the
//!   notices of its entries.
//! - A batch that a crash cut is thrown away at the next opening, which says so; an answered one that does not read any
//!   more, or an entry that is not what was recorded, makes it refuse (`wal`, `verify`).
//! - Entries are numbered from 1 without a gap, and no entry is changed or removed (`chain`, `schema`).
//! - A blob that no entry names is removed at the opening (`unnamed`).
//! - One thread writes (`writer`); reads go by a connection of their own and see every answered append.
//! - An append that fails leaves what was there before. (Should the disk fail in the very moment of a commit and the
//!   machine then crash, a batch may turn up whole that was answered with an error.)

mod blobs;
mod chain;
mod error;
mod lock;
mod reader;
mod schema;
mod store;
mod unnamed;
mod verify;
mod wal;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bzzz_actors::ports::journal::{Delivery, Entry, Journal, JournalError, Pending, Recorded, Seq};
use bzzz_actors::task::{BlobRef, JournalHead, Lane, NodeId, TaskId};

use blobs::Blobs;
pub use error::{JournalOpenError, VerifyError};
use lock::DataLock;
pub use reader::JournalReader;
use store::Store;
use tracing::{info, warn};
pub use verify::VerifyReport;
use writer::Writer;

/// A node's journal, open for writing. Dropping it waits for the writes that were handed over, then lets another node
/// have the folder.
pub struct SqliteJournal {
    // The order is that of dropping: the lock goes last.
    reader: Arc<Mutex<JournalReader>>,
    writer: Writer,
    blobs: Blobs,
    cut_bytes: u64,
    _lock: DataLock,
}

impl SqliteJournal {
    /// Opens the journal in `data_dir`, or begins one there, for the node `node`. Blocks: it reads the whole file and
    /// checks every entry.
    pub fn open(data_dir: &Path, node: NodeId) -> Result<Self, JournalOpenError> {
        let unusable = |source| JournalOpenError::Folder { path: data_dir.to_owned(), source };
        blobs::make_folder(data_dir).map_err(unusable)?;
        let lock = DataLock::acquire(data_dir)?;
        let blobs = Blobs::in_folder(data_dir);
        blobs.prepare().map_err(unusable)?;
        let mut named = unnamed::Named::default();
        let (store, cut_bytes) = Store::open(data_dir, node, |raw| named.note(raw))?;
        match unnamed::remove(&blobs, &named) {
            Ok(0) => {}
            Ok(removed) => info!(removed, "removed outputs and diffs that no entry names"),
            Err(error) => warn!(%error, "outputs and diffs that no entry names can't be removed"),
        }
        blobs::sync_folder(data_dir).map_err(unusable)?;
        let reader = Arc::new(Mutex::new(JournalReader::open(data_dir)?));
        let writer = Writer::start(store).map_err(unusable)?;
        Ok(Self { reader, writer, blobs, cut_bytes, _lock: lock })
    }

    /// How much of a batch that a crash cut was thrown away at the opening. Nobody was told that it was recorded.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
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
