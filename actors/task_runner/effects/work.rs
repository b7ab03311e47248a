//! The model's turn and the sandbox's turn.

use std::time::Duration;

use actix::MailboxError;
use tokio::sync::oneshot;
use tracing::info;

use crate::antennae::DiscussPlan;
use crate::ports::code::{CodeError, ImportedTree};
use crate::ports::journal::JournalError;
use crate::ports::model::ModelError;
use crate::ports::sandbox::{CommandOutcome, SandboxChoice, SandboxError, WorkBundle};
use crate::reasoner_actor::{Answered, DraftPlan, Next, NextStep, ReasonerError, observation};
use crate::sandbox_actor::{Adopt, ExportChanges, Recall, Run};
use crate::task::text::head_and_tail;
use crate::task::{Base, Ending, Observed, Produced, TaskEvent};

use super::{Carried, Ended, Tools, stalled};

/// A model that is not on its server is looked for again after this long: someone may be pulling it.
const MISSING_MODEL_PAUSE: Duration = Duration::from_secs(60);
/// A command that was begun before ends within its own time limit; this is for its end to be told.
const RECALL_MARGIN: Duration = Duration::from_secs(30);
/// Half of what the model sees of its own diff, in bytes.
const HALF_SHOWN_DIFF_BYTES: usize = 6000;

impl Tools {
    pub(super) async fn draft_plan(&self) -> Carried {
        let Answered { answer: plan, usage } = self.deps.reasoner.send(DraftPlan).await??;
        Ok(TaskEvent::PlanDrafted { plan, usage })
    }

    pub(super) async fn discuss_plan(&self) -> Carried {
        let plan = self.task.plan.clone().unwrap_or_default();
        let ask = DiscussPlan { task: self.task.id.clone(), epoch: self.task.epoch, plan };
        let reviews = self.deps.bench.antennae.send(ask).await?;
        Ok(TaskEvent::PlanSettled { reviews })
    }

    /// While the model thinks its work is saved, so the next command begins when both are done.
    pub(super) async fn think(&self) -> Carried {
        let reply = async { Ok(self.deps.reasoner.send(NextStep).await??) };
        let (reply, ()) = tokio::try_join!(reply, self.checkpoint())?;
        Ok(match reply {
            Next::Reply { text, step, usage } => TaskEvent::Replied { text, step, usage },
            Next::Summarise(summary) => summary,
        })
    }

