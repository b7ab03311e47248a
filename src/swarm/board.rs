//! The latest that each author said under each key: what is told to those that were away, and what tells news from
//! repetitions.
//!
//! Pure: time is handed in, and only durations of this node's own clock are reckoned with. How old something is goes
//! along with it from node to node, so that nothing lives longer by being passed on.
//!
//! Holds true: of one author and key nothing older follows on something newer; no message is new twice; a new opening
//! of an author's network ends all that it said before. The highest number of each author outlives this node.

#[cfg(test)]
#[path = "board/tests.rs"]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bzzz_actors::ports::swarm::PeerId;
use tokio::time::{Duration, Instant};

use super::envelope::Letter;

/// More authors than a swarm has nodes: beyond, the one that was silent for the longest makes room.
const MAX_AUTHORS: usize = 1024;
/// Of one author; beyond, its oldest goes.
const MAX_KEYS: usize = 512;
const MAX_BYTES_OF_AUTHOR: usize = 1 << 20;
/// Of all; beyond, what comes from others is not kept, though heard.
const MAX_BYTES: usize = 32 << 20;
/// Messages of all authors: the numbers of so many fit into a request of the exchange.
pub(super) const MAX_ENTRIES: usize = 40_000;
/// Marks of authors to which there never was a connection: who makes up authors does not push out the marks of nodes.
const MAX_MARKS_OF_STRANGERS: usize = MAX_AUTHORS / 2;
/// What is said of repositories; there can be many, and whoever lacks one looks for itself.
const FIRST_TO_GO: &str = "seen ";
/// The key of what is said of audit trails.
const AUDIT_HEAD: &str = "audit head";
/// Numbers below an author's highest that may still arrive. An older one is taken for a repetition, and what it said
/// comes by the exchange.
const MAX_MISSING: usize = 1024;
/// An author that nothing was heard of for as long is gone, and what it said with it.
pub(super) const SILENT: Duration = Duration::from_secs(15 * 60);

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Just said.
    Gossip,
    /// Said earlier, and told by one that keeps it for this long already.
    Exchange { age: Duration },
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    New,
    /// A repetition, or something newer is known.
    Old,
    /// It would have been over by now.
    Expired,
}

/// The numbers of an author's messages that a board has.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    pub author: PeerId,
    pub boot: u64,
    pub seqs: Vec<u64>,
}

/// Behind which message the next part begins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Cursor {
    pub author: PeerId,
    pub seq: u64,
}

/// The highest `(boot, seq)` of authors, as they are kept on disk.
pub(super) type Marks = BTreeMap<PeerId, (u64, u64)>;

#[derive(Debug, Default)]
pub(super) struct Board {
    authors: BTreeMap<PeerId, Author>,
    /// The last heads of audit trails in openings that have ended: their authors are told, if they come back.
    earlier: BTreeMap<PeerId, Entry>,
    /// Of authors of which nothing is on the board.
    marks: Marks,
    /// Authors to which there is a connection. Made-up ones have none.
    linked: HashSet<PeerId>,
    bytes: usize,
    entries: usize,
}

#[derive(Debug)]
struct Author {
    boot: u64,
    was_linked: bool,
    numbers: Numbers,
    entries: HashMap<String, Entry>,
    /// Keys whose last entry is over: it must not come again.
    over: HashMap<String, u64>,
    bytes: usize,
    last_said: Age,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    ttl: Duration,
    age: Age,
    bytes: Arc<[u8]>,
}

/// How old something was when.
#[derive(Debug, Clone, Copy)]
struct Age {
    at: Instant,
    age: Duration,
}

impl Age {
    fn now(self, now: Instant) -> Duration {
        self.age.saturating_add(now.saturating_duration_since(self.at))
    }
}

/// Which numbers came already.
#[derive(Debug, Default)]
struct Numbers {
    highest: u64,
    missing: BTreeSet<u64>,
}

impl Numbers {
    fn after(highest: u64) -> Self {
        Self { highest, missing: BTreeSet::new() }
    }

    /// Whether it came for the first time.
    fn take(&mut self, seq: u64) -> bool {
        if seq <= self.highest {
            return self.missing.remove(&seq);
        }
        let first = (self.highest + 1).max(seq.saturating_sub(MAX_MISSING as u64));
        self.missing.extend(first..seq);
        while self.missing.len() > MAX_MISSING {
            self.missing.pop_first();
        }
        self.highest = seq;
        true
    }
}

