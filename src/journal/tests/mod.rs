//! The journal on real files: what it keeps, what it refuses, and what it finds out.

use std::path::PathBuf;

use bzzz_actors::task::{Ending, Epoch, Notice, Observed, Produced, TaskEvent};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

mod damage;
mod disk;
mod log;
mod trail;

fn node() -> NodeId {
    "bee-1".parse().unwrap()
}

fn task(number: u64) -> TaskId {
    format!("acme/rocket#{number}").parse().unwrap()
}

fn entry(number: u64, what: &str) -> Entry {
    let event = TaskEvent::Stalled { what: what.into(), problem: "no answer".into() };
    Entry { task: task(number), epoch: Epoch::FIRST, event, notices: Vec::new() }
}

fn with_comment(mut entry: Entry, body: &str) -> Entry {
    entry.notices.push(Notice::IssueComment { marker: "m".into(), body: body.into() });
    entry
}

fn comments(pending: &[Pending]) -> Vec<&str> {
    let body = |pending| match pending {
        &Pending { notice: Notice::IssueComment { ref body, .. }, .. } => body.as_str(),
        other => panic!("{other:?}"),
    };
    pending.iter().map(body).collect()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> SqliteJournal {
        SqliteJournal::open(self.0.path(), node()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refusal(&self) -> JournalOpenError {
        SqliteJournal::open(self.0.path(), node()).err().expect("it opens")
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("journal.db")
    }

    /// What somebody with another tool does to the file, the triggers put out of the way meanwhile.
    fn tamper(&self, sql: &str) {
        let connection = Connection::open(self.file()).unwrap();
        let mut triggers =
            connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
        let triggers: Vec<(String, String)> = triggers
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let drop: String = triggers.iter().map(|(name, _)| format!("DROP TRIGGER {name};")).collect();
        let make: String = triggers.iter().map(|(_, sql)| format!("{sql};")).collect();
        connection.execute_batch(&format!("{drop}{sql};{make}")).unwrap();
    }

    fn verify(&self) -> Result<VerifyReport, VerifyError> {
        JournalReader::open(self.0.path()).unwrap().verify()
    }

    /// A journal of ten entries, closed.
    async fn of_ten() -> Self {
        let folder = Self::new();
        let journal = folder.open();
        journal.append((1..=10).map(|n| entry(n, "push")).collect()).await.unwrap();
        folder
    }
}

#[tokio::test]
async fn what_was_recorded_reads_back_after_reopening() {
    let folder = Folder::new();
    let journal = folder.open();
    let diff = journal.put_blob(b"+ line\n").await.unwrap();
    let tree = "a".repeat(40).parse().unwrap();
    let outcome = Observed {
        ending: Ending::TimedOut { after_ms: 60_000 },
        duration_ms: u64::MAX,
        shown: "\u{0}\u{1b}[31m \"ü\" \u{1f41d}".into(),
        whole: Some(diff.clone()),
        out_of_memory: true,
    };
    let events = vec![
        TaskEvent::CommandFinished { step: 3, outcome },
        TaskEvent::WorkProduced {
            produced: Produced {
                tree,
                files: 1,
                insertions: 1,
                deletions: 0,
                diff: diff.clone(),
                shown: "+ line".into(),
            },
        },
        TaskEvent::PullRequestMerged,
        TaskEvent::CleanedUp { diff: None },
    ];
    let entry_of = |event: &TaskEvent| Entry { event: event.clone(), epoch: Epoch(9), ..entry(7, "") };
    let recorded = journal.append(events.iter().map(entry_of).collect()).await.unwrap();
    journal.append(vec![entry(8, "push")]).await.unwrap();
    journal.append(vec![entry(7, "push")]).await.unwrap();
    drop(journal);

    let journal = folder.open();
    let read = journal.events_of(&task(7), Seq(0)).await.unwrap();
    assert_eq!(read[..4], recorded[..]);
    assert_eq!(read.iter().map(|recorded| recorded.seq.0).collect::<Vec<_>>(), [1, 2, 3, 4, 6]);
    assert_eq!(read[..4].iter().map(|recorded| recorded.event.clone()).collect::<Vec<_>>(), events);
    assert_eq!(journal.events_of(&task(7), Seq(4)).await.unwrap(), read[4..]);
    assert_eq!(journal.events_of(&task(99), Seq(0)).await.unwrap(), []);
    assert_eq!(journal.tasks().await.unwrap(), [task(8), task(7)]);
    assert_eq!(journal.blob(&diff).await.unwrap().unwrap(), b"+ line\n");
    let report = journal.verify().await.unwrap();
    assert_eq!((report.entries, report.blobs), (6, 1));
    assert_eq!(folder.verify().unwrap(), report);
}

#[tokio::test]
async fn an_empty_journal_and_an_empty_batch_are_fine() {
    let folder = Folder::new();
    let journal = folder.open();
    assert_eq!(journal.append(Vec::new()).await.unwrap(), []);
    assert_eq!(journal.tasks().await.unwrap(), []);
    let report = journal.verify().await.unwrap();
    assert_eq!((report.entries, report.head_hash, report.blobs), (0, "0".repeat(64), 0));
    assert_eq!((report.trail.segments, report.trail.mark.place()), (1, (0, 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_leave_no_gap_and_keep_batches_together() {
    let folder = Folder::new();
    let journal = Arc::new(folder.open());
    let append = |n: u64| {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move { journal.append((0..3).map(|_| entry(n, "push")).collect()).await.unwrap() })
    };
    let batches = futures_util::future::join_all((1..=100).map(append)).await;
    let mut seqs = Vec::new();
    for batch in batches {
        let batch: Vec<u64> = batch.unwrap().iter().map(|recorded| recorded.seq.0).collect();
        assert_eq!(batch, (batch[0]..batch[0] + 3).collect::<Vec<_>>());
        seqs.extend(batch);
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=300).collect::<Vec<_>>());
    assert_eq!(journal.verify().await.unwrap().entries, 300);
}

#[tokio::test]
async fn an_append_is_carried_out_though_its_caller_is_gone() {
    let folder = Folder::new();
    let journal = folder.open();
    let mut append = Box::pin(journal.append(vec![entry(1, "push")]));
    // The first poll hands it over.
    let _ = futures_util::poll!(&mut append);
    drop(append);
    drop(journal);
    assert_eq!(folder.verify().unwrap().entries, 1);
}

#[tokio::test]
async fn notices_wait_in_order_until_they_are_settled() {
    let folder = Folder::new();
    let journal = folder.open();
    let batch =
        vec![with_comment(with_comment(entry(1, "a"), "one"), "two"), with_comment(entry(2, "b"), "three")];
    let recorded = journal.append(batch).await.unwrap();
    let pending = journal.pending(Lane::Forge, 10).await.unwrap();
    assert_eq!(comments(&pending), ["one", "three"], "of each task the oldest");
    assert_eq!((&pending[1].task, pending[1].recorded_at_ms), (&task(2), recorded[1].at_ms));
    assert_eq!(comments(&journal.pending(Lane::Forge, 1).await.unwrap()), ["one"]);

    journal.settle(pending[0].id, &Delivery::Dropped { why: "too old".into() }).await.unwrap();
    journal.settle(pending[0].id, &Delivery::Delivered).await.unwrap();
    let pending = journal.pending(Lane::Forge, 10).await.unwrap();
    assert_eq!(comments(&pending), ["two", "three"]);
    journal.settle(pending[0].id, &Delivery::Delivered).await.unwrap();
    assert!(matches!(journal.settle(99, &Delivery::Delivered).await, Err(JournalError::Damaged(_))));
    drop(journal);
    let journal = folder.open();
    assert_eq!(comments(&journal.pending(Lane::Forge, 10).await.unwrap()), ["three"]);
    // A number is never used again: it is part of the notice's idempotency key.
    journal.append(vec![with_comment(entry(1, "c"), "four")]).await.unwrap();
    let ids: Vec<u64> =
        journal.pending(Lane::Forge, 10).await.unwrap().iter().map(|pending| pending.id).collect();
    assert_eq!(ids, [3, 4]);
    let why = "SELECT dropped_why FROM outbox WHERE id = 1";
    let why: String = Connection::open(folder.file()).unwrap().query_row(why, [], |row| row.get(0)).unwrap();
    assert_eq!(why, "too old");
}

#[tokio::test]
async fn a_lane_shows_only_its_own_notices() {
    let folder = Folder::new();
    let journal = folder.open();
    let mut both = with_comment(entry(1, "a"), "one");
    both.notices.push(Notice::HiveClaim);
    journal.append(vec![both]).await.unwrap();
    assert_eq!(comments(&journal.pending(Lane::Forge, 10).await.unwrap()), ["one"]);
    let hive = journal.pending(Lane::Hive, 10).await.unwrap();
    assert_eq!(hive.iter().map(|it| it.notice.clone()).collect::<Vec<_>>(), [Notice::HiveClaim]);
    assert_eq!(journal.pending(Lane::Swarm, 10).await.unwrap(), []);
}

#[tokio::test]
async fn the_oldest_of_a_lane_are_shed_and_the_rest_stay() {
    let folder = Folder::new();
    let journal = folder.open();
    let mut batch: Vec<Entry> = ["one", "two", "three"].map(|body| with_comment(entry(1, "a"), body)).into();
    batch[0].notices.push(Notice::HiveClaim);
    journal.append(batch).await.unwrap();
    assert_eq!(journal.shed(Lane::Forge, 3, "full").await.unwrap(), 0);
    assert_eq!(journal.shed(Lane::Forge, 1, "full").await.unwrap(), 2);
    assert_eq!(comments(&journal.pending(Lane::Forge, 10).await.unwrap()), ["three"]);
    assert_eq!(journal.pending(Lane::Hive, 10).await.unwrap().len(), 1);
    let why = "SELECT dropped_why FROM outbox WHERE id = 1";
    let why: String = Connection::open(folder.file()).unwrap().query_row(why, [], |row| row.get(0)).unwrap();
    assert_eq!(why, "full");
}

#[tokio::test]
async fn a_task_is_unfinished_until_its_last_event_ends_it() {
    let folder = Folder::new();
    let journal = folder.open();
    let ended = |number| Entry { event: TaskEvent::CleanedUp { diff: None }, ..entry(number, "") };
    let lost = |number| Entry { event: TaskEvent::ClaimLost { holder: "b".into() }, ..entry(number, "") };
    journal
        .append(vec![entry(1, "a"), entry(2, "a"), ended(2), lost(3), entry(4, "a"), ended(4)])
        .await
        .unwrap();
    assert_eq!(journal.unfinished().await.unwrap(), [task(1)]);
    journal.append(vec![entry(4, "again")]).await.unwrap();
    assert_eq!(journal.unfinished().await.unwrap(), [task(1), task(4)]);
}

#[tokio::test]
async fn what_a_sandbox_asked_of_the_network_begins_no_task_again() {
    let folder = Folder::new();
    let journal = folder.open();
    let of_network = |number| Entry {
        event: TaskEvent::ConnectionsOmitted { after: 1, allowed: false },
        ..entry(number, "")
    };
    let ended = Entry { event: TaskEvent::CleanedUp { diff: None }, ..entry(2, "") };
    journal.append(vec![entry(1, "a"), of_network(1), entry(2, "a"), ended, of_network(2)]).await.unwrap();
    assert_eq!(journal.unfinished().await.unwrap(), [task(1)]);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_records_nothing_of_the_batch() {
    let folder = Folder::new();
    let journal = folder.open();
    journal.append(vec![with_comment(entry(1, "before"), "before")]).await.unwrap();
    journal.writer.limit_pages(1).await;
    let batch = || vec![with_comment(entry(2, "small"), "lost"), entry(2, &"x".repeat(200_000))];
    let error = journal.append(batch()).await.unwrap_err();
    assert!(matches!(&error, JournalError::Unavailable(why) if why.contains("full")), "{error}");
    assert_eq!(journal.tasks().await.unwrap(), [task(1)]);
    assert_eq!(comments(&journal.pending(Lane::Forge, 10).await.unwrap()), ["before"]);

    journal.writer.limit_pages(1_000_000).await;
    let recorded = journal.append(batch()).await.unwrap();
    assert_eq!(recorded.iter().map(|recorded| recorded.seq.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(comments(&journal.pending(Lane::Forge, 10).await.unwrap()), ["before", "lost"]);
    assert_eq!(journal.verify().await.unwrap().entries, 3);
}

#[test]
fn a_second_node_is_refused_and_told_of_the_first() {
    let folder = Folder::new();
    let first = folder.open();
    let refusal = folder.refusal().to_string();
    assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
    drop(first);
    drop(folder.open());
}

#[tokio::test]
async fn a_reader_takes_no_lock_and_sees_what_was_answered() {
    let folder = Folder::new();
    let journal = folder.open();
    let reader = JournalReader::open(folder.0.path()).unwrap();
    for n in 1..=5 {
        journal.append(vec![entry(n, "push")]).await.unwrap();
        assert_eq!(reader.verify().unwrap().entries, n);
    }
    assert_eq!(reader.tasks().unwrap().len(), 5);
    assert_eq!(reader.events_of(&task(3), Seq(0)).unwrap().len(), 1);
}

#[tokio::test]
async fn only_the_nodes_user_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let journal = folder.open();
    journal.append(vec![entry(1, "push")]).await.unwrap();
    journal.put_blob(b"output").await.unwrap();
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "blobs"] {
        let mode = std::fs::metadata(folder.0.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

#[tokio::test]
async fn blobs_are_kept_once_and_healed_when_written_again() {
    let folder = Folder::new();
    let journal = folder.open();
    let blob = journal.put_blob(b"output").await.unwrap();
    assert_eq!(journal.put_blob(b"output").await.unwrap(), blob);
    assert_eq!(blob.0, blake3::hash(b"output").to_hex().as_str());
    let path = folder.0.path().join("blobs").join(&blob.0[..2]).join(&blob.0[2..]);
    std::fs::write(&path, "0utput").unwrap();
    assert!(matches!(journal.blob(&blob).await, Err(JournalError::Damaged(_))));
    journal.put_blob(b"output").await.unwrap();
    assert_eq!(journal.blob(&blob).await.unwrap().unwrap(), b"output");
    assert_eq!(journal.put_blob(b"").await.unwrap().0, blake3::hash(b"").to_hex().as_str());
    assert_eq!(journal.blob(&BlobRef("0".repeat(64))).await.unwrap(), None);
    for name in ["../../etc/passwd".to_owned(), "A".repeat(64), String::new(), "/".repeat(64)] {
        assert!(matches!(journal.blob(&BlobRef(name)).await, Err(JournalError::Damaged(_))));
    }
}

#[tokio::test]
async fn a_blob_that_an_entry_names_must_be_there_as_it_was() {
    let folder = Folder::new();
    let journal = folder.open();
    let blob = journal.put_blob(b"diff").await.unwrap();
    let event = TaskEvent::CleanedUp { diff: Some(blob.clone()) };
    journal.append(vec![entry(1, "push"), Entry { event, ..entry(1, "") }]).await.unwrap();
    assert_eq!(folder.verify().unwrap().blobs, 1);
    let path = folder.0.path().join("blobs").join(&blob.0[..2]).join(&blob.0[2..]);
    std::fs::write(&path, "DIFF").unwrap();
    let error = folder.verify().unwrap_err();
    assert!(error.seq == Seq(2) && error.why.contains("not those of its hash"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = folder.verify().unwrap_err();
    assert!(error.seq == Seq(2) && error.why.contains(&blob.0), "{error}");
}

#[test]
fn half_written_blobs_are_thrown_away() {
    let folder = Folder::new();
    drop(folder.open());
    let left_over = folder.0.path().join("blobs/tmp/.tmpXYZ");
    std::fs::write(&left_over, "half").unwrap();
    drop(folder.open());
    assert!(!left_over.exists());
}

#[tokio::test]
async fn blobs_that_no_entry_names_go_at_the_next_opening() {
    let folder = Folder::new();
    let path = |blob: &BlobRef| folder.0.path().join("blobs").join(&blob.0[..2]).join(&blob.0[2..]);
    let journal = folder.open();
    // Of a journal that was moved aside.
    let foreign = journal.put_blob(b"foreign").await.unwrap();
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    std::fs::File::options().append(true).open(path(&foreign)).unwrap().set_modified(hour_ago).unwrap();
    drop(journal);
    let journal = folder.open();
    assert!(path(&foreign).exists(), "an empty journal says nothing of the blobs");

    journal.append(vec![entry(1, "push")]).await.unwrap();
    let named = journal.put_blob(b"named").await.unwrap();
    let told_of = journal.put_blob(b"told of").await.unwrap();
    let unnamed = journal.put_blob(b"unnamed").await.unwrap();
    let event = TaskEvent::CleanedUp { diff: Some(named.clone()) };
    let text = format!("see ({})", told_of.0);
    journal.append(vec![entry(1, &text), Entry { event, ..entry(1, "") }]).await.unwrap();
    // No blob has such a name.
    let other = folder.0.path().join("blobs").join(&unnamed.0[..2]).join("notes.txt");
    std::fs::write(&other, "a person's").unwrap();
    drop(journal);

    drop(folder.open());
    let is_there = [&named, &told_of, &unnamed, &foreign].map(|blob| path(blob).exists());
    assert_eq!(is_there, [true, true, false, true]);
    assert!(other.exists());
    assert_eq!(folder.verify().unwrap().blobs, 1);
}
