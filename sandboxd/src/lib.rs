//! What a node and the PID 1 of its sandbox say to each other, and how it stands on the wire.
//!
//! The node is the host side and speaks [`HostFrame`]s; the program `sandboxd` of this crate answers in
//! [`SandboxFrame`]s. Both travel as [`frame`]s over one pair of byte streams. Neither side may believe the other's
//! sizes: every field that can grow has a limit here, and the receiver checks it. Beside them, a person's program on the host
//! may ask for a [`visit`].

pub mod frame;
mod message;
pub mod visit;

pub use serde_bytes::ByteBuf;

pub use message::{Ending, HostFrame, Input, Job, Output, Part, Refusal, SandboxFrame};

/// Stands in the greeting of both sides. A node and a sandboxd of different versions do not talk.
pub const PROTOCOL_VERSION: u16 = 3;

/// Numbers from here on are the host's own jobs; those below are commands.
pub const FIRST_OWN_JOB: u32 = 1 << 31;

/// Where the outputs of commands are that are longer than [`LONG_OUTPUT_BYTES`]: in files by the jobs' numbers, for the
/// commands that follow.
pub const OUTPUTS_FOLDER: &str = "/tmp/outputs";
/// The host shows shorter outputs whole.
pub const LONG_OUTPUT_BYTES: usize = 10_000;
/// So many of these files are kept; they take the room of the sandbox's own files.
pub const MAX_OUTPUT_FILES: usize = 8;

/// The file of a job's long output.
pub fn output_file(job: u32) -> String {
    format!("{OUTPUTS_FOLDER}/{job}.txt")
}

/// The longest run of bytes in one `Input`, `Stdout` or `Kept` frame. Longer ones would only hold up the frames
/// behind them; much shorter ones cost a system call each.
pub const MAX_DATA_BYTES: usize = 64 * 1024;

/// The longest script of a job. Linux takes a single argument of up to 128 KiB, its closing zero included.
pub const MAX_SCRIPT_BYTES: usize = 128 * 1024 - 1;

/// The most captured output that a job may ask to be kept. Sandboxd may hold [`MAX_KEPT_OUTCOMES`] times as much.
pub const MAX_CAPTURE_BYTES: u32 = 1024 * 1024;

/// How much of a job's streamed input may be under way: sent by the host and not yet reported as taken. Sandboxd
/// holds no more than this in memory; the host sends no more than this ahead.
pub const INPUT_WINDOW_BYTES: usize = 512 * 1024;

/// Where the relay of a sandbox with a network proxy listens, on the loopback interface.
pub const RELAY_PORT: u16 = 3128;

/// How many finished jobs sandboxd remembers while the host has acknowledged none of them; then it forgets the oldest.
pub const MAX_KEPT_OUTCOMES: usize = 16;
