//! Hypercore's Merkle tree: what its root says of the blocks below, and how little proves it.
//!
//! A tree over `n` blocks is a row of full subtrees, its *peaks*, the largest first: one for each bit of `n`. The hashes are
//! BLAKE2b-256, as <https://www.datprotocol.com/deps/0002-hypercore/> and Hypercore 10 have them:
//!
//! ```text
//! block    0 ‖ bytes of the block (u64, little-endian) ‖ the block
//! parent   1 ‖ bytes below both ‖ hash on the left ‖ hash on the right
//! root     2 ‖ for each peak: its hash ‖ its index ‖ bytes below
//! ```
//!
//! The index counts all nodes in order (flat in-order numbering): that of the subtree over the blocks `a..a + 2^h` is
//! `2a + 2^h - 1`.

use blake2::digest::Digest as _;
use blake2::digest::consts::U32;
use serde::{Deserialize, Serialize};

use super::bytes::{Bytes, Digest};

type Blake2b256 = blake2::Blake2b<U32>;

const BLOCK: [u8; 1] = [0];
const PARENT: [u8; 1] = [1];
const ROOT: [u8; 1] = [2];

/// Blocks of a segment. Far more than one ever has, and far from where the arithmetic below would overflow: lengths come
/// from peers.
pub const MAX_LENGTH: u64 = 1 << 32;

/// A full subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Of all blocks below.
    pub bytes: u64,
    pub hash: Digest,
}

impl Node {
    pub fn of_block(block: &[u8]) -> Self {
        let bytes = block.len() as u64;
        let hash = Blake2b256::new().chain_update(BLOCK).chain_update(bytes.to_le_bytes());
        Self { bytes, hash: Bytes(hash.chain_update(block).finalize().into()) }
    }

    fn parent(left: Self, right: Self) -> Self {
        // A peer's numbers are anything.
        let bytes = left.bytes.wrapping_add(right.bytes);
        let hash = Blake2b256::new().chain_update(PARENT).chain_update(bytes.to_le_bytes());
        let hash = hash.chain_update(left.hash.0).chain_update(right.hash.0);
        Self { bytes, hash: Bytes(hash.finalize().into()) }
    }
}

/// A tree's peaks: enough to go on with it, and to know its root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peaks {
    length: u64,
    nodes: Vec<Node>,
}

impl Peaks {
    /// `None` when it is not one node for each bit of the length, or longer than any segment.
    pub fn new(length: u64, nodes: Vec<Node>) -> Option<Self> {
        let is_whole = nodes.len() == length.count_ones() as usize && length <= MAX_LENGTH;
        is_whole.then_some(Self { length, nodes })
    }

    /// Blocks.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The largest first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn push(&mut self, block: Node) {
        self.push_subtree(0, block);
    }

    /// A subtree over `2^height` blocks, which fits where the tree ends: the length is a multiple of that.
    fn push_subtree(&mut self, height: u32, mut node: Node) {
        let mut before = self.length >> height;
        while before & 1 == 1
            && let Some(left) = self.nodes.pop()
        {
            node = Node::parent(left, node);
            before >>= 1;
        }
        self.nodes.push(node);
        self.length += 1 << height;
    }

    /// These, and then the subtrees of [`Tree::extension`] up to `length`. `None` when there are more or fewer.
    pub fn extended(mut self, length: u64, nodes: &[Node]) -> Option<Self> {
        if length > MAX_LENGTH {
            return None;
        }
        let mut nodes = nodes.iter();
        while self.length < length {
            self.push_subtree(next_height(self.length, length), *nodes.next()?);
        }
        (self.length == length && nodes.next().is_none()).then_some(self)
    }

    pub fn root(&self) -> Digest {
        let mut hash = Blake2b256::new().chain_update(ROOT);
        let mut first = 0u64;
        for (height, node) in heights(self.length).zip(&self.nodes) {
            let index = 2 * first + (1 << height) - 1;
            hash = hash.chain_update(node.hash.0).chain_update(index.to_le_bytes());
            hash = hash.chain_update(node.bytes.to_le_bytes());
            first += 1 << height;
        }
        Bytes(hash.finalize().into())
    }

    /// Whether `block` is the one at `index`, by the siblings on the way from it to its peak.
    pub fn holds(&self, index: u64, block: Node, siblings: &[Node]) -> bool {
        let Some((at, height)) = peak_over(index, self.length) else { return false };
        if siblings.len() != height as usize {
            return false;
        }
        let mut node = block;
        for (level, sibling) in siblings.iter().enumerate() {
            node = match index >> level & 1 {
                0 => Node::parent(node, *sibling),
                _ => Node::parent(*sibling, node),
            };
        }
        self.nodes.get(at) == Some(&node)
    }
}

