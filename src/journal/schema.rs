//! The database file: its tables, its format version, and how connections to it are set up.
//!
//! `application_id` says that a file is a journal, `user_version` which format it has. Both are written in the
//! transaction that makes the tables, so a file is a whole journal or an empty one. A journal of a newer format is
//! refused and not touched.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::JournalOpenError;

/// The format that this version writes.
pub(super) const FORMAT: i64 = 2;
/// The last one without a trail.
const FORMAT_WITHOUT_TRAIL: i64 = 1;
/// "Bzzz" in ASCII.
const APPLICATION_ID: i64 = 0x427a_7a7a;
/// How long a connection waits for another one's lock. Only a person's own tool on the file makes it wait at all.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The triggers are against mistakes, of this program or of a person with another tool; the chain of hashes is against
/// everybody else. The first also keeps the numbers without a gap and catches `INSERT OR REPLACE`, which deletes
/// without the delete trigger.
const SCHEMA: &str = "
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    node    TEXT    NOT NULL,
    task    TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    body    TEXT    NOT NULL,
    notices BLOB             CHECK (length(notices) = 32),
    hash    BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX events_of_task ON events (task, seq);
CREATE TRIGGER events_follow_one_another BEFORE INSERT ON events
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM events)
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only: an entry follows the last one'); END;
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only: no entry is changed'); END;
CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only: no entry is removed'); END;

CREATE TABLE outbox (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    event         INTEGER NOT NULL REFERENCES events (seq),
    lane          TEXT    NOT NULL,
    notice        TEXT    NOT NULL,
    settled_at_ms INTEGER,
    dropped_why   TEXT
) STRICT;
CREATE INDEX outbox_waiting ON outbox (lane, id) WHERE settled_at_ms IS NULL;
";

/// What the trail is, and what is known of other nodes'.
const TRAIL_SCHEMA: &str = "
CREATE TABLE segments (
    number      INTEGER PRIMARY KEY,
    key         BLOB    NOT NULL CHECK (length(key) = 32),
    header      TEXT    NOT NULL,
    first_entry INTEGER NOT NULL,
    length      INTEGER NOT NULL,
    root        BLOB    NOT NULL CHECK (length(root) = 32),
    signature   BLOB    NOT NULL CHECK (length(signature) = 64)
) STRICT;
CREATE TRIGGER segments_only_grow BEFORE UPDATE ON segments
    WHEN NEW.number IS NOT OLD.number OR NEW.key IS NOT OLD.key OR NEW.header IS NOT OLD.header
        OR NEW.first_entry IS NOT OLD.first_entry OR NEW.length < OLD.length
    BEGIN SELECT RAISE(ABORT, 'the trail is append-only: a segment only grows'); END;
CREATE TRIGGER segments_are_not_removed BEFORE DELETE ON segments
    BEGIN SELECT RAISE(ABORT, 'the trail is append-only: no segment is removed'); END;

CREATE TABLE witnessed (
    peer            TEXT    PRIMARY KEY,
    head            TEXT    NOT NULL,
    at_ms           INTEGER NOT NULL,
    contradicted_by TEXT
) STRICT;
";

pub(super) fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("journal.db")
}

/// Opens the journal for writing; makes a new one where there is none.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, JournalOpenError> {
    let failed = |error: rusqlite::Error| JournalOpenError::of(path, &error);
    // Made here, because SQLite would let everybody read it; the files beside it take their modes from this one.
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    made.map_err(|source| JournalOpenError::Folder { path: path.to_owned(), source })?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    match format_of(&connection, path)? {
        None => create(&mut connection, &[SCHEMA, TRAIL_SCHEMA]).map_err(failed)?,
        Some(FORMAT_WITHOUT_TRAIL) => create(&mut connection, &[TRAIL_SCHEMA]).map_err(failed)?,
        Some(_) => {}
    }
    // FULL syncs at each commit; fullfsync makes that reach the disk on macOS too.
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;
                    PRAGMA checkpoint_fullfsync = ON;";
    connection.execute_batch(settings).map_err(failed)?;
    Ok(connection)
}

/// Opens an existing journal for reading, also while a node writes it.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, JournalOpenError> {
    if !path.is_file() {
        return Err(JournalOpenError::Missing { path: path.to_owned() });
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    match format_of(&connection, path)? {
        Some(FORMAT) => Ok(connection),
        Some(_) => Err(JournalOpenError::OlderFormat { path: path.to_owned() }),
        None => Err(JournalOpenError::Missing { path: path.to_owned() }),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, JournalOpenError> {
    let set_up = || {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // The file is not trusted to hold harmless SQL, nor well-formed pages.
        connection.execute_batch(
            "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;",
        )?;
        Ok(connection)
    };
    set_up().map_err(|error| JournalOpenError::of(path, &error))
}

/// The format of a journal that this version can use; `None` if the file is empty.
fn format_of(connection: &Connection, path: &Path) -> Result<Option<i64>, JournalOpenError> {
    let failed = |error: rusqlite::Error| JournalOpenError::of(path, &error);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application_id = pragma("application_id").map_err(failed)?;
    let format = pragma("user_version").map_err(failed)?;
    let count = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = connection.query_row(count, [], |row| row.get(0)).map_err(failed)?;
    if (application_id, format, tables) == (0, 0, 0) {
        return Ok(None);
    }
    if application_id != APPLICATION_ID {
        return Err(JournalOpenError::NotAJournal { path: path.to_owned() });
    }
    if format > FORMAT {
        return Err(JournalOpenError::NewerFormat { path: path.to_owned(), found: format, known: FORMAT });
    }
    Ok(Some(format))
}

/// Makes these tables, of a journal or of what it lacks.
fn create(connection: &mut Connection, schemas: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    schemas.iter().try_for_each(|schema| transaction.execute_batch(schema))?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

/// What somebody puts out of the way to edit the trail's record.
#[cfg(test)]
pub(super) fn make_triggers_again(connection: &Connection) {
    let start = TRAIL_SCHEMA.find("CREATE TRIGGER").unwrap();
    let end = TRAIL_SCHEMA.find("CREATE TABLE witnessed").unwrap();
    connection.execute_batch(&TRAIL_SCHEMA[start..end]).unwrap();
}

/// What differs from the tables, indexes and triggers that this version makes, the first of it.
pub(super) fn find_difference(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let made = Connection::open_in_memory()?;
    made.execute_batch(SCHEMA)?;
    made.execute_batch(TRAIL_SCHEMA)?;
    let [expected, found] = [objects(&made)?, objects(connection)?];
    let difference = expected.symmetric_difference(&found).next();
    Ok(difference.map(|(kind, name, _)| format!("its {kind} {name} is not as bzzz made it")))
}

type Object = (String, String, Option<String>);

fn objects(connection: &Connection) -> rusqlite::Result<BTreeSet<Object>> {
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}

/// What SQLite itself finds wrong with the file's pages, and with the indexes as against their tables; the first thing
/// of it. `quick_check` would not see that an index hides entries.
pub(super) fn find_damage(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}
