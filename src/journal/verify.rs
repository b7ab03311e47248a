//! Reads a journal from its first entry to its last and says where it stops being what was recorded.

use std::fmt::Display;
use std::path::Path;

use bzzz_actors::ports::journal::Seq;
use bzzz_actors::task::{BlobRef, CheckResult, Inherited, JournalHead, TaskEvent};
use bzzz_actors::trail::{Key, Mark};
use rusqlite::{Connection, Row};

use super::blobs::Blobs;
use super::chain::{Head, RawEntry, hash_of_notices};
use super::error::VerifyError;
use super::schema;
use super::trail_check::{self, Found, TrailCheck};
use crate::trail::archive;
use crate::trail::inspection::State;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    pub entries: u64,
    /// Of the last entry, in hexadecimal; zeros for an empty journal. Equal heads mean equal journals: who kept an
    /// earlier head can tell that no entry was removed from the end since.
    pub head_hash: String,
    /// How many distinct blobs the entries name; all are there with the bytes of their hashes.
    pub blobs: u64,
    pub trail: TrailReport,
}

/// Of the trail's files, all of which are what the journal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailReport {
    /// The node's audit key.
    pub key: Key,
    pub segments: u64,
    /// As the journal records it.
    pub mark: Mark,
    /// Blocks that the files lack yet: a node that runs, or starts, adds them.
    pub behind: u64,
}

/// The last entry, and each segment of the trail with what its files are.
pub(super) struct Checked {
    pub(super) head: Head,
    pub(super) segments: Vec<Found>,
}

/// Everything: the entries, the blobs that they name, and the trail; and that the entry `kept` is among them.
pub(super) fn verify(
    connection: &Connection,
    data_dir: &Path,
    blobs: &Blobs,
    kept: Option<&JournalHead>,
) -> Result<VerifyReport, VerifyError> {
    let mut seen = std::collections::HashSet::new();
    let Checked { head, segments } = entries(connection, data_dir, |raw| {
        if let Some(kept) = kept.filter(|kept| kept.entry == raw.seq && kept.hash != raw.hash.to_hex()) {
            return Err(wrong(
                raw.seq,
                format!(
                    "has the hash {} and not {}: the journal is another one",
                    raw.hash.to_hex(),
                    kept.hash
                ),
            ));
        }
        if raw.is_of_node() {
            raw.node_event().map_err(|why| wrong(raw.seq, why))?;
            return Ok(());
        }
        let recorded = raw.recorded().map_err(|why| wrong(raw.seq, why))?;
        for blob in blobs_of(&recorded.event) {
            if seen.insert(blob.clone()) {
                blobs.check(blob).map_err(|why| wrong(raw.seq, why))?;
            }
        }
        Ok(())
    })?;
    if let Some(kept) = kept.filter(|kept| kept.entry > head.seq) {
        return Err(wrong(kept.entry, format!("is missing: the last one is {}", head.seq)));
    }
    let trail = trail(connection, data_dir, segments)?;
    Ok(VerifyReport { entries: head.seq, head_hash: head.hash.to_hex(), blobs: seen.len() as u64, trail })
}

/// How often files that a node just adds to are looked at again.
const LOOKS: usize = 5;

fn trail(connection: &Connection, data_dir: &Path, found: Vec<Found>) -> Result<TrailReport, VerifyError> {
    let (Some(first), Some(last)) = (found.first(), found.last()) else {
        return Err(wrong(0, "the trail is not begun: start the node once"));
    };
    let (key, mark, segments) = (first.segment.key, last.segment.mark(), found.len() as u64);
    let mut behind = 0;
    for Found { segment, mut state, .. } in found {
        for _ in 0..LOOKS {
            match &state {
                State::Whole | State::Behind { .. } => break,
                State::Archived { place } => {
                    archive::check(place, &key, &segment).map_err(|why| wrong(0, why))?;
                    break;
                }
                // A node may have written to the files and to the journal since.
                _ => {
                    let again = trail_check::look_again(connection, data_dir, segment.number);
                    state = again.map_err(|error| wrong(0, error))?;
                }
            }
        }
        match state {
            State::Whole | State::Archived { .. } => {}
            State::Behind { length } => behind += segment.length.saturating_sub(length),
            other => return Err(wrong(0, trail_check::text_of(&segment, &other))),
        }
    }
    Ok(TrailReport { key, segments, mark, behind })
}

/// That each entry and its notices are what was recorded, and that every way to look for them finds them. `check` adds
/// to what is asked of an entry; the last one is returned.
pub(super) fn entries(
    connection: &Connection,
    data_dir: &Path,
    check: impl FnMut(&RawEntry) -> Result<(), VerifyError>,
) -> Result<Checked, VerifyError> {
    // One read transaction: a node that writes at the same time is seen as it was when this began.
    let transaction = connection.unchecked_transaction().map_err(|error| wrong(0, error))?;
    let checked = of_tables(&transaction, data_dir, check)?;
    of_pages(schema::find_damage(&transaction), checked)
}

/// The same for a file that nobody writes: `beside`, another connection to it, looks at the pages while this one reads the
/// entries. It halves a node's start.
pub(super) fn entries_with(
    connection: &Connection,
    beside: Connection,
    data_dir: &Path,
    check: impl FnMut(&RawEntry) -> Result<(), VerifyError>,
) -> Result<Checked, VerifyError> {
    std::thread::scope(|scope| {
        let pages = scope.spawn(move || schema::find_damage(&beside));
        let checked = of_tables(connection, data_dir, check)?;
        let found = pages.join().map_err(|_| wrong(0, "the check of its pages panicked"))?;
        of_pages(found, checked)
    })
}

