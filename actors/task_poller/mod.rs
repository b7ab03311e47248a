//! `TaskPoller`: finds issues that want to be worked on.
//!
//! Owns: which repositories are watched, and when each is polled next. Told: its own ticks. Tells: `ClaimManager`
//! each issue that is free (but for those that were found untrusted) or calls for a person, every time it is seen, and which
//! are open; the supervisor of tasks when an issue under
//! way is not wanted any more. Holds true: a repository is polled by one request at a time, never before the forge
//! allows it; one that fails holds up no other. On a restart: every repository is polled again at once.

mod admission;
mod schedule;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::claim_manager::{ClaimManager, PersonCalled, RepositoryListed, TaskFound};
use crate::jitter::Jitter;
use crate::ports::claims::Claims;
use crate::ports::forge::{Forge, ForgeError};
use crate::ports::hive::{Hive, HiveError};
use crate::supervisor::Inbox;
use crate::task::{Issue, NodeId, RepoId, TaskId, label};
use crate::task_supervisor::{TaskSupervisor, TellTask, Told, UnderWay};
use crate::trust::Trust;

use admission::{NotAdmitted, admit};
use schedule::Turn;

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
    pub hive_interval: Duration,
    pub jitter: Jitter,
    pub claims: Inbox<ClaimManager>,
    pub tasks: Inbox<TaskSupervisor>,
}

pub struct TaskPoller {
    deps: PollerDeps,
    watched: HashMap<RepoId, Watched>,
    hive_turn: Turn,
    /// Hive has answered or failed since the start: it may name the branch of a repository that the configuration
    /// names too, so nothing is polled before.
    has_heard_of_hive: bool,
}

struct Watched {
    turn: Turn,
    is_admitted: bool,
    /// What Hive wants its tasks to work from.
    branch: Option<String>,
}

impl TaskPoller {
    pub fn new(deps: PollerDeps) -> Self {
        let mut poller =
            Self { deps, watched: HashMap::new(), hive_turn: Turn::now(), has_heard_of_hive: false };
        poller.watch(BTreeMap::new());
        poller
    }

