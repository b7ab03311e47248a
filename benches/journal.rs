//! What the journal costs: `cargo bench --bench journal`. Each figure is the median of its samples, in one run on one
//! machine, its file in the page cache; the folder is in the place for temporary files, whose disk is what is measured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "node/figures.rs"]
mod figures;
#[path = "node/past.rs"]
mod past;
#[allow(dead_code)]
#[path = "../tests/audit/javascript.rs"]
mod scripts;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bzzz::journal::{JournalReader, SqliteJournal};
use bzzz_actors::audit_logger::{AuditLog, AuditLogger, AuditLoggerDeps, subscribers};
use bzzz_actors::jitter::no_jitter;
use bzzz_actors::ports::hive::HiveStatus;
use bzzz_actors::ports::journal::{Entry, Journal, Seq};
use bzzz_actors::ports::swarm::Announcement;
use bzzz_actors::supervisor::{Policy, Pulses, Supervision};
use bzzz_actors::task::{Epoch, Lane, Notice, TaskEvent, TaskId};
use figures::{Figure, print_table};
use past::{BATCH, EVENTS_OF_TASK, entry, task};
use scripts::packages;
use tokio::sync::mpsc;

const NODE: &str = "bee-1";
const UNFINISHED: u64 = 3;

const STARTS: usize = 15;
const HISTORIES: [(u64, &str, Option<f64>); 3] = [
    (1_000, "journal's start with 1,000 past events", None),
    (10_000, "journal's start with 10,000 past events", None),
    (100_000, "journal's start with 100,000 past events", Some(1000.0)),
];

/// A past of 100,000 events with what others were told of each task, all of it settled, and its outputs and diffs.
const PAST_TASKS: u64 = 1000;
const PAST_EVENTS_OF_TASK: u64 = 100;
const PAST_BLOBS_OF_TASK: u64 = 1;

const ROUNDS: usize = 7;
const APPENDS_OF_ROUND: usize = 3200;

fn main() {
    let mut figures = vec![syncs()];
    actix::System::new().block_on(async {
        figures.push(appends("durable appends, journal and trail, one writer", 1).await);
        figures.push(appends("durable appends, journal and trail, 32 writers", 32).await);
        figures.extend(javascript().await);
        for (events, name, goal_ms) in HISTORIES {
            figures.push(Figure::in_ms(name, goal_ms, &starts(events).await));
        }
        figures.push(Figure::in_ms("verify 100,000 entries", Some(3000.0), &verifications().await));
        figures.extend(long_past().await);
    });
    print_table(&figures);
}

fn open(folder: &Path) -> Arc<SqliteJournal> {
    Arc::new(SqliteJournal::open(folder, NODE.parse().unwrap()).unwrap())
}

/// What a node's start needs of it: the journal opened and checked, its unfinished tasks found and read.
async fn starts(events: u64) -> Vec<Duration> {
    let folder = tempfile::tempdir().unwrap();
    past::write(folder.path(), NODE, events, UNFINISHED).await;
    let mut samples = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let journal = open(folder.path());
        let unfinished = journal.unfinished().await.unwrap();
        assert_eq!(unfinished.len() as u64, UNFINISHED);
        for task in unfinished {
            assert_eq!(journal.events_of(&task, Seq(0)).await.unwrap().len() as u64, EVENTS_OF_TASK);
        }
        samples.push(began.elapsed());
    }
    samples
}

/// What `bzzz audit verify` does, of 100,000 entries.
async fn verifications() -> Vec<Duration> {
    let folder = tempfile::tempdir().unwrap();
    past::write(folder.path(), NODE, 100_000, 0).await;
    let verify = || {
        let began = Instant::now();
        assert_eq!(JournalReader::open(folder.path()).unwrap().verify().unwrap().entries, 100_000);
        began.elapsed()
    };
    (0..ROUNDS).map(|_| verify()).collect()
}

/// What is told of a task that ends in a pull request, as its life tells it.
fn notices_of_task(task: &TaskId) -> Vec<Notice> {
    let labels =
        |name: &str| Notice::IssueLabels { add: vec![name.into()], remove: vec!["in-progress".into()] };
    let status = |status| Notice::HiveStatus {
        status,
        metadata: serde_json::json!({ "pull_request_url": format!("https://forge.example/{task}"), "steps": 40 }),
    };
    let completed = Announcement::Completed {
        task: task.clone(),
        epoch: Epoch::FIRST,
        pull_request: "https://forge.example/acme/rocket/pull/1".into(),
    };
    vec![
        labels("in-progress"),
        Notice::IssueAssign,
        Notice::IssueComment {
            marker: "claim".into(),
            body: "Bzzz node `bee-1` works on this issue (epoch 1).".into(),
        },
        Notice::HiveClaim,
        status(HiveStatus::InProgress),
        Notice::Announce { announcement: Announcement::Claimed { task: task.clone(), epoch: Epoch::FIRST } },
        labels("completed"),
        status(HiveStatus::Completed),
        Notice::Announce { announcement: completed },
    ]
}

