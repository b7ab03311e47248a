//! Reading: by a node on its second connection, or by a command while a node runs.

use std::path::{Path, PathBuf};

use bzzz_actors::ports::journal::{JournalError, Pending, Recorded, Seq};
use bzzz_actors::task::{BlobRef, Epoch, JournalHead, Lane, TaskId};
use rusqlite::{Connection, OptionalExtension, params};

use super::blobs::Blobs;
use super::chain::{Hash, Head, RawEntry, Unreadable};
use super::error::{JournalOpenError, VerifyError, journal_error};
use super::schema;
use super::verify::{self, VerifyReport};
use super::wal;

/// A journal that is only read. It takes no lock: a node may work with the folder at the same time.
pub struct JournalReader {
    connection: Connection,
    path: PathBuf,
    blobs: Blobs,
}

impl JournalReader {
    /// Fails where there is no journal; changes nothing.
    pub fn open(data_dir: &Path) -> Result<Self, JournalOpenError> {
        let path = schema::file_in(data_dir);
        let connection = schema::open_to_read(&path)?;
        Ok(Self { connection, path, blobs: Blobs::in_folder(data_dir) })
    }

    /// The last entry.
    pub fn head(&self) -> Result<JournalHead, JournalError> {
        let query = "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1";
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Head { seq: row.get::<_, i64>(0)?.cast_unsigned(), hash: Hash(row.get(1)?) })
        };
        let last = self.connection.query_row(query, [], row).optional();
        let Head { seq, hash } = last.map_err(|error| self.failed(&error))?.unwrap_or(Head::EMPTY);
        Ok(JournalHead { entry: seq, hash: hash.to_hex() })
    }

    /// A task's events after `after`, in order.
    pub fn events_of(&self, task: &TaskId, after: Seq) -> Result<Vec<Recorded>, JournalError> {
        let query =
            format!("SELECT {} FROM events WHERE task = ?1 AND seq > ?2 ORDER BY seq", RawEntry::COLUMNS);
        let read = || {
            let mut statement = self.connection.prepare(&query)?;
            let rows =
                statement.query_map(params![task.to_string(), after.0.cast_signed()], RawEntry::from_row)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let raw = read().map_err(|error| self.failed(&error))?;
        raw.iter().map(|raw| raw.recorded().map_err(|why| self.unreadable(raw, &why))).collect()
    }

    /// Every task that has events, in the order of its last one.
    pub fn tasks(&self) -> Result<Vec<TaskId>, JournalError> {
        self.named("SELECT task, max(seq) AS last FROM events GROUP BY task ORDER BY last")
    }

    /// Those of [`Self::tasks`] whose last event does not end their life on this node.
    pub fn unfinished(&self) -> Result<Vec<TaskId>, JournalError> {
        // What a sandbox asked of the network may be recorded after the task's end.
        self.named(
            "SELECT latest.task FROM (SELECT task, max(seq) AS last FROM events GROUP BY task) AS latest
             JOIN events ON events.seq = latest.last
             WHERE events.kind NOT IN ('cleaned_up', 'claim_lost')
               AND NOT (events.kind IN ('connected', 'connections_omitted')
                 AND (SELECT kind FROM events AS before WHERE before.task = latest.task
                        AND before.kind NOT IN ('connected', 'connections_omitted')
                      ORDER BY before.seq DESC LIMIT 1) IN ('cleaned_up', 'claim_lost'))
             ORDER BY latest.last",
        )
    }

    fn named(&self, query: &str) -> Result<Vec<TaskId>, JournalError> {
        let names = self.texts(query, params![])?;
        let damaged = |why| JournalError::Damaged(format!("{}: {why}", self.path.display()));
        names.iter().map(|name| name.parse().map_err(damaged)).collect()
    }

    /// Of each task the oldest notice of one lane that waits, oldest first, at most `limit`.
    pub fn pending(&self, lane: Lane, limit: usize) -> Result<Vec<Pending>, JournalError> {
        // The other columns of a `min` are those of the row that has it.
        let query = "SELECT min(outbox.id) AS oldest, outbox.notice, events.task, events.epoch, events.at_ms
                     FROM outbox JOIN events ON events.seq = outbox.event
                     WHERE settled_at_ms IS NULL AND lane = ?1
                     GROUP BY events.task ORDER BY oldest LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = || {
            let mut statement = self.connection.prepare(query)?;
            let row = |row: &rusqlite::Row<'_>| {
                let [id, epoch, at_ms] = [row.get(0)?, row.get(3)?, row.get(4)?].map(i64::cast_unsigned);
                Ok((id, epoch, at_ms, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
            };
            statement.query_map(params![lane.name(), limit], row)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let to_pending = |(id, epoch, recorded_at_ms, notice, task): (u64, u64, u64, String, String)| {
            let damaged = |why: &dyn std::fmt::Display| {
                JournalError::Damaged(format!("{}: notice {id}: {why}", self.path.display()))
            };
            Ok(Pending {
                id,
                task: task.parse().map_err(|why| damaged(&why))?,
                epoch: Epoch(epoch),
                notice: serde_json::from_str(&notice).map_err(|why| damaged(&why))?,
                recorded_at_ms,
            })
        };
        read().map_err(|error| self.failed(&error))?.into_iter().map(to_pending).collect()
    }

    /// The bytes that an event names.
    pub fn blob(&self, blob: &BlobRef) -> Result<Option<Vec<u8>>, JournalError> {
        self.blobs.get(blob)
    }

    /// Reads the whole journal and every blob that it names.
    pub fn verify(&self) -> Result<VerifyReport, VerifyError> {
        self.verify_with(None)
    }

    /// The same, and that it still has the entry that was its last once: who removed it, or wrote the chain anew up to
    /// there, is found by that alone.
    pub fn verify_holding(&self, kept: &JournalHead) -> Result<VerifyReport, VerifyError> {
        self.verify_with(Some(kept))
    }

    fn verify_with(&self, kept: Option<&JournalHead>) -> Result<VerifyReport, VerifyError> {
        let wrong = |why: String| VerifyError { seq: Seq(0), why };
        let rest = || wal::rest(&self.path).map_err(|error| wrong(error.to_string()));
        // Twice: what looks like damage is none when a node just begins its log anew.
        let found = rest()?;
        if let Some(why) = found.damage().filter(|_| rest().as_ref() == Ok(&found)) {
            return Err(wrong(why));
        }
        verify::verify(&self.connection, &self.blobs, kept)
    }

    fn texts(&self, query: &str, params: impl rusqlite::Params) -> Result<Vec<String>, JournalError> {
        let read = || {
            let mut statement = self.connection.prepare(query)?;
            statement.query_map(params, |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &rusqlite::Error) -> JournalError {
        journal_error(&self.path, error)
    }

    fn unreadable(&self, raw: &RawEntry, why: &Unreadable) -> JournalError {
        JournalError::Damaged(format!("{}: entry {}: {why}", self.path.display(), raw.seq))
    }
}
