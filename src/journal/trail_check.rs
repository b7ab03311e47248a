//! The segments that the journal records, against its entries and against the trail's files.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use bzzz_actors::trail::{Key, Peaks, Sealed, SegmentHeader};
use rusqlite::Connection;

use super::chain::RawEntry;
use super::error::VerifyError;
use super::segments::{self, Segment};
use super::verify::wrong;
use crate::ed25519::verify;
use crate::trail::core::Core;
use crate::trail::inspection::{Inspection, State};
use crate::trail::segment_folder;

/// Takes in all entries, the first one first.
pub(super) struct TrailCheck {
    data_dir: PathBuf,
    /// `None` where the journal records no segment.
    audit_key: Option<Key>,
    to_come: VecDeque<Segment>,
    current: Option<(Segment, Inspection)>,
    before: Option<Sealed>,
    found: Vec<Found>,
}

/// A segment, and what its files are.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) segment: Segment,
    pub(super) state: State,
    /// Of the segment's tree.
    pub(super) peaks: Peaks,
}

/// Of a trail whose record was just begun, over whatever files are there.
pub(super) fn at_the_beginning(connection: &Connection, data_dir: &Path) -> rusqlite::Result<Vec<Found>> {
    let look = |segment: Segment| {
        let state = match segment_folder(data_dir, segment.number).exists() {
            true => look_again(connection, data_dir, segment.number)?,
            false => State::Behind { length: 0 },
        };
        Ok(Found { segment, state, peaks: Peaks::default() })
    };
    segments::all(connection)?.into_iter().map(look).collect()
}

/// Whether files of a segment are there that follows the last one of the journal.
fn beyond(data_dir: &Path, last: &Segment) -> Option<State> {
    let folder = segment_folder(data_dir, last.number + 1);
    let entries = Core::open_to_read(&folder).map_or(0, |core| core.length().saturating_sub(1));
    (entries > 0).then_some(State::Ahead { length: last.length + entries })
}

/// What the files of a segment are now, as against what the journal has now: a node may be adding to both.
pub(super) fn look_again(connection: &Connection, data_dir: &Path, number: u64) -> rusqlite::Result<State> {
    let mut segments = segments::all(connection)?;
    let is_last = segments.last().is_some_and(|last| last.number == number);
    let Some(at) = segments.iter().position(|it| it.number == number) else {
        return Ok(State::Unreadable { why: "the journal lost it".to_owned() });
    };
    let segment = segments.swap_remove(at);
    let mut files = Inspection::new(data_dir, number);
    segments::each_block(connection, &segment, 0, segment.length, |block| files.block(block.as_bytes()))?;
    let state = match files.state(&segment.key) {
        State::Whole if is_last => beyond(data_dir, &segment).unwrap_or(State::Whole),
        state => state,
    };
    match state {
        // The journal is ahead of the files at each moment, and was read before them.
        State::Ahead { length } if last_entry(connection)? >= segment.entry_of(length).saturating_sub(1) => {
            Ok(State::Whole)
        }
        state => Ok(state),
    }
}

fn last_entry(connection: &Connection) -> rusqlite::Result<u64> {
    Ok(segments::all(connection)?.last().map_or(0, Segment::last_entry))
}

/// What is wrong with the files of a segment, for a person.
pub(super) fn text_of(segment: &Segment, state: &State) -> String {
    let number = segment.number;
    match state {
        State::Whole => format!("the trail's segment {number} is whole"),
        State::Archived { place } => {
            format!("the trail's segment {number} was archived to {}", place.display())
        }
        State::Behind { length } => {
            format!("the trail's segment {number} has {length} of {} blocks", segment.length)
        }
        State::Damaged { why } => {
            format!(
                "the trail's segment {number} is damaged: {why}; the node's next start writes it anew from the journal"
            )
        }
        State::Unreadable { why } => format!("the trail's segment {number} can't be read: {why}"),
        State::Ahead { length } => format!(
            "the journal ends at entry {}, but the trail, which this node's key signed, has {} more: entries that were \
             recorded are lost",
            segment.last_entry(),
            length - segment.length
        ),
        State::Contradicts { index } => format!(
            "entry {} is not the one that the trail has: this node's key signed both, so one was rewritten",
            segment.entry_of(*index)
        ),
    }
}

