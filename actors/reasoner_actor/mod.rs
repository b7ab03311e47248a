//! `ReasonerActor`: one for each task.
//!
//! Owns: that task's conversation with the model. Told: `DraftPlan`, `NextStep`. Tells: nobody; the answers are the
//! model's plan and steps. Holds true: the conversation is what the journal's events say, in words; before each
//! question it reads what the journal has gained, so a restart (of the actor or of the node) is the same as a long
//! pause. On a restart: the question under way is lost; asking again is safe.

mod compaction;
mod conversation;
mod digest;
pub mod observation;
mod prompt;
mod reply;
#[cfg(test)]
mod tests;
mod transcript;
mod window;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::audit_logger::AuditLog;
use crate::ports::journal::{JournalError, Recorded, Seq};
use crate::ports::model::{ChatRequest, Completion, Model, ModelError};
use crate::task::{ModelUse, Step, TaskEvent, TaskId};

pub use conversation::{Conversation, Seen};
pub use reply::{read_step, words_of};
pub use transcript::{Told, Transcript};
pub use window::Windows;

/// The longest plan that is kept, in bytes; it stands in every later prompt.
const MAX_PLAN_BYTES: usize = 8 * 1024;

/// Why the model gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReasonerError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// An answer and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<T> {
    pub answer: T,
    pub usage: ModelUse,
}

#[derive(Message)]
#[rtype(result = "Result<Answered<String>, ReasonerError>")]
pub struct DraftPlan;

#[derive(Message)]
#[rtype(result = "Result<Next, ReasonerError>")]
pub struct NextStep;

/// What comes next in a task's conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The model's reply, and the step that was read from it.
    Reply { text: String, step: Step, usage: ModelUse },
    /// The conversation does not fit into the model's window: this is to be recorded, and the model asked again.
    Summarise(TaskEvent),
}

/// The models that a node may use, and what is asked of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChoice {
    /// In order of preference; the first that the server has is used.
    pub names: Vec<String>,
    /// The reply ends there. Too low: long files can't be written in one command. Too high: a model that rambles
    /// holds the server for minutes.
    pub max_output_tokens: u32,
    /// The window that the server is asked for, in tokens: of the prompt and the reply together.
    pub context_tokens: u32,
    /// One whole answer. Past it the call counts as failed and is made again. Too low: a slow model never finishes.
    pub call_limit: Duration,
}

#[derive(Clone)]
pub struct ReasonerDeps {
    pub task: TaskId,
    pub log: AuditLog,
    pub model: Arc<dyn Model>,
    /// Calls in flight at the model server, from all tasks together.
    pub gate: Arc<Semaphore>,
    pub choice: ModelChoice,
    /// What the node knows of its models, from all tasks together.
    pub windows: Windows,
}

pub struct ReasonerActor {
    deps: ReasonerDeps,
    /// A question under way holds it too.
    conversation: Arc<Conversation>,
    /// The last event that the conversation holds.
    read_up_to: Seq,
}

impl ReasonerActor {
    pub fn new(deps: ReasonerDeps) -> Self {
        let conversation = Arc::new(Conversation::new(deps.task.clone()));
        Self { deps, conversation, read_up_to: Seq::default() }
    }

    fn catch_up(&mut self, news: &[Recorded]) {
        for recorded in news.iter().filter(|recorded| recorded.seq > self.read_up_to) {
            Arc::make_mut(&mut self.conversation).record(&recorded.event);
            if let (TaskEvent::Replied { .. } | TaskEvent::PlanDrafted { .. }, Some(seen)) =
                (&recorded.event, self.conversation.seen())
            {
                self.deps.windows.learn(seen);
            }
        }
        self.read_up_to = news.last().map_or(self.read_up_to, |last| last.seq.max(self.read_up_to));
    }

    /// Reads what is new, then asks the model.
    fn ask(&self) -> ResponseActFuture<Self, Result<Asked, ReasonerError>> {
        let (log, task, after) = (self.deps.log.clone(), self.deps.task.clone(), self.read_up_to);
        let news = async move { log.events_of(&task, after).await };
        let asked = news.into_actor(self).then(|news, reasoner, _| {
            let caught_up = news.map(|news| reasoner.catch_up(&news));
            let question =
                Question { deps: reasoner.deps.clone(), conversation: reasoner.conversation.clone() };
            async move {
                caught_up?;
                Ok(question.put().await?)
            }
            .into_actor(reasoner)
        });
        Box::pin(asked)
    }
}

enum Asked {
    Answered(Answered<Completion>),
    TooLong(TaskEvent),
}

/// One request to the model, with all that it needs.
struct Question {
    deps: ReasonerDeps,
    conversation: Arc<Conversation>,
}

