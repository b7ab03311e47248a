//! A node whose data folder was set back: what it says locally is sound, and its peers know better.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use bzzz::journal::{JournalReader, LoggedEvent, SqliteJournal};
use bzzz_actors::ports::journal::{Entry, Journal, NodeEvent, Seq};
use bzzz_actors::task::{Epoch, TaskEvent};
use bzzz_actors::trail::Mark;

use crate::colony::{Colony, Node};
use crate::net::can_run;

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// The marks of other nodes' trails that the node has seen.
fn witnessed(node: &Node) -> Vec<Mark> {
    let Ok(journal) = JournalReader::open(&node.data_dir()) else { return Vec::new() };
    journal.witnessed().unwrap_or_default().iter().map(|it| it.head.mark).collect()
}

fn notes(node: &Node) -> Vec<NodeEvent> {
    let entries = node.journal().entries(Seq(0), None, 100_000).unwrap();
    let note = |what| if let LoggedEvent::OfNode(event) = what { Some(event) } else { None };
    entries.into_iter().filter_map(|entry| note(entry.what)).collect()
}

/// So that the journal goes on while the node is away: of a task that has ended.
async fn add_entries(node: &Node) {
    let journal = SqliteJournal::open(&node.data_dir(), node.name.parse().unwrap()).unwrap();
    let event = TaskEvent::CleanedUp { diff: None };
    let entry =
        Entry { task: "meadow/rover#9".parse().unwrap(), epoch: Epoch::FIRST, event, notices: Vec::new() };
    journal.append(vec![entry; 5]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_data_folder_was_set_back_is_caught_by_its_peers_and_takes_no_task() {
    if !can_run() {
        return;
    }
    let mut colony = Colony::new(1);
    let repo = colony.repository("rocket", &[]).await;
    let (ada, ben) = (colony.add("ada", 0), colony.add("ben", 0));
    colony.start_all();
    colony.until("ben saw ada's trail", async |colony| !witnessed(&colony.nodes[ben]).is_empty()).await;
    colony.kill(ada);
    let (folder, older) =
        (colony.nodes[ada].data_dir(), colony.nodes[ada].data_dir().with_extension("older"));
    copy(&folder, &older);

    add_entries(&colony.nodes[ada]).await;
    let ahead = colony.nodes[ada].journal().trail_head().unwrap().mark;
    colony.start(ada);
    colony
        .until("ben saw how ada's trail went on", async |colony| {
            witnessed(&colony.nodes[ben]).iter().any(|mark| mark.place() >= ahead.place())
        })
        .await;
    colony.kill(ada);
    // Its lives are told apart by the second in which they began, or one more than the one before: the folder that is set back
    // knows nothing of the last one.
    let boot: u64 = std::fs::read_to_string(folder.join("swarm/boot")).unwrap().trim().parse().unwrap();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    colony.until("the clock is beyond ada's last life", async |_| now() > boot).await;
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(&older, &folder).unwrap();
    // By itself it is whole.
    colony.nodes[ada].journal().verify().unwrap();

    colony.start(ada);
    let line = colony.nodes[ada].until_line("was tampered with or lost");
    assert!(line.contains("takes no more tasks"), "{line}");
    colony.nodes[ben].until_line("a peer's history is contradicted");
    let caught = |note: &NodeEvent| matches!(note, NodeEvent::PeerContradicted { witnessed, .. } if witnessed.mark.place() >= ahead.place());
    colony.until("ben's journal says so", async |colony| notes(&colony.nodes[ben]).iter().any(caught)).await;
    let lost = |note: &NodeEvent| matches!(note, NodeEvent::OwnHistoryLost { .. });
    colony.until("ada's journal says so", async |colony| notes(&colony.nodes[ada]).iter().any(lost)).await;

    let tasks: Vec<_> =
        (0..3).map(|_| colony.issue(&repo, &crate::replies::FUELLED.map(str::to_owned))).collect();
    colony.until_proposed(&tasks).await;
    assert!(!tasks.iter().any(|task| colony.nodes[ada].has(task, "claimed")), "ada took one");
    colony.until_at_rest(&tasks).await;
    colony.stop_all();
}
