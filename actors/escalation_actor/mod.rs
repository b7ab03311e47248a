//! `EscalationActor`: the way to a person and back.
//!
//! Owns: the questions that wait for an answer. Told: `Escalate` (from the outbox), `AwaitAnswer`. Tells: nobody; the
//! answer goes to who waits for it. Holds true: a question is raised at the webhook at least once and looks the
//! same each time; an answer is the webhook's, or the first comment after the question's own by someone who may hand issues
//! to the nodes; hidden words are no part of it. On a
//! restart: whoever waited asks again; an answer in a comment is still there, an answer of the webhook is given again
//! with the same key.

mod answer;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use crate::ports::escalations::{Escalation, EscalationError, Escalations};
use crate::ports::forge::Forge;
use crate::task::TaskId;
use crate::task::text::readable;
use crate::trust::Trust;

use answer::first_answer;

#[derive(Message)]
#[rtype(result = "Result<(), EscalationError>")]
pub struct Escalate(pub Escalation);

/// Waits for an answer to the question that was raised with `key` and whose comment bears `marker`. Whoever no longer wants it drops the receiver.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AwaitAnswer {
    pub task: TaskId,
    pub key: String,
    pub marker: String,
    /// How long it has been waited for already, also by earlier lives of the node.
    pub waited: Duration,
    pub answer: oneshot::Sender<Answer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Given { by: String, text: String },
    NotInTime,
}

#[derive(Clone)]
pub struct EscalationDeps {
    /// `None` when no webhook is configured: then the comment on the issue is the only way.
    pub webhook: Option<Arc<dyn Escalations>>,
    pub forge: Arc<dyn Forge>,
    /// Whose comments count.
    pub trust: Arc<Trust>,
    /// The pause between looks at an issue's comments.
    pub look_interval: Duration,
    /// The longest that a task waits for an answer.
    pub max_wait: Duration,
}

pub struct EscalationActor {
    deps: EscalationDeps,
    /// The last answer that the webhook gave at once for each task, with its question, for whoever waits or will wait.
    answers: HashMap<TaskId, watch::Sender<Option<Said>>>,
}

/// What the webhook answered to the question with this key.
struct Said {
    key: String,
    text: String,
}

impl EscalationActor {
    pub fn new(deps: EscalationDeps) -> Self {
        Self { deps, answers: HashMap::new() }
    }

    fn answers_for(&mut self, task: &TaskId) -> &watch::Sender<Option<Said>> {
        self.answers.entry(task.clone()).or_insert_with(|| watch::channel(None).0)
    }
}

impl Actor for EscalationActor {
    type Context = Context<Self>;
}

crate::supervised!(EscalationActor: Escalate, AwaitAnswer);

impl Handler<Escalate> for EscalationActor {
    type Result = ResponseActFuture<Self, Result<(), EscalationError>>;

    fn handle(&mut self, Escalate(escalation): Escalate, _: &mut Context<Self>) -> Self::Result {
        let Some(webhook) = self.deps.webhook.clone() else {
            return Box::pin(async { Ok(()) }.into_actor(self));
        };
        let raised = async move { (webhook.raise(&escalation).await, escalation) };
        Box::pin(raised.into_actor(self).map(|(raised, escalation), actor, _| {
            if let Some(text) = raised? {
                let said = Said { key: escalation.key, text };
                actor.answers_for(&escalation.task).send_replace(Some(said));
            }
            Ok(())
        }))
    }
}

impl Handler<AwaitAnswer> for EscalationActor {
    type Result = ();

    fn handle(&mut self, wait: AwaitAnswer, ctx: &mut Context<Self>) {
        let AwaitAnswer { task, key, marker, waited, mut answer } = wait;
        let from_webhook = self.answers_for(&task).subscribe();
        let (deps, every) = (self.deps.clone(), self.deps.look_interval);
        let until = Instant::now() + self.deps.max_wait.saturating_sub(waited);
        let id = task.clone();
        let answered = async move {
            tokio::select! {
                said = said_by_webhook(from_webhook, &key) => Some(said),
                commented = comment(&deps, &id, &marker, every) => Some(commented),
                () = sleep_until(until) => Some(Answer::NotInTime),
                () = answer.closed() => None,
            }
            .map(|found| answer.send(found))
        };
        ctx.spawn(answered.into_actor(self).map(move |_, actor, _| {
            actor.answers.remove(&task);
        }));
    }
}

/// A late answer to an earlier question is none to this one.
async fn said_by_webhook(mut answers: watch::Receiver<Option<Said>>, key: &str) -> Answer {
    let is_to_this = |said: &Option<Said>| said.as_ref().is_some_and(|said| said.key == key);
    match answers.wait_for(is_to_this).await.as_deref() {
        Ok(Some(said)) => Answer::Given { by: "webhook".to_owned(), text: readable(&said.text) },
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// Looks at the comments until one of them answers.
async fn comment(deps: &EscalationDeps, task: &TaskId, marker: &str, every: Duration) -> Answer {
    loop {
        let found = async {
            let comments = deps.forge.comments(task).await?;
            first_answer(&task.repo, &comments, marker, &deps.trust).await
        };
        let pause = match found.await {
            Ok(Some(answer)) => return answer,
            Ok(None) => every,
            Err(error) => {
                warn!(%task, %error, "answer not read");
                error.retry_after().unwrap_or_default().max(every)
            }
        };
        sleep(pause).await;
    }
}
