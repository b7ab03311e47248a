//! A Hypercore written without the secret key: whole, by who has the signature already.
//!
//! The blocks stand in `data`. What makes them count comes last: an oplog with nothing but a header that says how many they
//! are, of what root, in the place of the one before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use bzzz_actors::trail::{Signature, Tree};

use super::core::CoreError;
use super::inspection::{MAX_BITS, NODE_BYTES, encoded};
use super::oplog;
use crate::folder;

/// Made if it is not there, for the node's user alone.
pub(super) fn open_file(folder: &Path, name: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).open(folder.join(name))
}

/// Lets all blocks of the tree count, of which the first `from` do already. They are in the file `data`, and on the disk.
pub(super) fn count(folder: &Path, tree: &Tree, from: u64, signature: &Signature) -> Result<(), CoreError> {
    let wrong = |why: &str| CoreError::Wrong(why.to_owned());
    let length = tree.length();
    let root = tree.peaks(length).ok_or_else(|| wrong("it has no root"))?.root();
    let nodes = open_file(folder, "tree")?;
    for (index, node) in tree.nodes_between(from, length) {
        nodes.write_all_at(&encoded(&node), index * NODE_BYTES)?;
    }
    let bitfield = open_file(folder, "bitfield")?;
    bitfield.write_all_at(&bits(length), 0)?;
    nodes.sync_data()?;
    bitfield.sync_data()?;
    let path = folder.join("oplog");
    let header = oplog::with_tree(&fs::read(&path)?, length, &root, signature);
    let header = header.ok_or_else(|| wrong("its oplog is not as the library writes it"))?;
    Ok(replace(&path, &header)?)
}

/// A bitfield whose first bits are set, as long as the library reads it.
fn bits(length: u64) -> Vec<u8> {
    let mut bytes = vec![0u8; (MAX_BITS / 8) as usize];
    for index in 0..length.min(MAX_BITS) {
        bytes[(index / 8) as usize] |= 1 << (index % 8);
    }
    bytes
}

/// One or the other is there after a crash.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), folder::sync)
}
