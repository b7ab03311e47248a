//! `ClaimManager`: exactly one owner a task.
//!
//! Owns: the leases that this node holds, and what may be tried for. Told: `TaskFound`, `PersonCalled`, `RepositoryListed`,
//! `RepositoryDropped`, `Publish`, `Release`, its own ticks, and what is heard of the other nodes.
//! Tells: the supervisor of tasks, `TaskClaimed` and `LeaseLost`; the swarm, what it has free and who lied. Holds true: nobody else in the node moves a claim
//! reference or a task's branch; a lease whose deadline passed is given up before anyone else may take it; a branch moves only
//! together with a lease that is still ours. On a restart: the leases are looked up from the journal and the claim
//! references, and renewed; tasks that run meanwhile go on.

mod acquire;
mod announced;
mod candidates;
mod collection;
mod desk;
mod failed;
mod hearsay;
mod lease;
mod queue;
mod rank;
mod recovery;
mod rules;
#[cfg(test)]
mod samples;
mod surrender;
mod taking_up;
mod watching;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::fut::wrap_stream;
use actix::prelude::*;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::Instant;
use tracing::warn;

use crate::audit_logger::AuditLog;
use crate::jitter::Jitter;
use crate::ports::claims::{Claims, SeenLease};
use crate::ports::forge::Forge;
use crate::ports::swarm::{Availability, PeerId, Said};
use crate::supervisor::{Inbox, Letter};
use crate::swarm_actor::{News, Roster, SwarmActor, SwarmView};
use crate::task::life::Task;
use crate::task::{NodeId, Sha, TaskEvent, TaskId};
use crate::task_supervisor::{TaskSupervisor, TellTask, Told};
use crate::trust::Trust;

use collection::Collection;
use desk::{Desk, DeskError};
use failed::Failed;
use lease::{Act, Lease};
use queue::{Candidates, Found};
use rules::{Decision, Watch};
use taking_up::Recovery;
use watching::Watching;

pub use collection::RepositoryListed;
pub use rank::Traits;
pub use rules::Timing;
pub(crate) use surrender::surrender;
pub use watching::RepositoryDropped;

/// How often leases and places are looked at. A deadline is noticed at most this late, which `grace` must cover.
const TICK: Duration = Duration::from_secs(1);

/// An issue that wants to be worked on. It is tried for as soon as there is a place and it is this node's turn; nothing
/// comes back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TaskFound {
    pub task: TaskId,
    /// What to work from, if it is not the default branch.
    pub branch: Option<String>,
    pub traits: Traits,
    /// The peer that saw it; `None`: this node has.
    pub from: Option<PeerId>,
}

/// Move the task's branch to `commit` if, and only if, the task is still this node's. Whoever no longer wants it drops the
/// receiver: nothing is pushed then that was not under way.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish {
    pub task: TaskId,
    pub commit: Sha,
    pub answer: oneshot::Sender<Result<(), PublishError>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("the lease is lost: {0}")]
    LeaseLost(String),
    /// May pass.
    #[error(transparent)]
    Failed(#[from] DeskError),
    #[error("whether the lease is still held is being looked up")]
    Recovering,
}

/// The task is no longer worked on: others may take it. Succeeds when the lease is not held.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Release {
    pub task: TaskId,
    /// A person is to look at it before this node tries again.
    pub has_failed: bool,
}

/// The node is to stop: no more tasks are claimed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TakeNoMore;

/// The issue bears the label that calls for a person.
#[derive(Message)]
#[rtype(result = "()")]
pub struct PersonCalled {
    pub task: TaskId,
}

#[derive(Clone)]
pub struct ClaimDeps {
    pub node: NodeId,
    pub claims: Arc<dyn Claims>,
    pub forge: Arc<dyn Forge>,
    pub task_label: String,
    /// Whose issues may be claimed.
    pub trust: Arc<Trust>,
    pub log: AuditLog,
    pub timing: Timing,
    pub jitter: Jitter,
    pub nonce: Arc<dyn Fn() -> String + Send + Sync>,
    /// One permit for each task that may be worked on at once.
    pub places: Arc<Semaphore>,
    /// Known once the supervisor of tasks is started, which is after this actor.
    pub tasks: Arc<OnceLock<Inbox<TaskSupervisor>>>,
    /// The other nodes: who tries first, and what they say that they work on.
    pub swarm: SwarmView,
    pub swarm_actor: Inbox<SwarmActor>,
    /// What others are told of this node's places.
    pub availability: watch::Sender<Availability>,
    /// Set once the first life has begun: in a later one the node has not been away.
    pub has_lived: Arc<AtomicBool>,
}

