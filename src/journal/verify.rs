//! Reads a journal from its first entry to its last and says where it stops being what was recorded.

use std::fmt::Display;

use bzzz_actors::ports::journal::Seq;
use bzzz_actors::task::{BlobRef, TaskEvent};
use rusqlite::Connection;

use super::blobs::Blobs;
use super::chain::{Head, RawEntry};
use super::error::VerifyError;
use super::schema;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    pub entries: u64,
    /// Of the last entry, in hexadecimal; zeros for an empty journal. Equal heads mean equal journals: who kept an
    /// earlier head can tell that no entry was removed from the end since.
    pub head_hash: String,
    /// How many distinct blobs the entries name; all are there with the bytes of their hashes.
    pub blobs: u64,
}

pub(super) fn verify(connection: &Connection, blobs: &Blobs) -> Result<VerifyReport, VerifyError> {
    // One read transaction: a node that writes at the same time is seen as it was when this began.
    let transaction = connection.unchecked_transaction().map_err(|error| wrong(0, error))?;
    let mut seen = std::collections::HashSet::new();
    let head = walk(&transaction, |raw| {
        let recorded = raw.recorded().map_err(|why| wrong(raw.seq, why))?;
        for blob in blobs_of(&recorded.event) {
            if seen.insert(blob.clone()) {
                blobs.check(blob).map_err(|why| wrong(raw.seq, why))?;
            }
        }
        Ok(())
    })?;
    match schema::find_damage(&transaction) {
        Ok(None) => {
            Ok(VerifyReport { entries: head.seq, head_hash: head.hash.to_hex(), blobs: seen.len() as u64 })
        }
        Ok(Some(place)) => Err(wrong(0, place)),
        Err(error) => Err(wrong(0, error)),
    }
}

/// Calls `check` for every entry whose number and hash follow from the one before; returns the last.
fn walk(
    connection: &Connection,
    mut check: impl FnMut(&RawEntry) -> Result<(), VerifyError>,
) -> Result<Head, VerifyError> {
    let query = format!("SELECT {} FROM events ORDER BY seq", RawEntry::COLUMNS);
    let mut statement = connection.prepare(&query).map_err(|error| wrong(0, error))?;
    let rows = statement.query_map([], RawEntry::from_row).map_err(|error| wrong(0, error))?;
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
        check(&raw)?;
        head = raw.head();
    }
    Ok(head)
}

fn wrong(seq: u64, why: impl Display) -> VerifyError {
    VerifyError { seq: Seq(seq), why: why.to_string() }
}

/// Every blob that an event names. Without a wildcard: the compiler asks whoever adds an event.
fn blobs_of(event: &TaskEvent) -> Vec<&BlobRef> {
    match event {
        TaskEvent::CommandFinished { outcome, .. } => outcome.whole.iter().collect(),
        TaskEvent::WorkProduced { produced } => vec![&produced.diff],
        TaskEvent::Escalated { saved, .. } => saved.iter().map(|saved| &saved.diff).collect(),
        TaskEvent::ChecksFinished { results, .. } => {
            results.iter().filter_map(|result| result.outcome.whole.as_ref()).collect()
        }
        TaskEvent::CleanedUp { diff } => diff.iter().collect(),
        TaskEvent::Found { .. }
        | TaskEvent::ClaimIntended { .. }
        | TaskEvent::Claimed { .. }
        | TaskEvent::ClaimLost { .. }
        | TaskEvent::LeaseIntended { .. }
        | TaskEvent::LeaseRenewed { .. }
        | TaskEvent::LeaseLost { .. }
        | TaskEvent::Prepared { .. }
        | TaskEvent::SandboxLost { .. }
        | TaskEvent::PlanDrafted { .. }
        | TaskEvent::PlanSettled { .. }
        | TaskEvent::Replied { .. }
        | TaskEvent::WorkRefused { .. }
        | TaskEvent::Published { .. }
        | TaskEvent::PullRequestOpened { .. }
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
