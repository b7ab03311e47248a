//! Trails between machines: each segment by Hypercore's own protocol over TCP, so that a JavaScript Hypercore can ask too.
//!
//! - `wire`: the messages, bounded
//! - `transport`: the handshake, encryption and frames
//! - `server`: who may connect, and for how long; `session`: what one of them is answered
//! - `follower`: keeps a copy of another's trail, segment after segment; `fetching`: one connection of it;
//!   `claim`: what the peer says was signed; `copy`: what is in files
//!
//! The crate's own `replicate` is not used: it serves one core for each connection, drops a request that comes while another is
//! answered, takes signed data from whoever sends it into the core that its owner is appending to, and a request for a
//! block beyond the upgrade in it panics while it holds the core's lock, after which the owner can't append either.

mod claim;
mod copy;
mod fetching;
mod follower;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod transport;
mod wire;

use std::io;

use hypercore::HypercoreError;

pub use copy::segment_folder;
pub use follower::{Follower, Following, Progress};
pub use server::{Found, Limits, Segments, Served, ServedSegments, Server};
pub use transport::discovery_key;

/// A segment has fewer blocks: Hypercore's crate does not open what has more.
pub const MAX_BLOCKS: u64 = 32_768;
/// Bytes of a block.
pub const MAX_BLOCK: usize = 64 * 1024;
/// Bytes of a block with its proof, and an upgrade with as many nodes as a tree has peaks. Neither end sends more.
const LARGEST_FRAME: usize = MAX_BLOCK + 16 * 1024;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the connection failed: {0}")]
    Connection(#[from] io::Error),
    #[error("the other end closed the connection")]
    Closed,
    #[error("the other end was silent: {0}")]
    Silent(&'static str),
    #[error("no handshake: {0}")]
    Handshake(String),
    #[error("it sent {0}")]
    Malformed(#[from] wire::Malformed),
    #[error("it broke the protocol: {0}")]
    Misbehaved(&'static str),
    /// Signed, and still not what follows.
    #[error("segment {segment} {why}")]
    Refused { segment: u64, why: String },
    /// The header of the segment after says so.
    #[error("segment {segment} is longer than the peer said when the next one began")]
    Longer { segment: u64 },
    #[error("it does not have this trail")]
    Unknown,
    #[error("what is served was opened anew")]
    Replaced,
    #[error("hypercore: {0}")]
    Core(#[from] HypercoreError),
    #[error("{0}")]
    Copy(String),
    #[error("the copy's files can't be used: {0}")]
    Files(#[source] io::Error),
}

impl Trouble {
    /// Nothing that was said was wrong, and nothing was lost but the connection.
    fn is_of_connection(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Closed | Self::Silent(_) | Self::Handshake(_) | Self::Unknown => true,
            Self::Malformed(_)
            | Self::Misbehaved(_)
            | Self::Refused { .. }
            | Self::Longer { .. }
            | Self::Replaced
            | Self::Core(_)
            | Self::Copy(_)
            | Self::Files(_) => false,
        }
    }
}
