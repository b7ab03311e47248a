//! Claim references of closed issues are deleted, at leisure: otherwise a repository would keep one for each task that it
//! ever had, and every node would list them all.
//!
//! Holds true: a claim goes only when it has stood at the same commit for as long as its lease lasts, its issue is
//! closed, and this node has nothing left to do for the task; and only from exactly that commit. Whoever claims at that
//! moment, because the issue was opened again, is either first, and the deletion is refused, or finds no claim any more
//! and begins anew. Several nodes may do it at once: the second finds it done.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use actix::prelude::*;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::ports::claims::Swap;
use crate::ports::forge::{Forge, ForgeError};
use crate::ports::swarm::PeerId;
use crate::task::{IssueState, RepoId, Sha, TaskId};

use super::ClaimManager;
use super::acquire::read;
use super::desk::{Desk, DeskError};
use super::rules::{Timing, ttl_of};

/// How often a repository's claims are listed for this. More often asks the git server for nothing; more seldom, and a
/// node that is started again often never sees a claim stand for long enough.
const ROUND_PAUSE: Duration = Duration::from_secs(3600);
/// The first round comes this late: a node that has just started has its tasks to take up.
const FIRST_ROUND_AFTER: Duration = Duration::from_secs(5 * 60);
/// Issues that are asked for in one round, each a request of the forge's quota; the next round goes on after them.
const ASKED_IN_ROUND: usize = 20;
/// A round that hangs is given up, and the next one comes in its time.
const ROUND_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The open issues of a repository that have the label, as they were just listed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RepositoryListed {
    pub repo: RepoId,
    pub open: BTreeSet<u64>,
    /// The peer that saw it; `None`: this node has.
    pub from: Option<PeerId>,
    /// Whether this node is the one that looks for all. The others leave old claims to it.
    pub is_for_all: bool,
}

/// What is known of each repository's claims. Lost on a restart: then all of them have to stand for as long again.
#[derive(Debug, Default)]
pub(super) struct Collection {
    repositories: HashMap<RepoId, Repository>,
}

#[derive(Debug)]
struct Repository {
    next_round: Instant,
    /// Since when each claim was seen at the commit at which it was last seen.
    standing: HashMap<u64, (Sha, Instant)>,
    /// The last issue that was asked for.
    asked: u64,
}

impl Collection {
    /// Whether the repository's turn has come; if so, the next one comes after a pause.
    fn take_turn(&mut self, repo: &RepoId, now: Instant) -> bool {
        let new = || Repository { next_round: now + FIRST_ROUND_AFTER, standing: HashMap::new(), asked: 0 };
        let repository = self.repositories.entry(repo.clone()).or_insert_with(new);
        let has_come = now >= repository.next_round;
        if has_come {
            repository.next_round = now + ROUND_PAUSE;
        }
        has_come
    }

    /// Takes in what the claims are at, and says which may be looked at more closely.
    fn see(
        &mut self,
        repo: &RepoId,
        claims: Vec<(u64, Sha)>,
        open: &BTreeSet<u64>,
        timing: &Timing,
        now: Instant,
    ) -> Vec<Standing> {
        let Some(repository) = self.repositories.get_mut(repo) else { return Vec::new() };
        let mut before = std::mem::take(&mut repository.standing);
        for (number, sha) in claims.into_iter().filter(|(number, _)| !open.contains(number)) {
            let since = match before.remove(&number) {
                Some((seen, since)) if seen == sha => since,
                _ => now,
            };
            repository.standing.insert(number, (sha, since));
        }
        let has_stood = |since: Instant| now.duration_since(since) >= timing.ttl + timing.grace;
        let mut found: Vec<Standing> = repository
            .standing
            .iter()
            .filter(|(_, (_, since))| has_stood(*since))
            .map(|(number, (sha, since))| Standing {
                task: TaskId::new(repo.clone(), *number),
                sha: sha.clone(),
                stood_for: now.duration_since(*since),
            })
            .collect();
        // Those after the last one come first, so that each has its turn.
        found.sort_by_key(|it| (it.task.number <= repository.asked, it.task.number));
        found.truncate(ASKED_IN_ROUND);
        if let Some(last) = found.last() {
            repository.asked = last.task.number;
        }
        found
    }
}

/// A claim that has not moved for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    task: TaskId,
    sha: Sha,
    stood_for: Duration,
}

impl Handler<RepositoryListed> for ClaimManager {
    type Result = ();

