//! The name of a peer's key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::task::{InvalidName, by_its_text};

/// A peer's public key in libp2p's text form (base58 of its multihash): what a peer proves to have, unlike its node's
/// name, which it only says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerId(String);

/// libp2p's have 46 or 52 signs.
const MAX_SIGNS: usize = 128;

impl PeerId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last signs, by which people tell peers apart: the first are the same for all.
    pub fn short(&self) -> &str {
        &self.0[self.0.len().saturating_sub(8)..]
    }
}

impl FromStr for PeerId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match is_plain && (1..=MAX_SIGNS).contains(&text.len()) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidName::new(text, "the id of a peer: letters and digits such as 12D3KooW…")),
        }
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

by_its_text!(PeerId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_text_is_a_peer_id() {
        let id: PeerId = "12D3KooWGRUVh8aXPiDLnUVmcZxwFbcTyLMxN3PMJbGqfZDsbGqf".parse().unwrap();
        assert_eq!(id.short(), "fZDsbGqf");
        for bad in ["", "a b", "a/b", "\u{1b}[2J", &"a".repeat(129)] {
            assert!(bad.parse::<PeerId>().is_err(), "{bad:?}");
        }
    }
}