pub struct ClaimManager {
    deps: ClaimDeps,
    held: HashMap<TaskId, Held>,
    watch: Watch,
    candidates: Candidates,
    failed: Failed,
    recovery: Recovery,
    collection: Collection,
    watching: Watching,
    takes_no_more: bool,
}

struct Held {
    lease: Arc<Lease>,
    next_renewal: Instant,
    is_renewing: bool,
}

impl ClaimManager {
    pub fn new(deps: ClaimDeps) -> Self {
        Self {
            deps,
            held: HashMap::new(),
            watch: Watch::default(),
            candidates: Candidates::default(),
            failed: Failed::default(),
            recovery: Recovery::default(),
            collection: Collection::default(),
            watching: Watching::default(),
            takes_no_more: false,
        }
    }

    fn desk(&self) -> Desk {
        Desk::new(&self.deps)
    }

    fn decide(&mut self, before: &Task, seen: Option<&SeenLease>) -> Decision {
        self.watch.decide(&before.id, seen, before.epoch, Instant::now(), &self.deps.timing)
    }

    fn hold(&mut self, lease: Arc<Lease>) {
        let next_renewal = Instant::now() + (self.deps.jitter)(self.deps.timing.renew_every);
        self.watch.forget(&lease.task);
        self.held.insert(lease.task.clone(), Held { lease, next_renewal, is_renewing: false });
    }

    /// Gives up the leases whose time ran out, renews those whose time has come, looks at others' and fills free places.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let expired: Vec<TaskId> = self.held_where(|held| now >= held.lease.deadline());
        for task in expired {
            self.lose(&task, "its time ran out before it could be renewed".to_owned(), ctx);
        }
        let due: Vec<TaskId> = self.held_where(|held| now >= held.next_renewal && !held.is_renewing);
        for task in due {
            self.renew(&task, ctx);
        }
        self.look_at_claims(ctx);
        self.try_candidates(ctx);
    }

    /// Follows what is heard of the others, as long as this actor lives.
    fn follow_swarm(&mut self, ctx: &mut Context<Self>) {
        self.see_roster(self.deps.swarm.roster());
        let followed = wrap_stream::<_, Self>(self.deps.swarm.rosters()).map(|roster, manager, ctx| {
            manager.see_roster(roster);
            manager.try_candidates(ctx);
        });
        ctx.spawn(followed.finish());
        let heard =
            wrap_stream::<_, Self>(self.deps.swarm.news()).map(|news, manager, _| manager.hear(&news));
        ctx.spawn(heard.finish());
    }

    /// A node whose own history is lost takes no more tasks, as long as it runs: the roster outlives this actor.
    fn see_roster(&mut self, roster: Arc<Roster>) {
        self.takes_no_more |= roster.lost.is_some();
        self.candidates.see(roster, Instant::now());
    }

    fn hear(&mut self, news: &News) {
        if let Said::Task(announcement) = &news.said {
            self.candidates.hear(&news.from, announcement, Instant::now());
        }
    }

    fn held_where(&self, is: impl Fn(&Held) -> bool) -> Vec<TaskId> {
        self.held.iter().filter(|(_, held)| is(held)).map(|(task, _)| task.clone()).collect()
    }

    fn renew(&mut self, task: &TaskId, ctx: &mut Context<Self>) {
        let desk = self.desk();
        let Some(held) = self.held.get_mut(task) else { return };
        held.is_renewing = true;
        let lease = held.lease.clone();
        let renewed = async move { (lease.renew(&desk).await, lease) };
        ctx.spawn(renewed.into_actor(self).map(|(renewed, lease), manager, ctx| {
            manager.after_renewal(&lease.task, renewed, ctx);
        }));
    }

    fn after_renewal(&mut self, task: &TaskId, renewed: Result<Act, DeskError>, ctx: &mut Context<Self>) {
        let renew_every = (self.deps.jitter)(self.deps.timing.renew_every);
        let Some(held) = self.held.get_mut(task) else { return };
        held.is_renewing = false;
        match renewed {
            Ok(Act::Done) => held.next_renewal = Instant::now() + renew_every,
            Ok(Act::Lost { why }) => self.lose(task, why, ctx),
            Err(error) => {
                warn!(%task, %error, "lease not renewed");
                held.next_renewal = Instant::now() + renew_every / 10;
            }
        }
    }

    fn lose(&mut self, task: &TaskId, why: String, ctx: &mut Context<Self>) {
        let Some(held) = self.held.remove(task) else { return };
        warn!(%task, why, "lease lost");
        let (desk, lost) = (self.desk(), why.clone());
        // In the journal first: a supervisor that restarts just now finds out from there.
        let noted = async move {
            desk.note(&held.lease.task, held.lease.epoch, TaskEvent::LeaseLost { why: lost }).await
        };
        let task = task.clone();
        ctx.spawn(noted.into_actor(self).map(move |noted, manager, ctx| {
            if let Err(error) = noted {
                warn!(%task, %error, "the loss of a lease was not recorded");
            }
            manager.tell(TellTask { task, told: Told::LeaseLost { why } }, ctx);
        }));
    }

    /// A supervisor that is not there (before its start, or while it restarts) finds out from the journal.
    fn tell<M>(&self, message: M, ctx: &mut Context<Self>)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        TaskSupervisor: Handler<Letter<M>>,
    {
        if let Some(tasks) = self.deps.tasks.get() {
            ctx.spawn(tasks.send(message).into_actor(self).map(|_, _, _| ()));
        }
    }
}