impl TrailCheck {
    pub(super) fn begin(connection: &Connection, data_dir: &Path) -> Result<Self, VerifyError> {
        let to_come: VecDeque<Segment> = segments::all(connection).map_err(|error| wrong(0, error))?.into();
        let data_dir = data_dir.to_owned();
        let audit_key = to_come.front().map(|first| first.key);
        let mut check = Self { data_dir, audit_key, to_come, current: None, before: None, found: Vec::new() };
        check.next(1)?;
        Ok(check)
    }

    pub(super) fn entry(&mut self, raw: &RawEntry) -> Result<(), VerifyError> {
        if self.audit_key.is_none() {
            return Ok(());
        }
        if self.current.as_ref().is_some_and(|(segment, so_far)| so_far.tree().length() >= segment.length) {
            self.end_of_segment()?;
            self.next(raw.seq)?;
        }
        let Some((_, so_far)) = &mut self.current else {
            return Err(wrong(
                raw.seq,
                "is in no segment of the trail: its record is shorter than the entries",
            ));
        };
        so_far.block(raw.block().as_bytes());
        Ok(())
    }

    pub(super) fn end(mut self, last_entry: u64) -> Result<Vec<Found>, VerifyError> {
        self.end_of_segment()?;
        self.look_beyond();
        match self.to_come.front() {
            None => Ok(self.found),
            Some(next) => Err(wrong(
                last_entry + 1,
                format!("is missing: the trail's record goes on with segment {}", next.number),
            )),
        }
    }

    /// The journal records a segment before there are files of it.
    fn look_beyond(&mut self) {
        if let Some(Found { segment, state, .. }) = self.found.last_mut()
            && let Some(ahead) = beyond(&self.data_dir, segment)
        {
            *state = ahead;
        }
    }

    fn next(&mut self, entry: u64) -> Result<(), VerifyError> {
        let Some(segment) = self.to_come.pop_front() else { return Ok(()) };
        let audit_key = self.audit_key.unwrap_or_default();
        let of_segment =
            |why: String| wrong(0, format!("the trail's segment {}: its header {why}", segment.number));
        let header =
            SegmentHeader::read(segment.header.as_bytes(), &audit_key, &verify).map_err(of_segment)?;
        let said = (header.segment, header.segment_key, header.first_entry, header.before);
        if said != (segment.number, segment.key, segment.first_entry, self.before) {
            return Err(of_segment("does not fit to the segment before it".to_owned()));
        }
        if segment.first_entry != entry {
            return Err(wrong(
                entry,
                format!("segment {} begins with {}", segment.number, segment.first_entry),
            ));
        }
        let mut so_far = Inspection::new(&self.data_dir, segment.number);
        so_far.block(segment.header.as_bytes());
        self.current = Some((segment, so_far));
        Ok(())
    }

    fn end_of_segment(&mut self) -> Result<(), VerifyError> {
        let Some((segment, so_far)) = self.current.take() else { return Ok(()) };
        let state = so_far.state(&segment.key);
        let length = so_far.tree().length();
        if length < segment.length {
            return Err(wrong(
                segment.entry_of(length),
                format!("is missing: the trail's record has entries up to {}", segment.last_entry()),
            ));
        }
        if !verify(&segment.key, &segment.mark().signed_bytes(), &segment.signature) {
            return Err(wrong(
                0,
                format!("the record of the trail's segment {} is not signed by its key", segment.number),
            ));
        }
        let peaks = so_far.tree().peaks(length).unwrap_or_default();
        if peaks.root() != segment.root {
            // Somewhere in it; the trail still has what was recorded, if it is whole.
            return Err(match state {
                State::Contradicts { index } if index > 0 => {
                    wrong(segment.entry_of(index), "is not what was recorded: the trail has another one")
                }
                _ => wrong(
                    segment.first_entry,
                    format!(
                        "or one after it, up to {}, is not what was recorded: the signed root of segment {} is another",
                        segment.last_entry(),
                        segment.number
                    ),
                ),
            });
        }
        self.before = Some(Sealed { key: segment.key, length: segment.length, root: segment.root });
        self.found.push(Found { segment, state, peaks });
        Ok(())
    }
}
