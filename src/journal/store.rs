//! The one connection that writes. It lives on a thread of its own (`writer`), and every change is one transaction.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bzzz_actors::ports::journal::{Delivery, Entry, JournalError, Recorded, Seq};
use bzzz_actors::task::{Lane, NodeId, Notice};
use rusqlite::{Connection, OptionalExtension, Statement, Transaction, TransactionBehavior, params};
use tracing::warn;

use super::chain::{Head, NoticeText, RawEntry};
use super::error::{JournalOpenError, journal_error};
use super::{schema, verify, wal};

pub(super) struct Store {
    connection: Connection,
    path: PathBuf,
    node: NodeId,
    /// `None` after a change that failed: what the file holds then is read, not assumed.
    head: Option<Head>,
}

impl Store {
    /// Refuses a file in which an entry is not what was recorded, or is hidden from those who look for it.
    /// Calls `see` for each entry. Returns also how many bytes of an unfinished batch were thrown away.
    pub(super) fn open(
        data_dir: &Path,
        node: NodeId,
        mut see: impl FnMut(&RawEntry),
    ) -> Result<(Self, u64), JournalOpenError> {
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
        let connection = schema::open_to_write(&path)?;
        let beside = schema::open_to_read(&path)?;
        let checked = verify::entries_with(&connection, beside, |raw| {
            see(raw);
            Ok(())
        });
        let head = checked.map_err(|wrong| damaged(wrong.place_and_why()))?;
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
        Ok((Self { connection, path, node, head: Some(head) }, rest.bytes))
    }

    /// All entries or none.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<Vec<Recorded>, JournalError> {
        let head = self.head.take();
        let appended = in_transaction(&mut self.connection, |transaction| {
            let mut head = match head {
                Some(head) => head,
                None => last(transaction)?,
            };
            let mut inserts = Inserts::prepare(transaction)?;
            let at_ms = now_ms();
            let mut recorded = Vec::with_capacity(entries.len());
            for entry in entries {
                let notices = entry.notices.iter().map(text_of).collect::<Result<Vec<_>, _>>();
                let notices = notices.map_err(to_sql_failure)?;
                let raw = RawEntry::next(head, at_ms, &self.node, entry, &notices).map_err(to_sql_failure)?;
                inserts.insert(&raw, &notices)?;
                head = raw.head();
                recorded.push(Recorded {
                    seq: Seq(raw.seq),
                    at_ms,
                    task: entry.task.clone(),
                    epoch: entry.epoch,
                    event: entry.event.clone(),
                });
            }
            Ok((head, recorded))
        });
        let (head, recorded) = appended.map_err(|error| journal_error(&self.path, &error))?;
        self.head = Some(head);
        Ok(recorded)
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

fn last(connection: &Connection) -> rusqlite::Result<Head> {
    let query = format!("SELECT {} FROM events ORDER BY seq DESC LIMIT 1", RawEntry::COLUMNS);
    let last = connection.query_row(&query, [], RawEntry::from_row).optional()?;
    Ok(last.map_or(Head::EMPTY, |entry| entry.head()))
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

/// Milliseconds since 1970; 0 on a host whose clock is before that.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
