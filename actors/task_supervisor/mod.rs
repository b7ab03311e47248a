//! `TaskSupervisor`: the parent of every task's actors.
//!
//! Owns: for each task that is under way a `SandboxActor`, a `ReasonerActor` and a `TaskRunner`. Told: `TaskClaimed`,
//! `TellTask`, `TaskOver`, `UnderWay`, `ThreadBlocked`. Tells: the runners. Holds true: one set of actors a task, on a thread of
//! its own; one task's failure touches no other; a set that is replaced records nothing more; a task whose actors fail too
//! often is given up in the journal, then cleaned up. On a restart: all sets are ended and started anew from the journal.

mod children;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;
use tracing::{error, warn};

use crate::jitter::Jitter;
use crate::ports::journal::JournalError;
use crate::supervisor::{ChildEvent, Inbox, Pulses, Report, ThreadNumber, Threads, What};
use crate::task::{TaskEvent, TaskId};
use crate::task_runner::{Happened, Workbench};

use children::Children;

pub(crate) use children::Place;

/// The pause before a journal that can't be read is tried again. No task is taken up meanwhile.
const JOURNAL_PAUSE: Duration = Duration::from_secs(2);

/// The task's lease is this node's; or it is in review, or has only to be cleaned up.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TaskClaimed {
    pub task: TaskId,
    /// A place to work in. Without one the task waits for it.
    pub place: Option<OwnedSemaphorePermit>,
}

/// What a task is told from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    LeaseLost {
        why: String,
    },
    /// The issue is closed, or has lost its label.
    NotWanted {
        why: String,
    },
}

/// A task that is not under way is not told anything.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TellTask {
    pub task: TaskId,
    pub told: Told,
}

/// The task rests: its actors can go.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TaskOver {
    pub task: TaskId,
}

/// The tasks that have actors.
#[derive(Message)]
#[rtype(result = "Vec<TaskId>")]
pub struct UnderWay;

#[derive(Clone)]
pub struct TaskSupervisorDeps {
    pub bench: Workbench,
    pub jitter: Jitter,
    pub pulses: Pulses,
    pub threads: Threads,
    /// Its own.
    pub supervisor: Inbox<TaskSupervisor>,
    /// Set once the first life has begun: a later life takes up again what the last one had.
    pub has_lived: Arc<AtomicBool>,
}

pub struct TaskSupervisor {
    deps: TaskSupervisorDeps,
    tasks: HashMap<TaskId, Children>,
}

impl TaskSupervisor {
    pub fn new(deps: TaskSupervisorDeps) -> Self {
        Self { deps, tasks: HashMap::new() }
    }

    fn begin(&mut self, task: TaskId, place: Option<OwnedSemaphorePermit>, is_taken_up: bool) {
        let children = Children::start(&self.deps, &task, (place, is_taken_up), self.report(&task));
        self.tasks.insert(task, children);
    }

    fn report(&self, task: &TaskId) -> Report {
        let (task, supervisor) = (task.clone(), self.deps.supervisor.clone());
        Arc::new(move |ChildEvent { child, what }| match what {
            What::Failed { exit, restart_in } => {
                warn!(%task, child, ?exit, ?restart_in, "actor failed and is started again");
            }
            What::GaveUp { last } => {
                let failed =
                    ActorsFailed { task: task.clone(), why: format!("{child} failed too often: {last:?}") };
                let told = supervisor.send(failed);
                actix::spawn(async move {
                    let _ = told.await;
                });
            }
            What::Restarted { .. } | What::Ended(_) => {}
        })
    }

    fn take_up_again(&mut self, ctx: &mut Context<Self>) {
        let bench = self.deps.bench.clone();
        let unfinished = async move {
            loop {
                match with_runner(&bench).await {
                    Ok(found) => return found,
                    Err(error) => error!(%error, "journal not read, the tasks under way wait"),
                }
                sleep(JOURNAL_PAUSE).await;
            }
        };
        ctx.spawn(unfinished.into_actor(self).map(|found, supervisor, _| {
            for task in found {
                if !supervisor.tasks.contains_key(&task) {
                    supervisor.begin(task, None, true);
                }
            }
        }));
    }
}

