//! From a checked tree to a pull request, and what becomes of it.

use actix::MailboxError;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::debug;

use crate::claim_manager::{Publish, PublishError};
use crate::ports::forge::{NewPullRequest, PullRequest, PullRequestState};
use crate::ports::journal::JournalError;
use crate::sandbox_actor::Destroy;
use crate::task::{Publication, PullRequestRef, Sha, TaskEvent};
use crate::task_runner::Happened;

use super::ci::CiWatch;
use super::{Carried, Ended, Tools, stalled};

/// A pull request that has been open for long is looked at more seldom: each look costs a request of the forge's quota, and
/// there may be a hundred. After each this many looks the pause is one `review_interval` longer, up to `MAX_SLOWDOWN` of them.
const LOOKS_AT_ONE_PACE: u32 = 60;
const MAX_SLOWDOWN: u32 = 10;

impl Tools {
    pub(super) async fn publish(&self, tree: &Sha) -> Carried {
        let (bench, id) = (&self.deps.bench, &self.task.id);
        let issue = bench.forge.issue(id).await?;
        if !issue.is_wanted(&bench.task_label) {
            return Ok(TaskEvent::Cancelled { why: "the issue was closed or lost its label".to_owned() });
        }
        let Some(base) = &self.task.base else {
            return Err(Ended::GivenUp("there is no base to publish on".to_owned()));
        };
        let commit = bench.code.commit(id, &base.commit, tree, &self.task.commit_message()).await?;
        let (answer, answered) = oneshot::channel();
        bench.claims.send(Publish { task: id.clone(), commit: commit.clone(), answer }).await?;
        // Dropped when the manager went down: ask again.
        match answered.await.map_err(|_| Ended::from(MailboxError::Closed))? {
            Ok(()) => Ok(TaskEvent::Published { commit, at: Some(self.publication().await?) }),
            Err(PublishError::LeaseLost(why)) => Ok(TaskEvent::LeaseLost { why }),
            Err(error @ (PublishError::Failed(_) | PublishError::Recovering)) => Err(stalled(error)),
        }
    }

    async fn publication(&self) -> Result<Publication, JournalError> {
        let (bench, id) = (&self.deps.bench, &self.task.id);
        let (_, worked) = bench.read(id).await?;
        let worked_ms = u64::try_from(worked.as_millis()).unwrap_or(u64::MAX);
        Ok(Publication { head: bench.log.head().await?, worked_ms })
    }

    /// Opens the pull request, unless the one of an earlier try is there: that one may be merged or closed by now.
    pub(super) async fn propose(&self) -> Carried {
        let (bench, id) = (&self.deps.bench, &self.task.id);
        let published = self.task.published.as_ref().map(Sha::as_str);
        let found = bench.forge.find_pull_request(&id.repo, &id.branch()).await?;
        if let Some(found) = found.filter(|it| published == Some(&it.head_sha)) {
            return Ok(opened(found));
        }
        let base = self.task.base.as_ref().map(|base| base.branch.clone()).unwrap_or_default();
        let pull_request = NewPullRequest {
            head: id.branch(),
            base,
            title: self.task.pull_request_title(),
            body: self.task.pull_request_body(&bench.node),
            // What nothing has proved is not to be taken for ready.
            draft: self.task.is_unchecked(),
        };
        Ok(opened(bench.forge.open_pull_request(&id.repo, &pull_request).await?))
    }

    pub(super) async fn watch_review(&self) -> Carried {
        self.deps.sandbox.send(Destroy).await??;
        let Some(pull_request) = &self.task.pull_request else {
            return Err(Ended::GivenUp("there is no pull request to watch".to_owned()));
        };
        let mut ci = CiWatch::new(self.task.ci.as_ref().map(|(commit, _)| commit.clone()));
        let mut looks = 0;
        loop {
            let seen = self.deps.bench.forge.pull_request(&self.task.id.repo, pull_request.number).await;
            // The work is done: whatever is wrong with the token or the forge now, it does not fail the task.
            let seen = seen.map_err(|error| Ended::Stalled {
                problem: error.to_string(),
                retry_after: error.retry_after(),
            })?;
            match seen.state {
                PullRequestState::Merged => return Ok(TaskEvent::PullRequestMerged),
                PullRequestState::Closed => return Ok(TaskEvent::PullRequestClosed),
                PullRequestState::Open => {}
            }
            if let Ok(head) = seen.head_sha.parse() {
                self.watch_ci(&head, &mut ci).await;
            }
            looks += 1;
            sleep(self.deps.bench.pace.review_interval * (1 + looks / LOOKS_AT_ONE_PACE).min(MAX_SLOWDOWN))
                .await;
        }
    }

    /// Notes in the journal what continuous integration says, once it has come to its end on this head. What it can't be
    /// asked for now is asked for the next time: nothing waits for it.
    async fn watch_ci(&self, head: &Sha, ci: &mut CiWatch) {
        if !ci.is_to_be_asked(head) {
            return;
        }
        let checks = match self.deps.bench.forge.ci_checks(&self.task.id.repo, head).await {
            Ok(checks) => checks,
            Err(error) => return debug!(%error, "continuous integration not read"),
        };
        if let Some(failed) = ci.verdict(&checks) {
            let event = TaskEvent::CiFinished { commit: head.clone(), failed };
            // A runner that went down begins to watch anew.
            let _ = self.deps.runner.send(Happened(event)).await;
        }
    }
}

fn opened(pull_request: PullRequest) -> TaskEvent {
    let pull_request = PullRequestRef { number: pull_request.number, url: pull_request.url };
    TaskEvent::PullRequestOpened { pull_request }
}
