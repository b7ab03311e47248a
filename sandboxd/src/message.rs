//! The messages of both directions.
//!
//! A job's number is chosen by the host. Sandboxd runs one job at a time and keeps each outcome under its number
//! until it is acknowledged: a `Run` with a number that it still knows runs nothing and reports that outcome.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Host to sandboxd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostFrame {
    /// The first frame of a connection. `nonce` comes back in the greeting, so that a host that attached again can
    /// tell the answer from what was still in the pipe.
    ///
    /// `directly`: the greeting and all that follows is to go over the socket that sandboxd was told of at its start, if it
    /// can be connected to. There the nonce shows that it is sandboxd who connects.
    Hello {
        version: u16,
        nonce: u64,
        directly: bool,
    },
    Run(Job),
    /// At most [`crate::MAX_DATA_BYTES`], and at most [`crate::INPUT_WINDOW_BYTES`] ahead of `InputTaken`.
    Input {
        job: u32,
        data: ByteBuf,
    },
    InputEnd {
        job: u32,
    },
    /// Kill the job; its `Finished` follows. Without effect when it is not the running one.
    Cancel {
        job: u32,
    },
    /// The outcome arrived and may be forgotten.
    Ack {
        job: u32,
    },
    /// Answered by the job's outcome as if it had just ended, by `Running`, or by `Unknown`.
    Recall {
        job: u32,
    },
    Ping {
        nonce: u64,
    },
}

/// One fresh `bash -c`, in a session of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub number: u32,
    /// At most [`crate::MAX_SCRIPT_BYTES`], without a zero byte.
    pub script: String,
    /// Created when it is missing.
    pub cwd: String,
    pub input: Input,
    pub output: Output,
    /// The job and all that it started are killed then.
    pub timeout_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// `/dev/null`.
    Nothing,
    /// A pipe that `Input` frames fill and `InputEnd` closes.
    Streamed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Standard output and error in one pipe. The first and the last half of `cap_bytes` are kept and sent as `Kept`
    /// frames once the job has ended.
    Captured { cap_bytes: u32 },
    /// Standard output is sent as `Stdout` frames while the job runs; one that writes more than `max_bytes` is
    /// killed. Standard error is captured, for the error message.
    Streamed { max_bytes: u64 },
}

/// Sandboxd to host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxFrame {
    Greeting {
        version: u16,
        nonce: u64,
        running: Option<u32>,
    },
    /// So many more bytes of the job's input are out of sandboxd's memory.
    InputTaken {
        job: u32,
        bytes: u32,
    },
    Stdout {
        job: u32,
        data: ByteBuf,
    },
    /// A piece of the captured output, in order: first all of the head, then all of the tail.
    Kept {
        job: u32,
        part: Part,
        data: ByteBuf,
    },
    /// The job's last frame. No process of it is left.
    Finished {
        job: u32,
        ending: Ending,
        duration_us: u64,
        /// Captured bytes between head and tail that were dropped.
        left_out: u64,
        /// How many processes the kernel killed for want of memory while the job ran.
        oom_kills: u32,
        /// The output, as it was captured, is in its [`crate::output_file`].
        in_file: bool,
    },
    Running {
        job: u32,
    },
    Unknown {
        job: u32,
    },
    Refused {
        job: u32,
        why: Refusal,
    },
    Pong {
        nonce: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    Head,
    Tail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Another job is running.
    Busy { running: u32 },
    /// A limit of this crate's is not kept.
    TooBig,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    TimedOut,
    /// By the host's `Cancel`, or because the host sent more input than the window allows.
    Cancelled,
    /// The streamed output grew past its limit.
    TooMuchOutput,
    /// No shell could be started; the text is the kernel's reason.
    NotStarted {
        why: String,
    },
}
