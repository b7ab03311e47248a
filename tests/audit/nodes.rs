//! What a node's journal becomes for others.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use bzzz::journal::{JournalReader, SqliteJournal};
use bzzz::trail::replication::{Follower, Following, Limits, Server, segment_folder};
use bzzz::trail::{TrailOptions, verify_exported};
use bzzz_actors::ports::journal::{Entry, Journal};
use bzzz_actors::task::{Epoch, TaskEvent};
use bzzz_actors::trail::Key;
use serde_json::Value;
use tempfile::TempDir;

use crate::javascript;

const SEGMENT: u64 = 200;

fn open(folder: &Path) -> Arc<SqliteJournal> {
    let options = TrailOptions { segment_blocks: SEGMENT, ..TrailOptions::default() };
    Arc::new(SqliteJournal::open_with(folder, "bee-1".parse().unwrap(), options).unwrap())
}

async fn append(journal: &SqliteJournal, count: usize) {
    for number in 0..count {
        let problem = "not so long ".repeat(1 + number % 40);
        let event = TaskEvent::Stalled { what: "ü \"push\"\n".into(), problem };
        let task = "meadow/rocket#1".parse().unwrap();
        journal.append(vec![Entry { task, epoch: Epoch::FIRST, event, notices: Vec::new() }]).await.unwrap();
    }
}

/// A node's folder with three segments, closed.
async fn stopped_node() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    append(&open(folder.path()), 450).await;
    folder
}

