//! What `src/ollama` uses of `src/http`.

#[path = "../../src/http/excerpt.rs"]
mod excerpt;

pub(crate) use excerpt::excerpt;
