//! One git server as several nodes see it: each over a link of its own, on which requests and answers are late or lost, what
//! is read is old, and refusals are not what they seem. And the record of what came of it all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::claim_manager::Timing;
use bzzz_actors::ports::claims::{
    BranchUpdate, Claims, ClaimsError, LeaseRecord, LeaseState, SeenLease, Swap,
};
use bzzz_actors::task::life::Task;
use bzzz_actors::task::{Epoch, NodeId, RepoId, Sha, TaskEvent, TaskId};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::world::MemoryGit;

/// An adapter waits for an answer at most this long. More than the grace: an answer may come when all is over.
const ANSWER_LIMIT: Duration = Duration::from_secs(25);

/// A lease and the grace by the fastest clock that a node may have.
const SHORTEST_WAIT: Duration =
    Duration::from_millis(((super::TTL_S + super::GRACE_S) * 10.0) as u64 * (100 - super::SLOWEST as u64));
/// From its look at the forge until what it writes is on the server.
const LONGEST_TRY: Duration = Duration::from_secs(60);

/// What goes wrong on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Nothing gets through.
    Cut,
    /// Requests arrive so late, perhaps when nobody waits any more, and answers come back so late.
    Late { there_s: u8, back_s: u8 },
    /// Late at first, then nothing gets through.
    LateThenCut { back_s: u8 },
    /// What is asked for is done, and the answer is lost.
    LosesAnswers,
    /// What is asked for is done, and the answer is that it was refused: something on the way sent it twice.
    RefusesWhatIsDone,
    /// Nothing is done, and the answer is that it was refused.
    Refuses,
    /// Reads show what was there so long ago.
    Stale { by_s: u8 },
    /// The node is killed, and starts again at the end.
    Down,
}

#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) node: usize,
    pub(super) from_s: u64,
    pub(super) for_s: u64,
    pub(super) what: What,
}

impl Trouble {
    fn is_at(&self, s: u64) -> bool {
        (self.from_s..self.from_s + self.for_s).contains(&s)
    }
}

/// The server, and what was seen of everybody.
pub(super) struct Server {
    git: Arc<MemoryGit>,
    start: Instant,
    troubles: Vec<Trouble>,
    ledger: Mutex<Ledger>,
}

#[derive(Default)]
struct Ledger {
    history: HashMap<TaskId, Vec<(Instant, SeenLease)>>,
    /// Of each node's tasks: where they stand as its journal says, and whether it was seen to hold the lease in this life.
    lives: BTreeMap<(NodeId, TaskId), (Task, bool)>,
    down: BTreeSet<NodeId>,
    published: Vec<(TaskId, NodeId, Epoch)>,
    /// Since when a task's pull request is open.
    proposed: HashMap<TaskId, Instant>,
    breaches: Vec<String>,
}

impl Ledger {
    fn acting(&self, id: &TaskId) -> Vec<&NodeId> {
        let acts = |(task, holds): &(Task, bool)| *holds && task.holds_lease && task.phase.needs_lease();
        self.lives
            .iter()
            .filter(|((_, it), life)| it == id && acts(life))
            .map(|((node, _), _)| node)
            .collect()
    }

    /// `after` was written on top of `before`, with the task's branch if it `publishes`.
    fn written(&mut self, before: Option<&LeaseRecord>, after: &LeaseRecord, publishes: bool) {
        let mut breaches = Vec::new();
        let others: Vec<_> = self.acting(&after.task).into_iter().filter(|it| **it != after.node).collect();
        if before.is_none_or(|before| before.node != after.node) && !others.is_empty() {
            breaches.push(format!("{} is taken by {} while {others:?} act", after.task, after.node));
        }
        let is_anothers = |it: &&LeaseRecord| it.node != after.node && it.state != LeaseState::Released;
        if let Some(before) = before.filter(is_anothers) {
            let stood = self.history.get(&after.task).and_then(|it| it.last()).map(|(at, _)| at.elapsed());
            if stood.is_some_and(|stood| stood < SHORTEST_WAIT) {
                breaches.push(format!("{before:?} stood for {stood:?} when {after:?} was written over it"));
            }
            // A try looks for pull requests a moment before it writes.
            let is_proposed = |at: &Instant| at.elapsed() > LONGEST_TRY;
            if self.proposed.get(&after.task).is_some_and(is_proposed) {
                breaches.push(format!("{after:?} was written over {before:?} with a pull request open"));
            }
        }
        if let Some(before) = before {
            let grows = match before.node == after.node {
                true => after.epoch >= before.epoch,
                false => after.epoch > before.epoch,
            };
            if !grows {
                breaches.push(format!("the epoch does not grow: {before:?} {after:?}"));
            }
        }
        if publishes {
            let is_current = before.is_some_and(|before| {
                (&before.node, before.epoch, before.state) == (&after.node, after.epoch, LeaseState::Held)
            });
            if !is_current {
                breaches.push(format!("published under {before:?} by {after:?}"));
            }
            let is_second =
                |(task, _, epoch): &(TaskId, NodeId, Epoch)| *task == after.task && *epoch >= after.epoch;
            if self.published.iter().any(is_second) {
                breaches.push(format!("published twice without a claim between: {after:?}"));
            }
            self.published.push((after.task.clone(), after.node.clone(), after.epoch));
        }
        self.breaches.extend(breaches);
    }
}

