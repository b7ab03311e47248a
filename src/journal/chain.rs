//! An entry as it stands in the table, its canonical text, and the chain of hashes through all of them.
//!
//! `hash = BLAKE3(hash of the entry before ‖ canonical text)`, for the first entry after 32 zero bytes. The canonical
//! text is JSON as RFC 8785 writes it: no white space, keys in order of their UTF-16 units. (Its rule for fractions is
//! not implemented: no event holds one.) So an entry that was changed, left out, added or moved breaks the chain at its
//! place. The text holds a hash of the entry's notices too, so the same is true of what others are told; not of whether
//! and when they were (`settled_at_ms`, `dropped_why`). Whoever removes the last entries, or writes all hashes anew from some place on, is found only by comparing
//! the head with one that was kept elsewhere, such as in a pull request.

use bzzz_actors::ports::journal::{Entry, NodeEvent, Recorded, Seq};
use bzzz_actors::task::{Epoch, InvalidName, NodeId, TaskEvent, TaskId};
use bzzz_actors::trail::canonical;
use rusqlite::Row;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::reader::{Logged, LoggedEvent};
use crate::trail::MAX_BLOCK_BYTES;

/// The version of the canonical text.
const VERSION: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(pub(super) [u8; 32]);

impl Hash {
    /// What stands before the first entry.
    const NONE: Self = Self([0; 32]);

    pub(super) fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

/// The last entry so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) hash: Hash,
}

