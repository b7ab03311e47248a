//! Whether the files of a segment hold what the journal says.
//!
//! The journal's blocks pass by once, and are compared with the file `data` as they do; at the end the rest is looked at:
//! the tree node by node, the bitfield bit by bit, and the signature. What differs is damage, unless the key signed it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use bzzz_actors::trail::{Key, Node, Peaks, Tree};

use super::core::{Core, CoreError};
use super::projection::GROUP;
use super::{archive, segment_folder};
use crate::ed25519::verify;

/// Bytes of a node in the file `tree`.
pub(super) const NODE_BYTES: u64 = 40;
/// Of a piece of that file, read at once.
const NODES_AT_ONCE: usize = 8192;
/// As many bits as the library reads back.
pub(super) const MAX_BITS: u64 = 32_768;

/// What the files are, as against the journal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Whole,
    /// They are elsewhere, and were whole when they went.
    Archived {
        place: PathBuf,
    },
    /// They hold the first blocks, and these are whole.
    Behind {
        length: u64,
    },
    Damaged {
        why: String,
    },
    /// They hold these blocks whole and signed, and the journal has not so many.
    Ahead {
        length: u64,
    },
    /// They hold another block here, whole and signed.
    Contradicts {
        index: u64,
    },
    /// The disk does not say.
    Unreadable {
        why: String,
    },
}

enum Difference {
    /// The file has other bytes there.
    Other,
    /// It ended there when it was read.
    Ends,
    Unreadable(io::Error),
}

impl From<io::Error> for Difference {
    fn from(problem: io::Error) -> Self {
        match problem.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => Self::Ends,
            _ => Self::Unreadable(problem),
        }
    }
}

pub(crate) struct Inspection {
    folder: PathBuf,
    archived: Option<PathBuf>,
    data: Option<BufReader<File>>,
    tree: Tree,
    /// The first block that is not in the file as the journal has it, and why.
    differs_at: Option<(u64, Difference)>,
    buffer: Vec<u8>,
}

impl Inspection {
    pub(crate) fn new(data_dir: &Path, segment: u64) -> Self {
        let (folder, archived) = (segment_folder(data_dir, segment), archive::place_of(data_dir, segment));
        let (data, differs_at) = match File::open(folder.join("data")) {
            Ok(data) => (Some(BufReader::with_capacity(256 * 1024, data)), None),
            Err(problem) => (None, Some((0, problem.into()))),
        };
        Self { folder, archived, data, tree: Tree::default(), differs_at, buffer: Vec::new() }
    }

    /// The journal's next block.
    pub(crate) fn block(&mut self, block: &[u8]) {
        if self.differs_at.is_none()
            && let Err(difference) = self.is_next(block)
        {
            self.differs_at = Some((self.tree.length(), difference));
        }
        self.tree.push(Node::of_block(block));
    }

    fn is_next(&mut self, block: &[u8]) -> Result<(), Difference> {
        let Some(data) = &mut self.data else { return Ok(()) };
        self.buffer.resize(block.len(), 0);
        data.read_exact(&mut self.buffer)?;
        if self.buffer == block { Ok(()) } else { Err(Difference::Other) }
    }

