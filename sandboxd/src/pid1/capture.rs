//! What is kept of an output that may be endless: its first and its last bytes, and how many were between.

use std::collections::VecDeque;

/// Holds at most the cap it was made with, however much is pushed.
#[derive(Debug)]
pub(crate) struct Capture {
    head: Vec<u8>,
    head_cap: usize,
    tail: VecDeque<u8>,
    tail_cap: usize,
    left_out: u64,
}

/// `tail` follows `head` directly when nothing was left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Captured {
    pub(crate) head: Vec<u8>,
    pub(crate) tail: Vec<u8>,
    pub(crate) left_out: u64,
}

impl Captured {
    /// Of the output, what was dropped included.
    pub(crate) fn total_bytes(&self) -> u64 {
        (self.head.len() + self.tail.len()) as u64 + self.left_out
    }
}

impl Capture {
    pub(crate) fn new(cap: usize) -> Self {
        let head_cap = cap / 2;
        Self { head: Vec::new(), head_cap, tail: VecDeque::new(), tail_cap: cap - head_cap, left_out: 0 }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let (to_head, rest) = bytes.split_at(bytes.len().min(self.head_cap - self.head.len()));
        self.head.extend_from_slice(to_head);

        let newest = &rest[rest.len().saturating_sub(self.tail_cap)..];
        let outdated = (self.tail.len() + newest.len()).saturating_sub(self.tail_cap);
        self.tail.drain(..outdated);
        self.tail.extend(newest);
        self.left_out += (outdated + rest.len() - newest.len()) as u64;
    }

    pub(crate) fn finish(self) -> Captured {
        Captured { head: self.head, tail: self.tail.into(), left_out: self.left_out }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn head_and_tail_are_the_ends_of_what_was_pushed(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
            cap in 0_usize..200,
        ) {
            let whole: Vec<u8> = pieces.concat();
            let mut capture = Capture::new(cap);
            for piece in &pieces {
                capture.push(piece);
                prop_assert!(capture.head.len() + capture.tail.len() <= cap);
            }
            let kept = capture.finish();
            prop_assert!(whole.starts_with(&kept.head));
            prop_assert!(whole.ends_with(&kept.tail));
            let total = kept.head.len() as u64 + kept.left_out + kept.tail.len() as u64;
            prop_assert_eq!(total, whole.len() as u64);
            prop_assert_eq!(kept.left_out == 0, whole.len() <= cap);
        }
    }
}
