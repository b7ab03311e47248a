//! Trails that are written with Hypercore's crate alone, in the form that a node's have.

use std::path::PathBuf;
use std::sync::Arc;

use bzzz::trail::replication::{Segments, Served, ServedSegments, segment_folder};
use bzzz_actors::trail::{Bytes, Key, Node, Sealed, SegmentHeader, Tree};
use hypercore::{HypercoreBuilder, PartialKeypair, SigningKey, Storage, sign};
use tempfile::TempDir;

pub(crate) struct Trail {
    folder: TempDir,
    pub(crate) segments: Arc<ServedSegments>,
    /// What each segment holds.
    pub(crate) blocks: Vec<Vec<String>>,
    last: Served,
    tree: Tree,
    /// What the next header says of the segment before it, if not the truth.
    pub(crate) lie: Option<Sealed>,
}

/// Of a segment. The first is the audit key.
fn signing_key(segment: u64) -> SigningKey {
    SigningKey::from_bytes(blake3::hash(&segment.to_le_bytes()).as_bytes())
}

pub(crate) fn key(segment: u64) -> Key {
    Bytes(signing_key(segment).verifying_key().to_bytes())
}

impl Trail {
    pub(crate) async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let last = core(segment_folder(folder.path(), 0), 0).await;
        let (blocks, tree) = (Vec::new(), Tree::default());
        let mut trail = Self { folder, segments: Arc::default(), blocks, last, tree, lie: None };
        trail.write_header(None).await;
        trail
    }

    pub(crate) fn served(&self) -> Arc<dyn Segments> {
        self.segments.clone()
    }

    pub(crate) fn folder_of(&self, segment: u64) -> PathBuf {
        segment_folder(self.folder.path(), segment)
    }

    pub(crate) async fn append(&mut self, blocks: Vec<String>) {
        {
            let _turn = self.last.appending.lock().await;
            self.last.core.append_batch(&blocks).await.unwrap();
        }
        blocks.iter().for_each(|block| self.tree.push(Node::of_block(block.as_bytes())));
        self.blocks.last_mut().unwrap().extend(blocks);
    }

    /// Entries as a journal's, about 300 bytes each.
    pub(crate) async fn append_entries(&mut self, count: usize) {
        let from = self.blocks.iter().map(Vec::len).sum::<usize>();
        let entry = |seq: usize| format!("{{\"seq\":{},\"text\":\"{}\"}}", from + seq, "x".repeat(280));
        self.append((0..count).map(entry).collect()).await;
    }

    /// The segment that is appended to.
    pub(crate) fn last(&self) -> Served {
        self.last.clone()
    }

    /// As a node that found its files to be wrong: another core is served in the place of this one.
    pub(crate) async fn reopen(&mut self) {
        let folder = self.folder_of(self.blocks.len() as u64 - 1);
        let storage = Storage::new_disk(&folder, false).await.unwrap();
        self.last = Served::new(HypercoreBuilder::new(storage).open(true).build().await.unwrap());
        self.segments.add(self.last.clone());
    }

    /// Begins the next segment.
    pub(crate) async fn seal(&mut self) {
        let number = self.blocks.len() as u64;
        let length = self.blocks.last().unwrap().len() as u64;
        let root = self.tree.peaks(length).unwrap().root();
        let truth = Sealed { key: key(number - 1), length, root };
        self.last = core(self.folder_of(number), number).await;
        self.tree = Tree::default();
        self.write_header(Some(self.lie.unwrap_or(truth))).await;
    }

    /// The segment is served once it has its header.
    async fn write_header(&mut self, before: Option<Sealed>) {
        let segment = self.blocks.len() as u64;
        let mut header = SegmentHeader {
            v: SegmentHeader::VERSION,
            kind: SegmentHeader::KIND.to_owned(),
            node: "bee".to_owned(),
            key: key(0),
            segment,
            segment_key: key(segment),
            next_key: key(segment + 1),
            first_entry: 1 + self.blocks.iter().map(|blocks| blocks.len() as u64 - 1).sum::<u64>(),
            before,
            network: None,
            signature: None,
        };
        header.signature = Some(Bytes(sign(&signing_key(0), &header.statement()).to_bytes()));
        self.blocks.push(Vec::new());
        self.append(vec![header.block()]).await;
        self.segments.add(self.last.clone());
    }
}

async fn core(folder: PathBuf, segment: u64) -> Served {
    std::fs::create_dir_all(&folder).unwrap();
    let secret = signing_key(segment);
    let keys = PartialKeypair { public: secret.verifying_key(), secret: Some(secret) };
    let storage = Storage::new_disk(&folder, false).await.unwrap();
    Served::new(HypercoreBuilder::new(storage).key_pair(keys).build().await.unwrap())
}
