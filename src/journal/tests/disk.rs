//! The trail on a disk that fails at every write: what was written since the last sync is there, lost, torn, or there
//! although what was written before it is not.

use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::journal::verify::{self, Checked};
use crate::journal::{schema, start_projection};
use crate::trail::core::Core;
use crate::trail::files::{OPERATIONS, Operation};
use crate::trail::segment_folder;

const SEGMENT: u64 = 30;
const ENTRIES: u64 = 50;

fn short() -> TrailOptions {
    TrailOptions { segment_blocks: SEGMENT, archive: None }
}

/// What becomes of a write that no sync followed.
#[derive(Debug, Clone, Copy)]
enum Fate {
    There,
    Lost,
    /// Its first half.
    Half,
    /// Its length, with zeros at the end.
    ZeroTail,
}

/// What becomes of those that were not synced when the machine stops in one.
#[derive(Debug, Clone, Copy)]
enum Crash {
    /// All are there but the last.
    Last(Fate),
    /// Each by a throw of dice.
    Any { seed: u64 },
}

const CRASHES: [Crash; 8] = [
    Crash::Last(Fate::Lost),
    Crash::Last(Fate::Half),
    Crash::Last(Fate::ZeroTail),
    Crash::Last(Fate::There),
    Crash::Any { seed: 1 },
    Crash::Any { seed: 2 },
    Crash::Any { seed: 3 },
    Crash::Any { seed: 4 },
];

impl Crash {
    fn fate(self, at: usize, last: usize) -> Fate {
        match self {
            Self::Last(fate) if at == last => fate,
            Self::Last(_) => Fate::There,
            Self::Any { seed } => {
                let dice = blake3::hash(format!("{seed} {at} {last}").as_bytes()).as_bytes()[0];
                [Fate::There, Fate::Lost, Fate::Half, Fate::ZeroTail][usize::from(dice % 4)]
            }
        }
    }
}

/// A journal, and how the files of one of its segments came to be.
struct Past {
    folder: Folder,
    keys: Arc<AuditKeys>,
    segment: u64,
    operations: Vec<Operation>,
}

impl Past {
    async fn of_segment(segment: u64) -> Self {
        let folder = Folder::new();
        let journal = SqliteJournal::open_with(folder.0.path(), node(), short()).unwrap();
        for number in 1..=ENTRIES {
            // Of very different lengths.
            let what = "x".repeat((number * number * 7 % 5000) as usize);
            journal.append(vec![entry(number, &what)]).await.unwrap();
        }
        drop(journal);
        let reader = JournalReader::open(folder.0.path()).unwrap();
        let recorded = reader.segments().unwrap().remove(segment as usize);
        let key = reader.segments().unwrap()[0].key;
        let keys = Arc::new(AuditKeys::load(folder.0.path(), &key).unwrap());
        let again = Folder::new();
        OPERATIONS.take();
        let core = Core::create(&again.0.path().join("core"), &keys, segment).unwrap();
        for group in [1, 1, 2, 1, 3, 1, 1, 5, 1].iter().cycle() {
            let blocks = reader.blocks(&recorded, core.length(), *group).unwrap();
            if blocks.is_empty() {
                break;
            }
            core.append(&blocks).unwrap();
        }
        Self { folder, keys, segment, operations: OPERATIONS.take() }
    }

    /// The files as they are when the machine stops in this operation.
    fn files_after(&self, last: usize, crash: Crash) -> BTreeMap<&'static str, Vec<u8>> {
        let mut files: BTreeMap<&str, Vec<u8>> =
            ["tree", "data", "bitfield", "oplog"].map(|name| (name, Vec::new())).into();
        let synced_at = |of: &str| {
            let is_sync = |it: &Operation| matches!(it, Operation::Sync { file } if *file == of);
            self.operations[..=last].iter().rposition(is_sync)
        };
        for (at, operation) in self.operations[..=last].iter().enumerate() {
            let (Operation::Write { file, .. } | Operation::Truncate { file, .. }) = operation else {
                continue;
            };
            let is_synced = synced_at(file).is_some_and(|sync| sync > at);
            let fate = if is_synced { Fate::There } else { crash.fate(at, last) };
            let content = files.get_mut(file).unwrap();
            match operation {
                Operation::Write { offset, bytes, .. } => write(content, *offset as usize, bytes, fate),
                Operation::Truncate { length, .. } if matches!(fate, Fate::There) => {
                    content.resize(*length as usize, 0);
                }
                _ => {}
            }
        }
        files
    }

    fn put(&self, files: &BTreeMap<&str, Vec<u8>>) {
        let folder = segment_folder(self.folder.0.path(), self.segment);
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
        }
    }

    fn states(&self) -> Vec<Found> {
        let connection = schema::open_to_read(&self.folder.file()).unwrap();
        let checked = verify::entries(&connection, self.folder.0.path(), |_| Ok(()));
        let Checked { segments, .. } = checked.unwrap_or_else(|error| panic!("{error}"));
        segments
    }
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8], fate: Fate) {
    let half = bytes.len() / 2;
    let (written, zeros) = match fate {
        Fate::There => (bytes, 0),
        Fate::Lost => return,
        Fate::Half => (&bytes[..half], 0),
        Fate::ZeroTail => (&bytes[..half], bytes.len() - half),
    };
    let end = offset + written.len() + zeros;
    content.resize(content.len().max(end), 0);
    content[offset..offset + written.len()].copy_from_slice(written);
    content[offset + written.len()..end].fill(0);
}

async fn assert_whole_after_every_crash(segment: u64) {
    let past = Past::of_segment(segment).await;
    let (mut behind, mut damaged) = (0, 0);
    for (at, operation) in past.operations.iter().enumerate() {
        if matches!(operation, Operation::Sync { .. }) {
            continue;
        }
        for crash in CRASHES {
            past.put(&past.files_after(at, crash));
            let found = past.states();
            match &found[segment as usize].state {
                State::Whole => {}
                State::Behind { .. } => behind += 1,
                State::Damaged { .. } => damaged += 1,
                state => panic!("{crash:?} at {at}: {state:?}"),
            }
            drop(start_projection(past.folder.0.path(), past.keys.clone(), None, &found).unwrap());
            for Found { state, .. } in past.states() {
                assert_eq!(state, State::Whole, "{crash:?} at {at}");
            }
        }
    }
    println!("segment {segment}: {behind} times behind, {damaged} times damaged");
    assert!(behind > 0 && damaged > 0, "the crashes were none");
}

#[tokio::test]
async fn the_trail_is_whole_again_after_a_crash_at_any_write() {
    assert_whole_after_every_crash(0).await;
}

#[tokio::test]
async fn so_is_a_segment_that_follows_another() {
    assert_whole_after_every_crash(1).await;
}