/// Of the peaks of a tree, the largest first.
fn heights(length: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).rev().filter(move |height| length >> height & 1 == 1)
}

/// Of the largest subtree that begins at `from` and ends at `to` or before.
fn next_height(from: u64, to: u64) -> u32 {
    from.trailing_zeros().min((to - from).ilog2())
}

/// The place among the peaks, and the height, of the one over a block.
fn peak_over(index: u64, length: u64) -> Option<(usize, u32)> {
    let mut end = 0;
    heights(length).enumerate().find(|(_, height)| {
        end += 1 << height;
        index < end
    })
}

/// All nodes of a tree: 80 bytes a block.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// By height, each in order.
    levels: Vec<Vec<Node>>,
}

impl Tree {
    pub fn length(&self) -> u64 {
        self.levels.first().map_or(0, |blocks| blocks.len() as u64)
    }

    pub fn push(&mut self, block: Node) {
        let mut node = block;
        for height in 0.. {
            if self.levels.len() == height {
                self.levels.push(Vec::new());
            }
            let level = &mut self.levels[height];
            level.push(node);
            if level.len() % 2 == 1 {
                return;
            }
            node = Node::parent(level[level.len() - 2], node);
        }
    }

    fn node(&self, height: u32, at: u64) -> Option<Node> {
        self.levels.get(height as usize)?.get(usize::try_from(at).ok()?).copied()
    }

    /// As they were when the tree had this length.
    pub fn peaks(&self, length: u64) -> Option<Peaks> {
        Peaks::default().extended(length, &self.extension(0, length)?)
    }

    /// The siblings of a block and of those above it, up to its peak in the tree of this length.
    pub fn siblings(&self, index: u64, length: u64) -> Option<Vec<Node>> {
        let (_, height) = peak_over(index, length).filter(|_| length <= self.length())?;
        (0..height).map(|level| self.node(level, index >> level ^ 1)).collect()
    }

    /// The subtrees that were added between two lengths, in order: who has the peaks of the first has with them those of
    /// the second.
    pub fn extension(&self, from: u64, to: u64) -> Option<Vec<Node>> {
        let mut nodes = Vec::new();
        let mut at = from;
        while at < to {
            let height = next_height(at, to);
            nodes.push(self.node(height, at >> height)?);
            at += 1 << height;
        }
        (at == to && to <= self.length()).then_some(nodes)
    }

    /// Those that are full at the second length, and were not at the first.
    pub fn nodes_between(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, Node)> {
        let end_of = |index: u64| {
            let height = index.trailing_ones();
            ((index >> (height + 1)) + 1) << height
        };
        self.nodes().filter(move |(index, _)| (from + 1..=to).contains(&end_of(*index)))
    }

