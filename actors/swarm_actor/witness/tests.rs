use proptest::prelude::*;

use super::*;
use crate::trail::{Bytes, Mark};

const MINUTE: Duration = Duration::from_secs(60);

fn peer(name: &str) -> PeerId {
    name.parse().unwrap()
}

/// After so many blocks of ten a segment; `history` tells trails apart that begin alike.
fn head(blocks: u64, history: u8) -> TrailHead {
    let (segment, length) = (blocks / 10, blocks % 10 + 1);
    let mut root = [history; 32];
    root[..8].copy_from_slice(&blocks.to_le_bytes());
    let key = Bytes([1; 32]);
    let mark = Mark { segment, length, root: Bytes(root) };
    TrailHead { key, segment_key: Bytes([segment as u8 + 1; 32]), mark, signature: Bytes([0; 64]) }
}

/// That has seen the peer "x" at block 20.
fn witness() -> Witness {
    let mut witness = Witness::default();
    assert_eq!(witness.load(Vec::new()), []);
    assert_eq!(witness.connected(&peer("x")), None);
    assert_eq!(witness.hear(&peer("x"), head(20, 0)), Some(Finding::Proven(peer("x"))));
    witness
}

fn only_question(witness: &mut Witness, now: Instant) -> Question {
    let mut questions = witness.questions(now);
    assert_eq!(questions.len(), 1);
    questions.remove(0)
}

fn is_contradicted(finding: &Option<Finding>, by: TrailHead) -> bool {
    matches!(finding, Some(Finding::Contradicted(it)) if it.witnessed == head(20, 0) && it.shown == by)
}

#[test]
fn growth_is_kept_once_it_is_proven() {
    let (mut witness, now) = (witness(), Instant::now());
    assert_eq!(witness.hear(&peer("x"), head(25, 0)), None);
    let question = only_question(&mut witness, now);
    assert_eq!((question.from, question.to), (head(20, 0), head(25, 0)));
    assert_eq!(witness.hear(&peer("x"), head(31, 0)), None);
    assert_eq!(witness.questions(now), [], "one is under way");
    assert_eq!(witness.answered(&question, Answer::Holds, now), Some(Finding::Proven(peer("x"))));
    let question = only_question(&mut witness, now);
    assert_eq!((question.from, question.to), (head(25, 0), head(31, 0)));
    witness.answered(&question, Answer::Holds, now);
    assert_eq!(witness.record(&peer("x"), 7).unwrap().head, head(31, 0));
    assert_eq!(witness.questions(now), []);
}

#[test]
fn two_signatures_that_exclude_each_other_are_a_contradiction_in_any_order() {
    let other_key = TrailHead { key: Bytes([9; 32]), ..head(30, 0) };
    let other_segment_key = TrailHead { segment_key: Bytes([9; 32]), ..head(20, 0) };
    for shown in [head(20, 1), other_key, other_segment_key] {
        let mut witness = witness();
        let finding = witness.hear(&peer("x"), shown);
        assert!(is_contradicted(&finding, shown), "{finding:?}");
        assert_eq!(witness.hear(&peer("x"), shown), None, "once");
        assert_eq!(witness.hear(&peer("x"), head(31, 0)), None);
        assert_eq!(witness.questions(Instant::now()), [], "nothing it shows proves anything now");
        let record = witness.record(&peer("x"), 7).unwrap();
        assert_eq!((record.head, record.contradicted_by), (head(20, 0), Some(shown)));
        let mut next_life = Witness::default();
        next_life.load(vec![record]);
        next_life.connected(&peer("x"));
        assert_eq!(next_life.hear(&peer("x"), head(20, 2)), None);
        assert_eq!(next_life.history(&peer("x")), History::Contradicted);
    }
}

#[test]
fn a_proof_that_does_not_hold_is_a_contradiction() {
    let (mut witness, now) = (witness(), Instant::now());
    witness.hear(&peer("x"), head(25, 1));
    let question = only_question(&mut witness, now);
    let finding = witness.answered(&question, Answer::DoesNotHold("no".into()), now);
    assert!(is_contradicted(&finding, head(25, 1)));
    assert_eq!(witness.contradicted().collect::<Vec<_>>(), [(&peer("x"), head(20, 0))]);
}

