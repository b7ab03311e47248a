//! `bzzz peers`: the other nodes, as the node of this data folder sees them.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Context;
use bzzz_actors::ports::swarm::Progress;
use bzzz_actors::swarm_actor::History;
use bzzz_actors::task::TaskId;
use clap::Args;
use serde_json::json;

use super::exit::Exit;
use super::table::Table;
use super::{Global, print};
use crate::journal;
use crate::node::peers::{Peer, Picture};

#[derive(Debug, Args)]
pub(crate) struct PeersCommand {
    /// Print it for programs
    #[arg(long)]
    json: bool,
}

impl PeersCommand {
    /// Fails where no node runs: what is shown then is how it was.
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let data_dir = global.load()?.settings.node.data_dir;
        let looked = || format!("whether a node runs in {} can't be told", data_dir.display());
        let pid = journal::holder(&data_dir).with_context(looked)?;
        let unread = || format!("what the node in {} sees can't be read", data_dir.display());
        let picture = Picture::read(&data_dir).with_context(unread)?;
        let text = match self.json {
            true => serde_json::to_string_pretty(&for_programs(pid, picture.as_ref()))? + "\n",
            false => for_people(&data_dir.display().to_string(), pid, picture.as_ref()),
        };
        print(&text)?;
        Ok(if pid.is_some() { Exit::Ok } else { Exit::Failed })
    }
}

fn for_programs(pid: Option<u32>, picture: Option<&Picture>) -> serde_json::Value {
    let age_ms = picture.map(|picture| picture.age().as_millis());
    json!({ "pid": pid, "is_running": pid.is_some(), "age_ms": age_ms, "picture": picture })
}

fn for_people(data_dir: &str, pid: Option<u32>, picture: Option<&Picture>) -> String {
    let state = match pid {
        Some(pid) => format!("runs as process {pid}"),
        None => "does not run (`bzzz run` starts it)".to_owned(),
    };
    let Some(picture) = picture else {
        let yet = if pid.is_some() { "it has just begun" } else { "none has run there" };
        return format!("The node of {data_dir} {state}. Of others nothing is known: {yet}.\n");
    };
    let mut text = format!("node      {}, {state}\n", picture.node);
    if !picture.has_swarm {
        return text + "swarm     none: swarm.enabled is false, so it works alone\n";
    }
    // Writing to a text can't fail.
    let _ = match &picture.peer_id {
        Some(id) => writeln!(text, "peer id   {id}"),
        None => writeln!(text, "peer id   none yet: its network is not up (the log says why)"),
    };
    for (index, address) in picture.addresses.iter().enumerate() {
        let _ = writeln!(text, "{:<9} {address}", if index == 0 { "addresses" } else { "" });
    }
    if let Some(mark) = picture.history_lost {
        let _ = writeln!(
            text,
            "history   lost: other nodes hold {mark}, which this node signed and its journal does not lead to. It takes no \
             tasks. Stop it and bring back the newer data folder, or begin with an empty one as a new node"
        );
    }
    let begins = if picture.is_settled { "" } else { "; it claims nothing before it has heard them" };
    let _ = writeln!(text, "others    {}, as of {} ago{begins}", picture.peers.len(), ago(picture.age()));
    if !picture.peers.is_empty() {
        let _ = write!(text, "\n{}", table(picture));
    }
    text
}

fn table(picture: &Picture) -> Table<8> {
    let mut table =
        Table::new(["node", "peer id", "connected", "free", "last heard", "tasks", "models", "history"]);
    for peer in &picture.peers {
        let heard = Duration::from_millis(peer.heard_ms_ago) + picture.age();
        table.row([
            peer.node.to_string(),
            peer.peer_id.to_string(),
            if peer.is_connected { "yes" } else { "through others" }.to_owned(),
            format!("{}/{}", peer.free_slots, peer.max_tasks),
            format!("{} ago", ago(heard)),
            names(peer.tasks.iter().map(|task| with_progress(peer, task))),
            names(peer.models.iter()),
            history(peer.history).to_owned(),
        ]);
    }
    table
}

fn history(history: History) -> &'static str {
    match history {
        History::Unseen => "not seen",
        History::Proven => "goes on",
        History::Unproven => "not proven",
        History::Contradicted => "contradicted",
    }
}

fn with_progress(peer: &Peer, task: &TaskId) -> String {
    match peer.progress.iter().find(|it| it.task == *task) {
        Some(Progress { phase, steps, .. }) => format!("{task} ({phase}, step {steps})"),
        None => task.to_string(),
    }
}

fn names(all: impl Iterator<Item = impl ToString>) -> String {
    let all: Vec<String> = all.map(|it| it.to_string()).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

/// To a tenth of a second at first, later in whole seconds.
fn ago(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds => humantime::format_duration(Duration::from_secs(seconds)).to_string(),
    }
}
