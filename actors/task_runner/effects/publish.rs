//! From a checked tree to a pull request, and what becomes of it.

use actix::MailboxError;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::claim_manager::{Publish, PublishError};
use crate::ports::forge::{NewPullRequest, PullRequest, PullRequestState};
use crate::sandbox_actor::Destroy;
use crate::task::{PullRequestRef, Sha, TaskEvent};

use super::{Carried, Ended, Tools, stalled};

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
            Ok(()) => Ok(TaskEvent::Published { commit }),
            Err(PublishError::LeaseLost(why)) => Ok(TaskEvent::LeaseLost { why }),
            Err(error @ (PublishError::Failed(_) | PublishError::Recovering)) => Err(stalled(error)),
        }
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
            draft: false,
        };
        Ok(opened(bench.forge.open_pull_request(&id.repo, &pull_request).await?))
    }

    pub(super) async fn watch_review(&self) -> Carried {
        self.deps.sandbox.send(Destroy).await??;
        let Some(pull_request) = &self.task.pull_request else {
            return Err(Ended::GivenUp("there is no pull request to watch".to_owned()));
        };
        loop {
            let seen = self.deps.bench.forge.pull_request(&self.task.id.repo, pull_request.number).await;
            // The work is done: whatever is wrong with the token or the forge now, it does not fail the task.
            let seen = seen.map_err(stalled)?;
            match seen.state {
                PullRequestState::Merged => return Ok(TaskEvent::PullRequestMerged),
                PullRequestState::Closed => return Ok(TaskEvent::PullRequestClosed),
                PullRequestState::Open => sleep(self.deps.bench.pace.review_interval).await,
            }
        }
    }
}

fn opened(pull_request: PullRequest) -> TaskEvent {
    let pull_request = PullRequestRef { number: pull_request.number, url: pull_request.url };
    TaskEvent::PullRequestOpened { pull_request }
}
