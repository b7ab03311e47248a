//! Bytes of a fixed number, written in hexadecimal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::task::InvalidName;

/// `N` bytes: lower case hexadecimal in texts, and in every format that is text or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes<const N: usize>(pub [u8; N]);

/// A hash.
pub type Digest = Bytes<32>;
/// An ed25519 public key.
pub type Key = Bytes<32>;
/// An ed25519 signature.
pub type Signature = Bytes<64>;

impl<const N: usize> Default for Bytes<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> fmt::Display for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> FromStr for Bytes<N> {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let refused =
            || InvalidName::new(text, "hexadecimal digits, two for each byte of the key, hash or signature");
        if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(refused());
        }
        let mut bytes = [0; N];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_it_is_written_and_nothing_else_is() {
        let bytes = Bytes([0x00, 0xff, 0x1a]);
        assert_eq!(bytes.to_string(), "00ff1a");
        assert_eq!("00FF1a".parse(), Ok(bytes));
        assert_eq!(serde_json::from_str::<Bytes<3>>("\"00ff1a\"").unwrap(), bytes);
        for other in ["00ff1", "00ff1a0", "00ff1g", "+0ff1a", "0é0ff"] {
            assert!(other.parse::<Bytes<3>>().is_err(), "{other}");
        }
    }
}