#[test]
fn a_peer_that_says_again_and_again_that_it_can_not_prove_its_growth_contradicts_itself() {
    let (mut witness, mut now) = (witness(), Instant::now());
    witness.hear(&peer("x"), head(25, 1));
    for refused in 1..=MAX_REFUSALS {
        let question = only_question(&mut witness, now);
        let finding = witness.answered(&question, Answer::Refused, now);
        assert_eq!(is_contradicted(&finding, head(25, 1)), refused == MAX_REFUSALS);
        assert_eq!(witness.questions(now), []);
        now += FIRST_PAUSE * 8;
    }
}

#[test]
fn a_shorter_trail_is_a_contradiction_only_if_the_peer_has_the_longer_no_more() {
    let now = Instant::now();
    let shown = |witness: &mut Witness| {
        assert_eq!(witness.hear(&peer("x"), head(15, 0)), None);
        assert_eq!(witness.questions(now), [], "it may be an old word");
        witness.synced(&peer("x"));
        let question = only_question(witness, now);
        assert_eq!((question.from, question.to), (head(20, 0), head(20, 0)));
        question
    };
    let mut old_word = witness();
    let question = shown(&mut old_word);
    assert_eq!(old_word.answered(&question, Answer::Holds, now), None);
    assert_eq!(old_word.questions(now), []);

    let mut late_word = witness();
    let question = shown(&mut late_word);
    late_word.hear(&peer("x"), head(22, 0));
    assert_eq!(late_word.answered(&question, Answer::Refused, now), None, "it has said another one");

    for answer in [Answer::Refused, Answer::DoesNotHold("no".into())] {
        let mut rolled_back = witness();
        let question = shown(&mut rolled_back);
        assert!(is_contradicted(&rolled_back.answered(&question, answer, now), head(15, 0)));
    }
    let mut silent = witness();
    let mut question = shown(&mut silent);
    let mut now = now;
    for _ in 1..MAX_SILENCES {
        assert_eq!(silent.answered(&question, Answer::Silent, now), None);
        now += FIRST_PAUSE * 8;
        question = only_question(&mut silent, now);
    }
    assert!(is_contradicted(&silent.answered(&question, Answer::Silent, now), head(15, 0)));
}

#[test]
fn a_node_that_gets_its_newer_data_back_is_well_again() {
    let (mut witness, now) = (witness(), Instant::now());
    witness.hear(&peer("x"), head(15, 0));
    witness.synced(&peer("x"));
    let question = only_question(&mut witness, now);
    assert!(witness.answered(&question, Answer::Refused, now).is_some());
    witness.hear(&peer("x"), head(16, 0));
    witness.synced(&peer("x"));
    assert_eq!(witness.questions(now), [], "it is known");
    witness.hear(&peer("x"), head(20, 0));
    let question = only_question(&mut witness, now);
    assert_eq!(witness.answered(&question, Answer::Silent, now), None);
    assert_eq!(witness.history(&peer("x")), History::Contradicted);
    witness.hear(&peer("x"), head(21, 0));
    let question = only_question(&mut witness, now);
    assert_eq!(witness.answered(&question, Answer::Holds, now), Some(Finding::Proven(peer("x"))));
    assert_eq!(witness.history(&peer("x")), History::Proven);
    assert_eq!(witness.record(&peer("x"), 7).unwrap().contradicted_by, None);
}

#[test]
fn silence_is_no_contradiction_and_is_said_after_a_day() {
    let (mut witness, start) = (witness(), Instant::now());
    witness.hear(&peer("x"), head(25, 0));
    let mut said = 0;
    for minute in 0..3 * 24 * 60 {
        let now = start + minute * MINUTE;
        for question in witness.questions(now) {
            assert_eq!(witness.answered(&question, Answer::Silent, now), None);
        }
        let found = witness.look(now);
        if !found.is_empty() {
            assert_eq!(found, [Finding::Unproven(peer("x"))]);
            assert!(minute >= 24 * 60);
            said += 1;
        }
    }
    assert_eq!((said, witness.history(&peer("x"))), (1, History::Unproven));
    let now = start + 4 * UNPROVEN_FOR;
    let question = only_question(&mut witness, now);
    witness.answered(&question, Answer::Holds, now);
    assert_eq!(witness.history(&peer("x")), History::Proven);
}

