//! Blobs that no entry names: a node that was killed between the blob and its entry left them, and nobody can ask for
//! them. They are removed when the journal is opened, while nothing is written.
//!
//! A blob stays as long as its hash stands anywhere in an entry, whatever for. One that is older than the first entry
//! is another journal's, which a person may have moved aside, and stays too.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bzzz_actors::task::BlobRef;

use super::blobs::Blobs;
use super::chain::RawEntry;

/// Hexadecimal digits of a hash.
const DIGITS: usize = 64;

/// What the entries say of the blobs.
#[derive(Debug, Default)]
pub(super) struct Named {
    hashes: HashSet<[u8; DIGITS / 2]>,
    since: Option<SystemTime>,
}

impl Named {
    /// Takes in an entry; the first one first.
    pub(super) fn note(&mut self, raw: &RawEntry) {
        self.since.get_or_insert(UNIX_EPOCH + Duration::from_millis(raw.at_ms));
        let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let words = raw.body.as_bytes().split(|b| !is_digit(b));
        self.hashes.extend(words.filter_map(hash_of));
    }

    fn has(&self, blob: &str) -> bool {
        hash_of(blob.as_bytes()).is_some_and(|hash| self.hashes.contains(&hash))
    }
}

fn hash_of(word: &[u8]) -> Option<[u8; DIGITS / 2]> {
    if word.len() != DIGITS {
        return None;
    }
    blake3::Hash::from_hex(word).ok().map(Into::into)
}

/// Returns how many it removed.
pub(super) fn remove(blobs: &Blobs, named: &Named) -> io::Result<usize> {
    let Some(since) = named.since else { return Ok(0) };
    let mut removed = 0;
    for folder in fs::read_dir(blobs.root())? {
        let folder = folder?;
        let start = folder.file_name();
        let Some(start) = start.to_str().filter(|start| start.len() == 2) else { continue };
        for file in fs::read_dir(folder.path())? {
            let file = file?;
            let name = format!("{start}{}", file.file_name().display());
            // Whatever has another kind of name was not put here by this program.
            let Some(path) = blobs.path(&BlobRef(name.clone())) else { continue };
            if !named.has(&name) && file.metadata()?.modified()? >= since {
                fs::remove_file(path)?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}