fn of_tables(
    connection: &Connection,
    data_dir: &Path,
    mut check: impl FnMut(&RawEntry) -> Result<(), VerifyError>,
) -> Result<Checked, VerifyError> {
    if let Some(difference) = schema::find_difference(connection).map_err(|error| wrong(0, error))? {
        return Err(wrong(0, difference));
    }
    let mut trail = TrailCheck::begin(connection, data_dir)?;
    let head = walk(connection, |raw| {
        trail.entry(raw)?;
        check(raw)
    })?;
    Ok(Checked { head, segments: trail.end(head.seq)? })
}

fn of_pages(found: rusqlite::Result<Option<String>>, checked: Checked) -> Result<Checked, VerifyError> {
    match found.map_err(|error| wrong(0, error))? {
        None => Ok(checked),
        // The walk went through the tables themselves, which is what such a copy is made from.
        Some(place) => Err(wrong(
            0,
            format!(
                "{place} (all {} entries are what was recorded; to make a sound copy of the file: sqlite3 journal.db \
                 \"VACUUM INTO 'copy.db'\" && sqlite3 copy.db REINDEX)",
                checked.head.seq
            ),
        )),
    }
}

/// Calls `check` for every entry whose number, hash and notices are right; returns the last.
fn walk(
    connection: &Connection,
    mut check: impl FnMut(&RawEntry) -> Result<(), VerifyError>,
) -> Result<Head, VerifyError> {
    let of_file = |error| wrong(0, error);
    let query = format!("SELECT {} FROM events ORDER BY seq", RawEntry::COLUMNS);
    let mut statement = connection.prepare(&query).map_err(of_file)?;
    let rows = statement.query_map([], RawEntry::from_row).map_err(of_file)?;
    let mut outbox =
        connection.prepare("SELECT event, lane, notice FROM outbox ORDER BY id").map_err(of_file)?;
    let notice = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?.cast_unsigned(), (row.get(1)?, row.get(2)?)));
    let mut outbox = outbox.query_map([], notice).map_err(of_file)?.peekable();
    let mut head = Head::EMPTY;
    for raw in rows {
        let expected = head.seq + 1;
        let raw = raw.map_err(|error| wrong(expected, format!("can't be read: {error}")))?;
        if raw.seq != expected {
            return Err(wrong(expected, format!("is missing: the next one is {}", raw.seq)));
        }
        if raw.hash != raw.hash_after(head.hash) {
            return Err(wrong(
                raw.seq,
                "is not what was recorded: its hash does not follow from the one before",
            ));
        }
        let mut notices = Vec::new();
        // Those of an earlier entry are out of place here, and make the hash another.
        while let Some(notice) = outbox.next_if(|row| !matches!(row, Ok((event, _)) if *event > raw.seq)) {
            let (_, notice) = notice.map_err(|error| wrong(raw.seq, format!("its notices: {error}")))?;
            notices.push(notice);
        }
        if raw.notices != hash_of_notices(&notices) {
            return Err(wrong(raw.seq, "its notices are not what was recorded"));
        }
        check(&raw)?;
        head = raw.head();
    }
    match outbox.next() {
        None => Ok(head),
        Some(_) => Err(wrong(head.seq + 1, "is missing, but a notice of it is there")),
    }
}

pub(super) fn wrong(seq: u64, why: impl Display) -> VerifyError {
    VerifyError { seq: Seq(seq), why: why.to_string() }
}

fn whole_outputs(results: &[CheckResult]) -> impl Iterator<Item = &BlobRef> {
    results.iter().filter_map(|result| result.outcome.whole.as_ref())
}

/// Every blob that an event names. Without a wildcard: the compiler asks whoever adds an event.
fn blobs_of(event: &TaskEvent) -> Vec<&BlobRef> {
    match event {
        TaskEvent::CommandFinished { outcome, .. } => outcome.whole.iter().collect(),
        TaskEvent::Checkpointed { produced } | TaskEvent::WorkProduced { produced } => vec![&produced.diff],
        TaskEvent::Escalated { saved, .. } => saved.iter().map(|saved| &saved.diff).collect(),
        TaskEvent::Prepared { setup, inherited, .. } => {
            let taken = inherited.as_deref().and_then(Inherited::taken).map(|produced| &produced.diff);
            whole_outputs(setup).chain(taken).collect()
        }
        TaskEvent::ChecksFinished { results, setup, .. } => {
            whole_outputs(setup).chain(whole_outputs(results)).collect()
        }
        TaskEvent::CleanedUp { diff } => diff.iter().collect(),
        TaskEvent::Found { .. }
        | TaskEvent::ClaimIntended { .. }
        | TaskEvent::Claimed { .. }
        | TaskEvent::ClaimLost { .. }
        | TaskEvent::LeaseIntended { .. }
        | TaskEvent::LeaseRenewed { .. }
        | TaskEvent::LeaseLost { .. }
        | TaskEvent::SandboxLost { .. }
        | TaskEvent::Connected { .. }
        | TaskEvent::ConnectionsOmitted { .. }
        | TaskEvent::PlanDrafted { .. }
        | TaskEvent::PlanSettled { .. }
        | TaskEvent::Replied { .. }
        | TaskEvent::Compacted { .. }
        | TaskEvent::WorkRefused { .. }
        | TaskEvent::Published { .. }
        | TaskEvent::PullRequestOpened { .. }
        | TaskEvent::CiFinished { .. }
        | TaskEvent::PullRequestMerged
        | TaskEvent::PullRequestClosed
        | TaskEvent::Advised { .. }
        | TaskEvent::HumanAnswered { .. }
        | TaskEvent::TakenUp
        | TaskEvent::Stalled { .. }
        | TaskEvent::Cancelled { .. }
        | TaskEvent::GaveUp { .. } => Vec::new(),
    }
}
