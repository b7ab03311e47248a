//! The one connection that writes. It lives on a thread of its own (`writer`), and every change is one transaction.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bzzz_actors::ports::journal::{Delivery, Entry, JournalError, NodeEvent, Recorded, Seq, Witnessed};
use bzzz_actors::task::{Lane, NodeId, Notice};
use rusqlite::{Connection, OptionalExtension, Statement, Transaction, TransactionBehavior, params};
use tracing::warn;

use super::chain::{Head, NoticeText, RawEntry};
use super::error::{JournalOpenError, journal_error};
use super::segments::{Ledger, Pen};
use super::trail_check::{self, Found};
use super::verify::Checked;
use super::{schema, verify, wal, witnesses};
use crate::trail::AuditKeys;
use crate::trail::inspection::State;
use crate::wall_clock::now_ms;

pub(super) struct Store {
    connection: Connection,
    path: PathBuf,
    node: NodeId,
    pen: Arc<Pen>,
    /// `None` after a change that failed: what the file holds then is read, not assumed.
    end: Option<End>,
    /// As it was before that change.
    before: Option<End>,
}

/// Where the journal ends: the last entry, and the trail over all of them.
#[derive(Clone)]
struct End {
    head: Head,
    ledger: Ledger,
}

impl End {
    fn add(&mut self, raw: &RawEntry) {
        self.head = raw.head();
        self.ledger.add(raw);
    }
}

/// A journal that is what was recorded.
pub(super) struct Opened {
    pub(super) store: Store,
    /// Of an unfinished batch, which were thrown away.
    pub(super) cut_bytes: u64,
    /// The segments of the trail, with what their files are. Without one in a journal that just began.
    pub(super) segments: Vec<Found>,
    pub(super) keys: Arc<AuditKeys>,
}