    fn handle(&mut self, listed: RepositoryListed, ctx: &mut Context<Self>) {
        let RepositoryListed { repo, open, from, is_for_all } = listed;
        let now = Instant::now();
        self.watching.listed(&repo, from.is_none(), now);
        self.candidates.listed(&repo, &open, from.as_ref());
        if from.is_none() {
            self.watch.keep_only(&repo, &open);
        }
        if self.takes_no_more || !is_for_all || !self.collection.take_turn(&repo, now) {
            return;
        }
        let (desk, listed) = (self.desk(), repo.clone());
        let claims = async move { timeout(ROUND_LIMIT, desk.claims.list(&listed)).await };
        let round = claims.into_actor(self).then(move |claims, manager, _| {
            let found = match claims {
                Ok(Ok(claims)) => {
                    let timing = manager.deps.timing;
                    manager.collection.see(&repo, claims, &open, &timing, Instant::now())
                }
                Ok(Err(error)) => {
                    warn!(%repo, %error, "claims not listed, old ones stay for now");
                    Vec::new()
                }
                Err(_) => Vec::new(),
            };
            let found: Vec<Standing> =
                found.into_iter().filter(|it| !manager.is_busy_with(&it.task)).collect();
            let (desk, forge) = (manager.desk(), manager.deps.forge.clone());
            let deleted = async move {
                if timeout(ROUND_LIMIT, delete_ended(&desk, &*forge, found)).await.is_err() {
                    warn!(%repo, "the collection of old claims hangs and is given up");
                }
            };
            deleted.into_actor(manager)
        });
        ctx.spawn(round.map(|_, _, _| ()));
    }
}

impl ClaimManager {
    fn is_busy_with(&self, task: &TaskId) -> bool {
        self.held.contains_key(task) || self.recovery.is_under_way(task) || self.candidates.is_trying(task)
    }
}

async fn delete_ended(desk: &Desk, forge: &dyn Forge, found: Vec<Standing>) {
    for standing in found {
        let Standing { task, .. } = &standing;
        match delete_if_ended(desk, forge, &standing).await {
            Ok(true) => info!(%task, "deleted the claim of a closed issue"),
            Ok(false) => debug!(%task, "the claim stays"),
            Err(error) => warn!(%task, %error, "whether the claim is still needed can't be seen"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum NotDeleted {
    #[error(transparent)]
    Desk(#[from] DeskError),
    #[error(transparent)]
    Forge(#[from] ForgeError),
}

async fn delete_if_ended(
    desk: &Desk,
    forge: &dyn Forge,
    Standing { task, sha, stood_for }: &Standing,
) -> Result<bool, NotDeleted> {
    if !read(desk, task).await?.phase.is_resting() {
        return Ok(false);
    }
    let Some(seen) = desk.claims.read(task).await.map_err(DeskError::from)? else { return Ok(false) };
    // One that this version can't read is for those who can.
    let Some(record) = seen.record.filter(|_| seen.sha == *sha) else { return Ok(false) };
    if *stood_for < ttl_of(&record, &desk.timing) + desk.timing.grace {
        return Ok(false);
    }
    if forge.issue(task).await?.state != IssueState::Closed {
        return Ok(false);
    }
    Ok(desk.claims.delete(task, sha).await.map_err(DeskError::from)? == Swap::Done)
}

#[cfg(test)]
mod tests {
    use super::super::samples::TIMING;
    use super::*;

    fn repo() -> RepoId {
        "a/b".parse().unwrap()
    }

    fn sha(digit: char) -> Sha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn numbers(found: &[Standing]) -> Vec<u64> {
        found.iter().map(|it| it.task.number).collect()
    }

    #[test]
    fn a_claim_must_stand_still_and_its_issue_must_not_be_listed() {
        let (mut collection, start) = (Collection::default(), Instant::now());
        let open = BTreeSet::from([2]);
        let mut see = |claims: &[(u64, char)], after_s| {
            let now = start + Duration::from_secs(after_s);
            let claims = claims.iter().map(|(number, digit)| (*number, sha(*digit))).collect();
            collection.take_turn(&repo(), now);
            numbers(&collection.see(&repo(), claims, &open, &TIMING, now))
        };
        assert_eq!(see(&[(1, 'a'), (2, 'a'), (3, 'a')], 0), [0; 0]);
        assert_eq!(see(&[(1, 'a'), (2, 'a'), (3, 'b')], 1019), [0; 0]);
        assert_eq!(see(&[(1, 'a'), (2, 'a'), (3, 'b')], 1020), [1], "2 is open, 3 has moved");
        assert_eq!(see(&[(3, 'b')], 1019 + 1020), [3]);
        assert_eq!(see(&[(1, 'a'), (3, 'b')], 5000), [3], "1 was gone and has come back");
    }

    #[test]
    fn each_has_its_turn() {
        let (mut collection, now) = (Collection::default(), Instant::now());
        let timing = Timing { ttl: Duration::ZERO, grace: Duration::ZERO, ..TIMING };
        let claims: Vec<(u64, Sha)> = (1..=50).map(|number| (number, sha('a'))).collect();
        assert!(!collection.take_turn(&repo(), now));
        let first = now + FIRST_ROUND_AFTER;
        assert!(collection.take_turn(&repo(), first));
        assert!(!collection.take_turn(&repo(), first + ROUND_PAUSE / 2));
        let mut round = || numbers(&collection.see(&repo(), claims.clone(), &BTreeSet::new(), &timing, now));
        let rounds = [round(), round(), round()];
        assert_eq!(rounds[..2].concat(), (1..=40).collect::<Vec<_>>());
        assert_eq!(rounds[2], (41..=50).chain(1..=10).collect::<Vec<_>>());
        assert_eq!(round()[0], 11);
    }
}
