//! What peers say before it is known who they are: pure. A node that joins is told of others in the order in which they said
//! things, and who they are comes near the end.
//!
//! Holds true: what is kept is bounded by number and by its size in memory, of each peer and of all; who says much loses it
//! before who says little.

use std::collections::BTreeMap;

use crate::ports::swarm::{Announcement, PeerId, Said};
use crate::task::{RepoId, TaskId};

/// Of one peer: as many as the network keeps of an author. Fewer: a node that joins misses what an honest one has said.
const MAX_WORDS: usize = 512;
/// Of one peer. Repositories with so many issues that more is said are looked at by each node itself.
const MAX_BYTES_OF_PEER: usize = 512 << 10;
/// Of all: those that say most lose theirs first.
const MAX_BYTES: usize = 16 << 20;
/// Of one word, beside what it holds: its place in the maps and its key.
const BYTES_OF_WORD: usize = 256;
/// Of a text, of a list or of an entry in a map, beside what it holds.
const BYTES_OF_ENTRY: usize = 48;

#[derive(Debug, Default)]
pub(super) struct Early {
    peers: BTreeMap<PeerId, OfPeer>,
    bytes: usize,
}

/// The last of each key, with its size.
#[derive(Debug, Default)]
struct OfPeer {
    words: BTreeMap<String, (Said, usize)>,
    bytes: usize,
}

impl Early {
    /// What finds no room is lost, as it may have been on its way.
    pub(super) fn keep(&mut self, peer: &PeerId, said: Said) {
        let (key, size) = (said.key(), bytes_of(&said));
        let of_peer = self.peers.get(peer);
        let before = of_peer.and_then(|it| it.words.get(&key)).map(|(_, size)| *size);
        let (words, bytes) = of_peer.map_or((0, 0), |it| (it.words.len(), it.bytes));
        let bytes = bytes - before.unwrap_or_default() + size;
        let has_number = before.is_some() || words < MAX_WORDS;
        if !has_number || bytes > MAX_BYTES_OF_PEER || !self.make_room(peer, bytes) {
            return;
        }
        let of_peer = self.peers.entry(peer.clone()).or_default();
        self.bytes = self.bytes - of_peer.bytes + bytes;
        of_peer.bytes = bytes;
        of_peer.words.insert(key, (said, size));
    }

    /// So that the peer may have so many in all: others that have more lose theirs.
    fn make_room(&mut self, peer: &PeerId, bytes: usize) -> bool {
        let own = |early: &Self| early.peers.get(peer).map_or(0, |it| it.bytes);
        while self.bytes - own(self) + bytes > MAX_BYTES {
            let most = self.peers.iter().max_by_key(|(_, it)| it.bytes);
            let Some((most, _)) = most.filter(|(most, it)| *most != peer && it.bytes > bytes) else {
                return false;
            };
            let most = most.clone();
            self.forget(&most);
        }
        true
    }

    pub(super) fn take(&mut self, peer: &PeerId) -> impl Iterator<Item = Said> + use<> {
        let of_peer = self.peers.remove(peer).unwrap_or_default();
        self.bytes -= of_peer.bytes;
        of_peer.words.into_values().map(|(said, _)| said)
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        drop(self.take(peer));
    }
}

/// About what it takes in memory, which is more than on the wire.
fn bytes_of(said: &Said) -> usize {
    let text = |text: &str| BYTES_OF_ENTRY + text.len();
    let of_repo = |repo: &RepoId| text(repo.owner()) + text(repo.name());
    let of_task = |task: &TaskId| of_repo(&task.repo);
    let held = match said {
        Said::TasksSeen(seen) => {
            let issues = seen.free.len() + seen.called.len() + seen.other.len();
            let of_labels = |labels: &Vec<String>| labels.iter().map(|it| text(it)).sum::<usize>();
            let labels = seen.labels.values().map(|it| BYTES_OF_ENTRY + of_labels(it)).sum::<usize>();
            let language = seen.language.as_deref().map_or(0, text);
            of_repo(&seen.repo) + issues * size_of::<u64>() + labels + language
        }
        Said::Task(announcement) => {
            let told = match announcement {
                Announcement::Completed { pull_request, .. } => pull_request,
                Announcement::Failed { reason, .. } => reason,
                Announcement::Claimed { .. } | Announcement::Released { .. } => "",
            };
            of_task(announcement.task()) + text(told)
        }
        Said::Progress(progress) => of_task(&progress.task) + text(&progress.phase),
        Said::Availability(availability) => {
            availability.tasks.iter().map(|it| BYTES_OF_ENTRY + of_task(it)).sum()
        }
        // Never kept here: it says who the peer is, or is of its trail.
        Said::Capabilities(_) | Said::AuditHead(_) | Said::Contradiction(_) => 0,
    };
    BYTES_OF_WORD + held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::swarm::TasksSeen;

    fn peer(number: usize) -> PeerId {
        format!("p{number}").parse().unwrap()
    }

    fn seen(repo: usize, free: u64, labels: usize) -> Said {
        let labelled = if labels == 0 { 0 } else { free };
        let labels = (0..labelled).map(|number| (number, vec![String::new(); labels])).collect();
        let repo = format!("a/b{repo}").parse().unwrap();
        let (called, other) = (vec![], vec![]);
        let free = (0..free).collect();
        Said::TasksSeen(TasksSeen { repo, free, called, other, next_in_s: 60, labels, language: None })
    }

    fn taken(early: &mut Early, number: usize) -> usize {
        early.take(&peer(number)).count()
    }

    #[test]
    fn all_that_an_honest_node_says_is_kept() {
        let mut early = Early::default();
        (0..500).for_each(|repo| early.keep(&peer(1), seen(repo, 5, 0)));
        (0..1000).for_each(|repo| early.keep(&peer(2), seen(repo, 0, 0)));
        assert_eq!([taken(&mut early, 1), taken(&mut early, 2)], [500, MAX_WORDS]);
        assert_eq!(early.bytes, 0);
    }

    #[test]
    fn a_few_large_words_are_as_much_as_many_small_ones() {
        let mut early = Early::default();
        early.keep(&peer(1), seen(1, 10, 2000));
        assert_eq!(taken(&mut early, 1), 0, "labels count");
        (0..100).for_each(|repo| early.keep(&peer(1), seen(repo, 4000, 0)));
        (0..100).for_each(|_| early.keep(&peer(1), seen(0, 3999, 0)));
        assert!(early.bytes <= MAX_BYTES_OF_PEER);
        assert!((2..20).contains(&taken(&mut early, 1)));
        assert_eq!(early.bytes, 0);
    }

    #[test]
    fn who_says_much_makes_room_for_who_says_little() {
        let mut early = Early::default();
        for number in 0..2000 {
            (0..4).for_each(|repo| early.keep(&peer(number), seen(repo, 4000, 0)));
            assert!(early.bytes <= MAX_BYTES);
        }
        early.keep(&peer(2000), seen(1, 5, 0));
        (0..2000).for_each(|number| early.keep(&peer(number), seen(9, 4000, 0)));
        assert_eq!(taken(&mut early, 2000), 1);
        assert_eq!(early.bytes, early.peers.values().map(|it| it.bytes).sum::<usize>());
    }
}
