//! What this node knows of the others, in a file of the data folder for who looks from outside: `bzzz peers`, the demo.
//!
//! Owns `<data>/swarm/roster.json`: replaced whole on a change, and at least every few seconds, so that its age tells
//! whether the node still writes it. Nothing in the node reads it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, future};

use bzzz_actors::ports::swarm::{PeerId, Progress};
use bzzz_actors::swarm_actor::{History, Member, Roster, SwarmView};
use bzzz_actors::task::{NodeId, TaskId};
use bzzz_actors::trail::Mark;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::warn;

use crate::wall_clock::now_ms;

const FILE: &str = "swarm/roster.json";
/// The picture of a node that runs is no older than this.
const INTERVAL: Duration = Duration::from_secs(10);
/// The least time between two writes: a large swarm says something new all the time, and a disk has better things to do.
const LEAST_PAUSE: Duration = Duration::from_millis(100);
/// A file that is larger was not written by a node: a thousand peers with all their tasks take less.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The swarm as a node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Milliseconds since 1970, by the node's clock.
    pub at_ms: u64,
    pub node: NodeId,
    /// Whether the node looks for others at all.
    pub has_swarm: bool,
    /// `None` while its network is not up.
    pub peer_id: Option<PeerId>,
    /// Where others reach it: what they can put into `swarm.bootstrap`.
    pub addresses: Vec<String>,
    /// Enough was heard of the others, or waited for, that it claims tasks.
    pub is_settled: bool,
    /// How far this node's own audit trail once was, where its journal no longer leads: it takes no tasks.
    #[serde(default)]
    pub history_lost: Option<Mark>,
    pub peers: Vec<Peer>,
}

/// Another node. All but its peer id and the connection is its own word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub node: NodeId,
    pub peer_id: PeerId,
    pub version: String,
    pub is_connected: bool,
    pub free_slots: u32,
    pub max_tasks: u32,
    pub tasks: Vec<TaskId>,
    /// How far it is with them, as far as it has said so.
    #[serde(default)]
    pub progress: Vec<Progress>,
    pub models: Vec<String>,
    pub heard_ms_ago: u64,
    /// What the node has seen of its audit trail.
    #[serde(default)]
    pub history: History,
}

impl Picture {
    /// The last one that was written; `None`: no node with a roster has run in this data folder.
    ///
    /// # Errors
    /// When it is there and can't be read.
    pub fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        let path = data_dir.join(FILE);
        match fs::metadata(&path) {
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(problem) => return Err(problem),
            Ok(file) if file.len() > MAX_FILE_BYTES => return Err(io::Error::other("it is too large")),
            Ok(_) => {}
        }
        Ok(Some(serde_json::from_slice(&fs::read(path)?)?))
    }

    /// How long ago it was written.
    pub fn age(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.at_ms))
    }

    fn of(node: &NodeId, addresses: Option<&[String]>, roster: &Roster) -> Self {
        let peers = roster.members.iter().map(|(id, member)| Peer::of(id, member));
        Self {
            at_ms: now_ms(),
            node: node.clone(),
            has_swarm: addresses.is_some(),
            peer_id: roster.me.clone(),
            addresses: addresses.unwrap_or_default().to_vec(),
            is_settled: roster.is_settled,
            history_lost: roster.lost.map(|head| head.mark),
            peers: peers.collect(),
        }
    }

    /// Whole or not at all.
    fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.persist(path)?;
        Ok(())
    }
}

impl Peer {
    fn of(id: &PeerId, member: &Member) -> Self {
        let Member { capabilities, availability, progress, last_heard, is_connected, history, .. } = member;
        Self {
            node: capabilities.node.clone(),
            peer_id: id.clone(),
            version: capabilities.version.clone(),
            is_connected: *is_connected,
            free_slots: availability.free_slots,
            max_tasks: capabilities.max_tasks,
            tasks: availability.tasks.clone(),
            progress: progress.clone(),
            models: capabilities.models.clone(),
            heard_ms_ago: u64::try_from(last_heard.elapsed().as_millis()).unwrap_or(u64::MAX),
            history: *history,
        }
    }
}

/// The writer of a node's picture.
pub(super) struct Peers(JoinHandle<()>);

