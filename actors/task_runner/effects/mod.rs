//! Carrying out what is due. Each effect ends in one event, or says that it stalled and may be tried again, or that
//! no try can succeed.

mod check;
mod checkpoint;
mod ci;
mod help;
mod inherit;
mod prepare;
mod publish;
mod work;
mod wrap_up;

use std::sync::PoisonError;
use std::time::Duration;

use actix::MailboxError;

use crate::crash_points;
use crate::ports::code::CodeError;
use crate::ports::forge::ForgeError;
use crate::ports::journal::JournalError;
use crate::ports::sandbox::SandboxError;
use crate::task::TaskEvent;
use crate::task::life::{Effect, Task};

use super::RunnerDeps;

/// How an effect ended.
pub(super) enum Ended {
    With(Box<TaskEvent>),
    Stalled {
        problem: String,
        /// What the other side asked for, if it did.
        retry_after: Option<Duration>,
    },
    /// No try can succeed; the reason is for a person.
    GivenUp(String),
}

/// `Err` is every end but the planned event, so that `?` takes the way out.
type Carried = Result<TaskEvent, Ended>;

/// One effect's view of its task: a copy of the state in which it became due.
pub(super) struct Tools {
    pub(super) deps: RunnerDeps,
    pub(super) task: Task,
}

impl Tools {
    pub(super) async fn carry_out(&self, effect: Effect) -> Ended {
        self.carried_out(effect).await.map_or_else(|ended| ended, |event| Ended::With(Box::new(event)))
    }

    async fn carried_out(&self, effect: Effect) -> Carried {
        // Before it waits for a place: a sandbox that no node speaks to for long ends itself.
        if self.task.phase.needs_work_sandbox() {
            self.stand_in_sandbox().await?;
        } else if self.task.wants_its_sandbox() {
            // Whoever needs it looks again, and knows what to do without it.
            let _ = self.stand_in_sandbox().await;
        }
        if self.task.phase.takes_a_place() {
            self.take_place().await;
        }
        let act = effect.name();
        crash_points::before(act);
        let carried = match effect {
            // Claims are settled by their manager before a task has a runner.
            Effect::SettleClaim { .. } => std::future::pending().await,
            Effect::Prepare => self.prepare().await,
            Effect::DraftPlan => self.draft_plan().await,
            Effect::DiscussPlan => self.discuss_plan().await,
            Effect::Think => self.think().await,
            Effect::Run { step, command, timeout_s } => self.run(step, command, timeout_s).await,
            Effect::Recall { step, timeout_s } => self.recall(step, timeout_s).await,
            Effect::Export => self.export().await,
            Effect::Check { tree } => self.check(&tree).await,
            Effect::Publish { tree } => self.publish(&tree).await,
            Effect::Propose => self.propose().await,
            Effect::WatchReview => self.watch_review().await,
            Effect::AskPeers { question } => self.ask_peers(question).await,
            Effect::Escalate { question } => self.escalate(question).await,
            Effect::AwaitAnswer { .. } => self.await_answer().await,
            Effect::CleanUp { end } => self.clean_up(&end).await,
        };
        crash_points::after(act);
        carried
    }

    async fn take_place(&self) {
        let has_place = || self.deps.place.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if has_place() {
            return;
        }
        // The semaphore is never closed.
        if let Ok(permit) = self.deps.bench.places.clone().acquire_owned().await {
            *self.deps.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        }
    }
}

fn stalled(problem: impl ToString) -> Ended {
    Ended::Stalled { problem: problem.to_string(), retry_after: None }
}

/// An actor went down with the request; whoever asks again finds its next life.
impl From<MailboxError> for Ended {
    fn from(error: MailboxError) -> Self {
        stalled(format!("an actor of the task is being restarted ({error})"))
    }
}

impl From<JournalError> for Ended {
    fn from(error: JournalError) -> Self {
        stalled(error)
    }
}

impl From<ForgeError> for Ended {
    fn from(error: ForgeError) -> Self {
        match error.is_retryable() {
            true => Self::Stalled { problem: error.to_string(), retry_after: error.retry_after() },
            false => Self::GivenUp(error.to_string()),
        }
    }
}

impl From<CodeError> for Ended {
    fn from(error: CodeError) -> Self {
        match error.is_retryable() {
            true => stalled(error),
            false => Self::GivenUp(error.to_string()),
        }
    }
}

/// In the work sandbox; a check sandbox that is lost is only tried again.
impl From<SandboxError> for Ended {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Unavailable(_) => stalled(error),
            SandboxError::Lost(why) => Self::With(Box::new(TaskEvent::SandboxLost { why })),
            SandboxError::Refused(_) | SandboxError::Misconfigured(_) => Self::GivenUp(error.to_string()),
        }
    }
}
