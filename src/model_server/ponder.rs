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

/// The models that come to no end of their thinking, and are told not to think.
#[derive(Default)]
pub(crate) struct Ponderous(Mutex<HashSet<String>>);

impl Ponderous {
    /// A model that only thought is asked again to be brief, and then not to think, as which it is asked from then on.
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
        let is_ponderous = self.lock().contains(&request.model);
        let ways: &[Thinking] = match is_ponderous {
            true => &[Thinking::Not],
            false => &[Thinking::AsItDoes, Thinking::Briefly, Thinking::Not],
        };
        let mut output_tokens = 0_u32;
        let mut said = None;
        for way in ways {
            let Said { completion, has_thought } = ask(*way).await?;
            output_tokens = output_tokens.saturating_add(completion.output_tokens);
            let is_all_thinking = has_thought && completion.content.trim().is_empty();
            said = Some(completion);
            if !is_all_thinking {
                break;
            }
            // Now, since the call may be given up before the next answer.
            if *way == Thinking::Briefly {
                warn!(
                    model = request.model,
                    "it comes to no end of its thinking: it is asked without from here on"
                );
                self.lock().insert(request.model.clone());
            }
        }
        let nothing = || ModelError::Unavailable("it was not asked".to_owned());
        Ok(Completion { duration: started.elapsed(), output_tokens, ..said.ok_or_else(nothing)? })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