impl Author {
    fn new(boot: u64, numbers: Numbers, age: Age) -> Self {
        let (entries, over, bytes, was_linked) = Default::default();
        Self { boot, was_linked, numbers, entries, over, bytes, last_said: age }
    }

    fn knows_as_new_or_newer(&self, key: &str, seq: u64) -> bool {
        let newest = self.entries.get(key).map(|entry| entry.seq).max(self.over.get(key).copied());
        newest.is_some_and(|newest| newest >= seq)
    }

    fn put(&mut self, key: String, entry: Entry) {
        self.over.remove(&key);
        self.bytes += entry.bytes.len();
        if let Some(before) = self.entries.insert(key, entry) {
            self.bytes -= before.bytes.len();
        }
        while self.entries.len() > MAX_KEYS || self.bytes > MAX_BYTES_OF_AUTHOR {
            // What is said once and holds for long is the oldest, and the worst to be without.
            let order = |(key, entry): &(&String, &Entry)| (!key.starts_with(FIRST_TO_GO), entry.seq);
            let first = self.entries.iter().min_by_key(order).map(|(key, _)| key.clone());
            let Some(first) = first else { break };
            self.remove(&first);
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes.len();
            self.over.insert(key.to_owned(), entry.seq);
            while self.over.len() > MAX_KEYS {
                let oldest = self.over.iter().min_by_key(|(_, seq)| **seq).map(|(key, _)| key.clone());
                let Some(oldest) = oldest else { break };
                self.over.remove(&oldest);
            }
        }
    }
}

impl Board {
    pub(super) fn new(marks: Marks) -> Self {
        Self { marks, ..Self::default() }
    }

    /// Takes a message if it is news.
    pub(super) fn take(&mut self, letter: &Letter, way: Way, now: Instant) -> Taken {
        let ttl = Duration::from_secs(u64::from(letter.ttl_s));
        let age = match way {
            Way::Gossip => Duration::ZERO,
            Way::Exchange { age } => age,
        };
        if age >= ttl {
            return Taken::Expired;
        }
        let age = Age { at: now, age };
        let marked = self.marks.get(&letter.author).copied().unwrap_or_default();
        let known = self.authors.get(&letter.author).map(|author| author.boot);
        let highest_boot = known.unwrap_or(marked.0);
        if letter.boot < highest_boot {
            return Taken::Old;
        }
        if known != Some(letter.boot) {
            let numbers = Numbers::after(if marked.0 == letter.boot { marked.1 } else { 0 });
            self.forget(&letter.author);
            self.make_room(now);
            let mut author = Author::new(letter.boot, numbers, age);
            author.was_linked = self.linked.contains(&letter.author);
            self.authors.insert(letter.author.clone(), author);
        }
        let Some(author) = self.authors.get_mut(&letter.author) else { return Taken::Old };
        let key = letter.said.key();
        let is_old = author.knows_as_new_or_newer(&key, letter.seq);
        let is_first = author.numbers.take(letter.seq);
        // A number that came in an earlier life of this node is not news by gossip, and may be the last of its key.
        if is_old || !is_first && way == Way::Gossip {
            return Taken::Old;
        }
        if age.now(now) < author.last_said.now(now) {
            author.last_said = age;
        }
        let has_place = self.entries < MAX_ENTRIES || author.entries.contains_key(&key);
        if has_place && self.bytes + letter.bytes.len() <= MAX_BYTES {
            let before = (author.bytes, author.entries.len());
            author.put(key, Entry { seq: letter.seq, ttl, age, bytes: letter.bytes.as_slice().into() });
            self.bytes = self.bytes + author.bytes - before.0;
            self.entries = self.entries + author.entries.len() - before.1;
        }
        Taken::New
    }

    /// That there is a connection to the author, or none any more.
    pub(super) fn see_link(&mut self, author: &PeerId, is_linked: bool) {
        if !is_linked {
            self.linked.remove(author);
        } else if self.linked.insert(author.clone())
            && let Some(known) = self.authors.get_mut(author)
        {
            known.was_linked = true;
        }
    }

