//! A look at all claims of a repository at once, so that a dead node's task is taken over though nobody asks the forge for
//! its issues meanwhile: one question to the git server, none of the forge's quota.
//!
//! Holds true: what is seen here counts for nothing but who tries when, since whoever tries reads the claim again; how long
//! a claim has stood still is counted from this node's own first sight of it; a repository is looked at only while it has an
//! issue that this node could begin with; a look that fails makes nobody's claim older or younger.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use actix::prelude::*;
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::ports::claims::{ClaimsError, SeenLease};
use crate::task::{Epoch, RepoId, TaskId};

use super::ClaimManager;
use super::desk::Desk;
use super::rules::{Decision, Timing, Watch};

/// The pause between two looks at a repository. Longer, and a task whose node is gone waits so much longer.
const LOOK_PAUSE: Duration = Duration::from_secs(60);
/// Where leases are short, there are so many looks within the time of one.
const LOOKS_IN_TTL: u32 = 4;
/// A look that hangs is given up, and the next one comes in its time.
const LOOK_LIMIT: Duration = Duration::from_secs(5 * 60);
/// A task that may be taken and was not, since a pull request of it is open for example, is tried for again after this
/// long. Shorter costs requests of the forge's quota for each such task.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);
/// Issues of a repository that are remembered, the oldest. The others are found when these are done.
const MAX_FREE: usize = 1000;

/// The repository is not worked on any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RepositoryDropped {
    pub repo: RepoId,
}

/// What is known of the claims of each repository that is worked on. Lost on a restart: everyone waits again, which is safe.
#[derive(Debug, Default)]
pub(super) struct Watching {
    repositories: BTreeMap<RepoId, Repository>,
}

#[derive(Debug)]
struct Repository {
    /// The issues that a node may begin with, as they were listed last.
    free: BTreeMap<u64, Free>,
    next_look: Instant,
    is_under_way: bool,
    /// The claims of those as they were seen last.
    known: HashMap<u64, Known>,
    seen_at: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Free {
    /// What to work from, if it is not the default one.
    branch: Option<String>,
    /// Listed by this node itself: no peer's list takes it away.
    is_seen: bool,
}

#[derive(Debug)]
struct Known {
    lease: SeenLease,
    is_held: bool,
    told_at: Instant,
}

/// A look that is due: the issues that it is for, and their claims as they were seen last.
struct Look {
    repo: RepoId,
    wanted: BTreeSet<u64>,
    known: HashMap<u64, SeenLease>,
}

/// What a look says of the issues that it was for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// May be tried for.
    free: Vec<(TaskId, Option<String>)>,
    /// Are other nodes', for all that is known.
    held: Vec<TaskId>,
}

fn pause(timing: &Timing) -> Duration {
    LOOK_PAUSE.min(timing.ttl / LOOKS_IN_TTL)
}

impl Watching {
    /// A listing begins, by this node or by a peer: what is free is told after it.
    pub(super) fn listed(&mut self, repo: &RepoId, is_own: bool, now: Instant) {
        let new = || Repository {
            free: BTreeMap::new(),
            next_look: now,
            is_under_way: false,
            known: HashMap::new(),
            seen_at: None,
        };
        let repository = self.repositories.entry(repo.clone()).or_insert_with(new);
        repository.free.retain(|_, free| free.is_seen && !is_own);
    }

    /// It can't be begun with after all.
    pub(super) fn drop(&mut self, task: &TaskId) {
        if let Some(repository) = self.repositories.get_mut(&task.repo) {
            repository.free.remove(&task.number);
        }
    }

    pub(super) fn found(&mut self, task: &TaskId, branch: Option<String>, is_own: bool) {
        if let Some(repository) = self.repositories.get_mut(&task.repo)
            && (repository.free.len() < MAX_FREE || repository.free.contains_key(&task.number))
        {
            let is_seen = is_own || repository.free.get(&task.number).is_some_and(|free| free.is_seen);
            repository.free.insert(task.number, Free { branch, is_seen });
        }
    }

