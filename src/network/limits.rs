//! How much a sandbox may ask of the network. The same for all sandboxes.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// At once, in a sandbox. Package managers open about ten. One more is answered with 503.
    pub connections: usize,
    /// The head of a request. Clients send some hundred bytes.
    pub head_bytes: usize,
    /// From the connection to the end of the head. A client that takes longer holds a place for nothing.
    pub head_time: Duration,
    /// For a name to be resolved, and again for a connection to be made.
    pub connect_time: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
    /// The same when one side has said all: clients that were killed look so.
    pub half_closed_idle: Duration,
    /// From beginning to end, however much passes.
    pub total: Duration,
    /// Both directions together.
    pub connection_bytes: u64,
    /// All connections of a sandbox together, in one life of the node. Files in a sandbox are memory: what passes and is
    /// kept is bounded by that much sooner; what is sent out, only by this.
    pub sandbox_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 48,
            head_bytes: 8 * 1024,
            head_time: Duration::from_secs(10),
            connect_time: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            half_closed_idle: Duration::from_secs(10),
            total: Duration::from_secs(1800),
            connection_bytes: 512 * 1024 * 1024,
            sandbox_bytes: 2 * 1024 * 1024 * 1024,
        }
    }
}
