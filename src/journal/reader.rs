//! Reading: by a node on its second connection, or by a command while a node runs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bzzz_actors::ports::journal::{JournalError, NodeEvent, Pending, Recorded, Seq, Witnessed};
use bzzz_actors::task::{BlobRef, Epoch, InvalidName, JournalHead, Lane, TaskEvent, TaskId};
use bzzz_actors::trail::{Mark, Node, Peaks, TrailHead};
use rusqlite::{Connection, OptionalExtension, params};

use super::blobs::Blobs;
use super::chain::{Hash, Head, RawEntry, Unreadable};
use super::error::{JournalOpenError, VerifyError, journal_error};
use super::schema;
use super::segments::{self, Segment};
use super::verify::{self, VerifyReport};
use super::wal;
use super::witnesses;

/// What somebody kept of a journal, to have it shown later that it still leads there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// `<entry>:<hash>`
    Entry(JournalHead),
    /// `<segment>/<blocks>:<root>`, of the trail.
    Mark(Mark),
}

impl FromStr for Kept {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.contains('/') {
            true => text.parse().map(Self::Mark),
            false => text.parse().map(Self::Entry),
        }
    }
}

/// An entry, whatever it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    pub seq: Seq,
    /// Milliseconds since 1970, by the node's clock.
    pub at_ms: u64,
    /// That the chain has at it.
    pub hash: String,
    pub what: LoggedEvent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedEvent {
    OfTask {
        task: TaskId,
        epoch: Epoch,
        event: TaskEvent,
    },
    /// Of no task.
    OfNode(NodeEvent),
}

/// A journal that is only read. It takes no lock: a node may work with the folder at the same time.
pub struct JournalReader {
    connection: Connection,
    path: PathBuf,
    data_dir: PathBuf,
    blobs: Blobs,
}

impl JournalReader {
    /// Fails where there is no journal; changes nothing.
    pub fn open(data_dir: &Path) -> Result<Self, JournalOpenError> {
        let path = schema::file_in(data_dir);
        let connection = schema::open_to_read(&path)?;
        Ok(Self { connection, path, data_dir: data_dir.to_owned(), blobs: Blobs::in_folder(data_dir) })
    }

