//! One entry with what proves that it stands in a node's trail, for whoever knows the node's audit key.

use serde::{Deserialize, Serialize};

use super::head::TrailHead;
use super::header::SegmentHeader;
use super::merkle::{Node, Peaks, Tree};
use super::{Key, Mark, Verify};

/// A segment up to some length: its peaks, and its header with the way to its peak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentProof {
    pub length: u64,
    pub peaks: Vec<Node>,
    pub header: String,
    pub siblings: Vec<Node>,
}

impl SegmentProof {
    /// `None` where the tree has not so many blocks.
    pub fn new(tree: &Tree, length: u64, header: String) -> Option<Self> {
        let peaks = tree.peaks(length)?.nodes().to_vec();
        Some(Self { length, peaks, header, siblings: tree.siblings(0, length)? })
    }

    /// The header, its segment's mark, and its peaks.
    pub(super) fn check(
        &self,
        audit_key: &Key,
        verify: Verify<'_>,
    ) -> Result<(SegmentHeader, Mark, Peaks), String> {
        let peaks = Peaks::new(self.length, self.peaks.clone());
        let peaks = peaks.ok_or("has not one peak for each bit of its length")?;
        if !peaks.holds(0, Node::of_block(self.header.as_bytes()), &self.siblings) {
            return Err("has another header in its tree".to_owned());
        }
        let header = SegmentHeader::read(self.header.as_bytes(), audit_key, verify)
            .map_err(|why| format!("its header {why}"))?;
        let mark = Mark { segment: header.segment, length: self.length, root: peaks.root() };
        Ok((header, mark, peaks))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryProof {
    /// The journal's entry as it stands in the trail.
    pub block: String,
    /// Its place in the segment.
    pub index: u64,
    pub siblings: Vec<Node>,
    pub segment: SegmentProof,
    pub head: TrailHead,
}

impl EntryProof {
    /// `None` where the tree does not hold the block, or ends before the head.
    pub fn new(tree: &Tree, header: String, head: TrailHead, index: u64, block: String) -> Option<Self> {
        let length = head.mark.length;
        let segment = SegmentProof::new(tree, length, header)?;
        Some(Self { block, index, siblings: tree.siblings(index, length)?, segment, head })
    }

    /// That the block stands in the trail of this audit key.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, audit_key: &Key, verify: Verify<'_>) -> Result<SegmentHeader, String> {
        let (header, mark, peaks) =
            self.segment.check(audit_key, verify).map_err(|why| format!("the segment {why}"))?;
        let Self { head, .. } = self;
        if head.mark != mark || head.key != *audit_key || head.segment_key != header.segment_key {
            return Err(format!("the head {} is not that of the segment, {mark}", head.mark));
        }
        if !head.is_signed(verify) {
            return Err(format!("the head {} is not signed by its segment's key", head.mark));
        }
        if self.index == 0 || !peaks.holds(self.index, Node::of_block(self.block.as_bytes()), &self.siblings)
        {
            return Err(format!("the entry is not the block {} of the segment", self.index));
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{entry, trail, verify};
    use super::*;

    #[test]
    fn an_entry_is_proven_by_the_audit_key_alone() {
        let trail = trail(3, 20);
        for (segment, index) in [(0, 1), (1, 19), (2, 7)] {
            let proof = trail.proof(segment, index);
            let header = proof.check(&trail.key, &verify).unwrap();
            assert_eq!((header.segment, proof.block.as_str()), (segment, entry(segment, index).as_str()));
            let text = serde_json::to_string(&proof).unwrap();
            assert_eq!(serde_json::from_str::<EntryProof>(&text).unwrap(), proof);
        }
    }

    #[test]
    fn a_proof_of_anything_else_is_refused() {
        let trail = trail(2, 20);
        let proof = trail.proof(1, 5);
        let refused = |change: &dyn Fn(&mut EntryProof)| {
            let mut changed = proof.clone();
            change(&mut changed);
            changed.check(&trail.key, &verify).unwrap_err()
        };
        for why in [
            refused(&|proof| proof.block.push(' ')),
            refused(&|proof| proof.index = 6),
            refused(&|proof| proof.siblings.truncate(1)),
            refused(&|proof| proof.segment.peaks[0].bytes += 1),
            refused(&|proof| proof.segment.header = trail.proof(0, 5).segment.header),
            refused(&|proof| proof.segment.length = 19),
            refused(&|proof| proof.head.mark.length = 19),
            refused(&|proof| proof.head.mark.segment = 0),
            refused(&|proof| proof.head.signature.0[0] ^= 1),
            refused(&|proof| proof.head.segment_key.0[0] ^= 1),
            // The header is a block of the tree, and no entry.
            refused(&|proof| {
                proof.index = 0;
                proof.block.clone_from(&proof.segment.header);
                proof.siblings.clone_from(&proof.segment.siblings);
            }),
        ] {
            assert!(!why.is_empty());
        }
        let other = super::super::testing::key(99);
        assert!(proof.check(&other, &verify).unwrap_err().contains("audit key"));
    }
}