/// One that can't be released now runs out by itself.
async fn release(desk: &Desk, lease: &Lease) {
    if let Err(error) = lease.release(desk).await {
        warn!(task = %lease.task, %error, "lease not released");
    }
}

impl Actor for ClaimManager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let comes_back = !self.deps.has_lived.swap(true, Ordering::Relaxed);
        self.recover(comes_back, ctx);
        self.follow_swarm(ctx);
        ctx.run_interval(TICK, Self::tick);
    }
}

crate::supervised!(ClaimManager: TaskFound, Publish, Release, TakeNoMore, PersonCalled, RepositoryListed, RepositoryDropped);

impl Handler<TaskFound> for ClaimManager {
    type Result = ();

    fn handle(&mut self, found: TaskFound, ctx: &mut Context<Self>) {
        let TaskFound { task, branch, traits, from } = found;
        let is_free = !self.held.contains_key(&task) && !self.failed.is_left_alone(&task);
        if !is_free || self.takes_no_more {
            return;
        }
        let now = Instant::now();
        self.watching.found(&task, branch.clone(), from.is_none());
        if !self.watching.is_held(&task, now, &self.deps.timing) {
            let found = Found { branch, traits, from, failures: 0 };
            self.candidates.found(task, found, now);
            self.try_candidates(ctx);
        }
    }
}

impl Handler<Publish> for ClaimManager {
    type Result = ();

    fn handle(&mut self, Publish { task, commit, answer }: Publish, ctx: &mut Context<Self>) {
        let Some(lease) = self.held.get(&task).map(|held| held.lease.clone()) else {
            let refusal = match self.recovery.is_under_way(&task) {
                true => PublishError::Recovering,
                false => PublishError::LeaseLost("this node does not hold it".to_owned()),
            };
            // Nobody may wait any more.
            let _ = answer.send(Err(refusal));
            return;
        };
        let desk = self.desk();
        let published = async move {
            let published = lease.publish(&desk, &commit, || !answer.is_closed()).await;
            (published, answer)
        };
        ctx.spawn(published.into_actor(self).map(move |(published, answer), manager, _| {
            let told = match published {
                // The lease stays here until it is let go: who asks again is told the same.
                Ok(Act::Done) => Ok(()),
                Ok(Act::Lost { .. }) if answer.is_closed() => return,
                Ok(Act::Lost { why }) => {
                    manager.held.remove(&task);
                    Err(PublishError::LeaseLost(why))
                }
                Err(error) => Err(error.into()),
            };
            let _ = answer.send(told);
        }));
    }
}

impl Handler<Release> for ClaimManager {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Release { task, has_failed }: Release, _: &mut Context<Self>) -> Self::Result {
        let may_label = self.deps.forge.may_label(&task.repo);
        if has_failed && may_label {
            self.failed.note(task.clone());
        }
        let Some(held) = self.held.remove(&task) else {
            self.recovery.release(task);
            return Box::pin(async {}.into_actor(self));
        };
        if has_failed && !may_label {
            // It runs out instead. By then the page says that the node gave up, which keeps the others away.
            return Box::pin(async {}.into_actor(self));
        }
        let desk = self.desk();
        Box::pin(async move { release(&desk, &held.lease).await }.into_actor(self))
    }
}

impl Handler<TakeNoMore> for ClaimManager {
    type Result = ();

    fn handle(&mut self, _: TakeNoMore, _: &mut Context<Self>) {
        self.takes_no_more = true;
        self.show_availability();
    }
}

impl Handler<PersonCalled> for ClaimManager {
    type Result = ();

    fn handle(&mut self, PersonCalled { task }: PersonCalled, _: &mut Context<Self>) {
        self.failed.person_called(&task);
    }
}
