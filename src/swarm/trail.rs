//! Proofs of audit trails, by question and answer: that a node's trail leads from one mark to another.
//!
//! What an answer proves is not looked at here; only that it is no larger than a proof is, and that no number in it is one
//! that no trail has.

use bzzz_actors::ports::journal::JournalError;
use bzzz_actors::trail::{Growth, MAX_LENGTH, Mark, SegmentProof};
use serde::{Deserialize, Serialize};

pub(super) const PROTOCOL: &str = "/bzzz/trail/1";
const VERSION: u8 = 1;
/// Two marks and a name.
pub(super) const MAX_REQUEST_BYTES: u64 = 4 * 1024;
/// Segments between two marks, with room: one more takes about 5 KB.
pub(super) const MAX_RESPONSE_BYTES: u64 = 2 * 1024 * 1024;
/// Segments that a proof goes through. A node whose trail has grown by more since it was seen can't prove that.
const MAX_SEGMENTS: usize = 256;
/// Of a tree with the longest length, one for each bit.
const MAX_PEAKS: usize = MAX_LENGTH.ilog2() as usize + 1;
/// A header names five keys and hashes, and a node.
const MAX_HEADER_BYTES: usize = 4 * 1024;

/// Reads this node's trail. It is called off the network's thread, and may take its time.
pub trait Prover: Send + Sync {
    /// `None` when the trail does not lead from the one to the other: the peer that asks is told so, and takes it for this
    /// node's word if it happens several times in a row.
    ///
    /// # Errors
    /// When it can't be read now: then the peer gets no answer.
    fn growth(&self, from: Mark, to: Mark) -> Result<Option<Growth>, JournalError>;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub v: u8,
    /// The swarm's name.
    pub swarm: String,
    pub from: Mark,
    pub to: Mark,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    pub v: u8,
    /// `None`: there is no proof.
    pub growth: Option<Growth>,
}

pub(super) fn request(swarm: &str, from: Mark, to: Mark) -> Request {
    Request { v: VERSION, swarm: swarm.to_owned(), from, to }
}

pub(super) fn response(growth: Option<Growth>) -> Response {
    Response { v: VERSION, growth }
}

/// Whether it is of this swarm and version, and asks for what there can be.
pub(super) fn is_question(request: &Request, swarm: &str) -> bool {
    let are_marks = request.from.is_plausible() && request.to.is_plausible();
    request.v == VERSION && request.swarm == swarm && are_marks && request.from.place() <= request.to.place()
}

pub(super) fn is_sound(response: &Response) -> bool {
    response.v == VERSION && response.growth.as_ref().is_none_or(is_growth)
}

fn is_growth(growth: &Growth) -> bool {
    growth.length <= MAX_LENGTH
        && growth.peaks.len() <= MAX_PEAKS
        && growth.added.len() <= 2 * MAX_PEAKS
        && growth.then.len() <= MAX_SEGMENTS
        && growth.then.iter().all(is_segment)
}

fn is_segment(segment: &SegmentProof) -> bool {
    segment.length <= MAX_LENGTH
        && segment.header.len() <= MAX_HEADER_BYTES
        && [&segment.peaks, &segment.siblings].iter().all(|nodes| nodes.len() <= MAX_PEAKS)
}

#[cfg(test)]
mod tests {
    use bzzz_actors::trail::{Bytes, Node, Tree};

    use super::super::envelope::{decode, encode};
    use super::*;

    fn node(number: u64) -> Node {
        Node::of_block(&number.to_le_bytes())
    }

    /// As large as one is that goes through so many full segments.
    fn growth(segments: usize) -> Growth {
        let mut tree = Tree::default();
        (0..1 << 15).for_each(|number| tree.push(node(number)));
        let length = tree.length() - 1;
        let segment = SegmentProof::new(&tree, length, "h".repeat(1024)).unwrap();
        Growth::new(&tree, 1, length, vec![segment; segments]).unwrap()
    }

    #[test]
    fn the_largest_proof_is_read() {
        let response = response(Some(growth(MAX_SEGMENTS)));
        assert!(is_sound(&response));
        let wire = encode(&response).unwrap();
        assert!(wire.len() as u64 <= MAX_RESPONSE_BYTES, "{}", wire.len());
        assert_eq!(decode::<Response>(&wire), Some(response));
    }

    #[test]
    fn an_answer_that_is_larger_than_a_proof_is_none() {
        let growth = growth(1);
        let mut many = growth.clone();
        many.then = vec![growth.then[0].clone(); MAX_SEGMENTS + 1];
        let mut wide = growth.clone();
        wide.added = vec![node(1); 2 * MAX_PEAKS + 1];
        let mut long = growth.clone();
        long.then[0].length = MAX_LENGTH + 1;
        let mut wordy = growth.clone();
        wordy.then[0].header = "h".repeat(MAX_HEADER_BYTES + 1);
        for growth in [many, wide, long, wordy] {
            assert!(!is_sound(&response(Some(growth))));
        }
        assert!(is_sound(&response(None)) && !is_sound(&Response { v: 2, growth: None }));
    }

    #[test]
    fn a_question_is_of_this_swarm_and_forward() {
        let mark = |segment, length| Mark { segment, length, root: Bytes([0; 32]) };
        let asks = |from, to| is_question(&request("s", from, to), "s");
        assert!(asks(mark(0, 1), mark(0, 1)) && asks(mark(0, 9), mark(1, 1)));
        assert!(!asks(mark(1, 1), mark(0, 9)) && !asks(mark(0, 0), mark(0, 1)));
        assert!(!asks(mark(0, 1), mark(u64::MAX, 1)) && !asks(mark(0, 1), mark(0, u64::MAX)));
        assert!(!is_question(&request("other", mark(0, 1), mark(0, 1)), "s"));
    }
}