    fn forget(&mut self, repo: &RepoId) {
        self.repositories.remove(repo);
    }

    /// Whether the last look, if it was lately, showed that another node has the task: then a try is in vain.
    pub(super) fn is_held(&self, task: &TaskId, now: Instant, timing: &Timing) -> bool {
        let Some(repository) = self.repositories.get(&task.repo) else { return false };
        let is_fresh = repository.seen_at.is_some_and(|at| now.duration_since(at) < pause(timing) * 3);
        is_fresh && repository.known.get(&task.number).is_some_and(|known| known.is_held)
    }

    /// The looks whose time has come, at what `is_ours` says no to. The next ones of their repositories come in `pause`.
    fn begin(&mut self, now: Instant, pause: Duration, is_ours: impl Fn(&TaskId) -> bool) -> Vec<Look> {
        let mut looks = Vec::new();
        for (repo, repository) in &mut self.repositories {
            if repository.is_under_way || now < repository.next_look {
                continue;
            }
            let is_wanted = |number: &&u64| !is_ours(&TaskId::new(repo.clone(), **number));
            let wanted: BTreeSet<u64> = repository.free.keys().filter(is_wanted).copied().collect();
            if wanted.is_empty() {
                continue;
            }
            repository.is_under_way = true;
            repository.next_look = now + pause;
            let known = repository.known.iter().map(|(number, known)| (*number, known.lease.clone()));
            looks.push(Look { repo: repo.clone(), wanted, known: known.collect() });
        }
        looks
    }

    fn failed(&mut self, repo: &RepoId) {
        if let Some(repository) = self.repositories.get_mut(repo) {
            repository.is_under_way = false;
        }
    }

    /// Takes in what the claims of the issues `wanted` are.
    fn see(
        &mut self,
        repo: &RepoId,
        wanted: &BTreeSet<u64>,
        mut leases: HashMap<u64, SeenLease>,
        watch: &mut Watch,
        timing: &Timing,
        now: Instant,
    ) -> Seen {
        let mut seen = Seen::default();
        let Some(repository) = self.repositories.get_mut(repo) else { return seen };
        (repository.is_under_way, repository.seen_at) = (false, Some(now));
        let mut before = std::mem::take(&mut repository.known);
        for number in wanted {
            let (task, before) = (TaskId::new(repo.clone(), *number), before.remove(number));
            let lease = leases.remove(number);
            let is_held = match watch.decide(&task, lease.as_ref(), Epoch(0), now, timing) {
                Decision::Leave { .. } => true,
                Decision::Take { .. } => false,
            };
            let is_news = match (&before, &lease) {
                (Some(before), Some(_)) => {
                    before.is_held || now.duration_since(before.told_at) >= TRY_AGAIN_AFTER
                }
                (None, Some(_)) | (Some(_), None) => true,
                // Never claimed: found by who listed it.
                (None, None) => false,
            };
            if is_held {
                seen.held.push(task);
            } else if is_news && let Some(free) = repository.free.get(number) {
                seen.free.push((task, free.branch.clone()));
            }
            if let Some(lease) = lease {
                let told_at = before.filter(|_| !is_news).map_or(now, |before| before.told_at);
                repository.known.insert(*number, Known { lease, is_held, told_at });
            }
        }
        seen
    }
}

impl ClaimManager {
    /// Begins the looks that are due.
    pub(super) fn look_at_claims(&mut self, ctx: &mut Context<Self>) {
        if self.takes_no_more {
            return;
        }
        let pause = (self.deps.jitter)(pause(&self.deps.timing));
        let (held, failed) = (&self.held, &self.failed);
        let is_ours = |task: &TaskId| held.contains_key(task) || failed.is_left_alone(task);
        for look in self.watching.begin(Instant::now(), pause, is_ours) {
            self.look_at(look, ctx);
        }
    }

