//! The parsers of `src/ollama`, and what holds of them.

#[allow(dead_code, reason = "what belongs to answers that are no stream")]
#[path = "../../../src/ollama/refusal.rs"]
mod refusal;
#[path = "../../../src/ollama/reply.rs"]
mod reply;
pub(crate) mod stream;
#[path = "../../../src/ollama/thinking.rs"]
mod thinking;
