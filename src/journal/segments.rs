//! The trail as the journal records it: for each segment its header, how far it is, the root of its tree and the signature,
//! in the transaction of the entries that these are over.

use std::sync::Arc;

use bzzz_actors::trail::{
    Bytes, Digest, Key, Mark, Node, Peaks, Sealed, SegmentHeader, Signature, TrailHead,
};
use rusqlite::{Connection, Row, params};

use super::chain::RawEntry;
use crate::trail::AuditKeys;

/// A row of the table `segments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) key: Key,
    /// The block 0.
    pub(crate) header: String,
    /// The entry of the block 1.
    pub(crate) first_entry: u64,
    /// Blocks.
    pub(crate) length: u64,
    pub(crate) root: Digest,
    pub(crate) signature: Signature,
}

impl Segment {
    pub(crate) fn mark(&self) -> Mark {
        Mark { segment: self.number, length: self.length, root: self.root }
    }

    pub(crate) fn head(&self, audit_key: Key) -> TrailHead {
        TrailHead { key: audit_key, segment_key: self.key, mark: self.mark(), signature: self.signature }
    }

    /// The entry of a block.
    pub(crate) fn entry_of(&self, index: u64) -> u64 {
        // Of a record that is not checked yet, the numbers are anything.
        self.first_entry.saturating_add(index).saturating_sub(1)
    }

    /// Of the last block; of the segment before, while there is only a header.
    pub(crate) fn last_entry(&self) -> u64 {
        self.entry_of(self.length).saturating_sub(1)
    }

    /// The block of an entry that is not before this segment.
    pub(crate) fn index_of(&self, entry: u64) -> u64 {
        entry.saturating_sub(self.first_entry).saturating_add(1)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let unsigned = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
        Ok(Self {
            number: unsigned(0)?,
            key: Bytes(row.get(1)?),
            header: row.get(2)?,
            first_entry: unsigned(3)?,
            length: unsigned(4)?,
            root: Bytes(row.get(5)?),
            signature: Bytes(row.get(6)?),
        })
    }

    /// In the place of what there was of it.
    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Self { number, key, header, first_entry, length, root, signature } = self;
        let [number, first_entry, length] = [*number, *first_entry, *length].map(u64::cast_signed);
        let upsert = "INSERT INTO segments (number, key, header, first_entry, length, root, signature)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                      ON CONFLICT (number) DO UPDATE SET length = ?5, root = ?6, signature = ?7";
        let mut upsert = connection.prepare(upsert)?;
        upsert.execute(params![number, key.0, header, first_entry, length, root.0, signature.0])?;
        Ok(())
    }
}

/// All segments, in order.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<Segment>> {
    let query =
        "SELECT number, key, header, first_entry, length, root, signature FROM segments ORDER BY number";
    let mut statement = connection.prepare(query)?;
    statement.query_map([], Segment::from_row)?.collect()
}

/// The blocks of a segment from `from` on, at most `limit`.
pub(crate) fn blocks(
    connection: &Connection,
    segment: &Segment,
    from: u64,
    limit: u64,
) -> rusqlite::Result<Vec<String>> {
    let mut blocks = Vec::new();
    each_block(connection, segment, from, from.saturating_add(limit), |block| blocks.push(block))?;
    Ok(blocks)
}

/// Calls `see` for each block of a segment from `from` on, up to `to` or its end.
pub(crate) fn each_block(
    connection: &Connection,
    segment: &Segment,
    from: u64,
    to: u64,
    mut see: impl FnMut(String),
) -> rusqlite::Result<()> {
    let end = segment.length.min(to);
    if from == 0 && end > 0 {
        see(segment.header.clone());
    }
    let query = format!("SELECT {} FROM events WHERE seq >= ?1 AND seq < ?2 ORDER BY seq", RawEntry::COLUMNS);
    let mut statement = connection.prepare(&query)?;
    let range = [segment.entry_of(from.max(1)), segment.entry_of(end.max(1))].map(u64::cast_signed);
    for raw in statement.query_map(range, RawEntry::from_row)? {
        see(raw?.block());
    }
    Ok(())
}

/// What signs the segments.
#[derive(Debug, Clone)]
pub(super) struct Pen {
    pub(super) keys: Arc<AuditKeys>,
    pub(super) node: String,
    /// Blocks of a segment.
    pub(super) limit: u64,
}

/// The last segment, to which entries are added.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pen: Arc<Pen>,
    segment: Segment,
    peaks: Peaks,
    /// Segments that were sealed since the last write.
    sealed: Vec<Segment>,
}

impl Ledger {
    /// Of a journal without entries. `network` is the word of the swarm's key for the audit key.
    pub(super) fn begin(pen: Arc<Pen>, network: bzzz_actors::trail::Network) -> Self {
        let (segment, peaks) = start(&pen, 0, 1, None, Some(network));
        Self { pen, segment, peaks, sealed: Vec::new() }
    }

    /// With the peaks of its tree.
    pub(super) fn resume(pen: Arc<Pen>, segment: Segment, peaks: Peaks) -> Self {
        Self { pen, segment, peaks, sealed: Vec::new() }
    }

    /// As the journal has it; `None` for one of a version without a trail.
    pub(super) fn load(connection: &Connection, pen: Arc<Pen>) -> rusqlite::Result<Option<Self>> {
        let Some(segment) = all(connection)?.pop() else { return Ok(None) };
        let mut peaks = Peaks::default();
        let length = segment.length;
        each_block(connection, &segment, 0, length, |block| peaks.push(Node::of_block(block.as_bytes())))?;
        Ok(Some(Self { pen, segment, peaks, sealed: Vec::new() }))
    }

    /// The next entry.
    pub(super) fn add(&mut self, raw: &RawEntry) {
        if self.segment.length >= self.pen.limit {
            self.sign();
            let Segment { number, key, length, root, .. } = self.segment;
            let next = start(&self.pen, number + 1, raw.seq, Some(Sealed { key, length, root }), None);
            let (segment, peaks) = next;
            self.sealed.push(std::mem::replace(&mut self.segment, segment));
            self.peaks = peaks;
        }
        self.peaks.push(Node::of_block(raw.block().as_bytes()));
        self.segment.length += 1;
    }

    /// Writes how far the trail is.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.sign();
        for segment in self.sealed.drain(..) {
            segment.write(connection)?;
        }
        self.segment.write(connection)
    }

    fn sign(&mut self) {
        self.segment.root = self.peaks.root();
        let mark = self.segment.mark();
        self.segment.signature = self.pen.keys.sign(mark.segment, &mark.signed_bytes());
    }
}

/// A segment with nothing but its header.
fn start(
    pen: &Pen,
    number: u64,
    first_entry: u64,
    before: Option<Sealed>,
    network: Option<bzzz_actors::trail::Network>,
) -> (Segment, Peaks) {
    let keys = &pen.keys;
    let mut header = SegmentHeader {
        v: SegmentHeader::VERSION,
        kind: SegmentHeader::KIND.to_owned(),
        node: pen.node.clone(),
        key: keys.public(),
        segment: number,
        segment_key: keys.public_of(number),
        next_key: keys.public_of(number + 1),
        first_entry,
        before,
        network,
        signature: None,
    };
    header.signature = Some(keys.sign(0, &header.statement()));
    let key = header.segment_key;
    let header = header.block();
    let mut peaks = Peaks::default();
    peaks.push(Node::of_block(header.as_bytes()));
    let (root, signature) = (peaks.root(), Bytes::default());
    (Segment { number, key, header, first_entry, length: 1, root, signature }, peaks)
}
