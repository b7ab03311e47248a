//! `TaskPoller`: finds issues that want to be worked on.
//!
//! Owns: which repositories are watched, and when each is polled next. Told: its own ticks, what other nodes saw, and who is
//! there. Tells: `ClaimManager` each issue that is free (but for those that were found untrusted) or calls for a person,
//! every time it is seen by this node or by the one that looks for all, which are open, and which
//! repositories are watched no more; the supervisor of tasks when an
//! issue under way is not wanted any more; the other nodes, what it saw. Holds true: a repository is polled by one request
//! at a time, never before the forge allows it; one that fails holds up no other; what a peer says costs a bounded number
//! of requests. On a restart: every repository is polled again as at the start.

mod admission;
mod look;
mod schedule;
mod sharing;
mod watched;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_stream;
use actix::prelude::*;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

use crate::claim_manager::{ClaimManager, RepositoryDropped};
use crate::jitter::Jitter;
use crate::ports::claims::Claims;
use crate::ports::forge::Forge;
use crate::ports::hive::{Hive, HiveError};
use crate::ports::swarm::Said;
use crate::supervisor::Inbox;
use crate::swarm_actor::{News, Roster, Say, SwarmActor, SwarmView};
use crate::task::{NodeId, RepoId};
use crate::task_supervisor::TaskSupervisor;
use crate::trust::Trust;

use look::{NotPolled, Polled, pass_on, poll_once};
use schedule::Turn;
use watched::Watched;

/// How often the poller looks whose turn it is.
const TICK: Duration = Duration::from_millis(250);
/// A poll that is not done by then hangs: the repository's next turn comes as after one that failed.
const POLL_LIMIT: Duration = Duration::from_secs(300);

#[derive(Clone)]
pub struct PollerDeps {
    pub node: NodeId,
    pub forge: Arc<dyn Forge>,
    pub git: Arc<dyn Claims>,
    pub hive: Option<Arc<dyn Hive>>,
    /// The repositories that the configuration names.
    pub repositories: Vec<RepoId>,
    pub task_label: String,
    /// Whose issues may be claimed.
    pub trust: Arc<Trust>,
    pub poll_interval: Duration,
    /// While nothing changes.
    pub slowest_poll_interval: Duration,
    pub hive_interval: Duration,
    pub jitter: Jitter,
    pub claims: Inbox<ClaimManager>,
    pub tasks: Inbox<TaskSupervisor>,
    pub swarm: SwarmView,
    pub swarm_actor: Inbox<SwarmActor>,
    /// What others are told that this node watches.
    pub shown: watch::Sender<Vec<RepoId>>,
}

pub struct TaskPoller {
    deps: PollerDeps,
    watched: HashMap<RepoId, Watched>,
    /// Not watched any more, which the claim manager is still to be told.
    dropped: BTreeSet<RepoId>,
    hive_turn: Turn,
    /// Hive has answered or failed since the start: it may name the branch of a repository that the configuration
    /// names too, so nothing is polled before.
    has_heard_of_hive: bool,
    roster: Arc<Roster>,
    /// Since when enough is known of the others: nothing is polled before.
    settled: Option<Instant>,
}

impl TaskPoller {
    pub fn new(deps: PollerDeps) -> Self {
        let mut poller = Self {
            roster: Arc::default(),
            settled: None,
            watched: HashMap::new(),
            dropped: BTreeSet::new(),
            hive_turn: Turn::now(),
            has_heard_of_hive: false,
            deps,
        };
        poller.watch(BTreeMap::new());
        poller
    }

