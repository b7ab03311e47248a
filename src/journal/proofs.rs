//! What proves to others that an entry stands in the trail, and that the trail goes on from what they saw.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bzzz_actors::ports::journal::JournalError;
use bzzz_actors::trail::{EntryProof, Growth, Mark, Node, SegmentProof, Tree};

use super::error::JournalOpenError;
use super::reader::JournalReader;
use super::segments::Segment;
use crate::swarm::Prover;

/// Segments of one proof. More is no peer's honest question: it would have been away for millions of entries.
const MAX_SEGMENTS: usize = 256;

/// Proofs for peers, by a connection of its own: whoever waits for the journal does not wait for them.
pub struct Proofs(Mutex<State>);

struct State {
    reader: JournalReader,
    /// Of the last segment, as far as it was asked for: each head of it is asked for by each peer.
    newest: Option<(u64, Tree)>,
}

impl Proofs {
    /// # Errors
    /// When there is no journal.
    pub fn open(data_dir: &Path) -> Result<Self, JournalOpenError> {
        let reader = JournalReader::open(data_dir)?;
        Ok(Self(Mutex::new(State { reader, newest: None })))
    }
}

impl Prover for Proofs {
    fn growth(&self, from: Mark, to: Mark) -> Result<Option<Growth>, JournalError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let segments = state.reader.segments()?;
        let is_newest = |segment: u64| segments.last().is_some_and(|last| last.number == segment);
        if from.segment == to.segment && is_newest(to.segment) {
            let State { reader, newest } = &mut *state;
            let mut tree = match newest.take() {
                Some((number, tree)) if number == to.segment => tree,
                _ => Tree::default(),
            };
            if let Some(segment) = segments.last() {
                let more = tree.length();
                reader.each_block(segment, more, segment.length, |block| {
                    tree.push(Node::of_block(block.as_bytes()))
                })?;
            }
            let growth =
                leads_from(&tree, from).then(|| Growth::new(&tree, from.length, to.length, Vec::new()));
            *newest = Some((to.segment, tree));
            return Ok(growth.flatten());
        }
        state.reader.growth(from, to)
    }
}

fn leads_from(tree: &Tree, from: Mark) -> bool {
    from.length > 0 && tree.peaks(from.length).is_some_and(|peaks| peaks.root() == from.root)
}

impl JournalReader {
    /// An entry with the proof that it stands in the trail; `None` where there is none of this number.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn entry_proof(&self, entry: u64) -> Result<Option<EntryProof>, JournalError> {
        let segments = self.segments()?;
        let holds = |it: &&Segment| it.first_entry <= entry && entry <= it.last_entry();
        let (Some(first), Some(segment)) = (segments.first(), segments.iter().find(holds)) else {
            return Ok(None);
        };
        let index = segment.index_of(entry);
        let Some(block) = self.blocks(segment, index, 1)?.pop() else { return Ok(None) };
        let tree = self.tree(segment, segment.length)?;
        let (header, head) = (segment.header.clone(), segment.head(first.key));
        Ok(EntryProof::new(&tree, header, head, index, block))
    }

    /// What proves that the trail goes from one mark to the other; `None` where it does not.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn growth(&self, from: Mark, to: Mark) -> Result<Option<Growth>, JournalError> {
        let segments = self.segments()?;
        let of =
            |mark: Mark| segments.iter().find(|it| it.number == mark.segment && it.length >= mark.length);
        let (Some(first), Some(last)) = (of(from), of(to)) else { return Ok(None) };
        if from.place() > to.place() || to.segment - from.segment > MAX_SEGMENTS as u64 {
            return Ok(None);
        }
        let until = |segment: &Segment| match segment.number == last.number {
            true => to.length,
            false => segment.length,
        };
        // Before anything else is read for who made up its mark.
        let tree = self.tree(first, until(first))?;
        if !leads_from(&tree, from) {
            return Ok(None);
        }
        let mut then = Vec::new();
        for segment in segments.iter().filter(|it| (first.number + 1..=last.number).contains(&it.number)) {
            let tree = self.tree(segment, until(segment))?;
            let Some(proof) = SegmentProof::new(&tree, until(segment), segment.header.clone()) else {
                return Ok(None);
            };
            then.push(proof);
        }
        Ok(Growth::new(&tree, from.length, until(first), then))
    }

    fn tree(&self, segment: &Segment, length: u64) -> Result<Tree, JournalError> {
        let mut tree = Tree::default();
        self.each_block(segment, 0, length, |block| tree.push(Node::of_block(block.as_bytes())))?;
        Ok(tree)
    }
}
