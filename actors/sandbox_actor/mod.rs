//! `SandboxActor`: one for each task.
//!
//! Owns: the sandbox where the model works, and while checks run the one they run in. Told: `Open`, `Adopt`, `Run`,
//! `Recall`, `ExportChanges`, `RunChecks`, `Destroy`. Tells: nobody; outcomes are its answers. Holds true: at
//! most one sandbox of each purpose stands; when it has none, every request that needs one is answered with `Lost`;
//! after `Destroy` none is left, also of an earlier life. On a restart: the sandbox is let go of and goes on by itself
//! until `Adopt` finds it again; a command that ran in it is killed, and `Recall` says so.

mod checks;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{oneshot, watch};
use tracing::info;

use crate::ports::code::CodeIn;
use crate::ports::sandbox::{
    CommandOutcome, CommandRequest, Purpose, Sandbox, SandboxChoice, SandboxError, SandboxSpec, Sandboxes,
    WorkBundle,
};
use crate::task::{Epoch, NodeId, Sha, TaskId};

pub use checks::{ChecksRun, RunChecks};
pub use setup::SetUp;

/// Makes the work sandbox, in place of the one there if there is one, puts the code in, and sets it up.
#[derive(Message)]
#[rtype(result = "Result<Opened, SandboxError>")]
pub struct Open {
    pub epoch: Epoch,
    pub code: CodeIn,
    pub set_up: SetUp,
}

/// A new sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub name: String,
    /// The hosts that commands in it may connect to.
    pub hosts: Vec<String>,
    /// What came of the setup, as far as the first command that failed.
    pub setup: Vec<CommandRun>,
}

/// A command that is not the model's, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRun {
    pub command: String,
    pub outcome: CommandOutcome,
}

/// Takes over the work sandbox that an earlier life left, or whose connection broke, unless it has one. Answers whether there
/// is one now.
///
/// Only for a task whose journal says that the code is in it.
#[derive(Message)]
#[rtype(result = "Result<bool, SandboxError>")]
pub struct Adopt {
    pub epoch: Epoch,
    pub choice: SandboxChoice,
}

/// Runs one command. Whoever no longer wants it drops the receiver: the command is killed then, and what comes next need
/// not wait for its end.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Run {
    pub step: u32,
    pub command: String,
    pub timeout: Duration,
    pub answer: oneshot::Sender<Result<CommandOutcome, SandboxError>>,
}

/// The outcome of a command that was begun before; `None` when the sandbox knows nothing of it. Whoever no longer wants
/// it drops the receiver, as with [`Run`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct Recall {
    pub step: u32,
    pub patience: Duration,
    pub answer: oneshot::Sender<Result<Option<CommandOutcome>, SandboxError>>,
}

/// The work if it is no longer `known`, or without one the base. Whoever no longer wants it drops the receiver.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ExportChanges {
    pub base: Sha,
    pub known: Option<Sha>,
    pub answer: oneshot::Sender<Result<Option<WorkBundle>, SandboxError>>,
}

/// Removes what stands, also what an earlier life left, and gives up what is being made. Succeeds when there is nothing.
#[derive(Message)]
#[rtype(result = "Result<(), SandboxError>")]
pub struct Destroy;

#[derive(Clone)]
pub struct SandboxDeps {
    pub node: NodeId,
    pub task: TaskId,
    pub sandboxes: Arc<dyn Sandboxes>,
    /// The most that a sandbox may hand out as its work, in bytes.
    pub max_export_bytes: u64,
}

pub struct SandboxActor {
    deps: SandboxDeps,
    work: Option<Arc<dyn Sandbox>>,
    check: Option<Arc<dyn Sandbox>>,
    /// Tells those that are being made that they are not wanted any more.
    destroyed: watch::Sender<()>,
    /// Nothing stands that another life began.
    knows_all: bool,
}

impl SandboxActor {
    pub fn new(deps: SandboxDeps) -> Self {
        Self { deps, work: None, check: None, destroyed: watch::Sender::new(()), knows_all: false }
    }

    fn spec(&self, epoch: Epoch, purpose: Purpose) -> SandboxSpec {
        SandboxSpec { node: self.deps.node.clone(), task: self.deps.task.clone(), epoch, purpose }
    }

    fn place(&mut self, purpose: Purpose) -> &mut Option<Arc<dyn Sandbox>> {
        match purpose {
            Purpose::Work => &mut self.work,
            Purpose::Check => &mut self.check,
        }
    }

    fn work(&self) -> Result<Arc<dyn Sandbox>, SandboxError> {
        self.work
            .clone()
            .ok_or_else(|| SandboxError::Lost("the node has no sandbox for this task".to_owned()))
    }

