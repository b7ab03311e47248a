//! `AuditLogger`: the only writer of the journal.
//!
//! Owns: the order of entries, and the group commit. Told: `Record`, answered once the entry is durable. Tells:
//! subscribers, in the order of the journal, after the entry is durable. Holds true: one append is under way at a
//! time; entries that arrive meanwhile share the next, so that many tasks share one sync. On a restart: entries that
//! were waiting are lost and their senders see [`RecordError::Unknown`].

mod group;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::timeout;
use tracing::{debug, error};

use crate::ports::journal::{Entry, Journal, JournalError, NodeEvent, Recorded, Seq};
use crate::supervisor::Inbox;
use crate::task::{BlobRef, JournalHead, TaskId};

use group::Group;

/// Events that a subscriber may lag behind before it loses the oldest. A page or a terminal that is slower than this
/// reads the journal instead.
const SUBSCRIBER_LAG: usize = 4096;

/// A batch that is not durable after this long is on a disk that hangs: the node ends, and the service manager starts
/// it again. Too short: a disk that is only busy restarts the node.
const APPEND_LIMIT: Duration = Duration::from_secs(120);

/// Why an entry was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is not in the journal.
    #[error(transparent)]
    Refused(#[from] JournalError),
    /// It is not in the journal: whoever records was replaced and does not know yet.
    #[error("the task has other actors now")]
    Revoked,
    /// The logger went down while it had the entry: only the journal itself knows.
    #[error("whether the journal holds the entry is unknown")]
    Unknown,
}

#[derive(Message)]
#[rtype(result = "Result<Recorded, RecordError>")]
pub struct Record {
    entry: Entry,
    author: Author,
}

/// Whoever records under it. Whether it may is asked when the entry's turn has come: an actor whose thread was blocked, and
/// which others have replaced, may have anything still in hand.
#[derive(Debug, Clone, Default)]
pub struct Author {
    is_revoked: Arc<AtomicBool>,
}

impl Author {
    /// From now on nothing is recorded under it, on the thread of the logger.
    pub fn revoke(&self) {
        self.is_revoked.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone)]
pub struct AuditLoggerDeps {
    pub journal: Arc<dyn Journal>,
    pub subscribers: broadcast::Sender<Arc<Recorded>>,
    /// Told when the journal hangs or has ended, which the node can't go on with.
    pub fatal: mpsc::UnboundedSender<String>,
}

pub struct AuditLogger {
    deps: AuditLoggerDeps,
    group: Group<Waiting>,
}

struct Waiting {
    entry: Entry,
    answer: oneshot::Sender<Result<Recorded, RecordError>>,
}

impl AuditLogger {
    pub fn new(deps: AuditLoggerDeps) -> Self {
        Self { deps, group: Group::default() }
    }

    fn write_next(&mut self, ctx: &mut Context<Self>) {
        let Some(batch) = self.group.begin() else { return };
        let (entries, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|it| (it.entry, it.answer)).unzip();
        let journal = self.deps.journal.clone();
        let fatal = self.deps.fatal.clone();
        let append = async move {
            let mut append = journal.append(entries);
            if let Ok(appended) = timeout(APPEND_LIMIT, &mut append).await {
                if let Err(error @ JournalError::Ended) = &appended {
                    error!(%error, "the node ends");
                    let _ = fatal.send("journal".to_owned());
                }
                return appended;
            }
            // Whoever went on now would go on from a journal that may still change under it: only a new process knows.
            error!(limit = ?APPEND_LIMIT, "the journal does not answer, the node ends");
            let _ = fatal.send("journal".to_owned());
            append.await
        };
        ctx.spawn(append.into_actor(self).map(move |appended, logger, ctx| {
            logger.answer(appended, answers);
            logger.group.end();
            logger.write_next(ctx);
        }));
    }

    /// A sender or subscriber that is gone does not matter: the entry is durable.
    fn answer(
        &self,
        appended: Result<Vec<Recorded>, JournalError>,
        answers: Vec<oneshot::Sender<Result<Recorded, RecordError>>>,
    ) {
        match appended {
            Ok(recorded) => {
                for (recorded, answer) in recorded.into_iter().zip(answers) {
                    debug!(task = %recorded.task, seq = recorded.seq.0, kind = recorded.event.kind(), "recorded");
                    let _ = self.deps.subscribers.send(Arc::new(recorded.clone()));
                    let _ = answer.send(Ok(recorded));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone().into()));
                }
            }
        }
    }
}

impl Actor for AuditLogger {
    type Context = Context<Self>;
}

crate::supervised!(AuditLogger: Record);

impl Handler<Record> for AuditLogger {
    type Result = ResponseActFuture<Self, Result<Recorded, RecordError>>;

    fn handle(&mut self, Record { entry, author }: Record, ctx: &mut Context<Self>) -> Self::Result {
        if author.is_revoked.load(Ordering::Relaxed) {
            return Box::pin(async { Err(RecordError::Revoked) }.into_actor(self));
        }
        let (answer, answered) = oneshot::channel();
        self.group.push(Waiting { entry, answer });
        self.write_next(ctx);
        let answered = async move { answered.await.unwrap_or(Err(RecordError::Unknown)) };
        Box::pin(answered.into_actor(self))
    }
}

/// The journal as the other actors see it: they write through the logger and read beside it.
#[derive(Clone)]
pub struct AuditLog {
    logger: Inbox<AuditLogger>,
    journal: Arc<dyn Journal>,
    subscribers: broadcast::Sender<Arc<Recorded>>,
    author: Author,
}

impl AuditLog {
    pub fn new(logger: Inbox<AuditLogger>, deps: &AuditLoggerDeps) -> Self {
        Self {
            logger,
            journal: deps.journal.clone(),
            subscribers: deps.subscribers.clone(),
            author: Author::default(),
        }
    }

    /// The same journal, for somebody who may be replaced.
    pub fn under(&self, author: Author) -> Self {
        Self { author, ..self.clone() }
    }

    /// Returns once the entry is durable.
    pub async fn record(&self, entry: Entry) -> Result<Recorded, RecordError> {
        self.logger
            .send(Record { entry, author: self.author.clone() })
            .await
            .unwrap_or(Err(RecordError::Unknown))
    }

    /// Records what is of no task; durable on return.
    pub async fn note(&self, event: NodeEvent) -> Result<Seq, JournalError> {
        self.journal.note(event).await
    }

    pub async fn events_of(&self, task: &TaskId, after: Seq) -> Result<Vec<Recorded>, JournalError> {
        self.journal.events_of(task, after).await
    }

    pub async fn head(&self) -> Result<JournalHead, JournalError> {
        self.journal.head().await
    }

    pub async fn put_blob(&self, bytes: &[u8]) -> Result<BlobRef, JournalError> {
        self.journal.put_blob(bytes).await
    }

    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// What is recorded from now on. A receiver that lags by more than 4,096 events loses the oldest, and is told.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Recorded>> {
        self.subscribers.subscribe()
    }
}

/// The channel that subscribers hang on. It outlives the logger's restarts.
pub fn subscribers() -> broadcast::Sender<Arc<Recorded>> {
    broadcast::channel(SUBSCRIBER_LAG).0
}