/// The canonical texts of all entries.
fn entries(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    JournalReader::open(folder).unwrap().write_lines(&mut lines).unwrap();
    let text = |line: &str| {
        let (_, text) = line.split_once(r#","entry":"#).unwrap();
        text.strip_suffix('}').unwrap().to_owned()
    };
    String::from_utf8(lines).unwrap().lines().map(text).collect()
}

fn bzzz(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bzzz"));
    command.args(args).current_dir(folder).output().unwrap()
}

fn told(folder: &Path, args: &[&str]) -> String {
    let output = bzzz(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(folder: &Path, args: &[&str]) -> String {
    let output = bzzz(folder, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn audit_key(folder: &Path) -> Key {
    JournalReader::open(folder).unwrap().trail_head().unwrap().key
}

/// That JavaScript finds all entries in these segments, and the root that the journal recorded.
async fn assert_is_the_trail(segments: &Path, node: &Path) {
    let mut found = Vec::new();
    let head = JournalReader::open(node).unwrap().trail_head().unwrap();
    for segment in 0..=head.mark.segment {
        let read = javascript::read(&segment_folder(segments, segment)).await;
        assert!(read.blocks[0].contains(r#""kind":"segment""#), "{}", read.blocks[0]);
        if segment == head.mark.segment {
            assert_eq!(read.root, head.mark.root.to_string());
            assert_eq!(
                (read.blocks.len() as u64, read.key),
                (head.mark.length, head.segment_key.to_string())
            );
        }
        found.extend_from_slice(&read.blocks[1..]);
    }
    assert_eq!(found, entries(node));
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_reads_and_verifies_the_folder_of_a_stopped_node() {
    let node = stopped_node().await;
    assert_is_the_trail(&node.path().join("trail"), node.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_reads_and_verifies_what_is_exported() {
    let node = stopped_node().await;
    let folder = node.path();
    let folders = told(folder, &["audit", "export", "out", "."]);
    assert_eq!(folders, "out/000000\nout/000001\nout/000002\n");
    assert_is_the_trail(&folder.join("out"), folder).await;
    let key = audit_key(folder).to_string();
    let verified = told(folder, &["audit", "verify", "out", "--key", &key]);
    assert!(
        verified.contains("entries 1 to 450 of node \"bee-1\" are what was signed; 3 segments"),
        "{verified}"
    );
    let whole = told(folder, &["audit", "verify", ".", "--key", &key]);
    assert!(
        whole.contains("450 entries") && whole.contains(&format!("3 segments of the audit key {key}")),
        "{whole}"
    );
    let other = "ab".repeat(32);
    assert!(refused(folder, &["audit", "verify", "out", "--key", &other]).contains("is of the audit key"));
    assert!(refused(folder, &["audit", "export", "out", "."]).contains("is there already"));
    let lines = told(folder, &["audit", "export", "-", ".", "--json"]);
    assert_eq!(lines.lines().count(), 450);
    told(folder, &["audit", "export", "lines.json", ".", "--json"]);
    assert_eq!(std::fs::read_to_string(folder.join("lines.json")).unwrap(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_entry_is_proven_to_who_knows_the_audit_key_alone() {
    let node = stopped_node().await;
    let folder = node.path();
    let key = audit_key(folder).to_string();
    let proof = told(folder, &["audit", "proof", "321", "."]);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("proof.json"), &proof).unwrap();
    let checked = told(elsewhere.path(), &["audit", "check-proof", "proof.json", "--key", &key]);
    assert!(checked.starts_with("entry 321 (stalled of meadow/rocket#1), recorded 2"), "{checked}");
    assert!(checked.contains(&entries(folder)[320]), "{checked}");
    let changed = proof.replace("not so long", "never so long");
    assert_ne!(changed, proof);
    std::fs::write(elsewhere.path().join("proof.json"), changed).unwrap();
    let error = refused(elsewhere.path(), &["audit", "check-proof", "proof.json", "--key", &key]);
    assert!(error.contains("the entry is not the block"), "{error}");
    let error = refused(folder, &["audit", "proof", "451", "."]);
    assert!(error.contains("there is no entry 451: they go from 1 to 450"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_receives_the_trail_of_a_running_node() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    append(&journal, 150).await;
    let server = Server::listen("127.0.0.1:0", journal.segments(), Limits::default()).await.unwrap();
    let mut follower = javascript::Follower::start(server.address().port(), &[audit_key(folder.path())]);
    let (_, index, header) = follower.next().await;
    assert!(index == 0 && header.contains(r#""kind":"segment""#), "{header}");
    append(&journal, 49).await;
    let expected = entries(folder.path());
    for index in 1..SEGMENT {
        let (_, at, block) = follower.next().await;
        assert_eq!((at, &block), (index, &expected[index as usize - 1]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_may_ask_for_the_next_segment_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    append(&journal, 150).await;
    let server = Server::listen("127.0.0.1:0", journal.segments(), Limits::default()).await.unwrap();
    let first = audit_key(folder.path());
    let port = server.address().port();
    let (_, _, header) = javascript::Follower::start(port, &[first]).next().await;
    let header: Value = serde_json::from_str(&header).unwrap();
    let next: Key = header["next_key"].as_str().unwrap().parse().unwrap();
    let mut follower = javascript::Follower::start(port, &[next, first]);
    for index in 0..151 {
        let (of, at, _) = follower.next().await;
        assert_eq!((of, at), (first, index));
    }
    append(&journal, 250).await;
    let mut lengths = BTreeMap::from([(first, 151), (next, 0)]);
    while lengths.values().any(|length| *length < SEGMENT) {
        let (of, at, _) = follower.next().await;
        let length = lengths.get_mut(&of).unwrap();
        assert_eq!(at, *length);
        *length += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_running_nodes_trail_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    append(&journal, 250).await;
    let server = Server::listen("127.0.0.1:0", journal.segments(), Limits::default()).await.unwrap();
    let (copy, address) = (tempfile::tempdir().unwrap(), server.address().to_string());
    let audit_key = audit_key(folder.path());
    let follower = Follower::start(Following { address, audit_key, folder: copy.path().to_owned() });
    append(&journal, 200).await;
    let mark = journal.trail_head().await.unwrap().mark;
    let mut progress = follower.progress();
    progress.wait_for(|it| (it.segment, it.length) == mark.place()).await.unwrap();
    follower.stop().await;
    server.stop().await;
    let copied = verify_exported(copy.path(), Some(&audit_key)).unwrap();
    assert_eq!((copied.mark, copied.last_entry), (mark, 450));
    drop(journal);
    assert_is_the_trail(copy.path(), folder.path()).await;
}
