//! `SandboxActor`: one for each task.
//!
//! Owns: the sandbox where the model works, and while checks run the one they run in. Told: `Open`, `Run`, `Export`,
//! `RunChecks`, `Destroy`. Tells: nobody; outcomes are its answers. Holds true: at most one sandbox of each purpose
//! stands; when it has none, every request but `Open` and `RunChecks` is answered with `Lost`. On a restart: the
//! sandbox is forgotten and made anew, and the next `Open` removes the left-over by its name.

mod checks;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{oneshot, watch};

use crate::ports::code::CodeIn;
use crate::ports::sandbox::{
    CommandOutcome, CommandRequest, Purpose, Sandbox, SandboxError, SandboxSpec, Sandboxes, WorkBundle,
};
use crate::task::{Epoch, NodeId, Sha, TaskId};

pub use checks::{CheckRun, RunChecks};

/// Makes the work sandbox, in place of the one there if there is one, and puts the code in. Answers with its name.
#[derive(Message)]
#[rtype(result = "Result<String, SandboxError>")]
pub struct Open {
    pub epoch: Epoch,
    pub code: CodeIn,
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

#[derive(Message)]
#[rtype(result = "Result<WorkBundle, SandboxError>")]
pub struct Export {
    pub base: Sha,
}

/// Removes what stands, and gives up what is being made. Succeeds when there is neither.
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
}

impl SandboxActor {
    pub fn new(deps: SandboxDeps) -> Self {
        Self { deps, work: None, check: None, destroyed: watch::Sender::new(()) }
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

    /// A sandbox with `code` in it, owned by this actor before anything can go wrong in it.
    fn open(&self, epoch: Epoch, purpose: Purpose, code: CodeIn) -> Opening {
        let (sandboxes, spec) = (self.deps.sandboxes.clone(), self.spec(epoch, purpose));
        let mut destroyed = self.destroyed.subscribe();
        let started = async move {
            tokio::select! {
                biased;
                _ = destroyed.changed() => Err(SandboxError::Lost("it was destroyed before it stood".to_owned())),
                started = sandboxes.start(&spec) => started,
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

crate::supervised!(SandboxActor);

impl Handler<Open> for SandboxActor {
    type Result = ResponseActFuture<Self, Result<String, SandboxError>>;

    fn handle(&mut self, Open { epoch, code }: Open, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.open(epoch, Purpose::Work, code).map(|opened, _, _| Ok(opened?.name())))
    }
}

impl Handler<Run> for SandboxActor {
    type Result = ();

    fn handle(&mut self, run: Run, ctx: &mut Context<Self>) {
        let sandbox = self.work();
        let Run { step, command, timeout, mut answer } = run;
        let ran = async move { sandbox?.run(&CommandRequest { step, command, timeout }).await };
        let answered = async move {
            let ran = tokio::select! {
                ran = ran => Some(ran),
                () = answer.closed() => None,
            };
            ran.map(|ran| answer.send(ran))
        };
        ctx.spawn(answered.into_actor(self).map(|_, _, _| ()));
    }
}

impl Handler<Export> for SandboxActor {
    type Result = ResponseActFuture<Self, Result<WorkBundle, SandboxError>>;

    fn handle(&mut self, Export { base }: Export, _: &mut Context<Self>) -> Self::Result {
        let (sandbox, max_bytes) = (self.work(), self.deps.max_export_bytes);
        Box::pin(async move { sandbox?.export(&base, max_bytes).await }.into_actor(self))
    }
}

impl Handler<Destroy> for SandboxActor {
    type Result = ResponseActFuture<Self, Result<(), SandboxError>>;

    fn handle(&mut self, _: Destroy, _: &mut Context<Self>) -> Self::Result {
        self.destroyed.send_replace(());
        let standing: Vec<_> = [self.work.clone(), self.check.clone()].into_iter().flatten().collect();
        let destroyed = async move {
            for sandbox in standing {
                sandbox.destroy().await?;
            }
            Ok(())
        };
        Box::pin(destroyed.into_actor(self).map(|destroyed: Result<(), SandboxError>, actor, _| {
            if destroyed.is_ok() {
                (actor.work, actor.check) = (None, None);
            }
            destroyed
        }))
    }
}