    /// Ends what is over.
    pub(super) fn expire(&mut self, now: Instant) {
        let silent: Vec<PeerId> = self
            .authors
            .iter()
            .filter(|(_, author)| author.last_said.now(now) >= SILENT)
            .map(|(id, _)| id.clone())
            .collect();
        for id in silent {
            self.forget(&id);
        }
        self.earlier.retain(|_, head| head.age.now(now) < head.ttl);
        for author in self.authors.values_mut() {
            let is_over = |entry: &Entry| entry.age.now(now) >= entry.ttl;
            let over = author.entries.iter().filter(|(_, entry)| is_over(entry));
            let over: Vec<String> = over.map(|(key, _)| key.clone()).collect();
            let before = (author.bytes, author.entries.len());
            for key in over {
                author.remove(&key);
            }
            self.bytes = self.bytes + author.bytes - before.0;
            self.entries = self.entries + author.entries.len() - before.1;
        }
    }

    /// Leaves only the author's mark.
    fn forget(&mut self, id: &PeerId) {
        let Some(mut author) = self.authors.remove(id) else { return };
        self.bytes -= author.bytes;
        self.entries -= author.entries.len();
        let has_place = self.earlier.contains_key(id) || self.earlier.len() < MAX_AUTHORS;
        if let Some(head) = author.entries.remove(AUDIT_HEAD).filter(|_| author.was_linked && has_place) {
            self.earlier.insert(id.clone(), head);
        }
        if !author.was_linked && self.marks.len() >= MAX_MARKS_OF_STRANGERS && !self.marks.contains_key(id) {
            return;
        }
        self.marks.insert(id.clone(), (author.boot, author.numbers.highest));
        while self.marks.len() > MAX_AUTHORS {
            // The lowest number of an opening is that of a node that was not opened for the longest.
            let oldest = self.marks.iter().min_by_key(|(_, mark)| **mark).map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { break };
            self.marks.remove(&oldest);
        }
    }

    fn make_room(&mut self, now: Instant) {
        while self.authors.len() >= MAX_AUTHORS {
            let order =
                |(id, author): &(&PeerId, &Author)| (!self.linked.contains(*id), author.last_said.now(now));
            let silent = self.authors.iter().max_by_key(order);
            let Some(silent) = silent.map(|(id, _)| id.clone()) else { break };
            self.forget(&silent);
        }
    }

    /// What it has of each author.
    pub(super) fn heads(&self) -> Vec<Head> {
        let head = |(id, author): (&PeerId, &Author)| {
            let mut seqs: Vec<u64> = author.entries.values().map(|entry| entry.seq).collect();
            seqs.sort_unstable();
            Head { author: id.clone(), boot: author.boot, seqs }
        };
        self.authors.iter().map(head).collect()
    }

    /// What one with these heads has not, behind `after`, as long as `take` takes it.
    pub(super) fn missing(
        &self,
        heads: &[Head],
        after: Option<&Cursor>,
        now: Instant,
        mut take: impl FnMut(Duration, &[u8]) -> bool,
    ) -> Option<Cursor> {
        let heads: HashMap<&PeerId, &Head> = heads.iter().map(|head| (&head.author, head)).collect();
        let mut last = after.cloned();
        for (id, author) in &self.authors {
            let has = |seq: u64| {
                heads.get(id).is_some_and(|head| {
                    head.boot > author.boot
                        || head.boot == author.boot && head.seqs.binary_search(&seq).is_ok()
                })
            };
            let mut entries: Vec<&Entry> = author.entries.values().collect();
            entries.sort_unstable_by_key(|entry| entry.seq);
            for entry in entries {
                let place = Cursor { author: id.clone(), seq: entry.seq };
                if has(entry.seq) || after.is_some_and(|after| place <= *after) {
                    continue;
                }
                if !take(entry.age.now(now), &entry.bytes) {
                    return last;
                }
                last = Some(place);
            }
        }
        None
    }

    /// The last that an author said under a key.
    pub(super) fn entry(&self, author: &PeerId, key: &str) -> Option<Vec<u8>> {
        Some(self.authors.get(author)?.entries.get(key)?.bytes.to_vec())
    }

    /// What the author said of its audit trail in an opening that has ended, and how long ago.
    pub(super) fn earlier_head(&self, author: &PeerId, now: Instant) -> Option<(Duration, &[u8])> {
        let head = self.earlier.get(author)?;
        Some((head.age.now(now), &*head.bytes))
    }

    /// Whether there is anything of the author.
    pub(super) fn knows(&self, author: &PeerId) -> bool {
        self.authors.contains_key(author)
    }

    /// For the next life of this node.
    pub(super) fn marks(&self) -> Marks {
        let live =
            self.authors.iter().map(|(id, author)| (id.clone(), (author.boot, author.numbers.highest)));
        self.marks.clone().into_iter().chain(live).collect()
    }
}
