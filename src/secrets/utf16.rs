//! The ASCII letters of a text that is, or may be, UTF-16. Pure.
//!
//! Nothing says of a file's bytes that they are UTF-16 (a mark at the beginning may be missing, and the text may stand in
//! the middle of something else): it is read with either order of bytes, from the first byte and from the second.

use std::ops::Range;

/// A text of one byte for each two.
pub(super) struct Narrow {
    pub(super) letters: Vec<u8>,
    from: usize,
}

/// The four readings; none of a text that has no zero byte.
pub(super) fn readings(bytes: &[u8]) -> impl Iterator<Item = Narrow> {
    let is_wide = bytes.contains(&0);
    let readings = [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().filter(move |_| is_wide);
    readings.map(|(from, letter_at)| {
        let pairs = bytes.get(from..).unwrap_or_default().chunks_exact(2);
        // What is no ASCII becomes a zero, which is part of no key.
        let letters = pairs.map(|pair| if pair[1 - letter_at] == 0 { pair[letter_at] } else { 0 }).collect();
        Narrow { letters, from }
    })
}

impl Narrow {
    /// Where these letters stand in the bytes.
    pub(super) fn place_of(&self, letters: &Range<usize>) -> Range<usize> {
        self.from + 2 * letters.start..self.from + 2 * letters.end
    }
}
