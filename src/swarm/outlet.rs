//! What was heard and waits for whoever listens: in order, bounded, and of each author and key only the last.

use std::collections::VecDeque;

use bzzz_actors::ports::swarm::{Heard, Said};

/// What waits at most. Of more, the oldest message is lost; who is here and who is not never is.
const MAX_WAITING: usize = 4096;
/// Of what waits, as it came.
const MAX_BYTES: usize = 32 << 20;

#[derive(Debug, Default)]
pub(super) struct Outlet {
    /// Each with how many bytes it had.
    waiting: VecDeque<(Heard, usize)>,
    bytes: usize,
    lost: u64,
}

impl Outlet {
    pub(super) fn push(&mut self, heard: Heard, bytes: usize) {
        while self.waiting.len() >= MAX_WAITING || self.bytes + bytes > MAX_BYTES {
            let same = self.waiting.iter().position(|(earlier, _)| is_replaced(earlier, &heard));
            let message = || self.waiting.iter().position(|(earlier, _)| may_be_lost(earlier));
            // Only comings and goings: a swarm has fewer peers than that, so the listener stands still.
            let Some((_, freed)) = self.waiting.remove(same.or_else(message).unwrap_or(0)) else { break };
            self.bytes -= freed;
            self.lost += 1;
        }
        self.bytes += bytes;
        self.waiting.push_back((heard, bytes));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Heard> {
        let (heard, bytes) = self.waiting.pop_front()?;
        self.bytes -= bytes;
        Some(heard)
    }

    /// How many were lost since the last call.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

/// Not so a head of a trail, of which there are no more than authors: without it an older one that others tell of would look
/// like the last.
fn may_be_lost(heard: &Heard) -> bool {
    match heard {
        Heard::Said { said, .. } => !matches!(said, Said::AuditHead(_)),
        Heard::Connected { .. }
        | Heard::Disconnected { .. }
        | Heard::Synced { .. }
        | Heard::OwnHead { .. } => false,
    }
}

fn is_replaced(earlier: &Heard, later: &Heard) -> bool {
    match (earlier, later) {
        (Heard::Said { author: a, said: first }, Heard::Said { author: b, said: second }) => {
            a == b && first.key() == second.key()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bzzz_actors::ports::swarm::Progress;
    use bzzz_actors::task::Epoch;
    use bzzz_actors::trail::{Bytes, Mark, TrailHead};

    use super::*;

    fn said(author: &str, steps: u32) -> Heard {
        let (task, phase) = ("a/b#1".parse().unwrap(), String::new());
        let said = Said::Progress(Progress { task, epoch: Epoch(1), phase, steps });
        Heard::Said { author: author.parse().unwrap(), said }
    }

    #[test]
    fn nothing_is_lost_but_messages_and_those_of_which_a_later_one_is_there_first() {
        let mut outlet = Outlet::default();
        let connected = Heard::Connected { peer: "a".parse().unwrap() };
        outlet.push(connected.clone(), 0);
        for number in 1..MAX_WAITING {
            outlet.push(said(&format!("a{number}"), 1), 9);
        }
        assert_eq!(outlet.take_lost(), 0);
        outlet.push(said("a7", 2), 9);
        outlet.push(said("b", 1), 9);
        assert_eq!(outlet.take_lost(), 2);
        assert_eq!(outlet.pop(), Some(connected));
        assert_eq!(outlet.pop(), Some(said("a2", 1)));
        let rest: Vec<Heard> = std::iter::from_fn(|| outlet.pop()).collect();
        assert!(
            !rest.contains(&said("a7", 1)) && rest.contains(&said("a7", 2)) && rest.contains(&said("b", 1))
        );
        assert!(outlet.is_empty());
    }

    #[test]
    fn the_head_of_a_trail_is_lost_only_to_a_later_one() {
        let head = |author: &str, length| {
            let key = Bytes([1; 32]);
            let mark = Mark { segment: 0, length, root: key };
            let said = Said::AuditHead(TrailHead { key, segment_key: key, mark, signature: Bytes([0; 64]) });
            Heard::Said { author: author.parse().unwrap(), said }
        };
        let mut outlet = Outlet::default();
        outlet.push(head("a", 1), 9);
        outlet.push(head("b", 1), 9);
        for number in 0..2 * MAX_WAITING {
            outlet.push(said(&format!("a{number}"), 1), 9);
        }
        outlet.push(head("a", 2), 9);
        let heads: Vec<Heard> = std::iter::from_fn(|| outlet.pop()).filter(|it| !may_be_lost(it)).collect();
        assert_eq!(heads, [head("b", 1), head("a", 2)]);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_too() {
        let mut outlet = Outlet::default();
        for number in 0..100 {
            outlet.push(said(&format!("a{number}"), 1), MAX_BYTES / 10);
        }
        assert_eq!((outlet.waiting.len(), outlet.take_lost()), (10, 90));
        assert_eq!(outlet.pop(), Some(said("a90", 1)));
        while outlet.pop().is_some() {}
        assert_eq!(outlet.bytes, 0);
    }
}