    fn look_at(&self, Look { repo, wanted, known }: Look, ctx: &mut Context<Self>) {
        let (desk, looked_at, looked_for) = (self.desk(), repo.clone(), wanted.clone());
        let leases =
            async move { timeout(LOOK_LIMIT, leases_of(&desk, &looked_at, &looked_for, known)).await };
        ctx.spawn(leases.into_actor(self).map(move |leases, manager, ctx| match leases {
            Ok(Ok(leases)) => manager.after_look(&repo, &wanted, leases, ctx),
            Ok(Err(error)) => {
                debug!(%repo, %error, "claims not looked at");
                manager.watching.failed(&repo);
            }
            Err(_) => manager.watching.failed(&repo),
        }));
    }

    fn after_look(
        &mut self,
        repo: &RepoId,
        wanted: &BTreeSet<u64>,
        leases: HashMap<u64, SeenLease>,
        ctx: &mut Context<Self>,
    ) {
        let (watch, timing) = (&mut self.watch, &self.deps.timing);
        let Seen { free, held } = self.watching.see(repo, wanted, leases, watch, timing, Instant::now());
        for task in &held {
            self.candidates.held_elsewhere(task, Instant::now());
        }
        for (task, branch) in free {
            if !self.held.contains_key(&task) && !self.takes_no_more {
                self.candidates.add(task, branch, Instant::now());
            }
        }
        self.try_candidates(ctx);
    }
}

/// The claims of these issues, of which only those that have moved are brought here.
async fn leases_of(
    desk: &Desk,
    repo: &RepoId,
    wanted: &BTreeSet<u64>,
    mut known: HashMap<u64, SeenLease>,
) -> Result<HashMap<u64, SeenLease>, ClaimsError> {
    let mut leases = HashMap::new();
    let mut moved = Vec::new();
    for (number, sha) in desk.claims.list(repo).await? {
        match known.remove(&number).filter(|lease| lease.sha == sha) {
            _ if !wanted.contains(&number) => {}
            Some(lease) => drop(leases.insert(number, lease)),
            None => moved.push(number),
        }
    }
    if !moved.is_empty() {
        leases.extend(desk.claims.read_all(repo, &moved).await?);
    }
    Ok(leases)
}

impl Handler<RepositoryDropped> for ClaimManager {
    type Result = ();