    /// Watches what the configuration names, and what Hive does; the rest no more.
    fn watch(&mut self, from_hive: BTreeMap<RepoId, Option<String>>) {
        let configured = self.deps.repositories.iter().map(|repo| (repo.clone(), None));
        let wanted: BTreeMap<RepoId, Option<String>> = configured.chain(from_hive).collect();
        self.watched.retain(|repo, _| wanted.contains_key(repo));
        for (repo, branch) in wanted {
            let watched = self.watched.entry(repo).or_insert_with_key(|repo| {
                info!(%repo, "watched");
                Watched { turn: Turn::now(), is_admitted: false, branch: None }
            });
            watched.branch = branch;
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        if self.deps.hive.is_some() && self.hive_turn.take(now) {
            self.ask_hive(ctx);
        }
        if self.deps.hive.is_some() && !self.has_heard_of_hive {
            return;
        }
        let due = |(repo, watched): (&RepoId, &mut Watched)| {
            let (is_admitted, branch) = (watched.is_admitted, watched.branch.clone());
            watched.turn.take(now).then(|| Due { repo: repo.clone(), is_admitted, branch })
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
        let deps = self.deps.clone();
        let polled = async move {
            let polled = timeout(POLL_LIMIT, poll_once(&deps, &due)).await;
            let hangs = || ForgeError::Unavailable {
                call: "poll".to_owned(),
                problem: format!("not done after {} s", POLL_LIMIT.as_secs()),
            };
            let polled = polled.unwrap_or_else(|_| Err(NotPolled::Forge(hangs())));
            (due.repo, polled)
        };
        ctx.spawn(polled.into_actor(self).map(|(repo, polled), poller, _| poller.after_poll(&repo, polled)));
    }

    fn after_poll(&mut self, repo: &RepoId, polled: Result<Option<Duration>, NotPolled>) {
        let interval = (self.deps.jitter)(self.deps.poll_interval);
        let Some(watched) = self.watched.get_mut(repo) else { return };
        match polled {
            Ok(not_before) => {
                watched.is_admitted = true;
                watched.turn.succeeded(interval, not_before);
            }
            Err(NotPolled::Forge(error)) => {
                warn!(%repo, %error, "not polled");
                watched.turn.failed(interval, error.retry_after());
            }
            Err(NotPolled::NotAdmitted(why)) => {
                tracing::error!(%repo, %why, "can't be worked on");
                watched.turn.failed(interval, None);
            }
        }
    }
}

/// A repository whose turn it is.
struct Due {
    repo: RepoId,
    is_admitted: bool,
    branch: Option<String>,
}

#[derive(Debug)]
enum NotPolled {
    Forge(ForgeError),
    NotAdmitted(NotAdmitted),
}

/// A forge that is away says nothing about the repository.
impl From<NotAdmitted> for NotPolled {
    fn from(why: NotAdmitted) -> Self {
        match why {
            NotAdmitted::Forge(error) if error.is_retryable() => Self::Forge(error),
            why => Self::NotAdmitted(why),
        }
    }
}

/// Lists the repository's issues and tells of them; returns what the forge says of the next time.
async fn poll_once(deps: &PollerDeps, due: &Due) -> Result<Option<Duration>, NotPolled> {
    let Due { repo, is_admitted, branch } = due;
    let admitted = async { if *is_admitted { Ok(()) } else { admit(deps, repo).await } };
    // Side by side: a node polls as soon as it is up, and claims nothing before it knows that it may.
    let (admitted, list) = futures_util::join!(admitted, deps.forge.open_issues(repo, &deps.task_label));
    admitted.map_err(NotPolled::from)?;
    let list = list.map_err(NotPolled::Forge)?;
    debug!(%repo, issues = list.issues.len(), changed = list.changed, "polled");
    see_after_those_under_way(deps, repo, &list.issues).await;
    let open = list.issues.iter().map(|issue| issue.number).collect();
    // A manager that is being restarted hears of it the next time.
    let _ = deps.claims.send(RepositoryListed { repo: repo.clone(), open }).await;
    for issue in list.issues {
        let task = TaskId::new(repo.clone(), issue.number);
        if issue.has_label(label::NEEDS_HUMAN) {
            let _ = deps.claims.send(PersonCalled { task }).await;
        } else if issue.is_free(&deps.task_label) && !deps.trust.is_known_untrusted(&task, &issue) {
            let _ = deps.claims.send(TaskFound { task, branch: branch.clone() }).await;
        }
    }
    Ok(list.not_before)
}

/// An issue that is not listed any more may be closed or have lost its label. The listing may also be stale, so the
/// issue itself is looked at before its task is stopped.
async fn see_after_those_under_way(deps: &PollerDeps, repo: &RepoId, listed: &[Issue]) {
    let under_way = deps.tasks.send(UnderWay).await.unwrap_or_default();
    let is_listed = |task: &TaskId| listed.iter().any(|issue| issue.number == task.number);
    for task in under_way.into_iter().filter(|task| task.repo == *repo && !is_listed(task)) {
        let why = match deps.forge.issue(&task).await {
            Ok(issue) if issue.is_wanted(&deps.task_label) => continue,
            Ok(issue) if issue.has_label(&deps.task_label) => "the issue was closed",
            Ok(_) => "the issue lost its label",
            Err(ForgeError::NotFound { .. }) => "the issue is gone",
            Err(error) => {
                warn!(%task, %error, "issue not read");
                continue;
            }
        };
        let _ = deps.tasks.send(TellTask { task, told: Told::NotWanted { why: why.to_owned() } }).await;
    }
}

impl Actor for TaskPoller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.tick(ctx);
        ctx.run_interval(TICK, Self::tick);
    }
}

crate::supervised!(TaskPoller);
