//! What peers send: messages in their envelopes, and both sides of the exchange of state.
//!
//! The first byte says what the others are: an envelope, the body of one that is sound otherwise (no mutation would come
//! past the form and the signature), a question for state, an answer, the question for a proof of an audit trail, or a proof.

#[allow(dead_code, unreachable_pub, reason = "the network uses the rest")]
#[path = "../../../src/swarm/board.rs"]
mod board;
#[allow(dead_code, unreachable_pub, reason = "it is public there")]
#[path = "../../../src/swarm/envelope.rs"]
mod envelope;
#[allow(dead_code, unreachable_pub, reason = "the network uses the rest")]
#[path = "../../../src/swarm/exchange.rs"]
mod exchange;
#[path = "../../../src/swarm/plausible.rs"]
mod plausible;
#[allow(dead_code, unreachable_pub, reason = "the network uses the rest")]
#[path = "../../../src/swarm/trail.rs"]
mod trail;

use std::time::Duration;

use bzzz_actors::ports::swarm::{Availability, PeerId, Said};
use bzzz_actors::trail::{Bytes, Growth, Mark, TrailHead};
use tokio::time::Instant;

use board::{Board, Taken, Way};
use envelope::{Fault, Letter, Place, Signatures, Stamp};
use exchange::{Request, Response};

const PLACE: Place<'_> = Place { swarm: "bzzz", topic: "topic" };

pub(crate) fn hold(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, envelope)) => hold_envelope(envelope),
        Some((1, body)) => hold_body(body),
        Some((2, question)) => hold_question(question),
        Some((3, answer)) => hold_answer(answer),
        Some((4, question)) => hold_question_for_proof(question),
        Some((5, proof)) => hold_proof(proof),
        _ => {}
    }
}

/// Stands for a signature that is the author's.
fn sign(_: &[u8]) -> Option<Vec<u8>> {
    Some(b"signed".to_vec())
}

fn open(bytes: &[u8]) -> Result<Letter, Fault> {
    let signatures = Signatures { of_author: |_, _, sig| sig == b"signed", of_trail: |_, _, _| true };
    envelope::open(bytes, PLACE, signatures)
}

fn author() -> PeerId {
    "author".parse().unwrap()
}

fn hold_envelope(bytes: &[u8]) {
    let Ok(letter) = open(bytes) else { return };
    assert_eq!(letter.bytes, bytes);
    assert!(bytes.len() <= envelope::MAX_BYTES);
    hold_letter(&letter);
}

fn hold_body(body: &[u8]) {
    let stamp = Stamp { boot: 1, seq: 1, at_ms: 1, ttl_s: 60 };
    let sealed = envelope::seal_body(PLACE, &author(), stamp, body.to_vec(), sign).unwrap();
    match open(&sealed) {
        Ok(letter) => hold_letter(&letter),
        Err(Fault::TooLong) => assert!(sealed.len() > envelope::MAX_BYTES),
        Err(fault) => assert!(matches!(fault, Fault::Unknown | Fault::Implausible), "{fault:?}"),
    }
}

/// What was read says the same when it is written anew, and is news once.
fn hold_letter(letter: &Letter) {
    let stamp = Stamp { boot: letter.boot, seq: letter.seq, at_ms: letter.at_ms, ttl_s: letter.ttl_s };
    if let Some(again) = envelope::seal(PLACE, &letter.author, stamp, &letter.said, sign) {
        assert_eq!(open(&again.bytes), Ok(again.clone()));
        assert_eq!((&again.said, &again.author, again.seq), (&letter.said, &letter.author, letter.seq));
    }
    let now = Instant::now();
    let mut board = Board::default();
    let first = board.take(letter, Way::Gossip, now);
    assert_eq!(first, if letter.ttl_s == 0 { Taken::Expired } else { Taken::New });
    for way in [Way::Gossip, Way::Exchange { age: Duration::ZERO }, Way::Exchange { age: Duration::MAX }] {
        assert_ne!(board.take(letter, way, now), Taken::New);
    }
    board.expire(now + Duration::from_secs(u64::from(letter.ttl_s)));
    assert!(board.heads().iter().all(|head| head.seqs.is_empty()));
}

/// A board with something on it.
fn board(now: Instant) -> Board {
    let mut board = Board::default();
    for seq in 1..=2 {
        let said = Said::Availability(Availability::default());
        let bytes = vec![0; 10];
        let letter = Letter { author: author(), boot: 1, seq, at_ms: 0, ttl_s: 60, said, bytes };
        board.take(&letter, Way::Gossip, now);
    }
    board
}

fn hold_question(bytes: &[u8]) {
    let Some(question) = envelope::decode::<Request>(bytes) else { return };
    let now = Instant::now();
    let after = question.after.clone();
    if let Some(answer) = exchange::answer(PLACE.swarm, &board(now), question, now) {
        assert!(exchange::is_sound(&answer, after.as_ref()));
        assert!(answer.entries.len() <= 1);
    }
}

fn hold_answer(bytes: &[u8]) {
    let Some(answer) = envelope::decode::<Response>(bytes) else { return };
    if !exchange::is_sound(&answer, None) {
        return;
    }
    assert!(answer.entries.len() <= exchange::MAX_ENTRIES);
    let now = Instant::now();
    let mut board = board(now);
    for kept in &answer.entries {
        if let Ok(letter) = open(&kept.envelope) {
            board.take(&letter, Way::Exchange { age: kept.age() }, now);
        }
    }
    let _ = exchange::request(PLACE.swarm, &board, answer.next);
}

fn hold_question_for_proof(bytes: &[u8]) {
    let Some(question) = envelope::decode::<trail::Request>(bytes) else { return };
    if trail::is_question(&question, PLACE.swarm) {
        assert!(question.from.is_plausible() && question.to.is_plausible());
    }
}

/// Whatever is read as a proof is checked against whatever heads, and proves nothing of a root that nobody has.
fn hold_proof(bytes: &[u8]) {
    let Some(answer) = envelope::decode::<trail::Response>(bytes) else { return };
    let Some(growth) = answer.growth.as_ref().filter(|_| trail::is_sound(&answer)) else { return };
    let again = envelope::encode(&answer).unwrap();
    assert_eq!(envelope::decode::<trail::Response>(&again).as_ref(), Some(&answer));
    let lengths = [1, 2, 7, 1 << 15, bzzz_actors::trail::MAX_LENGTH, growth.length];
    let key = Bytes([1; 32]);
    let head = |segment, length| {
        let mark = Mark { segment, length, root: key };
        TrailHead { key, segment_key: key, mark, signature: Bytes([0; 64]) }
    };
    for (from, to) in lengths.into_iter().flat_map(|from| lengths.map(|to| (from, to))) {
        for segment in [0, 1, u64::MAX] {
            assert!(growth.check(&head(0, from), &head(segment, to), &|_, _, _| true).is_err());
        }
    }
    hold_beginning(growth);
}

/// Behind a root that is the peaks' own the rest of the proof is looked at.
fn hold_beginning(growth: &Growth) {
    let Some(length) = (growth.peaks.len() <= 32).then(|| (1u64 << growth.peaks.len()) - 1) else { return };
    let Some(peaks) = bzzz_actors::trail::Peaks::new(length, growth.peaks.clone()) else { return };
    let key = Bytes([1; 32]);
    let head = |mark| TrailHead { key, segment_key: key, mark, signature: Bytes([0; 64]) };
    let from = head(Mark { segment: 0, length, root: peaks.root() });
    let to = head(Mark { segment: 1, length: growth.length, root: key });
    assert!(growth.check(&from, &to, &|_, _, _| true).is_err());
}
