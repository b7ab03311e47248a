//! Models that think before they answer, and may come to no end of it.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bzzz_actors::ports::model::{ChatRequest, Completion, Message, ModelError};
use tokio::time::Instant;
use tracing::warn;

use super::connection::Said;

/// How a model is asked that may think before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinking {
    AsItDoes,
    Briefly,
    Not,
}

/// Said with the question when the answer to it was all thinking.
const BE_BRIEF: &str = "\n\nThink briefly, then answer.";

impl Thinking {
    pub(crate) fn messages(self, request: &ChatRequest) -> Vec<Message> {
        let mut messages = request.messages.clone();
        if let (Self::Briefly, Some(last)) = (self, messages.last_mut()) {
            last.content += BE_BRIEF;
        }
        messages
    }
}

/// What was found out of models that think.
#[derive(Default)]
struct Known {
    /// They come to no end of their thinking, and are told not to think.
    ponderous: HashSet<String>,
    /// Their server refuses to be told so.
    unheeding: HashSet<String>,
}

#[derive(Default)]
pub(crate) struct Ponderous(Mutex<Known>);

impl Ponderous {
    /// A model that only thought is asked again to be brief, and then not to think, as which it is asked from then on. Where the
    /// server refuses that, what the model said stays as it is: nothing.
    pub(crate) async fn answer<F, Asked>(
        &self,
        request: &ChatRequest,
        ask: F,
    ) -> Result<Completion, ModelError>
    where
        F: Fn(Thinking) -> Asked,
        Asked: Future<Output = Result<Said, ModelError>>,
    {
        let started = Instant::now();
        let mut output_tokens = 0_u32;
        let mut said = None;
        for way in self.ways(&request.model) {
            let Said { completion, has_thought } = match ask(*way).await {
                Err(error @ ModelError::Refused(_)) if *way == Thinking::Not => {
                    warn!(model = request.model, %error, "the server can't be told that it is not to think");
                    self.lock().unheeding.insert(request.model.clone());
                    match said {
                        Some(_) => break,
                        None => ask(Thinking::AsItDoes).await?,
                    }
                }
                answered => answered?,
            };
            output_tokens = output_tokens.saturating_add(completion.output_tokens);
            let is_all_thinking = has_thought && completion.content.trim().is_empty();
            said = Some(completion);
            if !is_all_thinking {
                break;
            }
            // Now, since the call may be given up before the next answer.
            if *way == Thinking::Briefly && self.lock().ponderous.insert(request.model.clone()) {
                warn!(
                    model = request.model,
                    "it comes to no end of its thinking: it is asked without from here on"
                );
            }
        }
        let nothing = || ModelError::Unavailable("it was not asked".to_owned());
        Ok(Completion { duration: started.elapsed(), output_tokens, ..said.ok_or_else(nothing)? })
    }

    fn ways(&self, model: &str) -> &'static [Thinking] {
        let known = self.lock();
        match (known.ponderous.contains(model), known.unheeding.contains(model)) {
            (_, true) => &[Thinking::AsItDoes, Thinking::Briefly],
            (true, false) => &[Thinking::Not],
            (false, false) => &[Thinking::AsItDoes, Thinking::Briefly, Thinking::Not],
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