    /// The last entry, and the trail at it.
    pub fn head(&self) -> Result<JournalHead, JournalError> {
        // Both of one moment.
        let _snapshot = self.connection.unchecked_transaction().map_err(|error| self.failed(&error))?;
        let query = "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1";
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Head { seq: row.get::<_, i64>(0)?.cast_unsigned(), hash: Hash(row.get(1)?) })
        };
        let last = self.connection.query_row(query, [], row).optional();
        let Head { seq, hash } = last.map_err(|error| self.failed(&error))?.unwrap_or(Head::EMPTY);
        Ok(JournalHead { entry: seq, hash: hash.to_hex(), trail: Some(self.trail_head()?) })
    }

    /// The segments of the trail, in order; at least one.
    pub(crate) fn segments(&self) -> Result<Vec<Segment>, JournalError> {
        let all = segments::all(&self.connection).map_err(|error| self.failed(&error))?;
        match all.is_empty() {
            false => Ok(all),
            true => Err(JournalError::Damaged(format!("{}: it records no trail", self.path.display()))),
        }
    }

    /// Over all entries.
    pub fn trail_head(&self) -> Result<TrailHead, JournalError> {
        let segments = self.segments()?;
        let head = segments.first().zip(segments.last()).map(|(first, last)| last.head(first.key));
        head.ok_or_else(|| JournalError::Damaged(format!("{}: it records no trail", self.path.display())))
    }

    /// Whether the trail had this root when it was that long.
    pub(crate) fn leads_to(&self, mark: Mark) -> Result<bool, JournalError> {
        let segments = self.segments()?;
        let segment = segments.iter().find(|it| it.number == mark.segment && it.length >= mark.length);
        let Some(segment) = segment.filter(|_| mark.length > 0) else { return Ok(false) };
        let mut peaks = Peaks::default();
        self.each_block(segment, 0, mark.length, |block| peaks.push(Node::of_block(block.as_bytes())))?;
        Ok(peaks.root() == mark.root)
    }

    /// The blocks of a segment from `from` on, at most `limit`.
    pub(crate) fn blocks(
        &self,
        segment: &Segment,
        from: u64,
        limit: u64,
    ) -> Result<Vec<String>, JournalError> {
        segments::blocks(&self.connection, segment, from, limit).map_err(|error| self.failed(&error))
    }

    /// A line of JSON for each entry: its canonical text, and the hash that the chain has at it.
    ///
    /// # Errors
    /// When the journal can't be read, or the lines not be written.
    pub fn write_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        let query = format!("SELECT {} FROM events ORDER BY seq", RawEntry::COLUMNS);
        let mut statement = self.connection.prepare(&query).map_err(io::Error::other)?;
        for raw in statement.query_map([], RawEntry::from_row).map_err(io::Error::other)? {
            writeln!(out, "{}", raw.map_err(io::Error::other)?.line())?;
        }
        out.flush()
    }

    /// Calls `see` for each block of a segment from `from` on, up to `to` or its end.
    pub(crate) fn each_block(
        &self,
        segment: &Segment,
        from: u64,
        to: u64,
        see: impl FnMut(String),
    ) -> Result<(), JournalError> {
        segments::each_block(&self.connection, segment, from, to, see).map_err(|error| self.failed(&error))
    }

    pub fn witnessed(&self) -> Result<Vec<Witnessed>, JournalError> {
        witnesses::all(&self.connection).map_err(|error| self.failed(&error))
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

    /// At most `limit` entries after `after`, of one task or of all and of none.
    pub fn entries(
        &self,
        after: Seq,
        task: Option<&TaskId>,
        limit: u32,
    ) -> Result<Vec<Logged>, JournalError> {
        let of_task = if task.is_some() { "AND task = ?3" } else { "AND ?3 IS NULL" };
        let query = format!(
            "SELECT {} FROM events WHERE seq > ?1 {of_task} ORDER BY seq LIMIT ?2",
            RawEntry::COLUMNS
        );
        let read = || {
            let mut statement = self.connection.prepare(&query)?;
            let values = params![after.0.cast_signed(), limit, task.map(ToString::to_string)];
            statement.query_map(values, RawEntry::from_row)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let raw = read().map_err(|error| self.failed(&error))?;
        raw.iter().map(|raw| raw.logged().map_err(|why| self.unreadable(raw, &why))).collect()
    }

    /// Every task that has events, in the order of its last one.
    pub fn tasks(&self) -> Result<Vec<TaskId>, JournalError> {
        self.named("SELECT task, max(seq) AS last FROM events WHERE task <> '' GROUP BY task ORDER BY last")
    }

    /// Those of [`Self::tasks`] whose last event does not end their life on this node.
    pub fn unfinished(&self) -> Result<Vec<TaskId>, JournalError> {
        // What a sandbox asked of the network may be recorded after the task's end.
        self.named(
            "SELECT latest.task FROM (SELECT task, max(seq) AS last FROM events WHERE task <> '' GROUP BY task) AS latest
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

    /// The same, and that it still leads to what it was once: who removed entries from the end, or wrote all anew up to
    /// there, is found by that alone.
    pub fn verify_holding(&self, kept: &Kept) -> Result<VerifyReport, VerifyError> {
        self.verify_with(Some(kept))
    }

    fn verify_with(&self, kept: Option<&Kept>) -> Result<VerifyReport, VerifyError> {
        let wrong = |why: String| VerifyError { seq: Seq(0), why };
        let rest = || wal::rest(&self.path).map_err(|error| wrong(error.to_string()));
        // Twice: what looks like damage is none when a node just begins its log anew.
        let found = rest()?;
        if let Some(why) = found.damage().filter(|_| rest().as_ref() == Ok(&found)) {
            return Err(wrong(why));
        }
        let (entry, mark) = match kept {
            None => (None, None),
            Some(Kept::Entry(entry)) => (Some(entry), None),
            Some(Kept::Mark(mark)) => (None, Some(*mark)),
        };
        let report = verify::verify(&self.connection, &self.data_dir, &self.blobs, entry)?;
        match mark.map(|mark| self.leads_to(mark)) {
            None | Some(Ok(true)) => Ok(report),
            Some(Ok(false)) => Err(wrong(
                "the trail does not lead to what was kept: it is another one, or was cut".to_owned(),
            )),
            Some(Err(error)) => Err(wrong(error.to_string())),
        }
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
