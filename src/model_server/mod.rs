//! What the adapters of model servers share: a streamed call with its limits, the reply that its lines make, and what a
//! server's words mean. How a provider asks, and what its lines say, is its own.
//!
//! Holds true: a reply is whole or an error, never a part that passes for all of it; nothing is read without a limit on
//! its length and on each silence; a call that is dropped closes its connection, which ends the generation.

mod connection;
mod ponder;
mod reply;
mod thinking;
pub(crate) mod words;

pub use connection::ServerLimits;
pub(crate) use connection::{Answer, Connection, Said};
pub(crate) use ponder::{Ponderous, Thinking};
#[cfg(test)]
pub(crate) use reply::testing;
pub(crate) use reply::{Dialect, Draft, unreadable};
