//! The parts of the program: [`kernel`] is what it asks of Linux, [`capture`] what is kept of an output, [`job`] one
//! running job and its pipes, [`outbox`] what waits to be sent, [`outcomes`] what ended and is not acknowledged,
//! [`daemon`] the loop that ties them together. Beside it, on a thread of its own, goes the [`relay`] to the node's network
//! proxy, in a sandbox that may use it.

mod capture;
mod daemon;
mod job;
mod kernel;
mod outbox;
mod outcomes;
mod pipe;
mod relay;

pub(crate) use daemon::Daemon;
pub(crate) use kernel::{close_inherited, harden};
pub(crate) use relay::start_relay;
