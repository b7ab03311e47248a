//! The audit trail as mathematics: what a signed head says, and what proves that one goes on from another or holds an
//! entry. No files and no secret keys: those are the trail's adapter's.
//!
//! A trail is a chain of segments, each a Hypercore. A segment's first block, its header, names its key, the segment before
//! and the key of the next, and is signed by the node's audit key, which is the key of the first segment too. So the audit
//! key alone is enough to check everything.

mod bytes;
mod canonical;
mod growth;
mod head;
mod header;
mod merkle;
mod proof;
#[cfg(test)]
mod testing;

pub use bytes::{Bytes, Digest, Key, Signature};
pub use canonical::canonical;
pub use growth::Growth;
pub use head::{Mark, TrailHead};
pub use header::{Network, Sealed, SegmentHeader};
pub use merkle::{MAX_LENGTH, Node, Peaks, Tree};
pub use proof::{EntryProof, SegmentProof};

/// Whether an ed25519 signature of these bytes is by that key. Cryptography is an adapter's.
pub type Verify<'a> = &'a dyn Fn(&Key, &[u8], &Signature) -> bool;
