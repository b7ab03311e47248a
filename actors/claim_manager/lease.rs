//! A lease that this node holds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::claims::{BranchUpdate, LeaseState, SeenLease};
use crate::task::{Epoch, Sha, TaskEvent, TaskId};

use super::acquire::holder_of;
use super::desk::{Desk, DeskError, Settled};

/// Longer than any node runs.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);
/// A branch that keeps moving under us is pushed to this often.
const TRIES: u32 = 3;

/// What came of an act on a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Done,
    Lost { why: String },
}

pub(super) struct Lease {
    pub(super) task: TaskId,
    pub(super) epoch: Epoch,
    /// Acts come one after the other: each swaps from where the last one left the reference.
    now: tokio::sync::Mutex<Now>,
    /// Counted from before the last write that succeeded was sent.
    deadline: Mutex<Instant>,
}

struct Now {
    sha: Sha,
    /// The commit that was published with the lease's last write.
    published: Option<Sha>,
    /// What was sent on top of `sha` with an answer that never became clear, each with the commit it would publish.
    unclear: Vec<(Sha, Option<Sha>)>,
}

impl Now {
    fn at(sha: Sha, published: Option<Sha>) -> tokio::sync::Mutex<Self> {
        tokio::sync::Mutex::new(Self { sha, published, unclear: Vec::new() })
    }

    /// Goes on from a write of our own that arrived after all; says whether `seen` is one.
    fn take_up(&mut self, seen: Option<&SeenLease>) -> bool {
        let ours = self.unclear.iter().position(|(sha, _)| Some(sha) == seen.map(|it| &it.sha));
        let Some((sha, published)) = ours.map(|at| self.unclear.swap_remove(at)) else { return false };
        *self = Self { sha, published, unclear: Vec::new() };
        true
    }
}

impl Lease {
    pub(super) fn new(task: TaskId, epoch: Epoch, sha: Sha, deadline: Instant) -> Arc<Self> {
        Arc::new(Self { task, epoch, now: Now::at(sha, None), deadline: Mutex::new(deadline) })
    }

    /// A lease whose last write published `commit`, as a node finds it that went down before it knew. It can't be
    /// lost any more.
    pub(super) fn already_published(task: TaskId, epoch: Epoch, sha: Sha, commit: Sha) -> Arc<Self> {
        let now = Now::at(sha, Some(commit));
        Arc::new(Self { task, epoch, now, deadline: Mutex::new(Instant::now() + NEVER) })
    }

    /// Past it the lease may be another's.
    pub(super) fn deadline(&self) -> Instant {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn extend(&self, deadline: Instant) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    pub(super) async fn renew(&self, desk: &Desk) -> Result<Act, DeskError> {
        let mut now = self.now.lock().await;
        if now.published.is_some() {
            return Ok(Act::Done);
        }
        let act = self.write(desk, &mut now, LeaseState::Held, None, || true).await?;
        if act == Act::Done {
            let event = TaskEvent::LeaseRenewed { lease: now.sha.clone() };
            desk.note(&self.task, self.epoch, event).await?;
        }
        Ok(act)
    }

    /// Moves the task's branch to `commit` and the lease to done, both or neither. Doing it twice does it once.
    /// Nothing is pushed any more once `is_wanted` says no.
    pub(super) async fn publish(
        &self,
        desk: &Desk,
        commit: &Sha,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Act, DeskError> {
        let mut now = self.now.lock().await;
        if now.published.as_ref() == Some(commit) {
            return Ok(Act::Done);
        }
        let act = self.write(desk, &mut now, LeaseState::Done, Some(commit), is_wanted).await?;
        if now.published.is_some() {
            // An open pull request keeps others away from here on.
            self.extend(Instant::now() + NEVER);
        }
        Ok(act)
    }

    /// Lets others take the task, unless its work is published: then it is done, and stays so.
    pub(super) async fn release(&self, desk: &Desk) -> Result<Act, DeskError> {
        let mut now = self.now.lock().await;
        if now.published.is_some() {
            return Ok(Act::Done);
        }
        self.write(desk, &mut now, LeaseState::Released, None, || true).await
    }

    async fn write(
        &self,
        desk: &Desk,
        now: &mut Now,
        state: LeaseState,
        commit: Option<&Sha>,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Act, DeskError> {
        let act = match state {
            LeaseState::Held => "renew the lease",
            LeaseState::Done => "push branch and lease",
            LeaseState::Released => "release the lease",
        };
        for _ in 0..TRIES {
            let sent_at = Instant::now();
            if sent_at >= self.deadline() {
                return Ok(Act::Lost { why: "its time ran out before it could be renewed".to_owned() });
            }
            let branch = match commit {
                Some(to) => {
                    Some(BranchUpdate { from: desk.claims.read_branch(&self.task).await?, to: to.clone() })
                }
                None => None,
            };
            let to = desk.draft(&self.task, self.epoch, Some(&now.sha), state).await?;
            let intent = TaskEvent::LeaseIntended { lease: to.clone(), commit: commit.cloned() };
            desk.note(&self.task, self.epoch, intent).await?;
            if !is_wanted() {
                return Ok(Act::Lost { why: "nobody waits for it any more".to_owned() });
            }
            now.unclear.push((to.clone(), commit.cloned()));
            match desk.swap(act, &self.task, Some(&now.sha), &to, branch.as_ref(), self.deadline()).await? {
                Settled::Ours => {
                    *now = Now { sha: to, published: commit.cloned(), unclear: Vec::new() };
                    self.extend(sent_at + desk.timing.ttl);
                    return Ok(Act::Done);
                }
                Settled::Theirs(seen) if now.take_up(seen.as_ref()) => {
                    let is_done = |published: &Sha| commit.is_none_or(|wanted| wanted == published);
                    if now.published.as_ref().is_some_and(is_done) {
                        self.extend(Instant::now() + NEVER);
                        return Ok(Act::Done);
                    }
                }
                Settled::Theirs(seen) => {
                    let why = format!("the claim reference is now held by {}", holder_of(seen));
                    return Ok(Act::Lost { why });
                }
                Settled::BranchMoved => {}
                Settled::Unknown => {
                    return Ok(Act::Lost {
                        why: "the git server did not answer until its time ran out".to_owned(),
                    });
                }
            }
        }
        Ok(Act::Lost { why: format!("the branch {} moved with every try", self.task.branch()) })
    }
}
