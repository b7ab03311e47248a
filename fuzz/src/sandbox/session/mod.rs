//! The part of `src/sandbox/session` that judges what sandboxd says, and what holds of it.

pub(crate) mod job;
#[path = "../../../../src/sandbox/session/lost.rs"]
mod lost;
#[allow(dead_code, reason = "the driver of a session uses the rest")]
#[path = "../../../../src/sandbox/session/progress.rs"]
mod progress;
