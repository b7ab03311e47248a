//! A running node as a test sees it: its journal, and the wait for what it will say.

use std::sync::Arc;
use std::time::Duration;

use bzzz::journal::SqliteJournal;
use bzzz_actors::audit_logger::AuditLog;
use bzzz_actors::ports::journal::{Journal, Recorded, Seq};
use bzzz_actors::task::{BlobRef, NodeId, TaskId};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::story::Story;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

#[derive(Clone)]
pub(crate) struct Bee {
    pub(crate) name: NodeId,
    pub(crate) log: AuditLog,
    pub(crate) journal: Arc<SqliteJournal>,
}

impl Bee {
    pub(crate) async fn story(&self, task: &TaskId) -> Story {
        Story::new(task, self.journal.events_of(task, Seq::default()).await.unwrap())
    }

    /// Waits until what the journal says of `task` is so; `what` says it in words.
    pub(crate) async fn until(&self, task: &TaskId, what: &str, is: impl Fn(&Story) -> bool) -> Story {
        let mut news = self.log.subscribe();
        let looked = async {
            loop {
                let story = self.story(task).await;
                if is(&story) {
                    return story;
                }
                // What a slow reader missed stands in the journal.
                if let Err(RecvError::Closed) = news.recv().await {
                    panic!("the node is gone: {story}");
                }
            }
        };
        match timeout(PATIENCE, looked).await {
            Ok(story) => story,
            Err(_) => panic!("{what}: not within {PATIENCE:?}; {}", self.story(task).await),
        }
    }

    pub(crate) async fn until_kind(&self, task: &TaskId, kind: &str) -> Story {
        self.until(task, kind, |story| story.has(kind)).await
    }

    /// Waits for the pull request; fails as soon as the task has ended in another way.
    pub(crate) async fn until_proposed(&self, task: &TaskId) -> Story {
        let is_over = |story: &Story| story.has("pull_request_opened") || story.task().phase.is_resting();
        let story = self
            .until(task, "a pull request", |story| {
                story.has("found") && story.recorded.len() > 2 && is_over(story)
            })
            .await;
        assert!(story.has("pull_request_opened"), "{story}");
        story
    }

    /// Waits until nothing of the task is this node's any more.
    pub(crate) async fn until_over(&self, task: &TaskId) -> Story {
        self.until(task, "the end", |story| story.has("cleaned_up")).await
    }

    /// The container of the task's first claim.
    pub(crate) fn sandbox_of(&self, task: &TaskId) -> String {
        format!("bzzz-{}-{}-e1-work", self.name, task.slug())
    }

    pub(crate) async fn blob(&self, blob: &BlobRef) -> String {
        let bytes = self.journal.blob(blob).await.unwrap().expect("the journal has what it names");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Every event of these tasks in the order of the journal.
    pub(crate) async fn history(&self, tasks: &[TaskId]) -> Vec<Recorded> {
        let mut all = Vec::new();
        for task in tasks {
            all.extend(self.story(task).await.recorded);
        }
        all.sort_by_key(|recorded| recorded.seq);
        all
    }

    pub(crate) fn or<'a>(&'a self, other: &'a Self) -> Either<'a> {
        Either([self, other])
    }
}

/// Two nodes, one of which does a task.
pub(crate) struct Either<'a>([&'a Bee; 2]);

impl Either<'_> {
    pub(crate) async fn until_proposed(&self, task: &TaskId) {
        let [one, other] = self.0;
        let is_proposed = |story: &Story| story.has("pull_request_opened");
        tokio::select! {
            story = one.until(task, "one's pull request", is_proposed) => drop(story),
            story = other.until(task, "the other's pull request", is_proposed) => drop(story),
        }
    }

    /// Each kind of event is in one of the two stories, once.
    pub(crate) async fn assert_once(&self, task: &TaskId, kinds: &[&str]) {
        let (ours, theirs) = (self.0[0].story(task).await, self.0[1].story(task).await);
        for kind in kinds {
            assert_eq!(ours.count(kind) + theirs.count(kind), 1, "{kind}: {ours}\n{theirs}");
        }
    }
}
