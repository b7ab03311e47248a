//! What a model's window holds: how long a prompt is in tokens, and whether the server saw all of it.
//!
//! No tokenizer: which one a model has, nobody says. A prompt's length in bytes is known, the server counts its tokens,
//! and how many bytes make a token is learned from the two, for each model.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::conversation::Seen;

/// Until a model's own is known: less than any has with text in English or in a programming language.
const BYTES_A_TOKEN: f64 = 3.0;

/// Outside of this no count is believed.
const BELIEVABLE: std::ops::RangeInclusive<f64> = 1.0..=8.0;

/// No server's window is smaller.
const MIN_WINDOW_TOKENS: u32 = 2048;

/// A prompt that grew is counted higher, if the server saw all of it. By rounding and templates what was there differs a
/// little, and of what is new nobody knows how dense it is.
const SEEN_BEFORE: f64 = 0.95;
const SEEN_NEW: f64 = 0.35;
/// A prompt that was counted to less than this part of what was expected was not seen whole.
const EXPECTED: f64 = 0.6;

/// A server that counts so many prompts in a row too low counts otherwise than by the whole prompt.
const MAX_SHORTFALLS: u32 = 3;

/// What is known of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Facts {
    bytes_a_token: Option<f64>,
    /// What the server really loaded it with, in tokens; `Some(None)`: it does not say.
    window: Option<Option<u32>>,
    /// What it must be, when the server does not say: it saw no more of a longer prompt.
    guessed: Option<u32>,
    shortfalls: u32,
}

impl Facts {
    /// The smaller one of what was asked for and what the server has.
    fn window(&self, asked_for: u32) -> u32 {
        let known = self.window.flatten().or(self.guessed);
        known.map_or(asked_for, |real| real.min(asked_for))
    }

    fn reply_tokens(&self, asked_for: u32, max_output_tokens: u32) -> u32 {
        max_output_tokens.min(self.window(asked_for) / 2)
    }
}

/// What a node has learned of its models.
#[derive(Debug, Clone, Default)]
pub struct Windows {
    models: Arc<Mutex<HashMap<String, Facts>>>,
}

impl Windows {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Facts>> {
        // Each change is whole.
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn facts(&self, model: &str) -> Facts {
        self.lock().get(model).copied().unwrap_or_default()
    }

    /// A prompt that was counted.
    pub fn learn(&self, seen: &Seen) {
        let bytes_a_token = seen.prompt_bytes as f64 / f64::from(seen.prompt_tokens.max(1));
        let mut models = self.lock();
        let facts = models.entry(seen.model.clone()).or_default();
        facts.shortfalls = 0;
        if BELIEVABLE.contains(&bytes_a_token) {
            facts.bytes_a_token = Some(bytes_a_token);
        }
    }

    /// How many bytes make a token, of each model of which it is known.
    pub fn bytes_a_token(&self) -> BTreeMap<String, f64> {
        let models = self.lock();
        models.iter().filter_map(|(model, facts)| Some((model.clone(), facts.bytes_a_token?))).collect()
    }

    /// The same from before. What is not believable is not taken.
    pub fn remember(&self, bytes_a_token: &BTreeMap<String, f64>) {
        let mut models = self.lock();
        for (model, known) in bytes_a_token.iter().filter(|(_, known)| BELIEVABLE.contains(known)) {
            models.entry(model.clone()).or_default().bytes_a_token = Some(*known);
        }
    }

    /// What the server says that the model's window is, if it says so.
    pub fn learn_window(&self, model: &str, tokens: Option<u32>) {
        self.lock().entry(model.to_owned()).or_default().window = Some(tokens);
    }

    /// Whether the server has been asked for it.
    pub fn knows_window(&self, model: &str) -> bool {
        self.facts(model).window.is_some()
    }

    /// The tokens that a prompt of so many bytes is likely to have.
    pub fn estimate(&self, model: &str, prompt_bytes: usize) -> u32 {
        (prompt_bytes as f64 / self.facts(model).bytes_a_token.unwrap_or(BYTES_A_TOKEN)).ceil() as u32
    }

    /// The longest prompt that leaves room for a reply, in bytes. The window is the smaller one of what was asked for and
    /// what the server has.
    pub fn room_bytes(&self, model: &str, asked_for: u32, max_output_tokens: u32) -> usize {
        let facts = self.facts(model);
        let tokens = facts.window(asked_for).saturating_sub(facts.reply_tokens(asked_for, max_output_tokens));
        (f64::from(tokens) * facts.bytes_a_token.unwrap_or(BYTES_A_TOKEN)) as usize
    }

    /// The longest reply that leaves a prompt half of the window.
    pub fn reply_tokens(&self, model: &str, asked_for: u32, max_output_tokens: u32) -> u32 {
        self.facts(model).reply_tokens(asked_for, max_output_tokens)
    }

    /// How many tokens the server should have counted, when it counted so few that it can't have seen the whole prompt:
    /// older servers drop the oldest messages without a word.
    pub fn shortfall(&self, seen: &Seen, before: Option<&Seen>) -> Option<u32> {
        if seen.prompt_tokens == 0 {
            return None;
        }
        let facts = self.facts(&seen.model);
        let expected = self.estimate(&seen.model, seen.prompt_bytes);
        let has_room = facts.window.flatten().is_some_and(|window| expected < window);
        if has_room || expected <= MIN_WINDOW_TOKENS || facts.shortfalls >= MAX_SHORTFALLS {
            return None;
        }
        let counted = f64::from(seen.prompt_tokens);
        let before = before.filter(|it| it.model == seen.model && it.prompt_bytes <= seen.prompt_bytes);
        let is_short = match before {
            Some(before) => {
                let bytes_a_token = before.prompt_bytes as f64 / f64::from(before.prompt_tokens.max(1));
                let new = (seen.prompt_bytes - before.prompt_bytes) as f64 / bytes_a_token;
                counted < f64::from(before.prompt_tokens) * SEEN_BEFORE + new * SEEN_NEW
            }
            None => counted < f64::from(expected) * EXPECTED,
        };
        if is_short {
            let mut models = self.lock();
            let facts = models.entry(seen.model.clone()).or_default();
            facts.shortfalls += 1;
            let is_believed = facts.shortfalls < MAX_SHORTFALLS;
            facts.guessed = is_believed.then(|| seen.prompt_tokens.max(MIN_WINDOW_TOKENS));
        }
        is_short.then_some(expected)
    }
}
