//! The parser of `src/ollama`.

#[path = "../../../src/ollama/lines.rs"]
mod lines;

pub(crate) use lines::Lines;
