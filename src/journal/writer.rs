//! The thread that writes. A change that was handed over is carried out, whether or not its caller still waits: a
//! dropped future leaves nothing half done.

use std::thread::JoinHandle;

use bzzz_actors::crash_points;
use bzzz_actors::ports::journal::{Delivery, Entry, JournalError, NodeEvent, Recorded, Seq, Witnessed};
use bzzz_actors::task::Lane;
use tokio::sync::{mpsc, oneshot};

use super::store::Store;

/// How many changes may wait. Callers beyond it wait before they hand theirs over; a batch is one change, so more
/// would not make the disk faster.
const QUEUE: usize = 64;

enum Change {
    Append(Vec<Entry>, oneshot::Sender<Result<Vec<Recorded>, JournalError>>),
    Note(Box<NodeEvent>, oneshot::Sender<Result<Seq, JournalError>>),
    Witness(Box<Witnessed>, oneshot::Sender<Result<(), JournalError>>),
    Settle(u64, Delivery, oneshot::Sender<Result<(), JournalError>>),
    Shed(Lane, usize, String, oneshot::Sender<Result<usize, JournalError>>),
    #[cfg(test)]
    LimitPages(i64),
}

/// The handle of the thread.
pub(super) struct Writer {
    changes: Option<mpsc::Sender<Change>>,
    thread: Option<JoinHandle<Store>>,
}

impl Writer {
    /// `recorded` is told the last entry of each change that added some.
    pub(super) fn start(mut store: Store, recorded: impl Fn(u64) + Send + 'static) -> std::io::Result<Self> {
        let (changes, mut queue) = mpsc::channel(QUEUE);
        let work = move || {
            while let Some(change) = queue.blocking_recv() {
                carry_out(&mut store, change, &recorded);
            }
            store
        };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(work)?;
        Ok(Self { changes: Some(changes), thread: Some(thread) })
    }

    pub(super) async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Recorded>, JournalError> {
        self.hand_over(|reply| Change::Append(entries, reply)).await
    }

    pub(super) async fn note(&self, event: NodeEvent) -> Result<Seq, JournalError> {
        self.hand_over(|reply| Change::Note(Box::new(event), reply)).await
    }

    pub(super) async fn witness(&self, witnessed: Witnessed) -> Result<(), JournalError> {
        self.hand_over(|reply| Change::Witness(Box::new(witnessed), reply)).await
    }

    pub(super) async fn settle(&self, id: u64, delivery: Delivery) -> Result<(), JournalError> {
        self.hand_over(|reply| Change::Settle(id, delivery, reply)).await
    }

    pub(super) async fn shed(&self, lane: Lane, keep: usize, why: String) -> Result<usize, JournalError> {
        self.hand_over(|reply| Change::Shed(lane, keep, why, reply)).await
    }

    /// Waits for the changes that were handed over; nothing is written after this.
    pub(super) fn finish(&mut self) -> Option<Store> {
        self.changes.take();
        // A panic there was reported when it happened.
        self.thread.take()?.join().ok()
    }

    async fn hand_over<T>(
        &self,
        change: impl FnOnce(oneshot::Sender<Result<T, JournalError>>) -> Change,
    ) -> Result<T, JournalError> {
        let gone = || JournalError::Ended;
        let (reply, answer) = oneshot::channel();
        let changes = self.changes.as_ref().ok_or_else(gone)?;
        changes.send(change(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    #[cfg(test)]
    pub(super) async fn limit_pages(&self, pages: i64) {
        assert!(self.changes.as_ref().unwrap().send(Change::LimitPages(pages)).await.is_ok());
    }
}

/// A caller that no longer waits for its answer is no error.
fn carry_out(store: &mut Store, change: Change, recorded: &dyn Fn(u64)) {
    match change {
        Change::Append(entries, reply) => {
            crash_points::before("record events");
            let appended = store.append(&entries);
            crash_points::after("record events");
            if let Some(last) = appended.as_ref().ok().and_then(|entries| entries.last()) {
                recorded(last.seq.0);
            }
            drop(reply.send(appended));
        }
        Change::Note(event, reply) => {
            let noted = store.note(&event);
            if let Ok(seq) = &noted {
                recorded(seq.0);
            }
            drop(reply.send(noted));
        }
        Change::Witness(witnessed, reply) => drop(reply.send(store.witness(&witnessed))),
        Change::Settle(id, delivery, reply) => {
            crash_points::before("settle a notice");
            let settled = store.settle(id, &delivery);
            crash_points::after("settle a notice");
            drop(reply.send(settled));
        }
        Change::Shed(lane, keep, why, reply) => drop(reply.send(store.shed(lane, keep, &why))),
        #[cfg(test)]
        Change::LimitPages(pages) => store.limit_pages(pages),
    }
}
