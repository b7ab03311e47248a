//! The record of what sandboxes asked of the network: every connection in the journal, up to a number for each task, and in
//! the log. A command that asks in a loop fills neither.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bzzz_actors::audit_logger::{AuditLog, RecordError};
use bzzz_actors::ports::journal::{Entry, JournalError};
use bzzz_actors::task::{ConnectionOutcome, Epoch, TaskEvent, TaskId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

/// Connections of a task that are recorded in one life of the node. The refused ones are counted apart, so that they can't
/// hide the others.
pub const MAX_ALLOWED: u32 = 500;
pub const MAX_REFUSED: u32 = 100;

/// Events that wait for the journal. A connection's end waits beyond that, and holds its place among the sandbox's.
const QUEUE: usize = 64;

/// The pause before a journal that can't be written is tried again.
const JOURNAL_PAUSE: Duration = Duration::from_secs(2);

/// One connection, when it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) outcome: ConnectionOutcome,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
}

/// Whether more of a kind may be recorded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    Left,
    /// This was one too many.
    Full,
}

type Happened = (TaskId, Epoch, TaskEvent);

#[derive(Clone)]
pub struct Reporter {
    events: mpsc::Sender<Happened>,
    counts: Arc<Mutex<HashMap<TaskId, (Epoch, Counts)>>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    allowed: u32,
    refused: u32,
}

/// Reads what the reporters report; ends when all of them are gone.
pub struct Reports(mpsc::Receiver<Happened>);

pub fn reports() -> (Reporter, Reports) {
    let (events, receiver) = mpsc::channel(QUEUE);
    (Reporter { events, counts: Arc::default() }, Reports(receiver))
}

impl Reporter {
    /// Returns when there was room for it.
    pub(super) async fn report(&self, task: &TaskId, epoch: Epoch, connection: Connection) -> Room {
        let allowed = !matches!(connection.outcome, ConnectionOutcome::Refused { .. });
        let most = if allowed { MAX_ALLOWED } else { MAX_REFUSED };
        let count = self.count(task, epoch, allowed);
        let Connection { host, port, outcome, sent_bytes, received_bytes } = connection;
        if count > most {
            debug!(%task, host, port, ?outcome, sent_bytes, received_bytes, "connection, not recorded");
        } else {
            info!(%task, host, port, ?outcome, sent_bytes, received_bytes, "connection");
        }
        let event = match count.checked_sub(most) {
            None | Some(0) => TaskEvent::Connected { host, port, outcome, sent_bytes, received_bytes },
            Some(1) => TaskEvent::ConnectionsOmitted { after: most, allowed },
            Some(_) => return Room::Full,
        };
        // Nobody listens: the node has ended.
        let _ = self.events.send((task.clone(), epoch, event)).await;
        if count > most { Room::Full } else { Room::Left }
    }

    /// Which one of its kind it is, from 1 on.
    fn count(&self, task: &TaskId, epoch: Epoch, allowed: bool) -> u32 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, count) = counts.entry(task.clone()).or_insert((epoch, Counts::default()));
        if *of != epoch {
            (*of, *count) = (epoch, Counts::default());
        }
        let count = if allowed { &mut count.allowed } else { &mut count.refused };
        *count = count.saturating_add(1);
        *count
    }
}

impl Reports {
    pub async fn next(&mut self) -> Option<(TaskId, Epoch, TaskEvent)> {
        self.0.recv().await
    }

    /// Records all of them. Once `ended`, what was reported by then is the last.
    pub async fn record(mut self, log: AuditLog, ended: CancellationToken) {
        loop {
            let happened = tokio::select! {
                biased;
                () = ended.cancelled(), if !self.0.is_closed() => {
                    self.0.close();
                    continue;
                }
                happened = self.next() => happened,
            };
            let Some((task, epoch, event)) = happened else { return };
            let entry = Entry { task, epoch, event, notices: Vec::new() };
            loop {
                match log.record(entry.clone()).await {
                    Ok(_) => break,
                    Err(RecordError::Refused(problem @ JournalError::Unavailable(_))) => {
                        error!(%problem, "connection not recorded, those behind it wait");
                        tokio::time::sleep(JOURNAL_PAUSE).await;
                    }
                    Err(problem) => {
                        error!(%problem, event = ?entry.event, "connection perhaps not recorded");
                        break;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(outcome: ConnectionOutcome) -> Connection {
        Connection { host: "a.example".into(), port: 443, outcome, sent_bytes: 1, received_bytes: 2 }
    }

    #[tokio::test]
    async fn a_loop_of_refused_connections_fills_nothing_and_hides_nothing() {
        let (reporter, mut reports) = reports();
        let task: TaskId = "a/b#1".parse().unwrap();
        let refused = || connection(ConnectionOutcome::Refused { why: "no".into() });
        let reported = {
            let task = task.clone();
            tokio::spawn(async move {
                for _ in 0..5000 {
                    reporter.report(&task, Epoch(1), refused()).await;
                }
                let last = reporter.report(&task, Epoch(1), refused()).await;
                reporter.report(&task, Epoch(1), connection(ConnectionOutcome::Closed)).await;
                reporter.report(&task, Epoch(2), refused()).await;
                last
            })
        };
        let mut kinds = Vec::new();
        while let Some((of, epoch, event)) = reports.next().await {
            assert_eq!(of, task);
            kinds.push((epoch.0, event.kind()));
        }
        assert_eq!(reported.await.unwrap(), Room::Full);
        let mut expected = vec![(1, "connected"); MAX_REFUSED as usize];
        expected.extend([(1, "connections_omitted"), (1, "connected"), (2, "connected")]);
        assert_eq!(kinds, expected);
    }
}
