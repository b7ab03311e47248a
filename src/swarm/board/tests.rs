use bzzz_actors::ports::swarm::{Availability, Progress, Said};
use bzzz_actors::task::Epoch;
use bzzz_actors::trail::{Bytes, Mark, TrailHead};
use proptest::prelude::*;

use super::*;

fn letter(author: &str, boot: u64, seq: u64, said: Said) -> Letter {
    let bytes = format!("{author} {boot} {seq}").into_bytes();
    Letter { author: author.parse().unwrap(), boot, seq, at_ms: 0, ttl_s: 600, said, bytes }
}

fn availability() -> Said {
    Said::Availability(Availability::default())
}

/// All of one key, told apart by their numbers.
fn numbered(number: u64) -> Said {
    let (task, steps) = ("a/b#1".parse().unwrap(), u32::try_from(number).unwrap());
    Said::Progress(Progress { task, epoch: Epoch(1), phase: String::new(), steps })
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn all(board: &Board, heads: &[Head], now: Instant) -> Vec<(Duration, String)> {
    let mut found = Vec::new();
    let next = board.missing(heads, None, now, |age, bytes| {
        found.push((age, String::from_utf8(bytes.to_vec()).unwrap()));
        true
    });
    assert_eq!(next, None);
    found
}

#[test]
fn nothing_is_new_twice_and_nothing_older_follows() {
    let now = Instant::now();
    let mut board = Board::default();
    let mut take = |seq, said| board.take(&letter("a", 1, seq, said), Way::Gossip, now);
    assert_eq!(take(3, availability()), Taken::New);
    assert_eq!(take(3, availability()), Taken::Old);
    assert_eq!(take(2, availability()), Taken::Old, "something newer of its key is known");
    assert_eq!(take(1, numbered(1)), Taken::New, "it was only overtaken by others");
    assert_eq!(take(1, numbered(1)), Taken::Old);
    assert_eq!(all(&board, &[], now), [(secs(0), "a 1 1".into()), (secs(0), "a 1 3".into())]);
}

#[test]
fn a_new_opening_ends_what_was_said_before() {
    let now = Instant::now();
    let mut board = Board::default();
    board.take(&letter("a", 1, 9, availability()), Way::Gossip, now);
    assert_eq!(board.take(&letter("a", 2, 1, numbered(1)), Way::Gossip, now), Taken::New);
    assert_eq!(board.take(&letter("a", 1, 10, availability()), Way::Gossip, now), Taken::Old);
    assert_eq!(all(&board, &[], now), [(secs(0), "a 2 1".into())]);
}

#[test]
fn what_is_over_does_not_come_again_from_one_that_keeps_it() {
    let start = Instant::now();
    let mut board = Board::default();
    let said = letter("a", 1, 1, availability());
    board.take(&said, Way::Exchange { age: secs(599) }, start);
    let later = start + secs(2);
    board.expire(later);
    assert_eq!(all(&board, &[], later), []);
    assert_eq!(board.take(&said, Way::Exchange { age: secs(1) }, later), Taken::Old);
    assert_eq!(board.take(&said, Way::Gossip, later), Taken::Old);
    assert_eq!(board.take(&said, Way::Exchange { age: secs(600) }, later), Taken::Expired);
}

#[test]
fn an_author_that_is_silent_is_forgotten_but_for_its_number() {
    let start = Instant::now();
    let mut board = Board::default();
    board.take(&Letter { ttl_s: 86_400, ..letter("a", 1, 5, numbered(1)) }, Way::Gossip, start);
    let later = start + SILENT;
    board.expire(later);
    assert_eq!(board.heads(), []);
    assert_eq!(board.marks(), Marks::from([("a".parse().unwrap(), (1, 5))]));
    assert_eq!(board.take(&letter("a", 1, 5, numbered(1)), Way::Gossip, later), Taken::Old);
    assert_eq!(board.take(&letter("a", 1, 6, numbered(1)), Way::Gossip, later), Taken::New);
}

#[test]
fn after_a_restart_repetitions_are_known_and_the_state_comes_in() {
    let now = Instant::now();
    let mut board = Board::new(Marks::from([("a".parse().unwrap(), (1, 5))]));
    let said = letter("a", 1, 4, availability());
    assert_eq!(board.take(&said, Way::Gossip, now), Taken::Old);
    assert_eq!(board.take(&said, Way::Exchange { age: secs(3) }, now), Taken::New);
    assert_eq!(board.take(&letter("a", 0, 9, numbered(1)), Way::Exchange { age: secs(3) }, now), Taken::Old);
}

#[test]
fn nobody_fills_the_board() {
    let now = Instant::now();
    let mut board = Board::default();
    for seq in 1..2000 {
        let task = format!("a/b#{seq}").parse().unwrap();
        let epoch = bzzz_actors::task::Epoch(1);
        let said = Said::Task(bzzz_actors::ports::swarm::Announcement::Released { task, epoch });
        board.take(&letter("a", 1, seq, said), Way::Gossip, now);
    }
    for author in 0..2000 {
        board.take(&letter(&format!("b{author}"), 1, u64::MAX, numbered(1)), Way::Gossip, now);
    }
    assert!(board.heads().len() <= MAX_AUTHORS && board.marks().len() <= 2 * MAX_AUTHORS);
    assert!(board.heads().iter().all(|head| head.seqs.len() <= MAX_KEYS));
    let kept = all(&board, &[], now).iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    assert_eq!(kept, board.bytes);
    assert!(board.authors.values().all(|author| author.numbers.missing.len() <= MAX_MISSING));
}

proptest! {
    /// However messages are lost, reordered and repeated: after two exchanges both have the last of every key.
    #[test]
    fn two_boards_agree_after_an_exchange(
        said in proptest::collection::vec((0u8..3, 0u8..4, any::<bool>(), any::<bool>()), 0..60),
        part in 1usize..5,
    ) {
        let now = Instant::now();
        let (mut one, mut other) = (Board::default(), Board::default());
        let mut seqs = [0u64; 3];
        let mut last = BTreeMap::new();
        for (author, key, to_one, to_other) in said {
            let seq = &mut seqs[usize::from(author)];
            *seq += 1;
            let task = format!("a/b#{}", key + 1).parse().unwrap();
            let epoch = bzzz_actors::task::Epoch(1);
            let said = Said::Task(bzzz_actors::ports::swarm::Announcement::Claimed { task, epoch });
            let letter = letter(&format!("n{author}"), 1, *seq, said);
            if to_one { one.take(&letter, Way::Gossip, now); }
            if to_other { other.take(&letter, Way::Gossip, now); }
            if to_one || to_other {
                last.insert((letter.author.clone(), letter.said.key()), letter.clone());
            }
        }
        let letters: HashMap<Vec<u8>, Letter> =
            last.values().map(|letter| (letter.bytes.clone(), letter.clone())).collect();
        for _ in 0..2 {
            bring(&one, &mut other, part, &letters, now);
            bring(&other, &mut one, part, &letters, now);
        }
        let wanted: BTreeSet<String> =
            last.values().map(|letter| String::from_utf8(letter.bytes.clone()).unwrap()).collect();
        for board in [&one, &other] {
            let has: BTreeSet<String> = all(board, &[], now).into_iter().map(|(_, bytes)| bytes).collect();
            prop_assert_eq!(&has, &wanted);
        }
    }
}

/// In parts, as the exchange does it.
fn bring(from: &Board, to: &mut Board, part: usize, letters: &HashMap<Vec<u8>, Letter>, now: Instant) {
    let mut after = None;
    loop {
        let mut found = Vec::new();
        after = from.missing(&to.heads(), after.as_ref(), now, |age, bytes| {
            found.push((age, bytes.to_vec()));
            found.len() <= part
        });
        if after.is_some() {
            found.pop();
        }
        for (age, bytes) in found {
            // What is not the last of its key is refused in any case.
            if let Some(letter) = letters.get(&bytes) {
                to.take(letter, Way::Exchange { age }, now);
            }
        }
        if after.is_none() {
            return;
        }
    }
}

#[test]
fn what_is_said_once_outlives_what_is_said_of_many_repositories() {
    let (mut board, now) = (Board::default(), Instant::now());
    let seen = |number: u64| {
        Said::TasksSeen(bzzz_actors::ports::swarm::TasksSeen {
            repo: format!("a/r{number}").parse().unwrap(),
            free: vec![],
            called: vec![],
            other: vec![],
            next_in_s: 60,
            labels: BTreeMap::new(),
            language: None,
        })
    };
    let head = numbered(1);
    board.take(&letter("a", 1, 1, head.clone()), Way::Gossip, now);
    for seq in 2..2 * MAX_KEYS as u64 {
        board.take(&letter("a", 1, seq, seen(seq)), Way::Gossip, now);
    }
    assert_eq!(board.authors[&"a".parse().unwrap()].entries.len(), MAX_KEYS);
    assert!(board.entry(&"a".parse().unwrap(), &head.key()).is_some());
}

#[test]
fn made_up_authors_push_out_neither_peers_nor_their_marks() {
    let (mut board, now) = (Board::default(), Instant::now());
    let peer: PeerId = "peer".parse().unwrap();
    board.see_link(&peer, true);
    let first = letter("peer", 1, 1, availability());
    assert_eq!(board.take(&first, Way::Gossip, now), Taken::New);
    let later = now + Duration::from_secs(1);
    let strangers = |board: &mut Board, from: usize| {
        for number in from..from + 3 * MAX_AUTHORS {
            let letter = letter(&format!("x{number}"), u64::MAX, 1, availability());
            assert_eq!(board.take(&letter, Way::Gossip, later), Taken::New);
        }
    };
    strangers(&mut board, 0);
    assert!(board.knows(&peer) && board.authors.len() <= MAX_AUTHORS);
    board.see_link(&peer, false);
    strangers(&mut board, 100_000);
    assert!(!board.knows(&peer));
    assert_eq!(board.take(&first, Way::Gossip, later), Taken::Old, "its mark is there");
}

#[test]
fn the_numbers_of_a_full_board_fit_into_a_request() {
    let (mut board, now) = (Board::default(), Instant::now());
    for author in 0..MAX_AUTHORS {
        for seq in 0..100 {
            let task = format!("a/b#{}", seq + 1).parse().unwrap();
            let said = Said::Task(bzzz_actors::ports::swarm::Announcement::Claimed {
                task,
                epoch: bzzz_actors::task::Epoch::FIRST,
            });
            // As long as a peer id is.
            let name = format!("12D3KooW{author:044}");
            board.take(&letter(&name, u64::MAX, u64::MAX - 100 + seq, said), Way::Gossip, now);
        }
    }
    assert_eq!(board.entries, MAX_ENTRIES);
    let request = super::super::exchange::request("s", &board, None);
    let bytes = cbor4ii::serde::to_vec(Vec::new(), &request).unwrap();
    assert!(bytes.len() as u64 <= super::super::exchange::MAX_REQUEST_BYTES, "{}", bytes.len());
    board.expire(now + SILENT);
    assert_eq!((board.entries, board.bytes), (0, 0));
}

#[test]
fn what_an_author_said_of_its_trail_before_is_told_to_it_when_it_comes_back() {
    let (mut board, now) = (Board::default(), Instant::now());
    let a: PeerId = "a".parse().unwrap();
    board.see_link(&a, true);
    let key = Bytes([1; 32]);
    let mark = Mark { segment: 0, length: 1, root: key };
    let head = Said::AuditHead(TrailHead { key, segment_key: key, mark, signature: Bytes([0; 64]) });
    board.take(&letter("a", 1, 1, head), Way::Gossip, now);
    assert_eq!(board.earlier_head(&a, now), None);
    board.take(&letter("a", 2, 1, availability()), Way::Gossip, now);
    let said = board.earlier_head(&a, now + secs(5)).unwrap();
    assert_eq!(said, (secs(5), b"a 1 1".as_slice()));
    let mut response = super::super::exchange::Response { v: 1, entries: vec![], next: None };
    super::super::exchange::remind(&mut response, &board, &a, now + secs(5));
    assert_eq!((response.entries.len(), response.entries[0].age_ms), (1, 5000));
    board.expire(now + secs(600));
    assert_eq!(board.earlier_head(&a, now), None, "it is over");
}
