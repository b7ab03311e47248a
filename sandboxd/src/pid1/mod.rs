//! The parts of the program: [`kernel`] is what it asks of Linux, [`capture`] what is kept of an output, [`job`] one
//! running job and its pipes, [`outbox`] what waits to be sent, [`outcomes`] what ended and is not acknowledged,
//! [`daemon`] the loop that ties them together.

mod capture;
mod daemon;
mod job;
mod kernel;
mod outbox;
mod outcomes;

pub(crate) use daemon::Daemon;
pub(crate) use kernel::{close_inherited, harden};