    /// Each node that is full, with its index: its place in the file `tree` of a Hypercore.
    pub fn nodes(&self) -> impl Iterator<Item = (u64, Node)> {
        let of_level = |(height, level): (usize, &Vec<Node>)| {
            let indexed = move |(at, node): (usize, &Node)| {
                let index = (((at as u64) << 1 | 1) << height) - 1;
                (index, *node)
            };
            level.iter().enumerate().map(indexed).collect::<Vec<_>>()
        };
        self.levels.iter().enumerate().flat_map(of_level)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(number: u64) -> Node {
        Node::of_block(number.to_string().repeat(number as usize % 7).as_bytes())
    }

    fn tree(length: u64) -> Tree {
        let mut tree = Tree::default();
        (0..length).for_each(|number| tree.push(block(number)));
        tree
    }

    fn peaks(length: u64) -> Peaks {
        let mut peaks = Peaks::default();
        (0..length).for_each(|number| peaks.push(block(number)));
        peaks
    }

    proptest! {
        #[test]
        fn a_tree_and_its_peaks_agree_at_each_length(length in 0u64..300, earlier in 0u64..300) {
            let (tree, earlier) = (tree(length), earlier.min(length));
            prop_assert_eq!(tree.peaks(earlier), Some(peaks(earlier)));
            prop_assert_eq!(tree.peaks(length + 1), None);
            let added = tree.extension(earlier, length).unwrap();
            prop_assert!(added.len() <= 2 * 9);
            prop_assert_eq!(peaks(earlier).extended(length, &added), Some(peaks(length)));
            let longer = peaks(earlier).extended(length + 1, &added);
            prop_assert!(longer.is_none_or(|it| it.root() != peaks(length + 1).root()));
        }

        #[test]
        fn a_block_is_proven_at_its_place_alone(length in 1u64..300, index in 0u64..300, other in 0u64..300) {
            let (tree, index, other) = (tree(length), index % length, other % length);
            let siblings = tree.siblings(index, length).unwrap();
            let peaks = tree.peaks(length).unwrap();
            prop_assert!(peaks.holds(index, block(index), &siblings));
            prop_assert_eq!(peaks.holds(other, block(index), &siblings), index == other);
            prop_assert!(!peaks.holds(index, block(index + 1000), &siblings));
            prop_assert!(!peaks.holds(index, block(index), &[siblings.clone(), vec![block(1)]].concat()));
            prop_assert_eq!(tree.siblings(length, length), None);
        }

        #[test]
        fn another_extension_gives_another_root(length in 2u64..200, earlier in 1u64..200, at in 0usize..20) {
            let earlier = earlier.min(length - 1);
            let mut added = tree(length).extension(earlier, length).unwrap();
            let at = at % added.len();
            added[at].hash.0[0] ^= 1;
            prop_assert_ne!(peaks(earlier).extended(length, &added).unwrap().root(), peaks(length).root());
        }

        #[test]
        fn no_numbers_of_a_peer_make_it_panic(
            length: u64, to: u64, index: u64, nodes in prop::collection::vec((any::<u64>(), any::<[u8; 32]>()), 0..70)
        ) {
            let nodes: Vec<Node> = nodes.into_iter().map(|(bytes, hash)| Node { bytes, hash: Bytes(hash) }).collect();
            let short = nodes[..nodes.len().min(length.count_ones() as usize)].to_vec();
            for shift in [0, 20, 32, 50] {
                let length = length >> shift;
                let short = short[..short.len().min(length.count_ones() as usize)].to_vec();
                let Some(peaks) = Peaks::new(length, short) else { continue };
                assert!(length <= MAX_LENGTH);
                peaks.root();
                peaks.holds(index, block(1), &nodes);
                let _ = peaks.extended(to >> shift, &nodes);
            }
        }
    }

    #[test]
    fn the_indexes_are_those_of_the_in_order_numbering() {
        let indexes = |length| {
            let mut indexes: Vec<u64> = tree(length).nodes().map(|(index, _)| index).collect();
            indexes.sort_unstable();
            indexes
        };
        assert_eq!(indexes(1), [0]);
        assert_eq!(indexes(3), [0, 1, 2, 4]);
        assert_eq!(indexes(4), [0, 1, 2, 3, 4, 5, 6]);
    }
}