    /// Does the work and answers with what came of it; gives it up as soon as nobody waits for the answer.
    fn answer_if_wanted<T: 'static>(
        &self,
        work: impl Future<Output = T> + 'static,
        mut answer: oneshot::Sender<T>,
        ctx: &mut Context<Self>,
    ) {
        let answered = async move {
            let done = tokio::select! {
                done = work => Some(done),
                () = answer.closed() => None,
            };
            done.map(|done| answer.send(done))
        };
        ctx.spawn(answered.into_actor(self).map(|_, _, _| ()));
    }

    /// A sandbox with `code` in it, owned by this actor before anything can go wrong in it.
    fn open(&self, epoch: Epoch, purpose: Purpose, code: CodeIn, choice: SandboxChoice) -> Opening {
        let (sandboxes, spec) = (self.deps.sandboxes.clone(), self.spec(epoch, purpose));
        let mut destroyed = self.destroyed.subscribe();
        let started = async move {
            tokio::select! {
                biased;
                _ = destroyed.changed() => Err(SandboxError::Lost("it was destroyed before it stood".to_owned())),
                started = sandboxes.start_with(&spec, &choice) => started,
            }
        };
        Box::pin(started.into_actor(self).then(move |started, actor, _| {
            if let Ok(sandbox) = &started {
                *actor.place(purpose) = Some(sandbox.clone());
            }
            async move {
                let sandbox = started?;
                sandbox.import(&code).await?;
                Ok(sandbox)
            }
            .into_actor(actor)
        }))
    }
}

type Opening = ResponseActFuture<SandboxActor, Result<Arc<dyn Sandbox>, SandboxError>>;

impl Actor for SandboxActor {
    type Context = Context<Self>;
}

crate::supervised!(SandboxActor: Open, Adopt, Run, Recall, ExportChanges, RunChecks, Destroy);

impl Handler<Open> for SandboxActor {
    type Result = ResponseActFuture<Self, Result<Opened, SandboxError>>;

    fn handle(&mut self, Open { epoch, code, set_up }: Open, _: &mut Context<Self>) -> Self::Result {
        let SetUp { choice, commands, timeout } = set_up;
        Box::pin(self.open(epoch, Purpose::Work, code, choice).then(move |opened, actor, _| {
            async move {
                let sandbox = opened?;
                let setup = setup::set_up(&*sandbox, &commands, timeout).await?;
                Ok(Opened { name: sandbox.name(), hosts: sandbox.allowed_hosts(), setup })
            }
            .into_actor(actor)
        }))
    }
}

impl Handler<Adopt> for SandboxActor {
    type Result = ResponseActFuture<Self, Result<bool, SandboxError>>;

    fn handle(&mut self, Adopt { epoch, choice }: Adopt, _: &mut Context<Self>) -> Self::Result {
        if self.work.as_ref().is_some_and(|sandbox| sandbox.is_lost()) {
            self.work = None;
        }
        let (has_one, spec) = (self.work.is_some(), self.spec(epoch, Purpose::Work));
        let sandboxes = self.deps.sandboxes.clone();
        let adopted =
            async move { if has_one { Ok(None) } else { sandboxes.adopt_with(&spec, &choice).await } };
        Box::pin(adopted.into_actor(self).map(|adopted, actor, _| {
            if let Some(sandbox) = adopted? {
                info!(task = %actor.deps.task, sandbox = sandbox.name(), "took over the sandbox that stands");
                actor.work = Some(sandbox);
            }
            Ok(actor.work.is_some())
        }))
    }
}

impl Handler<Run> for SandboxActor {
    type Result = ();

    fn handle(&mut self, run: Run, ctx: &mut Context<Self>) {
        let sandbox = self.work();
        let Run { step, command, timeout, answer } = run;
        let ran = async move { sandbox?.run(&CommandRequest { step, command, timeout }).await };
        self.answer_if_wanted(ran, answer, ctx);
    }
}

impl Handler<Recall> for SandboxActor {
    type Result = ();

    fn handle(&mut self, Recall { step, patience, answer }: Recall, ctx: &mut Context<Self>) {
        let sandbox = self.work();
        self.answer_if_wanted(async move { sandbox?.recall(step, patience).await }, answer, ctx);
    }
}

impl Handler<ExportChanges> for SandboxActor {
    type Result = ();

    fn handle(&mut self, export: ExportChanges, ctx: &mut Context<Self>) {
        let (sandbox, max_bytes) = (self.work(), self.deps.max_export_bytes);
        let ExportChanges { base, known, answer } = export;
        let exported = async move { sandbox?.export_changes(&base, known.as_ref(), max_bytes).await };
        self.answer_if_wanted(exported, answer, ctx);
    }
}

impl Handler<Destroy> for SandboxActor {
    type Result = ResponseActFuture<Self, Result<(), SandboxError>>;

    fn handle(&mut self, _: Destroy, _: &mut Context<Self>) -> Self::Result {
        self.destroyed.send_replace(());
        let standing: Vec<_> = [self.work.clone(), self.check.clone()].into_iter().flatten().collect();
        let (deps, knows_all) = (self.deps.clone(), self.knows_all);
        let destroyed = async move {
            for sandbox in standing {
                sandbox.destroy().await?;
            }
            if !knows_all {
                deps.sandboxes.remove_strays(&deps.node, &|spec| spec.task != deps.task).await?;
            }
            Ok(())
        };
        Box::pin(destroyed.into_actor(self).map(|destroyed: Result<(), SandboxError>, actor, _| {
            if destroyed.is_ok() {
                (actor.work, actor.check) = (None, None);
                actor.knows_all = true;
            }
            destroyed
        }))
    }
}
