use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bzzz_actors::ports::journal::{
    Delivery, Entry, Journal, JournalError, NodeEvent, Pending, Recorded, Seq, Witnessed,
};
use bzzz_actors::task::{BlobRef, Epoch, JournalHead, Lane, TaskEvent, TaskId};
use bzzz_actors::trail::{Bytes, Growth, Key, Mark, Node, TrailHead, Tree};
use tokio::time::Instant;

use super::Traps;

#[derive(Default)]
pub struct MemoryJournal {
    /// Appends never answer.
    pub hangs: AtomicBool,
    pub traps: Traps,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: Vec<Recorded>,
    notes: Vec<NodeEvent>,
    witnessed: Vec<Witnessed>,
    /// A header, and the events.
    trail: Tree,
    audit_key: Option<Key>,
    outbox: Vec<(Pending, Option<Delivery>)>,
    blobs: HashMap<String, Vec<u8>>,
    /// The next appends fail, that many times.
    failing_appends: u32,
    failing_blobs: u32,
    failing_unfinished: u32,
    /// The append of such an event panics, once.
    panicking_kind: Option<&'static str>,
}

impl State {
    fn trail(&mut self) -> &Tree {
        if self.trail.length() == 0 {
            self.trail.push(Node::of_block(b"header"));
        }
        let behind = self.events.iter().skip(self.trail.length() as usize - 1);
        behind.for_each(|recorded| self.trail.push(block(recorded)));
        &self.trail
    }

    fn waiting(&self, lane: Lane) -> impl Iterator<Item = &Pending> {
        let waits =
            move |(it, done): &&(Pending, Option<Delivery>)| done.is_none() && it.notice.lane() == lane;
        self.outbox.iter().filter(waits).map(|(it, _)| it)
    }
}

/// A clock for all journals of the process; it starts anywhere.
/// The wall clock of a test: it begins when somebody first looks. Each test has a thread and a virtual time of its own.
pub fn now_ms() -> u64 {
    thread_local!(static START: Instant = Instant::now());
    START.with(|start| u64::try_from(start.elapsed().as_millis()).unwrap())
}

fn block(recorded: &Recorded) -> Node {
    Node::of_block(format!("{recorded:?}").as_bytes())
}

impl MemoryJournal {
    /// Of the node with this name.
    pub fn of(name: &str) -> Self {
        let mut key = [0; 32];
        key.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        let state = State { audit_key: Some(Bytes(key)), ..State::default() };
        Self { state: Mutex::new(state), ..Self::default() }
    }

    /// The same with another first event: a history that was written anew.
    pub fn rewritten(&self) -> Self {
        let journal = self.prefix(self.events().len());
        journal.state.lock().unwrap().events[0].at_ms += 1;
        journal
    }

    pub fn seen(&self) -> Vec<Witnessed> {
        self.state.lock().unwrap().witnessed.clone()
    }

    /// What proves that the trail leads from one mark to the other.
    pub fn growth(&self, from: Mark, to: Mark) -> Option<Growth> {
        let mut state = self.state.lock().unwrap();
        let leads_to = |mark: Mark| state.trail().peaks(mark.length).is_some_and(|it| it.root() == mark.root);
        [from, to]
            .into_iter()
            .all(leads_to)
            .then(|| Growth::new(&state.trail, from.length, to.length, vec![]))?
    }

    pub fn notes(&self) -> Vec<NodeEvent> {
        self.state.lock().unwrap().notes.clone()
    }

    pub fn events(&self) -> Vec<TaskEvent> {
        self.state.lock().unwrap().events.iter().map(|it| it.event.clone()).collect()
    }

