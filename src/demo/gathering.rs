//! How the nodes of a demo found each other: pure, from the pictures that they keep.

use std::time::Duration;

use crate::node::peers::Picture;

/// When each of the nodes had found all others, counted from the start of the last one.
pub struct Gathering {
    found: Vec<Option<Duration>>,
}

impl Gathering {
    pub(super) fn of(nodes: usize) -> Self {
        Self { found: vec![None; nodes] }
    }

    /// Takes in what the nodes see by now; returns those, by their index, that have just found all others.
    pub(super) fn look(&mut self, pictures: &[Option<Picture>], since: Duration) -> Vec<usize> {
        let others = self.found.len() - 1;
        let mut news = Vec::new();
        for (index, (found, picture)) in self.found.iter_mut().zip(pictures).enumerate() {
            let is_full = picture.as_ref().is_some_and(|picture| picture.peers.len() >= others);
            if is_full && others > 0 && found.is_none() {
                *found = Some(since);
                news.push(index);
            }
        }
        news
    }

    /// When the last of them had found all others; `None`: not all have.
    pub fn complete_after(&self) -> Option<Duration> {
        self.found.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Who found whom, in words; `None` for a node by itself.
    pub fn in_words(&self) -> Option<String> {
        let nodes = self.found.len();
        if nodes == 1 {
            return None;
        }
        let lonely: Vec<String> =
            (1..).zip(&self.found).filter(|it| it.1.is_none()).map(|it| it.0.to_string()).collect();
        Some(match self.complete_after() {
            Some(after) => format!(
                "{nodes} nodes, each of which had found all others {:.1} s after the start",
                after.as_secs_f64()
            ),
            None => format!("{nodes} nodes; these have not found all others: {}", lonely.join(", ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::peers::Peer;

    fn seeing(peers: usize) -> Option<Picture> {
        let peer = |n: usize| Peer {
            node: format!("n{n}").parse().unwrap(),
            peer_id: format!("p{n}").parse().unwrap(),
            version: String::new(),
            is_connected: true,
            free_slots: 1,
            max_tasks: 1,
            tasks: Vec::new(),
            progress: Vec::new(),
            models: Vec::new(),
            heard_ms_ago: 0,
            history: Default::default(),
        };
        Some(Picture {
            at_ms: 0,
            node: "me".parse().unwrap(),
            has_swarm: true,
            peer_id: None,
            addresses: Vec::new(),
            is_settled: true,
            history_lost: None,
            peers: (0..peers).map(peer).collect(),
        })
    }

    #[test]
    fn a_node_is_told_of_once_and_all_are_there_with_the_last() {
        let second = Duration::from_secs(1);
        let mut gathering = Gathering::of(3);
        assert_eq!(gathering.look(&[None, seeing(2), seeing(1)], second), [1]);
        assert!(gathering.in_words().unwrap().ends_with("others: 1, 3"));
        assert_eq!(gathering.look(&[seeing(2), seeing(2), seeing(2)], second * 2), [0, 2]);
        assert_eq!(gathering.complete_after(), Some(second * 2));
    }

    #[test]
    fn nobody_is_missed_by_a_node_by_itself() {
        let mut gathering = Gathering::of(1);
        assert!(gathering.look(&[seeing(0)], Duration::ZERO).is_empty());
        assert_eq!(gathering.in_words(), None);
    }
}