impl Question {
    async fn put(self) -> Result<Asked, ModelError> {
        // The gate is never closed; were it, asking without it would still be right.
        let _in_flight = self.deps.gate.acquire().await.ok();
        let limit = self.deps.choice.call_limit;
        // A call that hung would keep the gate shut for every task.
        tokio::time::timeout(limit, self.put_now()).await.unwrap_or_else(|_| {
            Err(ModelError::Unavailable(format!("it did not finish its answer within {} s", limit.as_secs())))
        })
    }

    async fn put_now(&self) -> Result<Asked, ModelError> {
        let ReasonerDeps { model: server, choice, windows, .. } = &self.deps;
        let model = choose(&choice.names, &server.models().await?)?;
        let room = windows.room_bytes(&model, choice.context_tokens, choice.max_output_tokens);
        if let Some(summary) = self.conversation.compacted_before(room) {
            return Ok(Asked::TooLong(summary));
        }
        let request = ChatRequest {
            model: model.clone(),
            messages: self.conversation.messages().to_vec(),
            max_output_tokens: choice.max_output_tokens,
        };
        let answered = match server.chat(&request).await {
            Ok(completion) => self.seen_whole(&model, completion),
            Err(error) => Err(error),
        };
        if answered.is_ok() && !windows.knows_window(&model) {
            self.learn_window(&model).await;
        }
        match answered {
            Err(ModelError::Overflow(why)) => {
                warn!(task = %self.deps.task, model, %why, "the prompt did not fit into the model's window");
                // The room may be smaller than it was believed to be.
                self.learn_window(&model).await;
                let room = windows.room_bytes(&model, choice.context_tokens, choice.max_output_tokens);
                let summary = self.conversation.compacted_after_overflow(room);
                summary.map(Asked::TooLong).ok_or(ModelError::Overflow(why))
            }
            other => other.map(Asked::Answered),
        }
    }

    /// A reply to a part of the prompt is none.
    fn seen_whole(&self, model: &str, completion: Completion) -> Result<Answered<Completion>, ModelError> {
        let (prompt_tokens, prompt_bytes) = (completion.prompt_tokens, self.conversation.prompt_bytes());
        let seen = Seen { model: model.to_owned(), prompt_bytes, prompt_tokens };
        if let Some(expected) = self.deps.windows.shortfall(&seen, self.conversation.seen()) {
            return Err(ModelError::Overflow(format!("it saw {prompt_tokens} tokens of about {expected}")));
        }
        let usage = ModelUse {
            model: model.to_owned(),
            prompt_tokens,
            output_tokens: completion.output_tokens,
            duration_ms: in_ms(completion.duration),
        };
        Ok(Answered { answer: completion, usage })
    }

    /// It has just been asked, so the model is loaded.
    async fn learn_window(&self, model: &str) {
        match self.deps.model.window(model).await {
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
                self.deps.windows.learn_window(model, window);
            }
            // Asked again after the next call.
            Err(error) => debug!(model, %error, "the model's window is not known"),
        }
    }
}

/// The first of the `wanted` names that the server has; the error names the most wanted one. Ollama lists `name:latest` for a plain `name`.
pub fn choose(wanted: &[String], present: &[String]) -> Result<String, ModelError> {
    let is_present =
        |name: &String| present.iter().any(|it| it == name || it.strip_suffix(":latest") == Some(name));
    let missing = || ModelError::Missing { model: wanted.first().cloned().unwrap_or_default() };
    wanted.iter().find(|name| is_present(name)).cloned().ok_or_else(missing)
}

fn in_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Actor for ReasonerActor {
    type Context = Context<Self>;
}

crate::supervised!(ReasonerActor: DraftPlan, NextStep);

impl Handler<DraftPlan> for ReasonerActor {
    type Result = ResponseActFuture<Self, Result<Answered<String>, ReasonerError>>;

    fn handle(&mut self, _: DraftPlan, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.ask().map(|asked, _, _| match asked? {
            Asked::Answered(Answered { answer, usage }) => {
                let plan = &answer.content[..answer.content.floor_char_boundary(MAX_PLAN_BYTES)];
                Ok(Answered { answer: plan.trim().to_owned(), usage })
            }
            // Before the first command there is nothing to summarise.
            Asked::TooLong(_) => Err(ModelError::Overflow("the issue alone fills it".to_owned()).into()),
        }))
    }
}

impl Handler<NextStep> for ReasonerActor {
    type Result = ResponseActFuture<Self, Result<Next, ReasonerError>>;

    fn handle(&mut self, _: NextStep, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.ask().map(|asked, _, _| match asked? {
            Asked::Answered(Answered { answer, usage }) => {
                let step = read_step(&answer.content, answer.finish);
                Ok(Next::Reply { text: answer.content, step, usage })
            }
            Asked::TooLong(summary) => Ok(Next::Summarise(summary)),
        }))
    }
}