impl Head {
    /// Of a journal without entries.
    pub(super) const EMPTY: Self = Self { seq: 0, hash: Hash::NONE };
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("its task has no valid name: {0}")]
    Task(#[from] InvalidName),
    #[error("its body is not one of this version's events: {0}")]
    Event(#[from] serde_json::Error),
}

/// A row of the table `events`.
#[derive(Debug)]
pub(super) struct RawEntry {
    pub(super) seq: u64,
    pub(super) at_ms: u64,
    pub(super) node: String,
    pub(super) task: String,
    pub(super) epoch: u64,
    pub(super) kind: String,
    /// Canonical JSON; `null` for an event without fields.
    pub(super) body: String,
    /// Of the entry's notices, if it has any: [`hash_of_notices`].
    pub(super) notices: Option<Hash>,
    pub(super) hash: Hash,
}

/// A notice as it stands in the table `outbox`: its lane and its JSON text.
pub(super) type NoticeText = (String, String);

/// BLAKE3 of the JSON text `[[lane, notice], …]`, in which each notice is a text itself; `None` without notices.
pub(super) fn hash_of_notices(notices: &[NoticeText]) -> Option<Hash> {
    let hash = || Hash(blake3::hash(json!(notices).to_string().as_bytes()).into());
    (!notices.is_empty()).then(hash)
}

impl RawEntry {
    pub(super) const COLUMNS: &str = "seq, at_ms, node, task, epoch, kind, body, notices, hash";

    /// The entry that follows `head`.
    pub(super) fn next(
        head: Head,
        at_ms: u64,
        node: &NodeId,
        entry: &Entry,
        notices: &[NoticeText],
    ) -> Result<Self, serde_json::Error> {
        let Entry { task, epoch, event, .. } = entry;
        let value = serde_json::to_value(event)?;
        Ok(Self::chained(head, at_ms, node, task.to_string(), epoch.0, event.kind(), &value, notices))
    }

    /// The same for what is of no task.
    pub(super) fn next_of_node(
        head: Head,
        at_ms: u64,
        node: &NodeId,
        event: &NodeEvent,
    ) -> Result<Self, serde_json::Error> {
        let value = serde_json::to_value(event)?;
        Ok(Self::chained(head, at_ms, node, String::new(), 0, event.kind(), &value, &[]))
    }

    #[allow(clippy::too_many_arguments)]
    fn chained(
        head: Head,
        at_ms: u64,
        node: &NodeId,
        task: String,
        epoch: u64,
        kind: &str,
        event: &Value,
        notices: &[NoticeText],
    ) -> Self {
        let mut raw = Self {
            seq: head.seq + 1,
            at_ms,
            node: node.to_string(),
            task,
            epoch,
            kind: kind.to_owned(),
            body: canonical(event.get("body").unwrap_or(&Value::Null)),
            notices: hash_of_notices(notices),
            hash: Hash::NONE,
        };
        raw.hash = raw.hash_after(head.hash);
        raw
    }

    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let unsigned = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
        Ok(Self {
            seq: unsigned(0)?,
            at_ms: unsigned(1)?,
            node: row.get(2)?,
            task: row.get(3)?,
            epoch: unsigned(4)?,
            kind: row.get(5)?,
            body: row.get(6)?,
            notices: row.get::<_, Option<_>>(7)?.map(Hash),
            hash: Hash(row.get(8)?),
        })
    }

    pub(super) fn hash_after(&self, previous: Hash) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&previous.0).update(self.text().as_bytes());
        Hash(hasher.finalize().into())
    }

    pub(super) fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }

    /// The canonical text. The body stands in it as it is stored, so that no change of it passes.
    fn text(&self) -> String {
        self.text_with(&self.body)
    }

    fn text_with(&self, body: &str) -> String {
        let Self { seq, at_ms, epoch, .. } = self;
        let [kind, node] = [&self.kind, &self.node].map(|text| json!(text).to_string());
        let task = if self.is_of_node() { Value::Null } else { json!(self.task) };
        let notices = json!(self.notices.map(Hash::to_hex));
        format!(
            r#"{{"at":{at_ms},"body":{body},"epoch":{epoch},"kind":{kind},"node":{node},"notices":{notices},"seq":{seq},"task":{task},"v":{VERSION}}}"#
        )
    }

    /// The entry as it stands in the trail: the canonical text, but for a body that is longer than a block may be, which
    /// its hash stands for.
    pub(super) fn block(&self) -> String {
        let text = self.text();
        if text.len() <= MAX_BLOCK_BYTES {
            return text;
        }
        let (hash, bytes) = (blake3::hash(self.body.as_bytes()).to_hex(), self.body.len());
        self.text_with(&format!(r#"{{"blake3":"{hash}","bytes":{bytes}}}"#))
    }

    /// The canonical text, with the hash beside it.
    pub(super) fn line(&self) -> String {
        format!(r#"{{"hash":"{}","entry":{}}}"#, self.hash.to_hex(), self.text())
    }

    pub(super) fn recorded(&self) -> Result<Recorded, Unreadable> {
        Ok(Recorded {
            seq: Seq(self.seq),
            at_ms: self.at_ms,
            task: self.task.parse::<TaskId>()?,
            epoch: Epoch(self.epoch),
            event: self.event()?,
        })
    }

    /// Of no task.
    pub(super) fn is_of_node(&self) -> bool {
        self.task.is_empty()
    }

    /// What is recorded of no task.
    pub(super) fn node_event(&self) -> Result<NodeEvent, serde_json::Error> {
        self.read()
    }

    pub(super) fn logged(&self) -> Result<Logged, Unreadable> {
        let what = match self.is_of_node() {
            true => LoggedEvent::OfNode(self.node_event()?),
            false => LoggedEvent::OfTask {
                task: self.task.parse()?,
                epoch: Epoch(self.epoch),
                event: self.event()?,
            },
        };
        Ok(Logged { seq: Seq(self.seq), at_ms: self.at_ms, hash: self.hash.to_hex(), what })
    }

    fn event(&self) -> Result<TaskEvent, serde_json::Error> {
        self.read()
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let mut event = json!({ "kind": self.kind });
        if self.body != "null" {
            event["body"] = serde_json::from_str(&self.body)?;
        }
        serde_json::from_value(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event: TaskEvent, notices: &[NoticeText]) -> RawEntry {
        let entry =
            Entry { task: "acme/rocket#7".parse().unwrap(), epoch: Epoch(2), event, notices: Vec::new() };
        let node = "bee-1".parse().unwrap();
        RawEntry::next(Head::EMPTY, 1_700_000_000_000, &node, &entry, notices).unwrap()
    }

    #[test]
    fn the_canonical_text_and_hash_never_change() {
        let notice = r#"{"to":"issue_comment","marker":"m","body":"ü"}"#;
        let event = TaskEvent::Stalled { what: "a \"push\"".into(), problem: "ü\n".into() };
        let raw = entry(event, &[("forge".into(), notice.into())]);
        // Both hashes were computed with another implementation of BLAKE3 (the Python package): over
        // `[["forge","{\"to\":…}"]]`, and over 32 zero bytes and the text here.
        let text = r#"{"at":1700000000000,"body":{"problem":"ü\n","what":"a \"push\""},"epoch":2,"kind":"stalled","node":"bee-1","notices":"22de7fc4281883474d0ada35ccaad4d8a858e205f73dcb76ae7098af902c889d","seq":1,"task":"acme/rocket#7","v":1}"#;
        assert_eq!(raw.text(), text);
        assert_eq!(raw.hash.to_hex(), "beeee9d40f818ade49e31eefaed41bc5870d60ca73749cb6de3d0fdf16d19d00");
    }

    #[test]
    fn an_event_without_fields_reads_back() {
        let raw = entry(TaskEvent::PullRequestMerged, &[]);
        assert_eq!((raw.kind.as_str(), raw.body.as_str()), ("pull_request_merged", "null"));
        assert!(raw.text().contains(r#","notices":null,"#));
        assert_eq!(raw.recorded().unwrap().event, TaskEvent::PullRequestMerged);
    }
}
