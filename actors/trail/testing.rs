//! Trails for tests. Who signs here only pretends to: a signature is a hash of the key and the bytes.

use super::{
    Bytes, EntryProof, Growth, Key, Mark, Node, Sealed, SegmentHeader, SegmentProof, Signature, TrailHead,
    Tree,
};

/// Blocks of a segment.
pub(super) const SEGMENT: u64 = 12;

pub(super) fn key(number: u64) -> Key {
    Bytes(blake3::hash(&number.to_le_bytes()).into())
}

fn sign(key: &Key, bytes: &[u8]) -> Signature {
    let half = *blake3::Hasher::new().update(&key.0).update(bytes).finalize().as_bytes();
    let mut both = [0; 64];
    both[..32].copy_from_slice(&half);
    both[32..].copy_from_slice(&half);
    Bytes(both)
}

pub(super) fn verify(key: &Key, bytes: &[u8], signature: &Signature) -> bool {
    sign(key, bytes) == *signature
}

pub(super) fn entry(segment: u64, index: u64) -> String {
    format!("entry {segment}/{index}")
}

struct Segment {
    key: Key,
    header: String,
    tree: Tree,
}

pub(super) struct Trail {
    pub(super) key: Key,
    length: u64,
    segments: Vec<Segment>,
}

pub(super) fn trail(segments: u64, length: u64) -> Trail {
    build(segments, length, entry)
}

fn build(count: u64, length: u64, entry: impl Fn(u64, u64) -> String) -> Trail {
    let audit_key = key(0);
    let mut segments: Vec<Segment> = Vec::new();
    for number in 0..count {
        let before = segments.last().map(|it| {
            let peaks = it.tree.peaks(length).unwrap();
            Sealed { key: it.key, length, root: peaks.root() }
        });
        let mut header = SegmentHeader {
            v: SegmentHeader::VERSION,
            kind: SegmentHeader::KIND.to_owned(),
            node: "bee".to_owned(),
            key: audit_key,
            segment: number,
            segment_key: key(number),
            next_key: key(number + 1),
            first_entry: number * (length - 1) + 1,
            before,
            network: None,
            signature: None,
        };
        header.signature = Some(sign(&audit_key, &header.statement()));
        let header = header.block();
        let mut tree = Tree::default();
        tree.push(Node::of_block(header.as_bytes()));
        (1..length).for_each(|index| tree.push(Node::of_block(entry(number, index).as_bytes())));
        segments.push(Segment { key: key(number), header, tree });
    }
    Trail { key: audit_key, length, segments }
}

impl Trail {
    /// The same but for the block at this place, counted through all segments, and what follows from it.
    pub(super) fn rewritten(&self, at: u64) -> Self {
        let (segment, index) = (at / self.length, at % self.length);
        build(self.segments.len() as u64, self.length, |s, i| match (s, i) == (segment, index) {
            true => "another".to_owned(),
            false => entry(s, i),
        })
    }

    /// After so many blocks.
    pub(super) fn head(&self, blocks: u64) -> TrailHead {
        let segment = (blocks - 1) / self.length;
        let length = blocks - segment * self.length;
        let Segment { key, tree, .. } = &self.segments[segment as usize];
        let mark = Mark { segment, length, root: tree.peaks(length).unwrap().root() };
        let signature = sign(key, &mark.signed_bytes());
        TrailHead { key: self.key, segment_key: *key, mark, signature }
    }

    pub(super) fn proof(&self, segment: u64, index: u64) -> EntryProof {
        let head = self.head((segment + 1) * self.length);
        let Segment { header, tree, .. } = &self.segments[segment as usize];
        EntryProof::new(tree, header.clone(), head, index, entry(segment, index)).unwrap()
    }

    pub(super) fn growth(&self, from: &TrailHead, to: &TrailHead) -> Growth {
        let [first, last] = [from, to].map(|head| head.mark.segment);
        let length_of = |segment| if segment == last { to.mark.length } else { self.length };
        let proof = |number: u64| {
            let Segment { header, tree, .. } = &self.segments[number as usize];
            SegmentProof::new(tree, length_of(number), header.clone()).unwrap()
        };
        let then = (first + 1..=last).map(proof).collect();
        Growth::new(&self.segments[first as usize].tree, from.mark.length, length_of(first), then).unwrap()
    }
}
