//! Taking up again what an earlier life of the node, or of this actor, had under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::task::TaskId;
use crate::task_supervisor::{TaskClaimed, TellTask, Told};

use super::desk::Desk;
use super::lease::Lease;
use super::recovery::{self, Found};
use super::{ClaimManager, release};

/// The pause before a lease of an earlier life of the node is looked for again.
const RECOVERY_PAUSE: Duration = Duration::from_secs(5);
/// A look at a lease of an earlier life that is not done by then is begun anew. What it has written is found again.
const LOOK_LIMIT: Duration = Duration::from_secs(300);

/// The leases that are still being looked up, and whether they are wanted when they are found.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// `None` until the journal has said which there are.
    tasks: Option<HashMap<TaskId, Wanted>>,
    /// Let go before the journal was read.
    released_early: Vec<TaskId>,
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Yes,
    /// The task was let go meanwhile.
    No,
}

impl Recovery {
    pub(super) fn begin(&mut self, tasks: &[TaskId]) {
        let wanted = |task: &TaskId| match self.released_early.contains(task) {
            true => Wanted::No,
            false => Wanted::Yes,
        };
        self.tasks = Some(tasks.iter().map(|task| (task.clone(), wanted(task))).collect());
        self.released_early.clear();
    }

    pub(super) fn is_under_way(&self, task: &TaskId) -> bool {
        self.tasks.as_ref().is_none_or(|tasks| tasks.contains_key(task))
    }

    pub(super) fn release(&mut self, task: TaskId) {
        match &mut self.tasks {
            None => self.released_early.push(task),
            Some(tasks) => {
                if let Some(wanted) = tasks.get_mut(&task) {
                    *wanted = Wanted::No;
                }
            }
        }
    }

    /// A task was looked up; says whether it was let go meanwhile.
    pub(super) fn end(&mut self, task: &TaskId) -> bool {
        self.tasks.as_mut().and_then(|tasks| tasks.remove(task)) == Some(Wanted::No)
    }
}

impl ClaimManager {
    /// Looks up every lease that an earlier life of the node or of this actor may hold, each for itself. `comes_back`:
    /// the node has just started, and not only this actor.
    pub(super) fn recover(&self, comes_back: bool, ctx: &mut Context<Self>) {
        let desk = self.desk();
        let listed = async move { list_until_clear(&desk).await };
        ctx.spawn(listed.into_actor(self).map(move |tasks, manager, ctx| {
            manager.recovery.begin(&tasks);
            for task in tasks {
                manager.look_for(task, comes_back, ctx);
            }
        }));
    }

    /// Goes on with a task that the journal says is under way, when it still is.
    pub(super) fn look_for(&self, task: TaskId, comes_back: bool, ctx: &mut Context<Self>) {
        let looked = look_until_clear(self.desk(), task, comes_back);
        ctx.spawn(looked.into_actor(self).map(|(task, found), manager, ctx| {
            manager.take_up_again(task, found, ctx);
        }));
    }

    fn take_up_again(&mut self, task: TaskId, found: Found, ctx: &mut Context<Self>) {
        let is_released = self.recovery.end(&task);
        match found {
            Found::Held(lease) if is_released => return self.let_go(lease, ctx),
            Found::Held(lease) => self.hold(lease),
            Found::Lost { why } => {
                // One that runs already has not read the journal since.
                self.tell(TellTask { task: task.clone(), told: Told::LeaseLost { why } }, ctx);
            }
            Found::NotNeeded => {}
            Found::Nothing => return,
        }
        info!(%task, "taken up again");
        self.tell(TaskClaimed { task, place: None }, ctx);
    }

    fn let_go(&self, lease: Arc<Lease>, ctx: &mut Context<Self>) {
        let desk = self.desk();
        ctx.spawn(async move { release(&desk, &lease).await }.into_actor(self));
    }
}

async fn list_until_clear(desk: &Desk) -> Vec<TaskId> {
    loop {
        match desk.log.journal().unfinished().await {
            Ok(tasks) => return tasks,
            Err(error) => warn!(%error, "unfinished tasks can't be read yet"),
        }
        tokio::time::sleep(RECOVERY_PAUSE).await;
    }
}

async fn look_until_clear(desk: Desk, task: TaskId, comes_back: bool) -> (TaskId, Found) {
    let mut is_to_count = comes_back;
    loop {
        let looked = async {
            if is_to_count {
                recovery::count(&desk, &task).await?;
                is_to_count = false;
            }
            recovery::look(&desk, &task).await
        };
        match timeout(LOOK_LIMIT, looked).await {
            Ok(Ok(found)) => return (task, found),
            Ok(Err(error)) => warn!(%task, %error, "whether the lease is still ours can't be seen yet"),
            Err(_) => warn!(%task, "whether the lease is still ours is not answered, asked again"),
        }
        tokio::time::sleep(RECOVERY_PAUSE).await;
    }
}
