//! What was decided of issues and people, and how long it holds: pure, on the monotonic clock.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::task::{Issue, RepoId, TaskId};

use super::NotTrusted;

/// A right that was taken away counts for this long yet. Shorter: a request for each issue of the same person.
const RIGHT_HOLDS: Duration = Duration::from_secs(10 * 60);
/// What could not be asked, or of an issue that bears no time of its last change, is asked again after this long.
const UNSURE_HOLDS: Duration = Duration::from_secs(15 * 60);
/// What is remembered of each kind; past it everything is forgotten, and asked again.
const MAX_REMEMBERED: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    updated_at: String,
    until: Option<Instant>,
    /// Who set the label, or why it does not count.
    pub(super) setter: Result<String, NotTrusted>,
}

#[derive(Default)]
pub(super) struct Memory {
    verdicts: HashMap<TaskId, Verdict>,
    /// By repository and login in lower case.
    rights: HashMap<(RepoId, String), (bool, Instant)>,
}

impl Memory {
    /// What was decided of the issue as it is now.
    pub(super) fn verdict(&self, task: &TaskId, issue: &Issue, now: Instant) -> Option<Verdict> {
        let holds =
            |it: &&Verdict| it.updated_at == issue.updated_at && it.until.is_none_or(|until| now < until);
        self.verdicts.get(task).filter(holds).cloned()
    }

    /// Returns whether it is another verdict than the last one of this issue.
    pub(super) fn remember(
        &mut self,
        task: &TaskId,
        issue: &Issue,
        setter: Result<String, NotTrusted>,
        now: Instant,
    ) -> bool {
        let is_unsure = issue.updated_at.is_empty() || matches!(setter, Err(NotTrusted::CanNotAsk(_)));
        let until = is_unsure.then(|| now + UNSURE_HOLDS);
        let is_news = self.verdicts.get(task).is_none_or(|last| last.setter != setter);
        if self.verdicts.len() >= MAX_REMEMBERED {
            self.verdicts.clear();
        }
        self.verdicts.insert(task.clone(), Verdict { updated_at: issue.updated_at.clone(), until, setter });
        is_news
    }

    pub(super) fn right(&self, repo: &RepoId, login: &str, now: Instant) -> Option<bool> {
        let (may, until) = self.rights.get(&(repo.clone(), login.to_lowercase()))?;
        (now < *until).then_some(*may)
    }

    pub(super) fn remember_right(&mut self, repo: &RepoId, login: &str, may: bool, now: Instant) {
        if self.rights.len() >= MAX_REMEMBERED {
            self.rights.clear();
        }
        self.rights.insert((repo.clone(), login.to_lowercase()), (may, now + RIGHT_HOLDS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::IssueState;

    fn issue(updated_at: &str) -> Issue {
        Issue {
            number: 1,
            title: String::new(),
            body: String::new(),
            state: IssueState::Open,
            labels: vec![],
            author: "ann".into(),
            url: String::new(),
            updated_at: updated_at.into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_holds_as_long_as_the_issue_is_the_same() {
        let (mut memory, now, task) = (Memory::default(), Instant::now(), "a/b#1".parse().unwrap());
        let nobody = Err(NotTrusted::Nobody);
        assert!(memory.remember(&task, &issue("t1"), nobody.clone(), now));
        let much_later = now + Duration::from_secs(1_000_000);
        assert_eq!(memory.verdict(&task, &issue("t1"), much_later).unwrap().setter, nobody);
        assert_eq!(memory.verdict(&task, &issue("t2"), now), None);
        assert!(!memory.remember(&task, &issue("t2"), nobody, now), "said once");
        assert!(memory.remember(&task, &issue("t3"), Ok("ann".into()), now));
        memory.remember(&task, &issue(""), Ok("ann".into()), now);
        assert_eq!(memory.verdict(&task, &issue(""), now + UNSURE_HOLDS), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_is_asked_for_again_after_a_while() {
        let (mut memory, now, repo) = (Memory::default(), Instant::now(), "a/b".parse().unwrap());
        memory.remember_right(&repo, "Ann", true, now);
        assert_eq!(memory.right(&repo, "ann", now), Some(true));
        assert_eq!(memory.right(&repo, "ann", now + RIGHT_HOLDS), None);
    }
}
