//! The journal of a process that is killed, or that can't write any more: every answered entry is there.
//!
//! The process is this test program itself, run again with `FOLDER` set; it says on its standard error which entry was
//! answered last.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bzzz::journal::{JournalReader, SqliteJournal};
use bzzz_actors::ports::journal::{Entry, Journal, Seq};
use bzzz_actors::task::{Epoch, Lane, Notice, TaskEvent, TaskId};

const FOLDER: &str = "BZZZ_TEST_JOURNAL_FOLDER";
const ANSWERED: &str = "answered ";

fn task() -> TaskId {
    "acme/rocket#1".parse().unwrap()
}

fn open(folder: &Path) -> SqliteJournal {
    SqliteJournal::open(folder, "bee-1".parse().unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

/// Batches of one to three entries, each with a notice and naming a blob of its own.
#[tokio::test]
#[ignore = "is the process that the other tests run and kill"]
async fn process_that_appends() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let journal = open(Path::new(&folder));
    for n in 0u64.. {
        let blob = journal.put_blob(format!("{} {n}", std::process::id()).as_bytes()).await.unwrap();
        let entry = || Entry {
            task: task(),
            epoch: Epoch::FIRST,
            event: TaskEvent::CleanedUp { diff: Some(blob.clone()) },
            notices: vec![Notice::IssueAssign],
        };
        match journal.append((0..=n % 3).map(|_| entry()).collect()).await {
            Ok(recorded) => eprintln!("{ANSWERED}{}", recorded.last().unwrap().seq.0),
            Err(error) => {
                eprintln!("{error}");
                return;
            }
        }
    }
}

/// The process, with `limits` (shell commands) put on it.
fn start(folder: &Path, limits: &str) -> Child {
    Command::new("sh")
        .arg("-c")
        .arg(format!(
            "{limits} exec \"$0\" --exact journal_crash::process_that_appends --ignored --nocapture"
        ))
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn answered(line: &str) -> Option<u64> {
    line.strip_prefix(ANSWERED)?.parse().ok()
}

/// Checks what a dead process left: first only reading, then as the next node that opens it.
async fn check(folder: &Path, last_answered: u64) -> u64 {
    let report = JournalReader::open(folder).unwrap().verify().unwrap_or_else(|error| panic!("{error}"));
    assert!(report.entries >= last_answered, "{} of {last_answered} answered entries", report.entries);
    let journal = open(folder);
    // The trail's files may have been behind.
    let now = journal.verify().await.unwrap();
    assert_eq!(
        (now.entries, &now.head_hash, now.trail.mark),
        (report.entries, &report.head_hash, report.trail.mark)
    );
    assert_eq!(now.trail.behind, 0);
    assert_eq!(journal.events_of(&task(), Seq(0)).await.unwrap().len() as u64, report.entries);
    assert_eq!(notices(folder), report.entries);
    assert_eq!(journal.pending(Lane::Forge, 10).await.unwrap().len(), 1, "of the task the oldest");
    report.entries
}

fn notices(folder: &Path) -> u64 {
    let database = rusqlite::Connection::open(folder.join("journal.db")).unwrap();
    let count = database.query_row("SELECT count(*) FROM outbox", [], |row| row.get::<_, i64>(0)).unwrap();
    count.cast_unsigned()
}

#[tokio::test]
async fn a_killed_process_leaves_every_answered_entry() {
    const KILLS: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let mut entries = 0;
    for kill in 0..KILLS {
        let mut process = start(folder.path(), "");
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut last_answered = entries;
        for line in lines.by_ref().take(1 + (kill * 7 % 23) as usize) {
            last_answered = answered(&line).unwrap_or_else(|| panic!("{line}"));
        }
        process.kill().unwrap();
        process.wait().unwrap();
        last_answered = lines.filter_map(|line| answered(&line)).last().unwrap_or(last_answered);
        assert!(last_answered > entries);
        entries = check(folder.path(), last_answered).await;
    }
}

/// The kernel refuses the process any file longer than so much, as a full disk would.
#[tokio::test]
async fn a_process_that_can_not_write_says_so_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Without the trap the signal would end it. dash and bash count in blocks of 512 and 1024 bytes.
    let mut process = start(folder.path(), "trap '' XFSZ; ulimit -f 400;");
    let lines: Vec<String> =
        BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(process.wait().unwrap().success(), "{lines:?}");
    let (error, before) = lines.split_last().unwrap();
    assert!(error.starts_with("the journal can't be written: ") && error.contains("journal.db"), "{error}");
    let last_answered = answered(before.last().unwrap()).unwrap();
    assert_eq!(check(folder.path(), last_answered).await, last_answered);
}