    /// The tree over the journal's blocks.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(crate) fn state(&self, segment_key: &Key) -> State {
        if let Some(place) = &self.archived {
            return State::Archived { place: place.clone() };
        }
        if !self.folder.exists() {
            // A crash may have come before its first group.
            return match self.tree.length() <= 1 + GROUP {
                true => State::Behind { length: 0 },
                false => damaged("it is missing"),
            };
        }
        match self.look(segment_key) {
            Ok(state) => state,
            Err(error) if error.is_of_disk() => State::Unreadable { why: error.to_string() },
            Err(error) => State::Damaged { why: error.to_string() },
        }
    }

    fn look(&self, segment_key: &Key) -> Result<State, CoreError> {
        let core = Core::open_to_read(&self.folder)?;
        let (length, known) = (core.length(), self.tree.length());
        if core.key() != *segment_key {
            return Ok(damaged("it has another key"));
        }
        if length == 0 {
            return Ok(damaged("it is empty"));
        }
        match &self.differs_at {
            Some((index, Difference::Other)) if *index < length => {
                return Ok(match is_signed(&core, segment_key) {
                    // The first one that differs: those before are equal in the file.
                    true => State::Contradicts { index: *index },
                    false => State::Damaged { why: format!("its block {index} is not what was recorded") },
                });
            }
            Some((index, Difference::Ends)) if *index < length => {
                return Ok(State::Damaged { why: format!("its data ends before its block {index}") });
            }
            Some((_, Difference::Unreadable(problem))) => {
                return Ok(State::Unreadable { why: problem.to_string() });
            }
            _ => {}
        }
        if length > known {
            return Ok(match is_signed(&core, segment_key) {
                true => State::Ahead { length },
                false => damaged("it has more blocks than were recorded"),
            });
        }
        let mark = core.mark(0, self.tree.peaks(length).map(|peaks| peaks.root()).unwrap_or_default());
        if !verify(segment_key, &mark.signed_bytes(), &core.signature()?) {
            return Ok(damaged("its signature is not that of its blocks"));
        }
        if let Some(why) = self.wrong_bit(&core).or(self.wrong_node(&core)?) {
            return Ok(State::Damaged { why });
        }
        Ok(if length == known { State::Whole } else { State::Behind { length } })
    }

    fn wrong_bit(&self, core: &Core) -> Option<String> {
        let length = core.length();
        let wrong = (0..MAX_BITS.max(length)).find(|index| core.has(*index) != (*index < length));
        wrong.map(|index| format!("its bitfield is wrong at {index}"))
    }

    /// The nodes are in the file, but for the last ones: these may still be in the oplog, and are asked for.
    fn wrong_node(&self, core: &Core) -> Result<Option<String>, CoreError> {
        let length = core.length();
        if self.tree.peaks(length).is_none_or(|peaks| core.peaks().ok().as_deref() != Some(peaks.nodes())) {
            return Ok(Some("its tree has other peaks".to_owned()));
        }
        let mut nodes: Vec<(u64, Node)> = self.tree.nodes_between(0, length).collect();
        nodes.sort_unstable_by_key(|(index, _)| *index);
        let mut absent = Vec::new();
        for piece in nodes.chunks(NODES_AT_ONCE) {
            let [(first, _), .., (last, _)] = piece else {
                absent.extend(piece.iter().filter(|it| !is_stored(core, it)));
                continue;
            };
            let bytes =
                core.files().tree_bytes(first * NODE_BYTES, ((last - first + 1) * NODE_BYTES) as usize)?;
            let is_there = |(index, node): &&(u64, Node)| {
                let at = ((index - first) * NODE_BYTES) as usize;
                bytes.get(at..at + NODE_BYTES as usize).is_some_and(|stored| stored == encoded(node))
            };
            absent.extend(piece.iter().filter(|it| !is_there(it)));
        }
        for (index, _) in absent {
            // A node is a sibling on the way of a block on its other side; only a peak has none.
            let Some(block) = block_beside(index, length) else { continue };
            let expected = self.tree.siblings(block, length).unwrap_or_default();
            if core.siblings(block, expected.len() as u64)? != expected {
                return Ok(Some(format!("its tree is wrong at the node {index}")));
            }
        }
        Ok(None)
    }
}

fn damaged(why: &str) -> State {
    State::Damaged { why: why.to_owned() }
}

/// Whether the key signed what the blocks are.
fn is_signed(core: &Core, segment_key: &Key) -> bool {
    let signed = || {
        let mut peaks = Peaks::default();
        for index in 0..core.length() {
            peaks.push(Node::of_block(&core.block(index)?));
        }
        let mark = core.mark(0, peaks.root());
        Ok::<_, CoreError>(verify(segment_key, &mark.signed_bytes(), &core.signature()?))
    };
    signed().unwrap_or(false)
}

/// As it stands in the file `tree`.
pub(super) fn encoded(node: &Node) -> [u8; NODE_BYTES as usize] {
    let mut bytes = [0; NODE_BYTES as usize];
    bytes[..8].copy_from_slice(&node.bytes.to_le_bytes());
    bytes[8..].copy_from_slice(&node.hash.0);
    bytes
}

fn is_stored(core: &Core, (index, node): &(u64, Node)) -> bool {
    let stored = core.files().tree_bytes(index * NODE_BYTES, NODE_BYTES as usize);
    stored.is_ok_and(|stored| stored == encoded(node))
}

/// The height of a node, and its place among those of this height.
fn place(index: u64) -> (u32, u64) {
    let height = index.trailing_ones();
    (height, index >> (height + 1))
}

/// A block below the node's sibling; `None` for a peak, which has none.
fn block_beside(index: u64, length: u64) -> Option<u64> {
    let (height, at) = place(index);
    let sibling = at ^ 1;
    let parent_ends = ((at >> 1) + 1) << (height + 1);
    (parent_ends <= length).then_some(sibling << height)
}