impl Store {
    /// Refuses a file in which an entry is not what was recorded, or is hidden from those who look for it, and one that the
    /// trail contradicts. Calls `see` for each entry. `segment_blocks` are those of a segment of the trail.
    pub(super) fn open(
        data_dir: &Path,
        node: NodeId,
        segment_blocks: u64,
        mut see: impl FnMut(&RawEntry),
    ) -> Result<Opened, JournalOpenError> {
        let path = schema::file_in(data_dir);
        let damaged = |why: String| JournalOpenError::Damaged { path: path.clone(), why };
        let unavailable = |error: std::io::Error| JournalOpenError::Unavailable {
            path: wal::beside(&path),
            why: error.to_string(),
        };
        let rest = wal::rest(&path).map_err(unavailable)?;
        if let Some(why) = rest.damage() {
            return Err(damaged(why));
        }
        let mut connection = schema::open_to_write(&path)?;
        let beside = schema::open_to_read(&path)?;
        let checked = verify::entries_with(&connection, beside, data_dir, |raw| {
            see(raw);
            Ok(())
        });
        let Checked { head, segments } = checked.map_err(|wrong| damaged(wrong.place_and_why()))?;
        if rest.bytes > 0 {
            let (cut_bytes, last) = (rest.bytes, head.seq);
            warn!(
                cut_bytes,
                last, "a batch of entries that a crash cut was thrown away; nobody was told of it"
            );
            // An empty log, so that nothing of it is taken for a part of a later batch.
            let truncate = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            truncate.map_err(|error| JournalOpenError::of(&path, &error))?;
        }
        // What an earlier life wrote last may not be on the disk yet, if that was killed: the trail is never ahead of it.
        for file in [path.clone(), wal::beside(&path)] {
            match File::open(&file).and_then(|file| file.sync_all()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unavailable(error)),
                _ => {}
            }
        }
        let keys = match segments.first() {
            Some(first) => AuditKeys::load(data_dir, &first.segment.key)?,
            None => AuditKeys::load_or_make(data_dir)?,
        };
        let keys = Arc::new(keys);
        let pen = Arc::new(Pen { keys: keys.clone(), node: node.to_string(), limit: segment_blocks });
        let failed = |error: rusqlite::Error| JournalOpenError::of(&path, &error);
        let (ledger, segments) = match segments.last() {
            Some(last) => (Ledger::resume(pen.clone(), last.segment.clone(), last.peaks.clone()), segments),
            None => {
                let ledger = Ledger::begin(pen.clone(), keys.network(data_dir)?);
                let ledger = begin_trail(&mut connection, ledger).map_err(failed)?;
                (ledger, trail_check::at_the_beginning(&connection, data_dir).map_err(failed)?)
            }
        };
        refuse_contradictions(&path, &segments)?;
        let store = Self { connection, path, node, pen, end: Some(End { head, ledger }), before: None };
        Ok(Opened { store, cut_bytes: rest.bytes, segments, keys })
    }

    /// All entries or none.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<Vec<Recorded>, JournalError> {
        self.change(|end, node, inserts| {
            let at_ms = now_ms();
            let mut recorded = Vec::with_capacity(entries.len());
            for entry in entries {
                let notices = entry.notices.iter().map(text_of).collect::<Result<Vec<_>, _>>();
                let notices = notices.map_err(to_sql_failure)?;
                let raw = RawEntry::next(end.head, at_ms, node, entry, &notices).map_err(to_sql_failure)?;
                inserts.insert(&raw, &notices)?;
                end.add(&raw);
                recorded.push(Recorded {
                    seq: Seq(raw.seq),
                    at_ms,
                    task: entry.task.clone(),
                    epoch: entry.epoch,
                    event: entry.event.clone(),
                });
            }
            Ok(recorded)
        })
    }

    /// What is of no task.
    pub(super) fn note(&mut self, event: &NodeEvent) -> Result<Seq, JournalError> {
        self.change(|end, node, inserts| {
            let raw = RawEntry::next_of_node(end.head, now_ms(), node, event).map_err(to_sql_failure)?;
            inserts.insert(&raw, &[])?;
            end.add(&raw);
            Ok(Seq(raw.seq))
        })
    }

    /// Adds entries, and with them what the trail is then.
    fn change<T>(
        &mut self,
        add: impl FnOnce(&mut End, &NodeId, &mut Inserts<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let (end, node, pen) = (self.end.take(), &self.node, &self.pen);
        if end.is_some() {
            self.before.clone_from(&end);
        }
        let before = &self.before;
        let changed = in_transaction(&mut self.connection, |transaction| {
            let mut end = match end {
                Some(end) => end,
                None => last(transaction, before.as_ref(), pen)?,
            };
            let added = add(&mut end, node, &mut Inserts::prepare(transaction)?)?;
            end.ledger.write(transaction)?;
            Ok((end, added))
        });
        let (end, added) = changed.map_err(|error| journal_error(&self.path, &error))?;
        self.end = Some(end);
        Ok(added)
    }

    pub(super) fn witness(&mut self, witnessed: &Witnessed) -> Result<(), JournalError> {
        witnesses::keep(&self.connection, witnessed).map_err(|error| journal_error(&self.path, &error))
    }

    /// Settling what is settled already changes nothing.
    pub(super) fn settle(&mut self, id: u64, delivery: &Delivery) -> Result<(), JournalError> {
        let why = match delivery {
            Delivery::Delivered => None,
            Delivery::Dropped { why } => Some(why),
        };
        let known = in_transaction(&mut self.connection, |transaction| {
            let settle = "UPDATE outbox SET settled_at_ms = ?2, dropped_why = ?3 WHERE id = ?1 AND settled_at_ms IS NULL";
            let changed =
                transaction.execute(settle, params![id.cast_signed(), now_ms().cast_signed(), why])?;
            let exists = "SELECT 1 FROM outbox WHERE id = ?1";
            Ok(changed == 1
                || transaction.query_row(exists, [id.cast_signed()], |_| Ok(())).optional()?.is_some())
        });
        match known.map_err(|error| journal_error(&self.path, &error))? {
            true => Ok(()),
            false => {
                Err(JournalError::Damaged(format!("{}: no notice {id} in the outbox", self.path.display())))
            }
        }
    }

    /// Without anything to shed nothing is written.
    pub(super) fn shed(&mut self, lane: Lane, keep: usize, why: &str) -> Result<usize, JournalError> {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let shed = || {
            let last_shed = "SELECT id FROM outbox WHERE settled_at_ms IS NULL AND lane = ?1
                             ORDER BY id DESC LIMIT 1 OFFSET ?2";
            let last_shed =
                self.connection.query_row(last_shed, params![lane.name(), keep], |row| row.get(0));
            let Some(last_shed): Option<i64> = last_shed.optional()? else { return Ok(0) };
            let settle = "UPDATE outbox SET settled_at_ms = ?3, dropped_why = ?4
                          WHERE settled_at_ms IS NULL AND lane = ?1 AND id <= ?2";
            self.connection.execute(settle, params![lane.name(), last_shed, now_ms().cast_signed(), why])
        };
        shed().map_err(|error| journal_error(&self.path, &error))
    }

    /// Lets the file grow to so many pages and no further, as on a full disk.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: i64) {
        self.connection.pragma_update(None, "max_page_count", pages).unwrap();
    }
}

