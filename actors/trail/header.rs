//! The first block of a segment.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bytes::{Digest, Key, Signature};
use super::{Verify, canonical};

/// A segment that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pub key: Key,
    pub length: u64,
    pub root: Digest,
}

/// The node's key in the swarm, which signed its audit key: [`Network::statement`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub peer: String,
    pub key: Key,
    pub signature: Signature,
}

impl Network {
    /// What the key of the swarm signs.
    pub fn statement(audit_key: &Key) -> Vec<u8> {
        [b"bzzz audit key\0".as_slice(), &audit_key.0].concat()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentHeader {
    pub v: u32,
    pub kind: String,
    /// The name of the node when the segment began.
    pub node: String,
    /// The audit key.
    pub key: Key,
    pub segment: u64,
    pub segment_key: Key,
    /// Of the segment that will follow.
    pub next_key: Key,
    /// The entry of the journal that is the block after this one.
    pub first_entry: u64,
    pub before: Option<Sealed>,
    /// In the first segment.
    pub network: Option<Network>,
    /// By the audit key.
    pub signature: Option<Signature>,
}

impl SegmentHeader {
    /// Of the text.
    pub const VERSION: u32 = 1;
    /// What tells it from an entry.
    pub const KIND: &str = "segment";

    /// What the audit key signs.
    pub fn statement(&self) -> Vec<u8> {
        let unsigned = Self { signature: None, ..self.clone() };
        [b"bzzz trail segment\0".as_slice(), unsigned.block().as_bytes()].concat()
    }

    /// The canonical text.
    pub fn block(&self) -> String {
        // Numbers, texts and options alone: nothing that can't be written.
        canonical(&serde_json::to_value(self).unwrap_or(Value::Null))
    }

    /// Reads a header, and checks that the audit key signed it and that its segment follows the one before.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(block: &[u8], audit_key: &Key, verify: Verify<'_>) -> Result<Self, String> {
        let header: Self = serde_json::from_slice(block).map_err(|why| format!("is no header: {why}"))?;
        if (header.v, header.kind.as_str()) != (Self::VERSION, Self::KIND)
            || header.block().as_bytes() != block
        {
            return Err("is no header of a version that is known here".to_owned());
        }
        if header.key != *audit_key {
            return Err(format!("is of the audit key {} and not {audit_key}", header.key));
        }
        let signature = header.signature.ok_or("is not signed")?;
        if !verify(audit_key, &header.statement(), &signature) {
            return Err("is not signed by the audit key".to_owned());
        }
        let is_first = header.segment == 0;
        if is_first != header.before.is_none() || is_first && header.segment_key != *audit_key {
            return Err("does not say what it follows".to_owned());
        }
        if let Some(network) = &header.network
            && !verify(&network.key, &Network::statement(audit_key), &network.signature)
        {
            return Err(format!("names the peer {}, whose key did not sign the audit key", network.peer));
        }
        Ok(header)
    }
}
