//! The write-ahead log as a crash or a bad disk leaves it.

use super::super::wal;
use super::*;

const PAGE_BYTES: usize = 4096;

/// The files of a journal of four entries, each a batch, as a power cut after the last one leaves them. The trail is gone, but
/// for its key: it would have what a log that was cut has not.
struct Left {
    database: Vec<u8>,
    log: Vec<u8>,
    key: Vec<u8>,
}

impl Left {
    async fn by_power_cut() -> Self {
        let folder = Folder::new();
        let journal = folder.open();
        // What the making of the tables left in the log is not what is tried.
        checkpoint(&folder, "TRUNCATE");
        for n in 1..=4 {
            journal.append(vec![with_comment(entry(n, "push"), "one")]).await.unwrap();
        }
        Self::of(&folder)
    }

    fn of(folder: &Folder) -> Self {
        let key = folder.0.path().join("trail/key");
        let [database, log, key] =
            [folder.file(), wal::beside(&folder.file()), key].map(|path| std::fs::read(path).unwrap());
        Self { database, log, key }
    }

    /// The same files somewhere else, with this `log`.
    fn with_log(&self, log: &[u8]) -> Folder {
        let folder = Folder::new();
        std::fs::write(folder.file(), &self.database).unwrap();
        std::fs::write(wal::beside(&folder.file()), log).unwrap();
        std::fs::create_dir(folder.0.path().join("trail")).unwrap();
        std::fs::write(folder.0.path().join("trail/key"), &self.key).unwrap();
        folder
    }
}

fn checkpoint(folder: &Folder, kind: &str) {
    let checkpoint = format!("PRAGMA wal_checkpoint({kind})");
    let busy: u32 =
        Connection::open(folder.file()).unwrap().query_row(&checkpoint, [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
}

/// Where each batch ends in a log: with the frame that names the size of the database.
fn ends(log: &[u8]) -> Vec<usize> {
    let frames = (32..log.len()).step_by(24 + PAGE_BYTES);
    frames.filter(|at| log[at + 4..at + 8] != [0; 4]).map(|at| at + 24 + PAGE_BYTES).collect()
}

#[tokio::test]
async fn a_log_cut_anywhere_is_repaired_and_the_cut_is_said() {
    let left = Left::by_power_cut().await;
    let ends = ends(&left.log);
    assert_eq!((ends.len(), ends[3]), (4, left.log.len()));
    let [first, third, last] = [ends[0], ends[2], ends[3]];
    let cuts =
        [0, 10, 32, 40, 60, first - 1, first, first + 1, third - 5000, third, third + 20, last - 9, last];
    for cut in cuts {
        let folder = left.with_log(&left.log[..cut]);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let last_end = whole.checked_sub(1).map_or(if cut < 32 { 0 } else { 32 }, |last| ends[last]);
        let reader = JournalReader::open(folder.0.path()).unwrap();
        assert_eq!(reader.head().unwrap().entry, whole as u64, "{cut}");
        drop(reader);
        let journal = folder.open();
        assert_eq!(journal.cut_bytes(), (cut - last_end) as u64, "{cut}");
        journal.append(vec![entry(9, "push")]).await.unwrap();
        assert_eq!(journal.verify().await.unwrap().entries, whole as u64 + 1, "{cut}");
        let again = Left::of(&folder);
        assert_eq!(again.with_log(&again.log).open().cut_bytes(), 0, "{cut}");
    }
}

#[tokio::test]
async fn a_last_batch_of_which_some_pages_were_not_written_is_cut() {
    let mut left = Left::by_power_cut().await;
    let ends = ends(&left.log);
    let first_page = ends[2] + 24;
    left.log[first_page..first_page + PAGE_BYTES].fill(0);
    let journal = left.with_log(&left.log).open();
    assert_eq!(journal.cut_bytes(), (ends[3] - ends[2]) as u64);
    assert_eq!(journal.tasks().await.unwrap(), [task(1), task(2), task(3)]);
}

#[tokio::test]
async fn what_the_log_held_before_it_began_anew_is_no_cut() {
    let left = Left::by_power_cut().await;
    let folder = left.with_log(&left.log);
    let journal = folder.open();
    checkpoint(&folder, "RESTART");
    journal.append(vec![entry(5, "push")]).await.unwrap();
    let left = Left::of(&folder);
    assert!(ends(&left.log).len() > 1, "the older frames are still there");
    let journal = left.with_log(&left.log).open();
    assert_eq!((journal.cut_bytes(), journal.tasks().await.unwrap().len()), (0, 5));
}

#[tokio::test]
async fn a_log_damaged_before_answered_batches_is_refused_and_kept() {
    let left = Left::by_power_cut().await;
    let ends = ends(&left.log);
    // In the header (its sum, page size and salts), in a page, and in a frame's header (sum, salts, page).
    let places = [4, 9, 17, 22, 30, 200, ends[0] + 2, ends[0] + 9, ends[0] + 18, ends[1] + 1000];
    for place in places {
        let mut log = left.log.clone();
        log[place] ^= 0x40;
        if place < 32 {
            // Of a log that does not begin, one batch is enough.
            log.truncate(ends[0]);
        }
        let folder = left.with_log(&log);
        let refusal = folder.refusal();
        let JournalOpenError::Damaged { why, .. } = &refusal else { panic!("{place}: {refusal}") };
        let offset = ends.iter().copied().filter(|end| *end <= place).max().unwrap_or(32);
        let offset = if place < 32 { 0 } else { offset };
        assert!(why.contains("journal.db-wal") && why.contains(&format!("from byte {offset} on")), "{why}");
        assert_eq!(folder.verify().unwrap_err().why, *why);
        assert_eq!(std::fs::read(wal::beside(&folder.file())).unwrap(), log, "{place}");
    }
}
