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
        self.hashes.extend(Words { text: raw.body.as_bytes(), at: DIGITS - 1 }.filter_map(hash_of));
    }

    fn has(&self, blob: &str) -> bool {
        hash_of(blob.as_bytes()).is_some_and(|hash| self.hashes.contains(&hash))
    }
}

/// The words of hexadecimal digits that are at least as long as a hash. One of these covers each `DIGITS`th place at least
/// once, so the others need no look: a node's start reads a hundred megabytes of this.
struct Words<'t> {
    text: &'t [u8],
    /// The next place to look at.
    at: usize,
}

impl<'t> Iterator for Words<'t> {
    type Item = &'t [u8];

    fn next(&mut self) -> Option<&'t [u8]> {
        let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        while !is_digit(self.text.get(self.at)?) {
            self.at += DIGITS;
        }
        let (before, after) = self.text.split_at(self.at);
        let start = before.iter().rposition(|b| !is_digit(b)).map_or(0, |last| last + 1);
        let end = after.iter().position(|b| !is_digit(b)).map_or(self.text.len(), |first| self.at + first);
        self.at = end + DIGITS;
        Some(&self.text[start..end])
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_word_that_is_long_enough_is_missed(parts in prop::collection::vec("[0-9a-f]{0,70}[^0-9a-f]{0,3}", 0..8)) {
            let text = parts.concat();
            let digits = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            let long = |word: &&[u8]| word.len() >= DIGITS;
            let expected: Vec<&[u8]> = text.as_bytes().split(|b| !digits(b)).filter(long).collect();
            let found: Vec<&[u8]> = Words { text: text.as_bytes(), at: DIGITS - 1 }.filter(long).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