#[test]
fn who_is_not_connected_is_neither_kept_nor_asked() {
    let (mut witness, now) = (Witness::default(), Instant::now());
    witness.connected(&peer("x"));
    assert_eq!(witness.hear(&peer("x"), head(20, 0)), None, "what earlier lives saw is not known yet");
    assert_eq!(witness.hear(&peer("y"), head(20, 0)), None);
    assert_eq!(witness.load(Vec::new()), [Finding::Proven(peer("x"))]);
    assert_eq!(witness.history(&peer("y")), History::Unseen);
    assert_eq!(witness.connected(&peer("y")), Some(Finding::Proven(peer("y"))), "what it said before counts");
    witness.disconnected(&peer("y"));
    witness.hear(&peer("y"), head(25, 0));
    assert_eq!(witness.questions(now), []);
    witness.connected(&peer("y"));
    assert_eq!(witness.questions(now).len(), 1);
}

#[test]
fn few_are_asked_at_a_time_and_no_number_of_peers_fills_the_memory() {
    let (mut witness, now) = (Witness::default(), Instant::now());
    witness.load(Vec::new());
    for number in 0..2 * MAX_KNOWN {
        let peer = peer(&format!("p{number}"));
        witness.hear(&peer, head(20, 0));
        if number % 2 == 0 {
            witness.connected(&peer);
            witness.hear(&peer, head(25, 0));
        }
    }
    assert_eq!(witness.known.len(), MAX_KNOWN);
    assert_eq!(witness.known.values().filter(|it| it.witnessed.is_some()).count(), MAX_WITNESSED);
    let mut asked = witness.questions(now);
    assert_eq!(asked.len(), MAX_ASKED);
    assert_eq!(witness.questions(now), []);
    witness.answered(&asked.remove(0), Answer::Silent, now);
    assert_eq!(witness.questions(now).len(), 1);
}

/// What happens between an honest peer, which comes and goes, and its witness, which does too.
#[derive(Debug, Clone)]
enum Step {
    Grows(u64),
    Says,
    /// Somebody tells of what it said once.
    OldWord(prop::sample::Index),
    Synced,
    Asked {
        is_answered: bool,
    },
    WitnessRestarts,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u64..15).prop_map(Step::Grows),
        Just(Step::Says),
        any::<prop::sample::Index>().prop_map(Step::OldWord),
        Just(Step::Synced),
        any::<bool>().prop_map(|is_answered| Step::Asked { is_answered }),
        Just(Step::WitnessRestarts),
    ]
}

proptest! {
    #[test]
    fn no_order_of_an_honest_peers_words_is_a_contradiction(steps in prop::collection::vec(step(), 1..100)) {
        let (mut witness, mut now, mut at) = (witness(), Instant::now(), 20);
        let mut said = vec![head(20, 0)];
        for step in steps {
            now += LONGEST_PAUSE;
            let mut found = None;
            match step {
                Step::Grows(more) => at += more,
                Step::Says => {
                    said.push(head(at, 0));
                    found = witness.hear(&peer("x"), head(at, 0));
                }
                Step::OldWord(which) => found = witness.hear(&peer("x"), *which.get(&said)),
                Step::Synced => witness.synced(&peer("x")),
                Step::Asked { is_answered } => {
                    for question in witness.questions(now) {
                        prop_assert!(question.from.mark.place() <= question.to.mark.place());
                        // Who is asked for what it said long ago has a way to say that it has it.
                        let is_answered = is_answered || question.from == question.to;
                        let answer = if is_answered { Answer::Holds } else { Answer::Silent };
                        found = witness.answered(&question, answer, now);
                    }
                }
                Step::WitnessRestarts => {
                    let record = witness.record(&peer("x"), 7).unwrap();
                    witness = Witness::default();
                    witness.connected(&peer("x"));
                    witness.load(vec![record]);
                }
            }
            let is_fine = matches!(found, None | Some(Finding::Proven(_)));
            prop_assert!(is_fine, "{found:?}");
            let record = witness.record(&peer("x"), 7).unwrap();
            prop_assert_eq!(record.contradicted_by, None);
            prop_assert!(said.contains(&record.head));
        }
    }
}
