//! One question to the models: which one is asked, on which server, and what becomes of the answer.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use crate::ports::model::{ChatRequest, Completion, ModelError};
use crate::task::{ModelUse, TaskEvent};

use super::choice::ModelRole;
use super::conversation::{Conversation, Seen};
use super::protocol::{self, Protocol};
use super::servers::Place;
use super::{Answered, ReasonerDeps};

/// What a question came to.
pub(super) enum Asked {
    Answered { answered: Answered<Completion>, protocol: Protocol },
    TooLong(TaskEvent),
}

/// One request to the model, with all that it needs.
pub(super) struct Question {
    pub(super) deps: ReasonerDeps,
    pub(super) conversation: Arc<Conversation>,
    /// The models for it, in order of preference.
    pub(super) wanted: Vec<String>,
    /// The server that answered last.
    pub(super) last: Option<usize>,
}

impl Question {
    /// Asks one server after another until one answers; says which.
    pub(super) async fn put(self) -> Result<(usize, Asked), ModelError> {
        let servers = &self.deps.servers;
        let (mut tried, mut has_moved) = (Vec::new(), false);
        let mut problem: Option<ModelError> = None;
        loop {
            let place = match servers.place(&self.wanted, self.last, &tried).await {
                Ok(place) => place,
                Err(error) => return Err(worth_waiting(problem, error)),
            };
            let _in_flight = place.enter().await;
            // It failed others while this one waited for its turn.
            if !has_moved && servers.has_failed(place.at) {
                has_moved = true;
                continue;
            }
            let error = match self.put_to(&place).await {
                Ok(asked) => {
                    if matches!(asked, Asked::Answered { .. }) {
                        servers.is_back(place.at);
                    }
                    return Ok((place.at, asked));
                }
                Err(error) => error,
            };
            match &error {
                ModelError::Unavailable(_) => servers.failed(place.at, &error),
                // Of the question's own, perhaps: others may still be asked there.
                ModelError::Refused(_) => {}
                // It was removed since the list was read.
                ModelError::Missing { .. } => servers.forget_list(place.at),
                ModelError::Overflow(_) => return Err(error),
            }
            tried.push(place.at);
            problem = Some(worth_waiting(problem, error));
        }
    }

    async fn put_to(&self, place: &Place) -> Result<Asked, ModelError> {
        let limit = self.deps.choice.call_limit;
        // A call that hung would keep the gate shut for every task.
        tokio::time::timeout(limit, self.put_now(place)).await.unwrap_or_else(|_| {
            Err(ModelError::Unavailable(format!("it did not finish its answer within {} s", limit.as_secs())))
        })
    }

    async fn put_now(&self, place: &Place) -> Result<Asked, ModelError> {
        let choice = &self.deps.choice;
        let (server, windows, model) = (&place.model, &place.windows, &place.model_name);
        let room = windows.room_bytes(model, choice.context_tokens, choice.max_output_tokens);
        if let Some(summary) = self.conversation.compacted_before(room) {
            return Ok(Asked::TooLong(summary));
        }
        let is_step = self.conversation.role() != ModelRole::Plan;
        let protocol = choice.protocol_of(model);
        let request = ChatRequest {
            model: model.clone(),
            messages: self.conversation.prompt(protocol),
            max_output_tokens: windows.reply_tokens(model, choice.context_tokens, choice.max_output_tokens),
            schema: (protocol == Protocol::Json && is_step).then(protocol::schema),
        };
        let answered = match server.chat(&request).await {
            Ok(completion) => self.seen_whole(place, completion),
            Err(error) => Err(error),
        };
        if answered.is_ok() && !windows.knows_window(model) {
            self.learn_window(place).await;
        }
        match answered {
            Err(ModelError::Overflow(why)) => {
                warn!(task = %self.deps.task, model, %why, "the prompt did not fit into the model's window");
                // The room may be smaller than it was believed to be.
                self.learn_window(place).await;
                let room = windows.room_bytes(model, choice.context_tokens, choice.max_output_tokens);
                let summary = self.conversation.compacted_after_overflow(room);
                summary.map(Asked::TooLong).ok_or(ModelError::Overflow(why))
            }
            other => other.map(|answered| Asked::Answered { answered, protocol }),
        }
    }

    /// A reply to a part of the prompt is none.
    fn seen_whole(&self, place: &Place, completion: Completion) -> Result<Answered<Completion>, ModelError> {
        let model = place.model_name.clone();
        let (prompt_tokens, prompt_bytes) = (completion.prompt_tokens, self.conversation.prompt_bytes());
        let seen = Seen { model: model.clone(), prompt_bytes, prompt_tokens };
        if let Some(expected) = place.windows.shortfall(&seen, self.conversation.seen()) {
            return Err(ModelError::Overflow(format!("it saw {prompt_tokens} tokens of about {expected}")));
        }
        let usage = ModelUse {
            model,
            prompt_tokens,
            output_tokens: completion.output_tokens,
            duration_ms: in_ms(completion.duration),
        };
        Ok(Answered { answer: completion, usage })
    }

    /// It has just been asked, so the model is loaded.
    async fn learn_window(&self, place: &Place) {
        let model = &place.model_name;
        match place.model.window(model).await {
            Ok(window) => {
                let wanted = self.deps.choice.context_tokens;
                if let Some(window) = window.filter(|window| *window < wanted) {
                    warn!(
                        model,
                        window,
                        wanted,
                        "the server gives the model a smaller window: tasks are summarised sooner"
                    );
                }
                place.windows.learn_window(model, window);
            }
            // Asked again after the next call.
            Err(error) => debug!(model, %error, "the model's window is not known"),
        }
    }
}

/// Of two failures the one that may pass, or else the first.
pub(super) fn worth_waiting(first: Option<ModelError>, second: ModelError) -> ModelError {
    match first {
        Some(first) if first.is_retryable() || !second.is_retryable() => first,
        _ => second,
    }
}

fn in_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