    /// Watches what the configuration names, and what Hive does; the rest no more.
    fn watch(&mut self, from_hive: BTreeMap<RepoId, Option<String>>) {
        let configured = self.deps.repositories.iter().map(|repo| (repo.clone(), None));
        let wanted: BTreeMap<RepoId, Option<String>> = configured.chain(from_hive).collect();
        self.dropped
            .extend(self.watched.extract_if(|repo, _| !wanted.contains_key(repo)).map(|(repo, _)| repo));
        self.dropped.retain(|repo| !wanted.contains_key(repo));
        let (deps, roster) = (&self.deps, &self.roster);
        for (repo, branch) in wanted {
            let watched = self.watched.entry(repo).or_insert_with_key(|repo| {
                info!(%repo, "watched");
                let mut watched = Watched::new(deps.poll_interval, deps.slowest_poll_interval);
                watched.see(repo, roster);
                watched
            });
            watched.branch = branch;
        }
        self.show();
    }

    /// What can't be worked on here is nothing that others may count on this node for.
    fn show(&self) {
        let workable = self.watched.iter().filter(|(_, watched)| !watched.is_refused);
        let mut workable: Vec<RepoId> = workable.map(|(repo, _)| repo.clone()).collect();
        workable.sort();
        self.deps.shown.send_if_modified(|shown| {
            let is_changed = *shown != workable;
            *shown = workable;
            is_changed
        });
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let claims = &self.deps.claims;
        self.dropped.retain(|repo| !claims.offer(RepositoryDropped { repo: repo.clone() }));
        if self.deps.hive.is_some() && self.hive_turn.take(now) {
            self.ask_hive(ctx);
        }
        let Some(settled) = self.settled else { return };
        if self.deps.hive.is_some() && !self.has_heard_of_hive {
            return;
        }
        let due = |(repo, watched): (&RepoId, &mut Watched)| {
            watched.take_turn(settled, now).then(|| watched.due(repo))
        };
        let due: Vec<Due> = self.watched.iter_mut().filter_map(due).collect();
        for due in due {
            self.poll(due, ctx);
        }
    }

    fn ask_hive(&mut self, ctx: &mut Context<Self>) {
        let Some(hive) = self.deps.hive.clone() else { return };
        let hangs = || HiveError::Unavailable(format!("not done after {} s", POLL_LIMIT.as_secs()));
        let asked =
            async move { timeout(POLL_LIMIT, hive.active_projects()).await.unwrap_or_else(|_| Err(hangs())) };
        ctx.spawn(asked.into_actor(self).map(|asked, poller, ctx| {
            let interval = (poller.deps.jitter)(poller.deps.hive_interval);
            match asked {
                Ok(projects) => {
                    poller.hive_turn.succeeded(interval, None);
                    poller.watch(projects.into_iter().map(|it| (it.repo, it.branch)).collect());
                }
                Err(error) => {
                    warn!(%error, "Hive's repositories not read, the known ones go on");
                    poller.hive_turn.failed(interval, None);
                }
            }
            if !std::mem::replace(&mut poller.has_heard_of_hive, true) {
                poller.tick(ctx);
            }
        }));
    }

    fn poll(&mut self, due: Due, ctx: &mut Context<Self>) {
        let (deps, roster) = (self.deps.clone(), self.roster.clone());
        let polled = async move {
            let polled = timeout(POLL_LIMIT, poll_once(&deps, &due, &roster)).await;
            (due.repo, polled.unwrap_or_else(|_| Err(NotPolled::hangs(POLL_LIMIT))))
        };
        ctx.spawn(polled.into_actor(self).map(|(repo, polled), poller, _| poller.after_poll(&repo, polled)));
    }

    fn after_poll(&mut self, repo: &RepoId, polled: Result<Polled, NotPolled>) {
        let Some(watched) = self.watched.get_mut(repo) else { return };
        let (now, jitter) = (Instant::now(), &self.deps.jitter);
        match polled {
            Ok(Polled { mut seen, state, not_before, has_asked }) => {
                let interval = jitter(watched.polled(&seen, state, has_asked, now));
                watched.turn.succeeded(interval, not_before);
                seen.next_in_s = interval.max(not_before.unwrap_or_default()).as_secs() + 1;
                // One that is lost is said again after the next look.
                self.deps.swarm_actor.offer(Say(Said::TasksSeen(seen)));
            }
            Err(NotPolled::Forge(error)) => {
                warn!(%repo, %error, "not polled");
                watched.turn.failed(jitter(watched.pace.now()), error.retry_after());
            }
            Err(NotPolled::NotAdmitted(why)) => {
                error!(%repo, %why, "can't be worked on");
                watched.is_refused = true;
                watched.turn.failed(jitter(watched.pace.now()), None);
            }
        }
        self.show();
    }