impl Server {
    pub(super) fn new(git: Arc<MemoryGit>, troubles: Vec<Trouble>) -> Arc<Self> {
        Arc::new(Self { git, start: Instant::now(), troubles, ledger: Mutex::default() })
    }

    /// A node's way to the server. `timing` is the node's own, whose clock may be fast or slow.
    pub(super) fn link(self: &Arc<Self>, number: usize, timing: Timing) -> Arc<dyn Claims> {
        Arc::new(Link { server: self.clone(), number, ttl_s: timing.ttl.as_secs() })
    }

    pub(super) fn downs(&self, number: usize) -> Vec<Trouble> {
        let mut downs: Vec<Trouble> = self.troubles.clone();
        downs.retain(|it| it.node == number && it.what == What::Down);
        downs.sort_by_key(|it| it.from_s);
        downs
    }

    pub(super) async fn until(&self, s: u64) {
        tokio::time::sleep_until(self.start + Duration::from_secs(s)).await;
    }

    /// The node has recorded that.
    pub(super) fn recorded(&self, node: &NodeId, id: &TaskId, event: &TaskEvent) {
        let mut ledger = self.ledger.lock().unwrap();
        let is_up = !ledger.down.contains(node);
        let life = ledger.lives.entry((node.clone(), id.clone()));
        let (task, holds) = life.or_insert_with(|| (Task::new(id.clone()), false));
        *task = task.clone().step(event).0;
        *holds |= is_up && matches!(event, TaskEvent::Claimed { .. } | TaskEvent::LeaseRenewed { .. });
        let works = matches!(
            event,
            TaskEvent::Prepared { .. }
                | TaskEvent::Replied { .. }
                | TaskEvent::CommandFinished { .. }
                | TaskEvent::ChecksFinished { .. }
                | TaskEvent::Published { .. }
        );
        let holds = ledger.lives.get(&(node.clone(), id.clone())).is_some_and(|(_, holds)| *holds);
        if works && is_up && !holds {
            let breach = format!("{node} works on {id} and was not seen to hold it: {}", event.kind());
            ledger.breaches.push(breach);
        }
        if matches!(event, TaskEvent::PullRequestOpened { .. }) {
            ledger.proposed.entry(id.clone()).or_insert_with(Instant::now);
        }
        let acting = ledger.acting(id);
        if acting.len() > 1 {
            let breach = format!("{acting:?} act on {id} at once");
            ledger.breaches.push(breach);
        }
    }

    pub(super) fn went_down(&self, node: &NodeId) {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.down.insert(node.clone());
        ledger.lives.iter_mut().filter(|((it, _), _)| it == node).for_each(|(_, (_, holds))| *holds = false);
    }

    pub(super) fn came_up(&self, node: &NodeId) {
        self.ledger.lock().unwrap().down.remove(node);
    }

    pub(super) fn breaches(&self) -> Vec<String> {
        self.ledger.lock().unwrap().breaches.clone()
    }

    pub(super) fn published(&self) -> usize {
        self.ledger.lock().unwrap().published.len()
    }

    fn now_s(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    fn seen(&self, task: &TaskId, ago: Duration) -> Option<SeenLease> {
        let until = Instant::now().checked_sub(ago)?;
        let ledger = self.ledger.lock().unwrap();
        let history = ledger.history.get(task)?;
        history.iter().rev().find(|(at, _)| *at <= until).map(|(_, seen)| seen.clone())
    }

    async fn swap(&self, task: &TaskId, from: Option<&Sha>, to: &Sha, branch: Option<&BranchUpdate>) -> Swap {
        let before = self.git.record(task);
        let swap = self.git.swap(task, from, to, branch).await.unwrap();
        if swap == Swap::Done {
            let after = self.git.record(task).unwrap();
            let mut ledger = self.ledger.lock().unwrap();
            ledger.written(before.as_ref(), &after, branch.is_some());
            let seen = SeenLease { sha: to.clone(), record: Some(after) };
            ledger.history.entry(task.clone()).or_default().push((Instant::now(), seen));
        }
        swap
    }
}

struct Link {
    server: Arc<Server>,
    number: usize,
    /// A lease's length by the node's own clock.
    ttl_s: u64,
}

/// What there is to do on the server, and how an answer is wrong.
#[derive(Default)]
struct Weather {
    is_cut: bool,
    there: Duration,
    back: Duration,
    loses_answer: bool,
    refuses: bool,
    refuses_after: bool,
    stale_by: Duration,
}

impl Link {
    fn weather(&self) -> Weather {
        let mut weather = Weather { there: Duration::from_millis(20), ..Weather::default() };
        let now_s = self.server.now_s();
        let troubles = self.server.troubles.iter().filter(|it| it.node == self.number && it.is_at(now_s));
        for Trouble { from_s, for_s, what, .. } in troubles {
            match *what {
                What::Cut => weather.is_cut = true,
                What::Late { there_s, back_s } => {
                    weather.there += Duration::from_secs(there_s.into());
                    weather.back += Duration::from_secs(back_s.into());
                }
                What::LateThenCut { back_s } => match now_s < from_s + for_s / 4 {
                    true => weather.back += Duration::from_secs(back_s.into()),
                    false => weather.is_cut = true,
                },
                What::LosesAnswers => weather.loses_answer = true,
                What::RefusesWhatIsDone => weather.refuses_after = true,
                What::Refuses => weather.refuses = true,
                What::Stale { by_s } => weather.stale_by = Duration::from_secs(by_s.into()),
                What::Down => {}
            }
        }
        weather
    }

