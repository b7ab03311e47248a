//! The parser of `src/openai`.

#[path = "../../../src/openai/events.rs"]
mod events;
#[allow(dead_code, reason = "what belongs to answers that are no stream")]
#[path = "../../../src/openai/refusal.rs"]
mod refusal;

pub(crate) use events::Events;
use refusal::Call;

/// A server may repeat it; no error does.
pub(crate) const KEY: &str = "sk-s3cret";
pub(crate) const CALL: Call<'_> = Call { model: "m", key: Some(KEY), context_tokens: 8192 };