/// The tasks that the journal says are under way.
async fn with_runner(bench: &Workbench) -> Result<Vec<TaskId>, JournalError> {
    let mut found = Vec::new();
    for id in bench.log.journal().unfinished().await? {
        if bench.read(&id).await?.0.phase.has_runner() {
            found.push(id);
        }
    }
    Ok(found)
}

impl Actor for TaskSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.deps.has_lived.swap(true, Ordering::Relaxed) {
            self.take_up_again(ctx);
        }
    }
}

crate::supervised!(TaskSupervisor: TaskClaimed, TellTask, TaskOver, UnderWay, ThreadBlocked, ActorsFailed);

impl Handler<TaskClaimed> for TaskSupervisor {
    type Result = ();

    fn handle(&mut self, TaskClaimed { task, place }: TaskClaimed, _: &mut Context<Self>) {
        if !self.tasks.contains_key(&task) {
            self.begin(task, place, false);
        }
    }
}

impl Handler<TellTask> for TaskSupervisor {
    type Result = ();

    fn handle(&mut self, TellTask { task, told }: TellTask, ctx: &mut Context<Self>) {
        let Some(children) = self.tasks.get(&task) else { return };
        let event = match told {
            Told::LeaseLost { why } => TaskEvent::LeaseLost { why },
            Told::NotWanted { why } => TaskEvent::Cancelled { why },
        };
        ctx.spawn(children.runner().send(Happened(event)).into_actor(self).map(|_, _, _| ()));
    }
}

impl Handler<TaskOver> for TaskSupervisor {
    type Result = ();

    fn handle(&mut self, TaskOver { task }: TaskOver, _: &mut Context<Self>) {
        self.tasks.remove(&task);
    }
}

impl Handler<UnderWay> for TaskSupervisor {
    type Result = Vec<TaskId>;

    fn handle(&mut self, _: UnderWay, _: &mut Context<Self>) -> Vec<TaskId> {
        self.tasks.keys().cloned().collect()
    }
}

/// One of the actors that live on this thread blocks it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ThreadBlocked(pub ThreadNumber);

impl Handler<ThreadBlocked> for TaskSupervisor {
    type Result = ();

    /// Whether a task does this again and again, its journal knows: it is taken up only so often.
    fn handle(&mut self, ThreadBlocked(thread): ThreadBlocked, _: &mut Context<Self>) {
        let Some(task) = self.tasks.iter().find(|(_, it)| it.live_on(thread)).map(|(task, _)| task.clone())
        else {
            return;
        };
        let Some(children) = self.tasks.remove(&task) else { return };
        error!(%task, "an actor of the task blocks its thread, which is abandoned");
        let (place, was_given_up) = (children.take_place(), children.was_given_up);
        drop(children);
        self.begin(task.clone(), place, true);
        if let Some(children) = self.tasks.get_mut(&task) {
            children.was_given_up = was_given_up;
        }
    }
}

/// One of a task's actors was given up.
#[derive(Message)]
#[rtype(result = "()")]
struct ActorsFailed {
    task: TaskId,
    why: String,
}

impl Handler<ActorsFailed> for TaskSupervisor {
    type Result = ();

    /// The first time the task is given up in the journal, and a fresh set of actors cleans up. If that fails too,
    /// nothing here can help: what is left is collected when the node starts again.
    fn handle(&mut self, ActorsFailed { task, why }: ActorsFailed, ctx: &mut Context<Self>) {
        let Some(children) = self.tasks.remove(&task) else { return };
        if children.was_given_up {
            error!(%task, why, "task could not be cleaned up and is left for the next start of the node");
            return;
        }
        error!(%task, why, "task is given up");
        let (bench, place) = (self.deps.bench.clone(), children.take_place());
        let given_up = async move {
            if let Err(error) = bench.record_for(&task, TaskEvent::GaveUp { reason: why }).await {
                error!(%task, %error, "end of the task not recorded");
            }
            task
        };
        ctx.spawn(given_up.into_actor(self).map(move |task, supervisor, _| {
            supervisor.begin(task.clone(), place, true);
            if let Some(children) = supervisor.tasks.get_mut(&task) {
                children.was_given_up = true;
            }
        }));
    }
}
