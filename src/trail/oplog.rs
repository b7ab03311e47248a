//! How much of an oplog counts.
//!
//! It begins with two places for a header, of which the newer one says how far the Hypercore is, and goes on with entries
//! for what was appended since. Each of these has before it a check sum, its length and the bit of the header that it
//! follows. A crash leaves entries that an older header had, or that are torn. JavaScript's Hypercore passes over them; the
//! library here takes the first for new ones, with which it loses nodes, and the second for damage.

use bzzz_actors::trail::{Digest, Signature};

const SLOT: usize = 4096;
const ENTRIES: usize = 2 * SLOT;
const LEADER: usize = 8;

/// The bytes up to the end of the last entry that counts.
pub(super) fn length_that_counts(oplog: &[u8]) -> usize {
    let bit_of = |from: usize| oplog.get(from..).and_then(|bytes| leader(bytes.get(..SLOT).unwrap_or(bytes)));
    let bits = (bit_of(0).map(|it| it.bit), bit_of(SLOT).map(|it| it.bit));
    let current = match bits {
        (Some(first), Some(second)) => first != second,
        (Some(_), None) => false,
        (None, Some(_)) => true,
        // Not for us to say what it is.
        (None, None) => return oplog.len(),
    };
    let mut end = ENTRIES.min(oplog.len());
    // Nothing is written in parts here, and of parts the library finds no end.
    while let Some(entry) = leader(&oplog[end..]).filter(|entry| entry.bit == current && !entry.is_partial) {
        end += LEADER + entry.length;
    }
    end
}

/// Of a Hypercore with nothing in its tree but an oplog, one that says how long it is, of what root, and all of it there.
/// `None` when it is not what the library writes.
pub(super) fn with_tree(oplog: &[u8], length: u64, root: &Digest, signature: &Signature) -> Option<Vec<u8>> {
    let Leader { length: header, bit, .. } = leader(oplog)?;
    let header = oplog.get(LEADER..LEADER + header)?;
    let before = header.get(..tree_at(header)?)?;
    let number = |number: u64| match u16::try_from(number) {
        Ok(small @ 0..=0xfc) => Some(vec![small as u8]),
        Ok(number) => Some([&[0xfd][..], &number.to_le_bytes()].concat()),
        Err(_) => Some([&[0xfe][..], &u32::try_from(number).ok()?.to_le_bytes()].concat()),
    };
    let tree = [&[0][..], &number(length)?, &[32], &root.0, &[64], &signature.0].concat();
    let hints = [&[0][..], &number(length)?].concat();
    let header = [before, &tree, &hints].concat();
    let combined = u32::try_from(header.len()).ok()? << 2 | u32::from(bit);
    let summed = [&combined.to_le_bytes()[..], &header].concat();
    let mut bytes = [&crc32fast::hash(&summed).to_le_bytes()[..], &summed].concat();
    bytes.resize(ENTRIES, 0);
    Some(bytes)
}

/// Where the tree begins in a header: after its version, flags, key, manifest, pair of keys without a secret, and data of
/// nobody. All of that has one length.
fn tree_at(header: &[u8]) -> Option<usize> {
    const MANIFEST: usize = 1 + 1 + 1 + 1 + 32 + 32;
    const AT: usize = 1 + 1 + 32 + MANIFEST + (1 + 32 + 1) + 1;
    // The tree's fork.
    (header.get(AT) == Some(&0)).then_some(AT)
}

struct Leader {
    length: usize,
    bit: bool,
    is_partial: bool,
}

/// Of something whole.
fn leader(bytes: &[u8]) -> Option<Leader> {
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (sum, combined) = (word(0)?, word(4)?);
    let length = usize::try_from(combined >> 2).ok().filter(|length| *length > 0)?;
    let summed = bytes.get(4..LEADER.checked_add(length)?)?;
    (crc32fast::hash(summed) == sum).then_some(Leader {
        length,
        bit: combined & 1 == 1,
        is_partial: combined & 2 == 2,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(bytes: &mut Vec<u8>, at: usize, bit: bool, content: &[u8]) {
        let combined = (content.len() as u32) << 2 | u32::from(bit);
        let summed = [&combined.to_le_bytes(), content].concat();
        let whole = [&crc32fast::hash(&summed).to_le_bytes()[..], &summed].concat();
        bytes.resize(bytes.len().max(at + whole.len()), 0);
        bytes[at..at + whole.len()].copy_from_slice(&whole);
    }

    #[test]
    fn entries_of_the_last_header_count_and_no_others() {
        let mut oplog = Vec::new();
        put(&mut oplog, 0, true, b"header");
        oplog.resize(ENTRIES, 0);
        assert_eq!(length_that_counts(&oplog), ENTRIES);
        put(&mut oplog, ENTRIES, false, b"one");
        put(&mut oplog, ENTRIES + 11, false, b"two");
        assert_eq!(length_that_counts(&oplog), ENTRIES + 22);
        assert_eq!(length_that_counts(&oplog[..ENTRIES + 21]), ENTRIES + 11);
        let mut torn = oplog.clone();
        torn[ENTRIES + 20] = 0;
        assert_eq!(length_that_counts(&torn), ENTRIES + 11);
        put(&mut oplog, SLOT, false, b"another header");
        assert_eq!(length_that_counts(&oplog), ENTRIES, "they were the one before's");
        put(&mut oplog, ENTRIES, true, b"three");
        assert_eq!(length_that_counts(&oplog), ENTRIES + 13);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), at in 0usize..3 * SLOT) {
            let mut oplog = vec![0; at];
            oplog.extend(bytes);
            prop_assert!(length_that_counts(&oplog) <= oplog.len());
        }
    }
}