/// Writes the past, and returns how long the file is.
async fn write_past(folder: &Path, with_notices: bool) -> u64 {
    let journal = open(folder);
    let mut past = Vec::new();
    for number in 1..=PAST_TASKS {
        let task = task(number);
        let mut entries: Vec<Entry> = (1..=PAST_EVENTS_OF_TASK).map(|step| entry(&task, step)).collect();
        for (step, entry) in (1..).zip(&mut entries) {
            entry.notices = Vec::new();
            if let TaskEvent::CommandFinished { outcome, .. } = &mut entry.event
                && with_notices
                && step % (PAST_EVENTS_OF_TASK / PAST_BLOBS_OF_TASK) == 1
            {
                outcome.whole = Some(journal.put_blob(format!("{number} {step}").as_bytes()).await.unwrap());
            }
        }
        if with_notices {
            entries[0].notices = notices_of_task(&task);
        }
        entries[PAST_EVENTS_OF_TASK as usize - 1].event = TaskEvent::CleanedUp { diff: None };
        past.append(&mut entries);
        if past.len() >= BATCH {
            journal.append(std::mem::take(&mut past)).await.unwrap();
        }
    }
    journal.append(past).await.unwrap();
    for lane in Lane::ALL {
        journal.shed(lane, 0, "delivered").await.unwrap();
    }
    drop(journal);
    std::fs::metadata(folder.join("journal.db")).unwrap().len()
}

async fn long_past() -> Vec<Figure> {
    let bare = tempfile::tempdir().unwrap();
    let bare = write_past(bare.path(), false).await;
    let folder = tempfile::tempdir().unwrap();
    let whole = write_past(folder.path(), true).await;
    let (mut starts, mut pending) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let journal = open(folder.path());
        assert_eq!(journal.unfinished().await.unwrap().len(), 0);
        starts.push(began.elapsed());
        let began = Instant::now();
        for lane in Lane::ALL {
            assert_eq!(journal.pending(lane, 64).await.unwrap().len(), 0);
        }
        pending.push(began.elapsed());
    }
    let per_task = |bytes: u64| vec![bytes as f64 / PAST_TASKS as f64 / 1024.0];
    let size = |name, bytes| Figure { name, unit: "KiB", goal: None, samples: per_task(bytes) };
    vec![
        Figure::in_ms("start with 100,000 past events, 9,000 notices, 1,000 blobs", None, &starts),
        Figure::in_ms("what waits, of all lanes, after it", None, &pending),
        size("journal of a task of 100 events", whole),
        size("of it what others were told", whole - bare),
    ]
}

/// Entries a second through the logger's group commit, each writer waiting for its last before the next, until all are
/// durable in the journal and in the trail.
async fn appends(name: &'static str, writers: usize) -> Figure {
    let folder = tempfile::tempdir().unwrap();
    let (fatal, _hung) = mpsc::unbounded_channel();
    let journal = open(folder.path());
    let deps = AuditLoggerDeps { journal: journal.clone(), subscribers: subscribers(), fatal };
    let supervision = Supervision {
        report: Arc::new(|_| {}),
        pulses: Pulses::default(),
        jitter: no_jitter(),
        thread: None,
    };
    let logger_deps = deps.clone();
    let logger = supervision.start("audit logger", Policy::CORE, |_| AuditLogger::new(logger_deps));
    let log = AuditLog::new(logger.inbox, &deps);
    let mut samples = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let write = async |writer| {
            let task = task(writer as u64 + 1);
            for step in 1..=APPENDS_OF_ROUND / writers {
                log.record(entry(&task, step as u64)).await.unwrap();
            }
        };
        futures_util::future::join_all((0..writers).map(write)).await;
        journal.projected().await.unwrap();
        samples.push(APPENDS_OF_ROUND as f64 / began.elapsed().as_secs_f64());
    }
    Figure { name, unit: "/s", goal: None, samples }
}

/// JavaScript's Hypercore 10 with the same blocks, without a journal. It syncs nothing by itself.
async fn javascript() -> Vec<Figure> {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let entries = (1..=APPENDS_OF_ROUND as u64).map(|step| entry(&task(1), step)).collect();
    journal.append(entries).await.unwrap();
    let mut blocks = Vec::new();
    JournalReader::open(folder.path()).unwrap().write_lines(&mut blocks).unwrap();
    let file = folder.path().join("blocks");
    std::fs::write(&file, blocks).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/audit/append.js");
    let mut node = std::process::Command::new("node");
    node.arg(script).arg(folder.path()).arg(file).arg(ROUNDS.to_string()).env("NODE_PATH", packages());
    let output = node.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let rounds: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ways = [
        ("  Hypercore 10 in JavaScript, the same blocks, one by one", false, 1),
        ("  the same in batches of 32", false, 32),
        ("  the same, synced after each, one by one", true, 1),
        ("  the same, synced after each batch of 32", true, 32),
    ];
    let figure = |(name, is_synced, batch)| {
        let is_it = |round: &&serde_json::Value| round["is_synced"] == is_synced && round["batch"] == batch;
        let samples =
            rounds.iter().filter(is_it).map(|round| round["per_second"].as_f64().unwrap()).collect();
        Figure { name, unit: "/s", goal: None, samples }
    };
    ways.map(figure).into()
}

/// What the disk itself can do, to hold the appends against.
fn syncs() -> Figure {
    let mut file = tempfile::tempfile().unwrap();
    let mut round = || {
        let began = Instant::now();
        for _ in 0..APPENDS_OF_ROUND {
            file.write_all(&[0; 4096]).unwrap();
            file.sync_data().unwrap();
        }
        APPENDS_OF_ROUND as f64 / began.elapsed().as_secs_f64()
    };
    let samples = (0..ROUNDS).map(|_| round()).collect();
    Figure { name: "the disk's own: 4 KiB written and synced", unit: "/s", goal: None, samples }
}