    fn handle(&mut self, RepositoryDropped { repo }: RepositoryDropped, _: &mut Context<Self>) {
        self.watching.forget(&repo);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::TIMING;
    use super::*;
    use crate::ports::claims::{LeaseRecord, LeaseState};
    use crate::task::Sha;

    fn repo() -> RepoId {
        "a/b".parse().unwrap()
    }

    fn task(number: u64) -> TaskId {
        TaskId::new(repo(), number)
    }

    fn lease(digit: char, state: LeaseState) -> SeenLease {
        let sha: Sha = digit.to_string().repeat(40).parse().unwrap();
        let (node, nonce) = ("other".parse().unwrap(), String::new());
        let record = LeaseRecord { v: 1, task: task(1), node, epoch: Epoch(1), nonce, ttl_s: 900, state };
        SeenLease { sha, record: Some(record) }
    }

    struct Eye {
        watching: Watching,
        watch: Watch,
        start: Instant,
    }

    impl Eye {
        fn on(free: &[u64]) -> Self {
            let (mut watching, start) = (Watching::default(), Instant::now());
            watching.listed(&repo(), true, start);
            free.iter().for_each(|number| watching.found(&task(*number), None, true));
            Self { watching, watch: Watch::default(), start }
        }

        fn look(&mut self, after_s: u64, leases: &[(u64, SeenLease)]) -> (Vec<u64>, Vec<u64>) {
            let now = self.start + Duration::from_secs(after_s);
            let look = self.watching.begin(now, LOOK_PAUSE, |_| false).pop().unwrap();
            let leases = leases.iter().cloned().collect();
            let seen = self.watching.see(&look.repo, &look.wanted, leases, &mut self.watch, &TIMING, now);
            let free = seen.free.into_iter().map(|(task, _)| task.number).collect();
            (free, seen.held.into_iter().map(|task| task.number).collect())
        }
    }

    #[test]
    fn what_stands_still_is_told_once_and_again_after_a_while() {
        let held = [(1, lease('a', LeaseState::Held))];
        let mut eye = Eye::on(&[1, 2]);
        assert_eq!(eye.look(0, &held), (vec![], vec![1]), "2 was never claimed");
        assert_eq!(eye.look(1019, &held), (vec![], vec![1]));
        assert_eq!(eye.look(1080, &held), (vec![1], vec![]));
        assert_eq!(eye.look(1140, &held), (vec![], vec![]));
        assert_eq!(eye.look(1140 + 600, &held), (vec![1], vec![]), "it was not taken");
        let renewed = [(1, lease('b', LeaseState::Held))];
        assert_eq!(eye.look(1800, &renewed), (vec![], vec![1]));
    }

    #[test]
    fn what_is_given_back_or_gone_is_told_at_once() {
        let mut eye = Eye::on(&[1]);
        assert_eq!(eye.look(0, &[(1, lease('a', LeaseState::Held))]), (vec![], vec![1]));
        assert_eq!(eye.look(60, &[(1, lease('b', LeaseState::Released))]), (vec![1], vec![]));
        assert_eq!(eye.look(120, &[(1, lease('c', LeaseState::Held))]), (vec![], vec![1]));
        assert_eq!(eye.look(180, &[]), (vec![1], vec![]));
        assert_eq!(eye.look(240, &[]), (vec![], vec![]));
    }

    #[test]
    fn no_peers_list_takes_away_what_this_node_has_seen() {
        let mut eye = Eye::on(&[1]);
        eye.watching.found(&task(2), None, false);
        let wanted = |eye: &mut Eye| {
            let look = eye.watching.begin(eye.start, Duration::ZERO, |_| false).pop().unwrap();
            eye.watching.failed(&look.repo);
            look.wanted.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(wanted(&mut eye), [1, 2]);
        eye.watching.listed(&repo(), false, eye.start);
        assert_eq!(wanted(&mut eye), [1]);
        eye.watching.found(&task(1), None, false);
        eye.watching.listed(&repo(), false, eye.start);
        assert_eq!(wanted(&mut eye), [1]);
        eye.watching.found(&task(3), None, true);
        eye.watching.drop(&task(1));
        assert_eq!(wanted(&mut eye), [3], "it was looked at and is none");
    }

    #[test]
    fn only_a_fresh_look_keeps_from_trying() {
        let mut eye = Eye::on(&[1]);
        eye.look(0, &[(1, lease('a', LeaseState::Held))]);
        let is_held = |eye: &Eye, after_s| {
            eye.watching.is_held(&task(1), eye.start + Duration::from_secs(after_s), &TIMING)
        };
        assert!(is_held(&eye, 100));
        assert!(!is_held(&eye, 200), "the looks fail");
        eye.look(240, &[(1, lease('b', LeaseState::Released))]);
        assert!(!is_held(&eye, 240));
    }

    #[test]
    fn a_repository_is_looked_at_by_one_look_at_a_time_and_only_while_there_is_something_to_begin_with() {
        let mut eye = Eye::on(&[1]);
        let due = |eye: &mut Eye, after_s, is_ours: bool| {
            let now = eye.start + Duration::from_secs(after_s);
            eye.watching.begin(now, LOOK_PAUSE, |_| is_ours).len()
        };
        assert_eq!(due(&mut eye, 0, true), 0, "it is ours");
        assert_eq!(due(&mut eye, 0, false), 1);
        assert_eq!(due(&mut eye, 600, false), 0, "one is under way");
        eye.watching.failed(&repo());
        assert_eq!(due(&mut eye, 600, false), 1);
        eye.watching.failed(&repo());
        assert_eq!(due(&mut eye, 601, false), 0);
        eye.watching.listed(&repo(), true, eye.start);
        assert_eq!(due(&mut eye, 6000, false), 0, "nothing is listed any more");
        eye.watching.found(&task(2), None, true);
        assert_eq!(due(&mut eye, 6000, false), 1);
        eye.watching.forget(&repo());
        assert_eq!(due(&mut eye, 60_000, false), 0);
    }
}
