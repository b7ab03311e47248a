//! What this node says of itself, and what of it stands: a network that comes back has to be told again.

use std::collections::BTreeMap;

use crate::ports::swarm::{Announcement, Availability, Capabilities, Elsewhere, Progress, Said, Watched};
use crate::task::{NodeId, RepoId, TaskId};

/// Repositories that others are told of. Of more they don't know that this node watches them, and it does as if nobody else did.
const MAX_REPOSITORIES: usize = 500;

/// What a node can do, apart from what changes.
#[derive(Debug, Clone)]
pub struct Profile {
    pub node: NodeId,
    /// Of the program.
    pub version: String,
    pub labels: Vec<String>,
    pub languages: Vec<String>,
    /// Repositories that are worked on from outside.
    pub elsewhere: Vec<(RepoId, Elsewhere)>,
    /// Those that it is set up to use.
    pub models: Vec<String>,
    pub max_tasks: u32,
}

impl Profile {
    fn elsewhere_of(&self, repo: &RepoId) -> Option<&Elsewhere> {
        self.elsewhere.iter().find(|(it, _)| it.is_same(repo)).map(|(_, elsewhere)| elsewhere)
    }

    /// The first repository that both watch whose branches and claims the peer keeps in other places than this node.
    pub(super) fn differs_in<'a>(&self, own: &[RepoId], peer: &'a Capabilities) -> Option<&'a RepoId> {
        let differs = |it: &&Watched| match (self.elsewhere_of(&it.repo), &it.elsewhere) {
            (Some(here), Some(there)) => !here.is_same(there),
            (here, there) => here.is_some() || there.is_some(),
        };
        let both = peer.repositories.iter().filter(|it| own.iter().any(|repo| repo.is_same(&it.repo)));
        both.clone().find(differs).map(|it| &it.repo)
    }

    fn capabilities(&self, models: Vec<String>, repositories: &[RepoId]) -> Capabilities {
        let watched =
            |repo: &RepoId| Watched { repo: repo.clone(), elsewhere: self.elsewhere_of(repo).cloned() };
        Capabilities {
            node: self.node.clone(),
            version: self.version.clone(),
            labels: self.labels.clone(),
            languages: self.languages.clone(),
            models,
            max_tasks: self.max_tasks,
            repositories: repositories.iter().take(MAX_REPOSITORIES).map(watched).collect(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) capabilities: Option<Capabilities>,
    models: Option<Vec<String>>,
    repositories: Vec<RepoId>,
    /// What was said and still holds, by its key: what it polls, and what it has claimed.
    standing: BTreeMap<String, Said>,
    /// How far its tasks are, each with whether that was said.
    progress: BTreeMap<TaskId, (Progress, bool)>,
}

impl Own {
    pub(super) fn see_progress(&mut self, progress: Progress) {
        let known = self.progress.get(&progress.task);
        if known.is_none_or(|(before, _)| *before != progress) {
            self.progress.insert(progress.task.clone(), (progress, false));
        }
    }

    pub(super) fn keep_progress_of(&mut self, tasks: &[TaskId]) {
        self.progress.retain(|task, _| tasks.contains(task));
    }

    /// What was not said yet.
    pub(super) fn news_of_progress(&mut self) -> Vec<Progress> {
        let unsaid = self.progress.values_mut().filter(|(_, is_said)| !is_said);
        unsaid
            .map(|(progress, is_said)| {
                *is_said = true;
                progress.clone()
            })
            .collect()
    }

    pub(super) fn see_models(&mut self, models: Vec<String>) {
        self.models = Some(models);
    }

    pub(super) fn see_repositories(&mut self, repositories: Vec<RepoId>) {
        self.repositories = repositories;
        let repositories = &self.repositories;
        self.standing.retain(|_, said| match said {
            Said::TasksSeen(seen) => repositories.contains(&seen.repo),
            _ => true,
        });
    }

    /// What it can do, if that is not what was said last. Nothing before the models are known.
    pub(super) fn changed(&mut self, profile: &Profile) -> Option<Capabilities> {
        let capabilities = profile.capabilities(self.models.clone()?, &self.repositories);
        if self.capabilities.as_ref() == Some(&capabilities) {
            return None;
        }
        self.capabilities = Some(capabilities.clone());
        Some(capabilities)
    }

    pub(super) fn remember(&mut self, said: &Said) {
        match said {
            Said::Task(Announcement::Claimed { .. }) | Said::TasksSeen(_) => {
                self.standing.insert(said.key(), said.clone());
            }
            Said::Task(_) => {
                self.standing.remove(&said.key());
            }
            Said::Progress(_)
            | Said::Capabilities(_)
            | Said::Availability(_)
            | Said::AuditHead(_)
            | Said::Contradiction(_) => {}
        }
    }

    /// What a network that was just opened is told.
    pub(super) fn introduction(&self, availability: Availability) -> Vec<Said> {
        let capabilities = self.capabilities.clone().map(Said::Capabilities);
        let standing = self.standing.values().cloned();
        let said = self.progress.values().filter(|(_, is_said)| *is_said);
        let progress = said.map(|(progress, _)| Said::Progress(progress.clone()));
        let availability = Said::Availability(availability);
        capabilities.into_iter().chain([availability]).chain(standing).chain(progress).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Epoch;

    #[test]
    fn how_far_a_task_is_is_said_once_while_it_is_worked_on() {
        let mut own = Own::default();
        let progress = |number: u64, steps| Progress {
            task: format!("a/b#{number}").parse().unwrap(),
            epoch: Epoch(1),
            phase: "running".into(),
            steps,
        };
        for seen in [progress(1, 1), progress(1, 2), progress(2, 1)] {
            own.see_progress(seen);
        }
        assert_eq!(own.news_of_progress(), [progress(1, 2), progress(2, 1)]);
        own.see_progress(progress(2, 1));
        assert_eq!(own.news_of_progress(), []);
        own.see_progress(progress(2, 2));
        own.keep_progress_of(&[progress(2, 0).task]);
        assert_eq!(own.news_of_progress(), [progress(2, 2)]);
        let said = own.introduction(Availability::default());
        assert_eq!(said[1..], [Said::Progress(progress(2, 2))]);
    }

    fn profile(elsewhere: &[(&str, &str, &str)]) -> Profile {
        let repo = |text: &str| text.parse().unwrap();
        let at = |&(name, branches, claims): &(&str, &str, &str)| {
            (repo(name), Elsewhere { branches: repo(branches), claims: repo(claims) })
        };
        Profile {
            node: "bee".parse().unwrap(),
            version: "1".into(),
            labels: Vec::new(),
            languages: Vec::new(),
            elsewhere: elsewhere.iter().map(at).collect(),
            models: Vec::new(),
            max_tasks: 1,
        }
    }

    #[test]
    fn work_in_different_places_is_noticed() {
        let own: Vec<RepoId> = ["a/b", "c/d"].map(|it| it.parse().unwrap()).into();
        let here = profile(&[("A/B", "us/b", "us/claims")]);
        let differs = |theirs: &[(&str, &str, &str)]| {
            let capabilities = profile(theirs).capabilities(Vec::new(), &own);
            here.differs_in(&own, &capabilities).map(ToString::to_string)
        };
        let same = ("a/b", "US/b", "us/Claims");
        assert_eq!(differs(&[same]), None);
        for other in [&[][..], &[("a/b", "us/b", "us/others")], &[("a/b", "them/b", "us/claims")]] {
            assert_eq!(differs(other).as_deref(), Some("a/b"), "{other:?}");
        }
        assert_eq!(differs(&[same, ("c/d", "us/d", "us/claims")]).as_deref(), Some("c/d"));
        assert!(here.differs_in(&[], &profile(&[]).capabilities(Vec::new(), &own)).is_none());
    }

    #[test]
    fn a_new_network_is_told_what_stands() {
        let mut own = Own::default();
        let task = |number: u64| format!("a/b#{number}").parse().unwrap();
        let claimed = |number| Said::Task(Announcement::Claimed { task: task(number), epoch: Epoch(1) });
        own.remember(&claimed(1));
        own.remember(&claimed(2));
        own.remember(&Said::Task(Announcement::Released { task: task(1), epoch: Epoch(1) }));
        let availability = Availability::default();
        assert_eq!(own.introduction(availability.clone()), [Said::Availability(availability), claimed(2)]);
    }
}
