//! What the model servers' parsers use of `src/http`.

#[path = "../../src/http/excerpt.rs"]
mod excerpt;

pub(crate) use excerpt::excerpt;
