//! `ReasonerActor`: one for each task.
//!
//! Owns: that task's conversation with the model. Told: `DraftPlan`, `NextStep`. Tells: nobody; the answers are the
//! model's plan and steps. Holds true: the conversation is what the journal's events say, in words; before each
//! question it reads what the journal has gained, so a restart (of the actor or of the node) is the same as a long
//! pause. On a restart: the question under way is lost; asking again is safe.

mod choice;
mod compaction;
mod conversation;
mod digest;
pub mod observation;
mod prompt;
mod protocol;
mod question;
mod reply;
mod selection;
mod servers;
#[cfg(test)]
mod tests;
mod transcript;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;

use crate::audit_logger::AuditLog;
use crate::ports::journal::{JournalError, Recorded, Seq};
use crate::ports::model::{ModelError, ModelSelection};
use crate::task::{ModelUse, Step, TaskEvent, TaskId};

pub use choice::{ModelChoice, ModelRole, ModelRoute, choose, missing};
pub use conversation::{Conversation, Seen};
pub use protocol::Protocol;
pub use reply::{read_step, words_of};
pub use servers::{ModelServer, Servers};
pub use transcript::{Told, Transcript};
pub use window::Windows;

use question::{Asked, Question};
use selection::Selection;

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

#[derive(Clone)]
pub struct ReasonerDeps {
    pub task: TaskId,
    pub log: AuditLog,
    pub servers: Servers,
    pub choice: ModelChoice,
    /// Who says which of the models a task gets, if anybody is asked.
    pub selection: Option<Arc<dyn ModelSelection>>,
}

pub struct ReasonerActor {
    deps: ReasonerDeps,
    /// A question under way holds it too.
    conversation: Arc<Conversation>,
    /// The last event that the conversation holds.
    read_up_to: Seq,
    /// The server that answered last: its cache holds the prompt's beginning.
    last_server: Option<usize>,
    /// What was selected for this task, once for each role; `None`: nothing that counts.
    selected: HashMap<ModelRole, Option<String>>,
}

impl ReasonerActor {
    pub fn new(deps: ReasonerDeps) -> Self {
        let conversation = Conversation::new(deps.task.clone()).with_json(deps.choice.json.clone());
        let conversation = Arc::new(conversation);
        let (last_server, selected) = (None, HashMap::new());
        Self { deps, conversation, read_up_to: Seq::default(), last_server, selected }
    }

    fn catch_up(&mut self, news: &[Recorded]) {
        for recorded in news.iter().filter(|recorded| recorded.seq > self.read_up_to) {
            Arc::make_mut(&mut self.conversation).record(&recorded.event);
            if let (TaskEvent::Replied { .. } | TaskEvent::PlanDrafted { .. }, Some(seen)) =
                (&recorded.event, self.conversation.seen())
            {
                self.deps.servers.learn(seen);
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
            let (selection, last) = (reasoner.selection(), reasoner.last_server);
            let (deps, conversation) = (reasoner.deps.clone(), reasoner.conversation.clone());
            async move {
                caught_up?;
                let (selected, wanted) = selection.made().await;
                let answer = Question { deps, conversation, wanted, last }.put().await;
                Ok((selected, answer))
            }
            .into_actor(reasoner)
        });
        Box::pin(asked.map(|asked: Result<_, JournalError>, reasoner, _| {
            let ((role, selected), answer) = asked?;
            reasoner.selected.insert(role, selected);
            let (server, asked) = answer?;
            reasoner.last_server = Some(server);
            Ok(asked)
        }))
    }

    fn selection(&self) -> Selection {
        let role = self.conversation.role();
        Selection {
            task: self.deps.task.clone(),
            role,
            names: self.deps.choice.names_for(role, self.conversation.labels()).to_vec(),
            known: self.selected.get(&role).cloned(),
            issue: self.conversation.issue().to_owned(),
            servers: self.deps.servers.clone(),
            asked: self.deps.selection.clone(),
        }
    }
}

impl Actor for ReasonerActor {
    type Context = Context<Self>;
}

crate::supervised!(ReasonerActor: DraftPlan, NextStep);

impl Handler<DraftPlan> for ReasonerActor {
    type Result = ResponseActFuture<Self, Result<Answered<String>, ReasonerError>>;

    fn handle(&mut self, _: DraftPlan, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.ask().map(|asked, _, _| match asked? {
            Asked::Answered { answered: Answered { answer, usage }, .. } => {
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
            Asked::Answered { answered: Answered { answer, usage }, protocol } => {
                let step = protocol.read(&answer.content, answer.finish);
                Ok(Next::Reply { text: answer.content, step, usage })
            }
            Asked::TooLong(summary) => Ok(Next::Summarise(summary)),
        }))
    }
}
