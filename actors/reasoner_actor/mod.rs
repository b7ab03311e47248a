//! `ReasonerActor`: one for each task.
//!
//! Owns: that task's conversation with the model. Told: `DraftPlan`, `NextStep`. Tells: nobody; the answers are the
//! model's plan and steps. Holds true: the conversation is what the journal's events say, in words; before each
//! question it reads what the journal has gained, so a restart (of the actor or of the node) is the same as a long
//! pause. On a restart: the question under way is lost; asking again is safe.

mod conversation;
pub mod observation;
mod prompt;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::Semaphore;

use crate::audit_logger::AuditLog;
use crate::ports::journal::{JournalError, Recorded, Seq};
use crate::ports::model::{ChatRequest, Completion, Model, ModelError};
use crate::task::{ModelUse, Step, TaskId};

pub use conversation::Conversation;
pub use reply::read_step;

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

/// The reply's text, and the step that was read from it.
#[derive(Message)]
#[rtype(result = "Result<Answered<(String, Step)>, ReasonerError>")]
pub struct NextStep;

/// The models that a node may use, and what is asked of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChoice {
    /// In order of preference; the first that the server has is used.
    pub names: Vec<String>,
    /// The reply ends there. Too low: long files can't be written in one command. Too high: a model that rambles
    /// holds the server for minutes.
    pub max_output_tokens: u32,
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
}

pub struct ReasonerActor {
    deps: ReasonerDeps,
    conversation: Conversation,
    /// The last event that the conversation holds.
    read_up_to: Seq,
}

impl ReasonerActor {
    pub fn new(deps: ReasonerDeps) -> Self {
        let conversation = Conversation::new(deps.task.clone());
        Self { deps, conversation, read_up_to: Seq::default() }
    }

    fn catch_up(&mut self, news: &[Recorded]) {
        for recorded in news.iter().filter(|recorded| recorded.seq > self.read_up_to) {
            self.conversation.record(&recorded.event);
        }
        self.read_up_to = news.last().map_or(self.read_up_to, |last| last.seq.max(self.read_up_to));
    }

    /// Reads what is new, then asks the model.
    fn ask(&self) -> ResponseActFuture<Self, Result<Answered<Completion>, ReasonerError>> {
        let (log, task, after) = (self.deps.log.clone(), self.deps.task.clone(), self.read_up_to);
        let news = async move { log.events_of(&task, after).await };
        let asked = news.into_actor(self).then(|news, reasoner, _| {
            let caught_up = news.map(|news| reasoner.catch_up(&news));
            let question = Question::of(reasoner);
            async move {
                caught_up?;
                Ok(question.put().await?)
            }
            .into_actor(reasoner)
        });
        Box::pin(asked)
    }
}

/// One request to the model, with all that it needs.
struct Question {
    model: Arc<dyn Model>,
    gate: Arc<Semaphore>,
    choice: ModelChoice,
    conversation: Conversation,
}

impl Question {
    fn of(reasoner: &ReasonerActor) -> Self {
        Self {
            model: reasoner.deps.model.clone(),
            gate: reasoner.deps.gate.clone(),
            choice: reasoner.deps.choice.clone(),
            conversation: reasoner.conversation.clone(),
        }
    }

    async fn put(self) -> Result<Answered<Completion>, ModelError> {
        // The gate is never closed; were it, asking without it would still be right.
        let _in_flight = self.gate.acquire().await.ok();
        let limit = self.choice.call_limit;
        // A call that hung would keep the gate shut for every task.
        tokio::time::timeout(limit, self.put_now()).await.unwrap_or_else(|_| {
            Err(ModelError::Unavailable(format!("it did not finish its answer within {} s", limit.as_secs())))
        })
    }

    async fn put_now(&self) -> Result<Answered<Completion>, ModelError> {
        let model = choose(&self.choice.names, &self.model.models().await?)?;
        let request = ChatRequest {
            model: model.clone(),
            messages: self.conversation.messages().to_vec(),
            max_output_tokens: self.choice.max_output_tokens,
        };
        let completion = self.model.chat(&request).await?;
        let usage = ModelUse {
            model,
            prompt_tokens: completion.prompt_tokens,
            output_tokens: completion.output_tokens,
            duration_ms: in_ms(completion.duration),
        };
        Ok(Answered { answer: completion, usage })
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
        Box::pin(self.ask().map(|asked, _, _| {
            let Answered { answer, usage } = asked?;
            let plan = &answer.content[..answer.content.floor_char_boundary(MAX_PLAN_BYTES)];
            Ok(Answered { answer: plan.trim().to_owned(), usage })
        }))
    }
}

impl Handler<NextStep> for ReasonerActor {
    type Result = ResponseActFuture<Self, Result<Answered<(String, Step)>, ReasonerError>>;

    fn handle(&mut self, _: NextStep, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.ask().map(|asked, _, _| {
            let Answered { answer, usage } = asked?;
            let step = read_step(&answer.content, answer.finish);
            Ok(Answered { answer: (answer.content, step), usage })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wanted_model_that_is_present_is_used() {
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let wanted = names(&["big:70b", "coder", "small:1b"]);
        assert_eq!(choose(&wanted, &names(&["small:1b", "coder:latest"])), Ok("coder".into()));
        assert_eq!(choose(&wanted, &names(&["other"])), Err(ModelError::Missing { model: "big:70b".into() }));
    }
}