    pub(super) async fn run(&self, step: u32, command: String, timeout_s: Option<u32>) -> Carried {
        let (answer, answered) = oneshot::channel();
        let run = Run { step, command, timeout: self.deps.bench.pace.command_time(timeout_s), answer };
        // A request that went down with its actor may have run: never again.
        let Ok(()) = self.deps.sandbox.send(run).await else { return self.recall(step, timeout_s).await };
        let Ok(ran) = answered.await else { return self.recall(step, timeout_s).await };
        match ran {
            Ok(outcome) => Ok(TaskEvent::CommandFinished { step, outcome: self.observed(&outcome).await? }),
            // Its connection is gone; the sandbox itself, and the command in it, may go on.
            Err(SandboxError::Lost(why) | SandboxError::Unavailable(why)) => {
                match self.recall(step, timeout_s).await {
                    Err(Ended::With(event)) if matches!(*event, TaskEvent::SandboxLost { .. }) => {
                        Ok(TaskEvent::SandboxLost { why })
                    }
                    recalled => recalled,
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What became of a command that was begun before. When the sandbox does not know, nobody does: the sandbox and all
    /// that is in it are there still, and the model looks for itself.
    pub(super) async fn recall(&self, step: u32, timeout_s: Option<u32>) -> Carried {
        self.stand_in_sandbox().await?;
        let (answer, answered) = oneshot::channel();
        let patience = self.deps.bench.pace.command_time(timeout_s) + RECALL_MARGIN;
        self.deps.sandbox.send(Recall { step, patience, answer }).await?;
        let recalled = answered.await.map_err(|_| Ended::from(MailboxError::Closed))??;
        let outcome = match recalled {
            Some(outcome) => self.observed(&outcome).await?,
            None => Observed {
                ending: Ending::Unknown,
                duration_ms: 0,
                shown: String::new(),
                whole: None,
                out_of_memory: false,
            },
        };
        info!(step, ending = %outcome.ending, "recalled a command");
        Ok(TaskEvent::CommandFinished { step, outcome })
    }

    /// Sees that the sandbox where the model works stands: what an earlier life left is taken over.
    pub(super) async fn stand_in_sandbox(&self) -> Result<(), Ended> {
        let lost = |why: &str| Err(SandboxError::Lost(why.to_owned()).into());
        if self.task.sandbox.is_none() {
            return lost("the task has no sandbox");
        }
        let (repo, terms) = (&self.task.id.repo, &self.task.terms);
        // What the operator has taken back since is not opened again.
        let hosts = self.deps.bench.rules.still_askable(repo, &terms.network);
        let choice = SandboxChoice { image: terms.image.clone(), hosts };
        match self.deps.sandbox.send(Adopt { epoch: self.task.epoch, choice }).await?? {
            true => Ok(()),
            false => lost("it was gone when the node came back"),
        }
    }

    /// What the sandbox holds becomes a tree of the task's object store, or the model is told why not.
    pub(super) async fn export(&self) -> Carried {
        match self.saved_work().await {
            Ok(produced) => Ok(match self.secret_in_proposal() {
                Some(problem) => TaskEvent::WorkRefused { problem },
                None => TaskEvent::WorkProduced { produced },
            }),
            Err(NotSaved::Refused(problem)) => Ok(TaskEvent::WorkRefused { problem }),
            Err(NotSaved::Ended(ended)) => Err(ended),
        }
    }

    /// What the model wants to say with its work is published with it.
    fn secret_in_proposal(&self) -> Option<String> {
        let proposal = self.task.proposal.as_ref()?;
        let parts = [("title", &proposal.title), ("description", &proposal.body)];
        parts.into_iter().find_map(|(part, text)| {
            let what = self.deps.bench.code.secret_in(text)?;
            Some(format!("the {part} of the pull request holds {what}: leave it out"))
        })
    }

    pub(super) async fn saved_work(&self) -> Result<Produced, NotSaved> {
        let Some(base) = &self.task.base else {
            return Err(NotSaved::Refused("the task has no base yet".to_owned()));
        };
        self.stand_in_sandbox().await?;
        match (self.unsaved_work(base).await?, &self.task.saved) {
            (Some(bundle), _) => self.imported(base, bundle).await,
            (None, Some(saved)) => Ok(saved.clone()),
            (None, None) => Err(NotSaved::Refused(
                "nothing was changed: the work tree is the same as the base".to_owned(),
            )),
        }
    }

    /// What the sandbox holds, unless it says that it is what was saved last.
    pub(super) async fn unsaved_work(&self, base: &Base) -> Result<Option<WorkBundle>, NotSaved> {
        let (answer, answered) = oneshot::channel();
        let known = self.task.saved.as_ref().map(|saved| saved.tree.clone());
        let export = ExportChanges { base: base.commit.clone(), known, answer };
        self.deps.sandbox.send(export).await.map_err(Ended::from)?;
        Ok(answered.await.map_err(|_| Ended::from(MailboxError::Closed))??)
    }

    /// Checks a bundle, and takes its tree into the task's object store.
    pub(super) async fn imported(&self, base: &Base, bundle: WorkBundle) -> Result<Produced, NotSaved> {
        let (bench, id) = (&self.deps.bench, &self.task.id);
        self.produced(bench.code.import(id, &base.commit, bundle, &self.task.terms.paths).await?).await
    }

    /// As the journal keeps it.
    pub(super) async fn produced(&self, imported: ImportedTree) -> Result<Produced, NotSaved> {
        let diff = self.deps.bench.log.put_blob(imported.diff.as_bytes()).await.map_err(Ended::from)?;
        Ok(Produced {
            tree: imported.tree,
            files: imported.files,
            insertions: imported.insertions,
            deletions: imported.deletions,
            diff,
            shown: head_and_tail(&imported.diff, HALF_SHOWN_DIFF_BYTES),
        })
    }

    /// An outcome as the journal keeps it; the whole output goes to the blob store when it is not all shown.
    pub(super) async fn observed(&self, outcome: &CommandOutcome) -> Result<Observed, JournalError> {
        let shown = observation::shown(&outcome.output);
        let whole = match observation::whole(&outcome.output, &shown) {
            Some(bytes) => Some(self.deps.bench.log.put_blob(&bytes).await?),
            None => None,
        };
        Ok(Observed {
            ending: outcome.ending,
            duration_ms: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
            shown,
            whole,
            out_of_memory: outcome.out_of_memory,
        })
    }
}

/// Why the work in a sandbox is not in the object store.
pub(super) enum NotSaved {
    /// The text is for the model.
    Refused(String),
    Ended(Ended),
}

impl From<Ended> for NotSaved {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<SandboxError> for NotSaved {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Refused(problem) => Self::Refused(problem),
            other => Self::Ended(other.into()),
        }
    }
}

impl From<CodeError> for NotSaved {
    fn from(error: CodeError) -> Self {
        match error {
            CodeError::Refused(problem) => Self::Refused(problem),
            other => Self::Ended(other.into()),
        }
    }
}

impl From<ReasonerError> for Ended {
    fn from(error: ReasonerError) -> Self {
        match &error {
            ReasonerError::Model(ModelError::Missing { .. }) => {
                Self::Stalled { problem: error.to_string(), retry_after: Some(MISSING_MODEL_PAUSE) }
            }
            ReasonerError::Model(model) if !model.is_retryable() => Self::GivenUp(error.to_string()),
            ReasonerError::Model(_) | ReasonerError::Journal(_) => stalled(error),
        }
    }
}
