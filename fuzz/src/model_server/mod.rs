//! The parsers of `src/model_server`, and what holds of them and of each provider's.

#[allow(dead_code, reason = "what belongs to a connection")]
#[path = "../../../src/model_server/reply.rs"]
mod reply;
pub(crate) mod stream;
#[path = "../../../src/model_server/thinking.rs"]
mod thinking;
#[allow(dead_code, reason = "what belongs to answers that are no stream")]
#[path = "../../../src/model_server/words.rs"]
pub(crate) mod words;

#[cfg(test)]
pub(crate) use reply::testing;
pub(crate) use reply::{Dialect, Draft, unreadable};