    fn see(&mut self, roster: Arc<Roster>, ctx: &mut Context<Self>) {
        let is_news = !sharing::is_alike(&self.roster, &roster);
        if roster.is_settled && self.settled.is_none() {
            self.settled = Some(Instant::now());
        }
        self.roster = roster;
        if is_news {
            self.watched.iter_mut().for_each(|(repo, watched)| watched.see(repo, &self.roster));
        }
        self.tick(ctx);
    }

    fn hear(&mut self, news: &News, ctx: &mut Context<Self>) {
        let Said::TasksSeen(seen) = &news.said else { return };
        let now = Instant::now();
        let of_repo = self.watched.iter_mut().find(|(repo, _)| repo.is_same(&seen.repo));
        let Some((repo, watched)) = of_repo else { return };
        let repo = repo.clone();
        if watched.hear(&news.from, seen, now) {
            self.use_announced(repo, ctx);
        }
    }

    /// Takes what a peer saw as if this node had.
    fn use_announced(&mut self, repo: RepoId, ctx: &mut Context<Self>) {
        let Some(watched) = self.watched.get_mut(&repo) else { return };
        let Some((from, seen)) = watched.take_announced() else { return };
        let (due, may_look) = (watched.due(&repo), watched.may_look(Instant::now()));
        let deps = self.deps.clone();
        let passed = async move {
            let passed = timeout(POLL_LIMIT, pass_on(&deps, &due, &from, &seen, may_look)).await;
            passed.unwrap_or_else(|_| Err(NotPolled::hangs(POLL_LIMIT)))
        };
        ctx.spawn(
            passed.into_actor(self).map(|passed, poller, ctx| poller.after_announced(repo, passed, ctx)),
        );
    }

    fn after_announced(&mut self, repo: RepoId, passed: Result<bool, NotPolled>, ctx: &mut Context<Self>) {
        let Some(watched) = self.watched.get_mut(&repo) else { return };
        watched.is_passing_on = false;
        match passed {
            Ok(has_looked) => watched.passed_on(has_looked, Instant::now()),
            Err(NotPolled::Forge(error)) => warn!(%repo, %error, "what a peer saw is not used"),
            Err(NotPolled::NotAdmitted(why)) if why.is_retryable() => {
                warn!(%repo, %why, "what a peer saw is not used yet");
            }
            Err(NotPolled::NotAdmitted(why)) => {
                error!(%repo, %why, "can't be worked on");
                watched.is_refused = true;
            }
        }
        self.show();
        self.use_announced(repo, ctx);
    }

    /// Follows what is heard of the others, as long as this actor lives.
    fn follow_swarm(&mut self, ctx: &mut Context<Self>) {
        let heard =
            wrap_stream::<_, Self>(self.deps.swarm.news()).map(|news, poller, ctx| poller.hear(&news, ctx));
        ctx.spawn(heard.finish());
        let followed = wrap_stream::<_, Self>(self.deps.swarm.rosters())
            .map(|roster, poller, ctx| poller.see(roster, ctx));
        ctx.spawn(followed.finish());
        self.see(self.deps.swarm.roster(), ctx);
    }
}

/// A repository whose turn it is.
struct Due {
    repo: RepoId,
    /// This node has asked whether it may work on it.
    is_admitted: bool,
    /// It has seen that it may push to it.
    is_probed: bool,
    branch: Option<String>,
    language: Option<String>,
    /// It looks for all.
    is_first: bool,
}

impl Actor for TaskPoller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.follow_swarm(ctx);
        ctx.run_interval(TICK, Self::tick);
    }
}

crate::supervised!(TaskPoller);
