//! The ASCII letters of a text that is, or may be, UTF-16. Pure.
//!
//! Nothing says of a file's bytes that they are UTF-16 (a mark at the beginning may be missing, and the text may stand in
//! the middle of something else): it is read with either order of bytes, from the first byte and from the second.

use std::ops::Range;

/// A text of one byte for each two.
pub(super) struct Narrow {
    pub(super) letters: Vec<u8>,
    first: usize,
}

/// The four readings; none of a text that has no zero byte.
pub(super) fn readings(bytes: &[u8]) -> impl Iterator<Item = Narrow> {
    let is_wide = bytes.contains(&0);
    let readings = [(0, true), (1, true), (0, false), (1, false)].into_iter().filter(move |_| is_wide);
    readings.map(|(first, is_zero_behind)| {
        let letter = |at: usize| {
            let zero_at = if is_zero_behind { Some(at + 1) } else { at.checked_sub(1) };
            // At either end half a letter counts, or the order that is not the text's would read a word without its end.
            let is_ascii = zero_at.and_then(|at| bytes.get(at)).is_none_or(|byte| *byte == 0);
            // What is no ASCII becomes a zero, which is part of no key.
            if is_ascii { bytes[at] } else { 0 }
        };
        Narrow { letters: (first..bytes.len()).step_by(2).map(letter).collect(), first }
    })
}

impl Narrow {
    /// Where these letters stand in the bytes, from the first to the last: in either order at the same place.
    pub(super) fn place_of(&self, letters: &Range<usize>) -> Range<usize> {
        let start = self.first + 2 * letters.start;
        start..start + (2 * letters.len()).saturating_sub(1)
    }
}
