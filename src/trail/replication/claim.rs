//! What a peer says that the owner has signed.
//!
//! A peer is nobody in particular: only what carries the owner's signature tells anything of the owner. So once in each
//! connection the peer shows the signature over all of a segment, and that is held against what was signed before. What can
//! be told:
//! - A signature that does not hold says nothing of the owner: the peer misbehaves.
//! - One that holds over as many blocks or fewer, that are not those of the copy, contradicts what was signed before: refused.
//! - One that holds over more, by whose tree the blocks so far are others: refused too. The last block that was signed
//!   before, with its way up in the new tree, shows what that tree has before it.
//! - One that holds over fewer, and the same, is no contradiction. A node that writes its damaged trail anew is there for a
//!   moment, and so is whoever repeats what an owner signed long ago. It is logged, and the copy keeps what it has.

use bzzz_actors::trail::{Bytes, Key, Mark, Node, Peaks, Signature};
use hypercore_schema::DataUpgrade;

use super::{MAX_BLOCKS, Trouble};
use crate::ed25519::verify;

pub(super) struct Claim {
    start: u64,
    /// The lengths that it goes on to, and the subtrees on the way: to what was asked for, and to what there is by now.
    steps: Vec<(u64, Vec<Node>)>,
    signature: Signature,
}

impl Claim {
    pub(super) fn read(upgrade: DataUpgrade) -> Result<Self, Trouble> {
        let end = upgrade.start.checked_add(upgrade.length);
        let end = end.ok_or(Trouble::Misbehaved("it signs more than can be"))?;
        let mut steps = vec![(end, nodes(&upgrade.nodes)?)];
        if let Some(last) = upgrade.additional_nodes.last() {
            steps.push((end_of(last.index), nodes(&upgrade.additional_nodes)?));
        }
        let signature = upgrade.signature.try_into().map(Bytes);
        let signature = signature.map_err(|_| Trouble::Misbehaved("its signature is none"))?;
        Ok(Self { start: upgrade.start, steps, signature })
    }

    /// What was signed, which goes on from `before`.
    pub(super) fn verified(&self, key: &Key, before: Peaks) -> Result<(Peaks, Signature), Trouble> {
        let does_not_fit = Trouble::Misbehaved("it signs what does not follow from what it signed before");
        let begin = Some(before).filter(|before| before.length() == self.start);
        let signed = self.steps.iter().fold(begin, |signed, (end, nodes)| match *end <= MAX_BLOCKS {
            true => signed?.extended(*end, nodes),
            false => None,
        });
        let signed = signed.ok_or(does_not_fit)?;
        // The number of the segment is not part of what is signed.
        let mark = Mark { segment: 0, length: signed.length(), root: signed.root() };
        match verify(key, &mark.signed_bytes(), &self.signature) {
            true => Ok((signed, self.signature)),
            false => Err(Trouble::Misbehaved("its signature does not hold")),
        }
    }
}

/// What a tree was when `block` was its last one, at `index`. `None` if the block is not there.
pub(super) fn earlier(now: &Peaks, index: u64, block: &[u8], siblings: &[Node]) -> Option<Peaks> {
    let block = Node::of_block(block);
    if !now.holds(index, block, siblings) {
        return None;
    }
    // All before it is below the peaks before its own, and below the siblings on its left.
    let peaks_before = (now.length() >> (height_of_peak(index, now.length()) + 1)).count_ones();
    let mut nodes = now.nodes().get(..peaks_before as usize)?.to_vec();
    let on_its_left = siblings.iter().enumerate().rev().filter(|(level, _)| index >> level & 1 == 1);
    nodes.extend(on_its_left.map(|(_, sibling)| *sibling));
    let mut peaks = Peaks::new(index, nodes)?;
    peaks.push(block);
    Some(peaks)
}

/// Of the peak over a block of a tree.
pub(super) fn height_of_peak(index: u64, length: u64) -> u32 {
    (index ^ length).checked_ilog2().unwrap_or_default()
}

/// The number of blocks up to the end of a subtree.
fn end_of(index: u64) -> u64 {
    let height = index.trailing_ones();
    index.checked_shr(height + 1).unwrap_or_default().saturating_add(1) << height.min(32)
}

pub(super) fn nodes(nodes: &[hypercore_schema::Node]) -> Result<Vec<Node>, Trouble> {
    let node = |node: &hypercore_schema::Node| {
        Some(Node { bytes: node.length, hash: Bytes(node.hash.as_slice().try_into().ok()?) })
    };
    let nodes: Option<Vec<_>> = nodes.iter().map(node).collect();
    nodes.ok_or(Trouble::Misbehaved("it sends hashes that are none"))
}

#[cfg(test)]
mod tests {
    use bzzz_actors::trail::Tree;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_block_on_its_way_up_shows_what_was_before_it(length in 1u64..300, index in 0u64..300) {
            let index = index % length;
            let mut tree = Tree::default();
            (0..length).for_each(|it| tree.push(Node::of_block(&it.to_le_bytes())));
            let (now, siblings) = (tree.peaks(length).unwrap(), tree.siblings(index, length).unwrap());
            prop_assert_eq!(siblings.len(), height_of_peak(index, length) as usize);
            let shown = earlier(&now, index, &index.to_le_bytes(), &siblings);
            prop_assert_eq!(shown, tree.peaks(index + 1));
            prop_assert_eq!(earlier(&now, index, b"another", &siblings), None);
        }

        #[test]
        fn the_end_of_any_subtree_is_a_number(index: u64) {
            end_of(index);
        }
    }

    #[test]
    fn a_subtree_ends_after_its_last_block() {
        assert_eq!([0, 1, 2, 3, 5, 7, 8].map(end_of), [1, 2, 2, 4, 4, 8, 5]);
    }
}