fn refuse_contradictions(path: &Path, segments: &[Found]) -> Result<(), JournalOpenError> {
    for Found { segment, state, .. } in segments {
        match state {
            State::Ahead { .. } | State::Contradicts { .. } => {
                let why = trail_check::text_of(segment, state);
                return Err(JournalOpenError::Tampered { path: path.to_owned(), why });
            }
            // The journal has all of it: what can't be read is written anew.
            State::Whole
            | State::Archived { .. }
            | State::Behind { .. }
            | State::Damaged { .. }
            | State::Unreadable { .. } => {}
        }
    }
    Ok(())
}

/// A transaction that is rolled back when `change` or its own commit fails.
fn in_transaction<T>(
    connection: &mut Connection,
    change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let changed = change(&transaction)?;
    transaction.commit()?;
    Ok(changed)
}

/// `before` is where it ended once; it mostly still does, and the last segment need not be read.
fn last(connection: &Connection, before: Option<&End>, pen: &Arc<Pen>) -> rusqlite::Result<End> {
    let query = format!("SELECT {} FROM events ORDER BY seq DESC LIMIT 1", RawEntry::COLUMNS);
    let last = connection.query_row(&query, [], RawEntry::from_row).optional()?;
    let head = last.map_or(Head::EMPTY, |entry| entry.head());
    if let Some(before) = before.filter(|before| before.head == head) {
        return Ok(before.clone());
    }
    let ledger = Ledger::load(connection, pen.clone())?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(End { head, ledger })
}

/// The trail of a journal that just began, or of one that a version without trails wrote.
fn begin_trail(connection: &mut Connection, mut ledger: Ledger) -> rusqlite::Result<Ledger> {
    in_transaction(connection, |transaction| {
        let query = format!("SELECT {} FROM events ORDER BY seq", RawEntry::COLUMNS);
        let mut entries = transaction.prepare(&query)?;
        for raw in entries.query_map([], RawEntry::from_row)? {
            ledger.add(&raw?);
        }
        ledger.write(transaction)?;
        Ok(ledger)
    })
}

/// The statements of a batch, prepared once for it.
struct Inserts<'t> {
    event: Statement<'t>,
    notice: Statement<'t>,
}

impl<'t> Inserts<'t> {
    fn prepare(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        let columns = RawEntry::COLUMNS;
        let event = format!("INSERT INTO events ({columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
        let notice = "INSERT INTO outbox (event, lane, notice) VALUES (?1, ?2, ?3)";
        Ok(Self { event: transaction.prepare(&event)?, notice: transaction.prepare(notice)? })
    }

    fn insert(&mut self, raw: &RawEntry, notices: &[NoticeText]) -> rusqlite::Result<()> {
        let RawEntry { seq, at_ms, node, task, epoch, kind, body, hash, .. } = raw;
        let hash_of_notices = raw.notices.map(|hash| hash.0);
        let [seq, at_ms, epoch] = [*seq, *at_ms, *epoch].map(u64::cast_signed);
        self.event.execute(params![seq, at_ms, node, task, epoch, kind, body, hash_of_notices, hash.0])?;
        for (lane, notice) in notices {
            self.notice.execute(params![seq, lane, notice])?;
        }
        Ok(())
    }
}

fn text_of(notice: &Notice) -> Result<NoticeText, serde_json::Error> {
    Ok((notice.lane().name().to_owned(), serde_json::to_string(notice)?))
}

fn to_sql_failure(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}
