//! `bzzz eval`: how well models do on cases whose outcome is known.
//!
//! Each case is an issue of a small repository on the apiary's forge. A node with one model works on it as on any other,
//! and what it proposes is judged by tests that neither the model nor its sandbox ever sees. Every outcome is on disk
//! before the next case is judged, so that an evaluation that ends early goes on where it stopped.

mod arena;
mod case;
mod judge;
mod results;

pub use arena::{Arena, EvalError, ModelUnderTest};
pub use case::{Case, CaseError, Difficulty};
pub use judge::{JudgeError, Verdict, judge};
pub use results::{Outcome, Results, ResultsError};
