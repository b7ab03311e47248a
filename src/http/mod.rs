//! What every adapter that speaks HTTP shares: addresses, the client, and reading a body within a limit.
//!
//! Holds true: no client follows a redirect (a credential never travels to a host that nobody configured), no client
//! repeats a request that may have reached the server, and no answer is read without a limit on its length.

mod address;
mod bearer;
mod body;
#[cfg(test)]
pub(crate) mod canned;
mod client;
mod excerpt;

pub use address::SetupError;
pub(crate) use address::{BaseUrl, PlainHttp};
pub(crate) use bearer::bearer;
pub(crate) use body::{BodyError, read_to_end};
pub use client::install_crypto_provider;
pub(crate) use client::{client, describe};
pub(crate) use excerpt::excerpt;
