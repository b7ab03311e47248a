//! What a life of the network leaves to the next: the peers that it met, and the highest numbers of authors.
//!
//! Nothing is wrong without them: peers are found again, and what was heard before is heard once more.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use libp2p::PeerId;
use libp2p::multiaddr::Multiaddr;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::board::Marks;
use super::files;

const PEERS_FILE: &str = "peers.json";
const AUTHORS_FILE: &str = "authors.json";
/// Of more, those that were not met for the longest are forgotten.
const MAX_PEERS: usize = 256;
/// A peer that was not met for a month has moved.
const MAX_AGE_S: u64 = 30 * 24 * 60 * 60;

/// A peer that was connected, by its text forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Met {
    addresses: Vec<String>,
    /// Seconds since 1970.
    at: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Remembered {
    peers: BTreeMap<String, Met>,
}

impl Remembered {
    pub(super) fn read(data_dir: &Path) -> Self {
        let mut peers: BTreeMap<String, Met> = read(&path(data_dir, PEERS_FILE)).unwrap_or_default();
        let now = now_s();
        peers.retain(|_, met| now.saturating_sub(met.at) <= MAX_AGE_S);
        Self { peers }
    }

    /// What of it can still be understood.
    pub(super) fn peers(&self) -> impl Iterator<Item = (PeerId, Multiaddr)> + '_ {
        self.peers.iter().filter_map(|(peer, met)| Some((peer.parse().ok()?, met))).flat_map(
            |(peer, met): (PeerId, &Met)| {
                met.addresses.iter().filter_map(move |address| Some((peer, address.parse().ok()?)))
            },
        )
    }

    pub(super) fn met(&mut self, peer: &PeerId, addresses: &[Multiaddr]) {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        if addresses.is_empty() {
            return;
        }
        self.peers.insert(peer.to_string(), Met { addresses, at: now_s() });
        while self.peers.len() > MAX_PEERS {
            let oldest = self.peers.iter().min_by_key(|(_, met)| met.at).map(|(peer, _)| peer.clone());
            let Some(oldest) = oldest else { break };
            self.peers.remove(&oldest);
        }
    }
}

pub(super) fn read_marks(data_dir: &Path) -> Marks {
    read(&path(data_dir, AUTHORS_FILE)).unwrap_or_default()
}

/// Writes both.
pub(super) fn keep(data_dir: &Path, peers: &Remembered, marks: &Marks) {
    write(&path(data_dir, PEERS_FILE), &peers.peers);
    write(&path(data_dir, AUTHORS_FILE), marks);
}

fn path(data_dir: &Path, file: &str) -> PathBuf {
    data_dir.join(files::FOLDER).join(file)
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    let read = files::read(path).and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from));
    match read {
        Ok(read) => Some(read),
        Err(problem) => {
            if problem.kind() != io::ErrorKind::NotFound {
                warn!(file = %path.display(), %problem, "not read: what it told is learnt anew");
            }
            None
        }
    }
}

fn write(path: &Path, what: &impl Serialize) {
    let bytes = serde_json::to_vec(what).map_err(io::Error::from);
    if let Err(problem) = bytes.and_then(|bytes| files::write(path, &bytes)) {
        warn!(file = %path.display(), %problem, "not kept: the next start learns it anew");
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_what_is_damaged_is_learnt_anew() {
        let root = tempfile::tempdir().unwrap();
        files::folder(root.path()).unwrap();
        assert_eq!(Remembered::read(root.path()), Remembered::default());
        let (peer, address): (_, Multiaddr) = (PeerId::random(), "/ip4/10.0.0.1/tcp/1".parse().unwrap());
        let mut remembered = Remembered::default();
        remembered.met(&peer, std::slice::from_ref(&address));
        let marks = Marks::from([("abc".parse().unwrap(), (7, 8))]);
        keep(root.path(), &remembered, &marks);
        let read = Remembered::read(root.path());
        assert_eq!(read.peers().collect::<Vec<_>>(), [(peer, address)]);
        assert_eq!(read_marks(root.path()), marks);
        std::fs::write(path(root.path(), PEERS_FILE), "{").unwrap();
        assert_eq!(Remembered::read(root.path()), Remembered::default());
    }

    #[test]
    fn peers_that_were_met_long_ago_are_forgotten() {
        let root = tempfile::tempdir().unwrap();
        files::folder(root.path()).unwrap();
        let old = Met { addresses: vec!["/ip4/10.0.0.1/tcp/1".to_owned()], at: 1 };
        write(&path(root.path(), PEERS_FILE), &BTreeMap::from([(PeerId::random().to_string(), old)]));
        assert_eq!(Remembered::read(root.path()), Remembered::default());
        let mut remembered = Remembered::default();
        for _ in 0..MAX_PEERS + 3 {
            remembered.met(&PeerId::random(), &["/ip4/10.0.0.1/tcp/1".parse().unwrap()]);
        }
        assert_eq!(remembered.peers.len(), MAX_PEERS);
    }
}