impl Peers {
    /// `addresses` are those at which the node listens; `None`: it has no swarm.
    pub(super) fn start(
        data_dir: &Path,
        node: NodeId,
        view: SwarmView,
        addresses: Option<watch::Receiver<Vec<String>>>,
    ) -> Self {
        Self(tokio::spawn(keep_on(data_dir.join(FILE), node, view, addresses)))
    }

    pub(super) fn end(&self) {
        self.0.abort();
    }
}

async fn keep_on(
    path: PathBuf,
    node: NodeId,
    mut view: SwarmView,
    mut addresses: Option<watch::Receiver<Vec<String>>>,
) {
    let mut is_written = true;
    loop {
        let listened = addresses.as_mut().map(|it| it.borrow_and_update().clone());
        let picture = Picture::of(&node, listened.as_deref(), &view.roster());
        let written = picture.write(&path);
        if let Some(problem) = written.as_ref().err().filter(|_| is_written) {
            warn!(file = %path.display(), %problem, "not written: `bzzz peers` does not see what this node sees");
        }
        is_written = written.is_ok();
        sleep(LEAST_PAUSE).await;
        tokio::select! {
            _ = view.roster_changed() => {}
            () = changed(&mut addresses) => {}
            () = sleep(INTERVAL) => {}
        }
    }
}

async fn changed(addresses: &mut Option<watch::Receiver<Vec<String>>>) {
    let told = match addresses {
        Some(addresses) => addresses.changed().await.is_ok(),
        None => false,
    };
    // Without a network, or when it has ended, nothing changes any more.
    if !told {
        future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bzzz_actors::ports::swarm::{Availability, Capabilities};
    use bzzz_actors::swarm_actor::Believed;
    use tokio::time::Instant;

    use super::*;

    fn member(node: &str) -> Member {
        let capabilities = Capabilities {
            node: node.parse().unwrap(),
            version: "0.1.0".to_owned(),
            labels: Vec::new(),
            languages: Vec::new(),
            models: vec!["coder".to_owned()],
            max_tasks: 3,
            repositories: Vec::new(),
        };
        let capabilities = Arc::new(capabilities);
        let availability = Availability { free_slots: 2, tasks: vec!["a/b#1".parse().unwrap()] };
        let believed = Believed { claims: true, tasks: true };
        let progress = Vec::new();
        Member {
            capabilities,
            availability,
            progress,
            last_heard: Instant::now(),
            is_connected: true,
            believed,
            history: History::Contradicted,
        }
    }

    /// Looks until the file is so, in virtual time.
    async fn until(data_dir: &Path, is: impl Fn(&Picture) -> bool) -> Picture {
        loop {
            if let Some(picture) = Picture::read(data_dir).unwrap().filter(|picture| is(picture)) {
                return picture;
            }
            sleep(LEAST_PAUSE).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (view, roster, _) = SwarmView::new();
        let (listens, addresses) = watch::channel(Vec::new());
        let peers = Peers::start(folder.path(), "me".parse().unwrap(), view, Some(addresses));
        let alone = until(folder.path(), |picture| picture.has_swarm).await;
        assert_eq!((alone.peer_id, alone.peers), (None, Vec::new()));

        let id: PeerId = "12D3KooWGRUVh8aXPiDLnUVmcZxwFbcTyLMxN3PMJbGqfZDsbGqf".parse().unwrap();
        let members = [(id.clone(), member("other"))].into();
        roster.send(Arc::new(Roster { members, is_settled: true, ..Roster::default() })).unwrap();
        let seen = until(folder.path(), |picture| picture.is_settled).await;
        let Peer { node, peer_id, free_slots, max_tasks, tasks, is_connected, .. } = &seen.peers[0];
        assert_eq!((node.as_str(), peer_id, free_slots, max_tasks), ("other", &id, &2, &3));
        assert!(*is_connected && tasks.len() == 1 && seen.peers[0].history == History::Contradicted);

        listens.send(vec!["/ip4/10.0.0.1/tcp/4411".to_owned()]).unwrap();
        until(folder.path(), |picture| picture.addresses.len() == 1).await;
        peers.end();
    }

    #[test]
    fn no_file_is_no_picture_and_a_damaged_one_is_said() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Picture::read(folder.path()).unwrap(), None);
        fs::create_dir(folder.path().join("swarm")).unwrap();
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(Picture::read(folder.path()).is_err());
    }
}
