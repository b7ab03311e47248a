//! What proves that a trail's head goes on from an earlier one: everything that was there is there still.

use serde::{Deserialize, Serialize};

use super::head::TrailHead;
use super::merkle::{Node, Peaks, Tree};
use super::proof::SegmentProof;
use super::{Mark, Verify};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    /// The peaks at the earlier head.
    pub peaks: Vec<Node>,
    /// How long that segment is at the later head.
    pub length: u64,
    /// The subtrees that were added to it until then.
    pub added: Vec<Node>,
    /// The segments that followed, up to the later head.
    pub then: Vec<SegmentProof>,
}

impl Growth {
    /// Within one segment, or the part in the segment of the earlier head: `tree` is that segment's.
    pub fn new(tree: &Tree, from: u64, to: u64, then: Vec<SegmentProof>) -> Option<Self> {
        let (peaks, added) = (tree.peaks(from)?.nodes().to_vec(), tree.extension(from, to)?);
        Some(Self { peaks, length: to, added, then })
    }

    /// That `later` goes on from `earlier`. Whether the heads are signed is asked elsewhere.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, earlier: &TrailHead, later: &TrailHead, verify: Verify<'_>) -> Result<(), String> {
        let peaks = Peaks::new(earlier.mark.length, self.peaks.clone());
        let peaks = peaks.filter(|peaks| peaks.root() == earlier.mark.root);
        let peaks = peaks.ok_or_else(|| format!("it does not begin at {}", earlier.mark))?;
        let reached = peaks.extended(self.length, &self.added);
        let reached = reached.ok_or("what was added does not reach to the length that it names")?;
        let mut last = earlier.segment_key;
        let mut at = Mark { segment: earlier.mark.segment, length: reached.length(), root: reached.root() };
        for segment in &self.then {
            let number = at.segment.saturating_add(1);
            let of_segment = |why: &str| format!("segment {number}: {why}");
            let (header, mark, _) = segment.check(&earlier.key, verify).map_err(|why| of_segment(&why))?;
            let before =
                header.before.filter(|it| (it.key, it.length, it.root) == (last, at.length, at.root));
            if header.segment != number || before.is_none() {
                return Err(of_segment(&format!("it does not follow {at}")));
            }
            (last, at) = (header.segment_key, mark);
        }
        match (at, last, earlier.key) == (later.mark, later.segment_key, later.key) {
            true => Ok(()),
            false => Err(format!("it leads to {at} and not to {}", later.mark)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{SEGMENT, trail, verify};

    proptest! {
        #[test]
        fn each_head_goes_on_from_each_earlier_one(from in 1u64..3 * SEGMENT, to in 1u64..3 * SEGMENT) {
            let trail = trail(3, SEGMENT);
            let [from, to] = [from.min(to), from.max(to)].map(|at| trail.head(at));
            let growth = trail.growth(&from, &to);
            prop_assert_eq!(growth.check(&from, &to, &verify), Ok(()));
            if from.mark != to.mark {
                prop_assert!(growth.check(&to, &from, &verify).is_err());
            }
        }

        #[test]
        fn a_history_that_was_written_anew_is_none(at in 1u64..2 * SEGMENT, to in 0u64..2 * SEGMENT) {
            // A header is no entry.
            prop_assume!(at % SEGMENT != 0);
            let trail = trail(3, SEGMENT);
            let rewritten = trail.rewritten(at);
            let (from, to) = (trail.head(at + 1), rewritten.head((at + 1 + to).min(3 * SEGMENT)));
            prop_assume!(from.mark.place() <= to.mark.place());
            let growth = rewritten.growth(&from, &to);
            prop_assert!(growth.check(&from, &to, &verify).is_err());
        }
    }

    #[test]
    fn a_segment_that_is_left_out_is_missed() {
        let trail = trail(3, SEGMENT);
        let (from, to) = (trail.head(5), trail.head(2 * SEGMENT + 5));
        let mut growth = trail.growth(&from, &to);
        growth.then.remove(0);
        assert!(growth.check(&from, &to, &verify).unwrap_err().contains("does not follow"));
    }
}