    pub fn kinds(&self) -> Vec<&'static str> {
        self.state.lock().unwrap().events.iter().map(|it| it.event.kind()).collect()
    }

    pub fn kinds_of(&self, task: &str) -> Vec<&'static str> {
        let state = self.state.lock().unwrap();
        state.events.iter().filter(|it| it.task.to_string() == task).map(|it| it.event.kind()).collect()
    }

    /// The numbers of the issues that were claimed.
    pub fn claimed(&self) -> Vec<u64> {
        let state = self.state.lock().unwrap();
        state.events.iter().filter(|it| it.event.kind() == "claimed").map(|it| it.task.number).collect()
    }

    pub fn fail_blobs(&self, count: u32) {
        self.state.lock().unwrap().failing_blobs = count;
    }

    pub fn fail_unfinished(&self, count: u32) {
        self.state.lock().unwrap().failing_unfinished = count;
    }

    pub fn panic_on(&self, kind: &'static str) {
        self.state.lock().unwrap().panicking_kind = Some(kind);
    }

    pub fn fail_appends(&self, count: u32) {
        self.state.lock().unwrap().failing_appends = count;
    }

    fn is_to_fail(&self, count: impl Fn(&mut State) -> &mut u32) -> bool {
        let mut state = self.state.lock().unwrap();
        let left = count(&mut state);
        let fails = *left > 0;
        *left = left.saturating_sub(1);
        fails
    }

    /// A journal as it would be had the node died after its first `count` events.
    pub fn prefix(&self, count: usize) -> Self {
        let state = self.state.lock().unwrap();
        let events: Vec<Recorded> = state.events[..count].to_vec();
        let last = events.last().map(|it| it.seq.0).unwrap_or_default();
        let outbox = state.outbox.iter().filter(|(it, _)| it.id / 100 <= last).cloned().collect();
        let (blobs, audit_key) = (state.blobs.clone(), state.audit_key);
        let state = State { events, outbox, blobs, audit_key, ..State::default() };
        Self { state: Mutex::new(state), traps: Traps::default(), hangs: AtomicBool::new(false) }
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Recorded>, JournalError> {
        if self.hangs.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        self.traps.step_on("append");
        let mut state = self.state.lock().unwrap();
        if state.failing_appends > 0 {
            state.failing_appends -= 1;
            return Err(JournalError::Unavailable("no space left on device".into()));
        }
        if let Some(kind) = state.panicking_kind
            && entries.iter().any(|entry| entry.event.kind() == kind)
        {
            state.panicking_kind = None;
            drop(state);
            panic!("the adapter panics");
        }
        let mut recorded = Vec::new();
        for Entry { task, epoch, event, notices } in entries {
            let seq = Seq(state.events.len() as u64 + 1);
            for (index, notice) in (0..).zip(notices) {
                let id = seq.0 * 100 + index;
                let pending =
                    Pending { id, task: task.clone(), epoch: Epoch(epoch.0), notice, recorded_at_ms: 0 };
                state.outbox.push((pending, None));
            }
            let entry = Recorded { seq, at_ms: now_ms(), task, epoch, event };
            state.events.push(entry.clone());
            recorded.push(entry);
        }
        Ok(recorded)
    }

    async fn head(&self) -> Result<JournalHead, JournalError> {
        self.traps.step_on("head");
        let entry = self.state.lock().unwrap().events.len() as u64;
        Ok(JournalHead { entry, hash: format!("{entry:064x}"), trail: None })
    }

    async fn note(&self, event: NodeEvent) -> Result<Seq, JournalError> {
        self.traps.step_on("note");
        let mut state = self.state.lock().unwrap();
        state.notes.push(event);
        Ok(Seq(state.events.len() as u64))
    }

    /// Nobody signed it.
    async fn trail_head(&self) -> Result<TrailHead, JournalError> {
        self.traps.step_on("trail_head");
        let mut state = self.state.lock().unwrap();
        let key = state.audit_key.unwrap_or(Bytes([1; 32]));
        let length = state.trail().length();
        let mark = Mark { segment: 0, length, root: state.trail.peaks(length).unwrap().root() };
        Ok(TrailHead { key, segment_key: key, mark, signature: Bytes([0; 64]) })
    }

    async fn leads_to(&self, mark: Mark) -> Result<bool, JournalError> {
        self.traps.step_on("leads_to");
        let mut state = self.state.lock().unwrap();
        Ok(mark.segment == 0 && state.trail().peaks(mark.length).is_some_and(|it| it.root() == mark.root))
    }

    async fn witness(&self, witnessed: Witnessed) -> Result<(), JournalError> {
        self.traps.step_on("witness");
        let mut state = self.state.lock().unwrap();
        state.witnessed.retain(|it| it.peer != witnessed.peer);
        state.witnessed.push(witnessed);
        Ok(())
    }

    async fn witnessed(&self) -> Result<Vec<Witnessed>, JournalError> {
        self.traps.step_on("witnessed");
        Ok(self.seen())
    }

    async fn events_of(&self, task: &TaskId, after: Seq) -> Result<Vec<Recorded>, JournalError> {
        self.traps.step_on("events_of");
        let state = self.state.lock().unwrap();
        Ok(state.events.iter().filter(|it| it.task == *task && it.seq > after).cloned().collect())
    }

    async fn tasks(&self) -> Result<Vec<TaskId>, JournalError> {
        self.traps.step_on("tasks");
        let mut tasks: Vec<TaskId> = Vec::new();
        for recorded in &self.state.lock().unwrap().events {
            tasks.retain(|task| *task != recorded.task);
            tasks.push(recorded.task.clone());
        }
        Ok(tasks)
    }

    async fn unfinished(&self) -> Result<Vec<TaskId>, JournalError> {
        self.traps.step_on("unfinished");
        if self.is_to_fail(|state| &mut state.failing_unfinished) {
            return Err(JournalError::Unavailable("busy".into()));
        }
        let mut unfinished = Vec::new();
        for task in self.tasks().await? {
            let events = self.events_of(&task, Seq::default()).await?;
            let last = events.iter().rfind(|it| !it.event.is_of_network());
            if !last.is_some_and(|it| matches!(it.event.kind(), "cleaned_up" | "claim_lost")) {
                unfinished.push(task);
            }
        }
        Ok(unfinished)
    }

    async fn put_blob(&self, bytes: &[u8]) -> Result<BlobRef, JournalError> {
        self.traps.step_on("put_blob");
        if self.is_to_fail(|state| &mut state.failing_blobs) {
            return Err(JournalError::Unavailable("no space left on device".into()));
        }
        let mut state = self.state.lock().unwrap();
        let name = format!("blob-{}", state.blobs.len());
        state.blobs.insert(name.clone(), bytes.to_vec());
        Ok(BlobRef(name))
    }

    async fn blob(&self, blob: &BlobRef) -> Result<Option<Vec<u8>>, JournalError> {
        self.traps.step_on("blob");
        Ok(self.state.lock().unwrap().blobs.get(&blob.0).cloned())
    }

    async fn pending(&self, lane: Lane, limit: usize) -> Result<Vec<Pending>, JournalError> {
        self.traps.step_on("pending");
        let state = self.state.lock().unwrap();
        let mut seen = HashSet::new();
        let waiting = state.waiting(lane).filter(|it| seen.insert(&it.task));
        Ok(waiting.take(limit).cloned().collect())
    }

    async fn shed(&self, lane: Lane, keep: usize, why: &str) -> Result<usize, JournalError> {
        self.traps.step_on("shed");
        let waiting: Vec<u64> = self.state.lock().unwrap().waiting(lane).map(|it| it.id).collect();
        let shed = waiting.len().saturating_sub(keep);
        for id in &waiting[..shed] {
            self.settle(*id, &Delivery::Dropped { why: why.to_owned() }).await?;
        }
        Ok(shed)
    }

    async fn settle(&self, id: u64, delivery: &Delivery) -> Result<(), JournalError> {
        self.traps.step_on("settle");
        for (pending, done) in &mut self.state.lock().unwrap().outbox {
            if pending.id == id {
                *done = Some(delivery.clone());
            }
        }
        Ok(())
    }
}
