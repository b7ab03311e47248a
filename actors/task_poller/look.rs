//! One look at a repository, by this node or by a peer, and whom it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tracing::{debug, warn};

use crate::claim_manager::{PersonCalled, RepositoryListed, TaskFound, Traits};
use crate::ports::forge::ForgeError;
use crate::ports::swarm::{PeerId, TasksSeen};
use crate::swarm_actor::Roster;
use crate::task::{Issue, RepoId, TaskId, label};
use crate::task_supervisor::{TellTask, Told, UnderWay};

use super::admission::{NotAdmitted, admit};
use super::watched::MAX_ANNOUNCED;
use super::{Due, PollerDeps};

/// Labels of one issue that are passed on.
const MAX_LABELS: usize = 16;

/// What this node saw.
pub(super) struct Polled {
    pub(super) seen: TasksSeen,
    /// Another one the next time means that something has changed.
    pub(super) state: u64,
    /// The least time until the next look that the forge asked for.
    pub(super) not_before: Option<Duration>,
    /// It has asked whether it may work there.
    pub(super) has_asked: bool,
}

#[derive(Debug)]
pub(super) enum NotPolled {
    Forge(ForgeError),
    NotAdmitted(NotAdmitted),
}

impl NotPolled {
    pub(super) fn hangs(limit: Duration) -> Self {
        let problem = format!("not done after {} s", limit.as_secs());
        Self::Forge(ForgeError::Unavailable { call: "poll".to_owned(), problem })
    }
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

/// Lists the repository's issues and tells of them.
pub(super) async fn poll_once(deps: &PollerDeps, due: &Due, roster: &Roster) -> Result<Polled, NotPolled> {
    let repo = &due.repo;
    // Who looks beside another one has seen by a push that it may, and has the rest from the other's word.
    let is_admitted = due.is_admitted || (due.is_probed && !due.is_first);
    let admitted = async { if is_admitted { Ok(due.language.clone()) } else { admit(deps, repo).await } };
    // Side by side: a node polls as soon as it is up, and claims nothing before it knows that it may.
    let (admitted, list) = futures_util::join!(admitted, deps.forge.open_issues(repo, &deps.task_label));
    let language = admitted.map_err(NotPolled::from)?;
    let list = list.map_err(NotPolled::Forge)?;
    debug!(%repo, issues = list.issues.len(), changed = list.changed, "polled");
    let state = state_of(&list.issues);
    let seen = sorted_out(deps, repo, language, &list.issues, roster);
    see_after_those_under_way(deps, &seen).await;
    tell(deps, due, None, &seen).await;
    Ok(Polled { seen, state, not_before: list.not_before, has_asked: !is_admitted })
}

/// Uses what a peer saw as if this node had. Returns whether an issue was looked at for it. That this node may work on the
/// repository is seen by a push, which costs no request.
pub(super) async fn pass_on(
    deps: &PollerDeps,
    due: &Due,
    from: &PeerId,
    seen: &TasksSeen,
    may_look: bool,
) -> Result<bool, NotPolled> {
    if !due.is_probed {
        deps.git
            .probe(&due.repo, &deps.node)
            .await
            .map_err(|error| NotPolled::from(NotAdmitted::from(error)))?;
    }
    let seen = TasksSeen { repo: due.repo.clone(), ..seen.clone() };
    let has_looked = may_look && see_after_those_under_way(deps, &seen).await;
    tell(deps, due, Some(from), &seen).await;
    Ok(has_looked)
}

fn state_of(issues: &[Issue]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for issue in issues {
        (issue.number, &issue.updated_at, &issue.labels).hash(&mut hasher);
    }
    hasher.finish()
}

fn sorted_out(
    deps: &PollerDeps,
    repo: &RepoId,
    language: Option<String>,
    issues: &[Issue],
    roster: &Roster,
) -> TasksSeen {
    let wanted = wanted_labels(roster);
    let (mut free, mut called, mut other, mut labels) = (vec![], vec![], vec![], BTreeMap::new());
    for issue in issues.iter().take(MAX_ANNOUNCED) {
        let task = TaskId::new(repo.clone(), issue.number);
        if issue.has_label(label::NEEDS_HUMAN) {
            called.push(issue.number);
        } else if issue.is_free(&deps.task_label) && !deps.trust.is_known_untrusted(&task, issue) {
            free.push(issue.number);
            let chosen = issue.labels.iter().filter(|label| wanted.contains(&label.to_lowercase()));
            let chosen: Vec<String> = chosen.take(MAX_LABELS).cloned().collect();
            if !chosen.is_empty() {
                labels.insert(issue.number, chosen);
            }
        } else {
            other.push(issue.number);
        }
    }
    TasksSeen { repo: repo.clone(), free, called, other, next_in_s: 0, labels, language }
}

/// Those by which some node chooses: the others are nobody's concern.
fn wanted_labels(roster: &Roster) -> BTreeSet<String> {
    let of_members = roster.members.values().map(|member| &*member.capabilities);
    roster.own.iter().chain(of_members).flat_map(|it| &it.labels).map(|label| label.to_lowercase()).collect()
}

/// Tells `ClaimManager`. One that is being restarted hears of it the next time.
async fn tell(deps: &PollerDeps, due: &Due, from: Option<&PeerId>, seen: &TasksSeen) {
    let Due { repo, branch, is_first, .. } = due;
    let open = [&seen.free, &seen.called, &seen.other].into_iter().flatten().copied().collect();
    let from = from.cloned();
    let listed = RepositoryListed { repo: repo.clone(), open, from: from.clone(), is_for_all: *is_first };
    let _ = deps.claims.send(listed).await;
    for number in &seen.called {
        let _ = deps.claims.send(PersonCalled { task: TaskId::new(repo.clone(), *number) }).await;
    }
    for number in &seen.free {
        let traits = Traits {
            labels: seen.labels.get(number).cloned().unwrap_or_default(),
            language: seen.language.clone(),
        };
        let (task, branch, from) = (TaskId::new(repo.clone(), *number), branch.clone(), from.clone());
        let _ = deps.claims.send(TaskFound { task, branch, traits, from }).await;
    }
}

/// An issue that is not listed any more may be closed or have lost its label. The listing may also be stale, so the
/// issue itself is looked at before its task is stopped. Returns whether any was.
async fn see_after_those_under_way(deps: &PollerDeps, seen: &TasksSeen) -> bool {
    let under_way = deps.tasks.send(UnderWay).await.unwrap_or_default();
    let is_listed =
        |task: &TaskId| [&seen.free, &seen.called, &seen.other].iter().any(|it| it.contains(&task.number));
    let mut has_looked = false;
    for task in under_way.into_iter().filter(|task| task.repo == seen.repo && !is_listed(task)) {
        has_looked = true;
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
    has_looked
}
