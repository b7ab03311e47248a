//! When the model is stuck: the peers first, then a person.

use std::time::Duration;

use actix::MailboxError;
use tokio::sync::oneshot;

use crate::antennae::AskPeers;
use crate::escalation_actor::{Answer, AwaitAnswer};
use crate::ports::journal::{JournalError, Seq};
use crate::sandbox_actor::Destroy;
use crate::task::TaskEvent;

use super::work::NotSaved;
use super::{Carried, Ended, Tools, stalled};

impl Tools {
    pub(super) async fn ask_peers(&self, question: String) -> Carried {
        if self.task.peer_questions > self.deps.bench.limits.max_peer_questions {
            return Ok(TaskEvent::Advised { advice: Vec::new() });
        }
        let ask = AskPeers { task: self.task.id.clone(), epoch: self.task.epoch, question };
        let advice = self.deps.bench.antennae.send(ask).await?;
        Ok(TaskEvent::Advised { advice })
    }

    /// A person may take days: the work is saved and the sandbox let go. Work that can't be saved is lost, and the
    /// journal says so by not naming any.
    pub(super) async fn escalate(&self, question: String) -> Carried {
        let saved = match self.saved_work().await {
            Ok(produced) => Some(produced),
            Err(NotSaved::Refused(_) | NotSaved::Ended(Ended::With(_) | Ended::GivenUp(_))) => None,
            Err(NotSaved::Ended(stalled)) => return Err(stalled),
        };
        self.deps.sandbox.send(Destroy).await??;
        Ok(TaskEvent::Escalated { question, saved })
    }

    pub(super) async fn await_answer(&self) -> Carried {
        let marker = self.task.question_marker();
        let (answer, answered) = oneshot::channel();
        let key = self.task.question_key();
        let waited = self.waited().await.map_err(stalled)?;
        let wait = AwaitAnswer { task: self.task.id.clone(), key, marker, waited, answer };
        self.deps.bench.escalations.send(wait).await?;
        // Dropped when the actor went down: ask again.
        match answered.await.map_err(|_| Ended::from(MailboxError::Closed))? {
            Answer::Given { by, text } => Ok(TaskEvent::HumanAnswered { by, text }),
            Answer::NotInTime => Err(Ended::GivenUp("nobody answered the question in time".to_owned())),
        }
    }

    /// Since the question was recorded. A clock that was set back since then counts for nothing.
    async fn waited(&self) -> Result<Duration, JournalError> {
        let events = self.deps.bench.log.events_of(&self.task.id, Seq::default()).await?;
        let asked = events.iter().rfind(|it| matches!(it.event, TaskEvent::Escalated { .. }));
        let now_ms = (self.deps.bench.wall_clock_ms)();
        let asked_ms = asked.map_or(now_ms, |it| it.at_ms);
        Ok(Duration::from_millis(now_ms.saturating_sub(asked_ms)))
    }
}
