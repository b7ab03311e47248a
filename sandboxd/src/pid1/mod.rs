//! The parts of the program: [`kernel`] is what it asks of Linux, [`capture`] what is kept of an output, [`job`] one
//! running job and its pipes, [`outbox`] what waits to be sent, [`outcomes`] what ended and is not acknowledged,
//! [`host`] the ways to and from the host, [`daemon`] the loop that ties them together. Beside it, each on a thread of
//! its own, go the [`relay`] to the node's network proxy, in a sandbox that may use it, and a person's [`visits`], each of
//! which is a [`guest`], where the node lets them in so.

mod capture;
mod daemon;
mod guest;
mod host;
mod job;
mod kernel;
mod outbox;
mod outcomes;
mod output_files;
mod pipe;
mod relay;
mod visits;

pub(crate) use daemon::Daemon;
pub(crate) use host::Host;
pub(crate) use kernel::{Reaper, close_inherited, harden, ignore_nothing};
pub(crate) use relay::start_relay;
pub(crate) use visits::start_visits;
