//! The exchange of state: one asks with what it has, the other answers with what is missing, in parts.
//!
//! What is told are the authors' own signed messages: nobody can speak for another. A part that does not keep the rules
//! is not read to its end.

use bzzz_actors::ports::swarm::PeerId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::board::{Board, Cursor, Head};
use tokio::time::{Duration, Instant};

pub(super) const PROTOCOL: &str = "/bzzz/sync/1";
const VERSION: u8 = 1;
/// Messages of one part.
pub(super) const MAX_ENTRIES: usize = 256;
/// Of the messages of one part.
const MAX_PART_BYTES: usize = 256 * 1024;
/// On the wire, with what is around the messages. More is not read.
pub(super) const MAX_RESPONSE_BYTES: u64 = 320 * 1024;
/// The numbers of a full board, at most nine bytes each, and the names of their authors.
pub(super) const MAX_REQUEST_BYTES: u64 = 512 * 1024;
/// Parts of one exchange: all that a full board has.
pub(super) const MAX_PARTS: u32 = 256;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub v: u8,
    pub swarm: String,
    pub heads: Vec<Head>,
    pub after: Option<Cursor>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    pub v: u8,
    pub entries: Vec<Kept>,
    /// Where to go on; there is more.
    pub next: Option<Cursor>,
}

/// A message as its author signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub age_ms: u64,
    pub envelope: ByteBuf,
}

impl Kept {
    pub(super) fn age(&self) -> Duration {
        Duration::from_millis(self.age_ms)
    }
}

pub(super) fn request(swarm: &str, board: &Board, after: Option<Cursor>) -> Request {
    Request { v: VERSION, swarm: swarm.to_owned(), heads: board.heads(), after }
}

/// `None` for one that is not of this swarm or version.
pub(super) fn answer(swarm: &str, board: &Board, mut request: Request, now: Instant) -> Option<Response> {
    if request.v != VERSION || request.swarm != swarm {
        return None;
    }
    for head in &mut request.heads {
        head.seqs.sort_unstable();
    }
    let mut entries = Vec::new();
    let mut bytes = 0;
    let next = board.missing(&request.heads, request.after.as_ref(), now, |age, envelope| {
        bytes += envelope.len();
        let has_room = entries.len() < MAX_ENTRIES && bytes <= MAX_PART_BYTES;
        if has_room {
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            entries.push(Kept { age_ms, envelope: ByteBuf::from(envelope) });
        }
        has_room
    });
    Some(Response { v: VERSION, entries, next })
}

/// Adds what the one that asks said of its audit trail in an earlier opening, where it does not name itself: it asks for that
/// so.
pub(super) fn remind(response: &mut Response, board: &Board, asks: &PeerId, now: Instant) {
    let Some((age, envelope)) = board.earlier_head(asks, now) else { return };
    let bytes = response.entries.iter().map(|kept| kept.envelope.len()).sum::<usize>() + envelope.len();
    if response.entries.len() < MAX_ENTRIES && bytes <= MAX_PART_BYTES {
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        response.entries.push(Kept { age_ms, envelope: ByteBuf::from(envelope) });
    }
}

/// What is wrong with an answer as a whole.
pub(super) fn is_sound(response: &Response, after: Option<&Cursor>) -> bool {
    let goes_on = |next: &Cursor| after.is_none_or(|after| next > after);
    response.v == VERSION
        && response.entries.len() <= MAX_ENTRIES
        && response.entries.iter().map(|kept| kept.envelope.len()).sum::<usize>() <= MAX_PART_BYTES
        // One that never comes to its end would keep this node asking.
        && response.next.as_ref().is_none_or(|next| goes_on(next) && !response.entries.is_empty())
}

/// Who is asked, and how far it is.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) after: Option<Cursor>,
    pub(super) parts: u32,
    pub(super) news: usize,
}

pub(super) fn asked_first() -> Asked {
    Asked { after: None, parts: 1, news: 0 }
}

#[cfg(test)]
mod tests {
    use super::super::board::Way;
    use super::super::envelope::{Letter, decode, encode};
    use super::*;
    use bzzz_actors::ports::swarm::{Announcement, Said};

    fn board(count: u64, bytes: usize) -> Board {
        let mut board = Board::default();
        for seq in 1..=count {
            let task = format!("a/b#{seq}").parse().unwrap();
            let said = Said::Task(Announcement::Claimed { task, epoch: bzzz_actors::task::Epoch(1) });
            let author = "a".parse().unwrap();
            let letter =
                Letter { author, boot: 1, seq, at_ms: 0, ttl_s: 60, said, bytes: vec![seq as u8; bytes] };
            board.take(&letter, Way::Gossip, Instant::now());
        }
        board
    }

    #[test]
    fn a_part_is_bounded_by_number_and_by_bytes_and_the_next_goes_on() {
        for (size, count) in [(10, MAX_ENTRIES), (1 << 14, MAX_PART_BYTES >> 14)] {
            let board = board(300.min((1 << 20) / size as u64), size);
            let mut after = None;
            let mut seen = 0;
            loop {
                let request = request("s", &Board::default(), after.clone());
                let response = answer("s", &board, request, Instant::now()).unwrap();
                assert!(is_sound(&response, after.as_ref()) && response.entries.len() <= count);
                let wire = encode(&response).unwrap();
                assert!((wire.len() as u64) < MAX_RESPONSE_BYTES);
                assert_eq!(decode::<Response>(&wire), Some(response.clone()));
                seen += response.entries.len();
                after = response.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, 300.min((1 << 20) / size));
        }
    }

    #[test]
    fn who_has_all_is_told_nothing_and_strangers_are_not_answered() {
        let board = board(3, 1);
        let now = Instant::now();
        let response = answer("s", &board, request("s", &board, None), now).unwrap();
        assert_eq!(response, Response { v: VERSION, entries: vec![], next: None });
        assert_eq!(answer("other", &board, request("s", &board, None), now), None);
    }

    #[test]
    fn an_answer_that_leads_nowhere_is_refused() {
        let cursor = |seq| Cursor { author: "a".parse().unwrap(), seq };
        let kept = Kept { age_ms: 0, envelope: ByteBuf::from(vec![0; 4]) };
        let response = |entries: Vec<Kept>, next| Response { v: VERSION, entries, next };
        assert!(is_sound(&response(vec![kept.clone()], Some(cursor(2))), Some(&cursor(1))));
        assert!(!is_sound(&response(vec![kept.clone()], Some(cursor(1))), Some(&cursor(1))));
        assert!(!is_sound(&response(vec![], Some(cursor(2))), Some(&cursor(1))));
        assert!(!is_sound(&response(vec![kept; MAX_ENTRIES + 1], None), None));
    }
}
