//! Where a trail ends.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Verify;
use super::bytes::{Digest, Key, Signature};
use super::merkle::MAX_LENGTH;
use crate::task::InvalidName;

/// What Hypercore signs begins with this: BLAKE2b-256 of "hypercore" and a zero byte.
const TREE_NAMESPACE: [u8; 32] = [
    0x9f, 0xac, 0x70, 0xb5, 0x0c, 0xa1, 0x4e, 0xfc, 0x4e, 0x91, 0xc8, 0x33, 0xb2, 0x04, 0xe7, 0x5b, 0x8b,
    0x5a, 0xad, 0x8b, 0x58, 0x81, 0xbf, 0xc0, 0xad, 0xb5, 0xef, 0x38, 0xa3, 0x27, 0x5b, 0x9c,
];
/// Of one trail: more would be thousands of years of it.
const MAX_SEGMENTS: u64 = 1 << 32;
/// A trail is never truncated.
const FORK: u64 = 0;

/// How far a trail is, and the root of all that it holds there: enough to tell later that it still holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// From 0.
    pub segment: u64,
    /// Blocks of the segment, its header among them.
    pub length: u64,
    pub root: Digest,
}

impl Mark {
    /// Marks of one trail are in the order of these.
    pub fn place(&self) -> (u64, u64) {
        (self.segment, self.length)
    }

    /// Whether a trail can be as far, whoever says so.
    pub fn is_plausible(&self) -> bool {
        self.segment < MAX_SEGMENTS && (1..=MAX_LENGTH).contains(&self.length)
    }

    /// What the key of the segment signs.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let [length, fork] = [self.length, FORK].map(u64::to_le_bytes);
        [&TREE_NAMESPACE[..], &self.root.0, &length, &fork].concat()
    }
}

/// As it is handed to people, and taken from them: `<segment>/<length>:<root>`.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.segment, self.length, self.root)
    }
}

impl FromStr for Mark {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let read = || {
            let (place, root) = text.split_once(':')?;
            let (segment, length) = place.split_once('/')?;
            let length = length.parse().ok().filter(|length| *length > 0)?;
            Some(Self { segment: segment.parse().ok()?, length, root: root.parse().ok()? })
        };
        let expected = "a segment's number, \"/\", its blocks, \":\" and its root, 64 hexadecimal digits";
        read().ok_or_else(|| InvalidName::new(text, expected))
    }
}

/// The head of a trail as its node signs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailHead {
    /// The audit key of the node.
    pub key: Key,
    pub segment_key: Key,
    #[serde(flatten)]
    pub mark: Mark,
    /// Hypercore's, by the key of the segment.
    pub signature: Signature,
}

impl TrailHead {
    /// Whether it can be one: the key of the first segment is the audit key.
    pub fn is_plausible(&self) -> bool {
        self.mark.is_plausible() && (self.mark.segment > 0 || self.segment_key == self.key)
    }

    pub fn is_signed(&self, verify: Verify<'_>) -> bool {
        verify(&self.segment_key, &self.mark.signed_bytes(), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bytes;
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_is_written() {
        let mark = Mark { segment: 2, length: 17, root: Bytes([0xab; 32]) };
        assert_eq!(mark.to_string(), format!("2/17:{}", "ab".repeat(32)));
        assert_eq!(mark.to_string().parse(), Ok(mark));
        for other in ["", "2/17", "2/0:abab", "17:ab", &format!("2/0:{}", "ab".repeat(32))] {
            assert!(other.parse::<Mark>().is_err(), "{other}");
        }
    }
}