    /// Does `act` on the server, also when nobody waits for it any more.
    async fn call<T: Send + 'static>(
        &self,
        act: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ClaimsError> {
        let Weather { is_cut, there, back, loses_answer, .. } = self.weather();
        let (answer, answered) = oneshot::channel();
        if !is_cut {
            tokio::spawn(async move {
                sleep(there).await;
                let done = act.await;
                sleep(back).await;
                if !loses_answer {
                    // Who asked may be gone.
                    let _ = answer.send(done);
                }
            });
        } else {
            // No connection comes about.
            std::mem::forget(answer);
        }
        match timeout(ANSWER_LIMIT, answered).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(ClaimsError::Unclear("connection reset".into())),
            Err(_) => Err(ClaimsError::Unclear("no answer".into())),
        }
    }

    /// Seconds are this node's own.
    fn by_own_clock(&self, seen: SeenLease) -> SeenLease {
        let ttl_s = self.ttl_s;
        SeenLease { record: seen.record.map(|record| LeaseRecord { ttl_s, ..record }), ..seen }
    }
}

#[async_trait]
impl Claims for Link {
    async fn read(&self, task: &TaskId) -> Result<Option<SeenLease>, ClaimsError> {
        let (server, task, ago) = (self.server.clone(), task.clone(), self.weather().stale_by);
        let seen = self.call(async move { server.seen(&task, ago) }).await?;
        Ok(seen.map(|seen| self.by_own_clock(seen)))
    }

    async fn list(&self, repo: &RepoId) -> Result<Vec<(u64, Sha)>, ClaimsError> {
        let all: Vec<u64> = (1..=super::MAX_TASKS).collect();
        let seen = self.read_all(repo, &all).await?;
        Ok(seen.into_iter().map(|(number, seen)| (number, seen.sha)).collect())
    }

    async fn read_all(&self, repo: &RepoId, numbers: &[u64]) -> Result<Vec<(u64, SeenLease)>, ClaimsError> {
        let (server, repo, numbers, ago) =
            (self.server.clone(), repo.clone(), numbers.to_vec(), self.weather().stale_by);
        let seen = self.call(async move {
            let one = |number| Some((number, server.seen(&TaskId::new(repo.clone(), number), ago)?));
            numbers.into_iter().filter_map(one).collect::<Vec<_>>()
        });
        let seen = seen.await?;
        Ok(seen.into_iter().map(|(number, seen)| (number, self.by_own_clock(seen))).collect())
    }

    async fn read_branch(&self, task: &TaskId) -> Result<Option<Sha>, ClaimsError> {
        let (git, task) = (self.server.git.clone(), task.clone());
        self.call(async move { git.branch(&task) }).await
    }

    async fn draft(&self, previous: Option<&Sha>, record: &LeaseRecord) -> Result<Sha, ClaimsError> {
        self.server.git.draft(previous, record).await
    }

    async fn swap(
        &self,
        task: &TaskId,
        from: Option<&Sha>,
        to: &Sha,
        branch: Option<&BranchUpdate>,
    ) -> Result<Swap, ClaimsError> {
        let Weather { refuses, refuses_after, .. } = self.weather();
        let (server, task, from, to, branch) =
            (self.server.clone(), task.clone(), from.cloned(), to.clone(), branch.cloned());
        self.call(async move {
            if refuses {
                return Swap::Refused;
            }
            let swap = server.swap(&task, from.as_ref(), &to, branch.as_ref()).await;
            if refuses_after { Swap::Refused } else { swap }
        })
        .await
    }

    async fn delete(&self, _: &TaskId, _: &Sha) -> Result<Swap, ClaimsError> {
        unreachable!("no issue is closed")
    }

    async fn probe(&self, _: &RepoId, _: &NodeId) -> Result<(), ClaimsError> {
        Ok(())
    }
}
