//! The audit trail: a real Hypercore of what the journal holds, one block an entry, for other software to read and verify.
//!
//! ```text
//! <data>/trail/key            the audit key: 64 hexadecimal digits, for the node's user alone
//! <data>/trail/000000/        a segment: tree, data, bitfield and oplog, as Hypercore 10 has them
//! <data>/trail/aside/         what was found damaged, before it was written anew
//! ```
//!
//! The journal is the truth, the trail a projection of it: the same entries and the same key give the same files. What holds:
//! - The journal records each head of the trail, signed, in the transaction of its entries, before the trail has them.
//! - A thread of its own appends to the trail what the journal has recorded (`projection`). It may be behind, and catches up.
//! - At the start every segment is compared with the journal, byte by byte (`inspection`): what is missing is appended, what is
//!   damaged is moved aside and written anew. What is signed and says something else is not repaired: the node does not start.
//! - The files are written in an order in which a crash leaves what was there before (`files`); nothing relies on it.
//! - The crate `hypercore` can't reopen more than 32,768 blocks: a trail is a chain of segments of 30,000 (`SEGMENT_BLOCKS`).
//! - Its panics stay inside (`core`).

pub(crate) mod archive;
pub(crate) mod core;
mod export;
mod exported;
pub(crate) mod files;
pub(crate) mod inspection;
mod keys;
mod oplog;
mod plain;
pub(crate) mod projection;
pub mod replication;
pub(crate) mod shelf;

pub use archive::Archive;
pub use export::{ExportError, export};
pub use exported::{ExportReport, ExportedError, is_exported, verify_exported};
pub use keys::{AuditKeys, KeyError};
pub use projection::TrailError;

use std::path::{Path, PathBuf};

/// The folder in the data folder.
const FOLDER: &str = "trail";
/// Blocks of a segment, its header among them.
pub const SEGMENT_BLOCKS: u64 = 30_000;
/// Bytes of a block.
pub(crate) const MAX_BLOCK_BYTES: usize = 64 * 1024;

/// How a node keeps its trail.
#[derive(Debug, Clone)]
pub struct TrailOptions {
    /// Blocks of a segment: at most [`SEGMENT_BLOCKS`], less in tests.
    pub segment_blocks: u64,
    pub archive: Option<Archive>,
}

impl Default for TrailOptions {
    fn default() -> Self {
        Self { segment_blocks: SEGMENT_BLOCKS, archive: None }
    }
}

/// The folder of a segment.
pub(crate) fn segment_folder(data_dir: &Path, segment: u64) -> PathBuf {
    data_dir.join(FOLDER).join(segment_name(segment))
}

/// Of a segment's folder.
pub(crate) fn segment_name(segment: u64) -> String {
    format!("{segment:06}")
}
