//! The trail beside the journal: whole again after every damage, and a witness of what was edited.

use std::fs;

use bzzz_actors::trail::Digest;

use super::*;
use crate::journal::chain::{Head, RawEntry};
use crate::journal::segments::{self, Ledger, Pen};
use crate::trail::segment_folder;

/// So many blocks of a segment that ten entries need three.
const SEGMENT: u64 = 5;
const FILES: [&str; 4] = ["tree", "data", "bitfield", "oplog"];

fn short() -> TrailOptions {
    TrailOptions { segment_blocks: SEGMENT, archive: None }
}

fn open(folder: &Folder) -> SqliteJournal {
    SqliteJournal::open_with(folder.0.path(), node(), short()).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(folder: &Folder) -> String {
    let error = SqliteJournal::open_with(folder.0.path(), node(), short()).err().expect("it opens");
    assert!(matches!(error, JournalOpenError::Tampered { .. } | JournalOpenError::Damaged { .. }), "{error}");
    error.to_string()
}

/// Ten entries, closed.
async fn of_ten() -> Folder {
    let folder = Folder::new();
    let journal = open(&folder);
    for number in 1..=10 {
        journal.append(vec![entry(number, "push")]).await.unwrap();
    }
    drop(journal);
    folder
}

fn copy_of(folder: &Folder) -> Folder {
    let copy = Folder::new();
    let [from, to] = [folder.0.path().join("."), copy.0.path().to_owned()];
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
    copy
}

fn file(folder: &Folder, segment: u64, name: &str) -> PathBuf {
    segment_folder(folder.0.path(), segment).join(name)
}

fn report(folder: &Folder) -> TrailReport {
    folder.verify().unwrap_or_else(|error| panic!("{error}")).trail
}

#[tokio::test]
async fn each_entry_is_a_block_and_a_full_segment_is_followed_by_the_next() {
    let folder = of_ten().await;
    let whole = report(&folder);
    assert_eq!((whole.segments, whole.behind, whole.mark.place()), (3, 0, (2, 3)));
    let reader = JournalReader::open(folder.0.path()).unwrap();
    let segments = reader.segments().unwrap();
    let entries: Vec<(u64, u64)> = segments.iter().map(|it| (it.first_entry, it.last_entry())).collect();
    assert_eq!(entries, [(1, 4), (5, 8), (9, 10)]);
    let blocks = reader.blocks(&segments[1], 0, 99).unwrap();
    assert_eq!(blocks.len(), 5);
    assert!(blocks[0].contains(r#""kind":"segment""#) && blocks[4].contains(r#""seq":8"#), "{blocks:?}");
    assert_eq!(reader.blocks(&segments[1], 3, 1).unwrap(), blocks[3..4]);
    for (segment, head) in segments.iter().zip([4, 4, 2]) {
        assert!(reader.leads_to(segment.mark()).unwrap());
        let longer = Mark { length: head + 2, ..segment.mark() };
        assert!(!reader.leads_to(longer).unwrap());
        assert!(!reader.leads_to(Mark { root: Digest::default(), ..segment.mark() }).unwrap());
    }
}

#[tokio::test]
async fn a_journal_of_a_version_without_a_trail_gets_one() {
    let folder = of_ten().await;
    let expected = report(&folder);
    let connection = Connection::open(folder.file()).unwrap();
    connection.execute_batch("DROP TABLE segments; DROP TABLE witnessed; PRAGMA user_version = 1;").unwrap();
    drop(connection);
    let error = JournalReader::open(folder.0.path()).err().unwrap().to_string();
    assert!(error.contains("start a node with it once"), "{error}");
    fs::remove_dir_all(folder.0.path().join("trail/000000")).unwrap();
    drop(open(&folder));
    assert_eq!(report(&folder), expected);
}

#[tokio::test]
async fn a_body_that_is_longer_than_a_block_stands_there_as_its_hash() {
    let folder = Folder::new();
    let journal = open(&folder);
    journal.append(vec![entry(1, &"x".repeat(70_000))]).await.unwrap();
    assert!(journal.events_of(&task(1), Seq(0)).await.unwrap().len() == 1);
    drop(journal);
    let reader = JournalReader::open(folder.0.path()).unwrap();
    let segment = reader.segments().unwrap().remove(0);
    let block = reader.blocks(&segment, 1, 1).unwrap().remove(0);
    assert!(block.contains(r#""body":{"blake3":""#) && block.contains(r#""bytes":70"#), "{block}");
    assert_eq!(report(&folder).behind, 0);
}

#[tokio::test]
async fn what_is_of_no_task_is_an_entry_too() {
    let folder = of_ten().await;
    let journal = open(&folder);
    let event = NodeEvent::TrailRebuilt { segment: 0, why: "a test".into() };
    assert_eq!(journal.note(event).await.unwrap(), Seq(11));
    assert_eq!(journal.tasks().await.unwrap().len(), 10);
    assert_eq!(journal.unfinished().await.unwrap().len(), 10);
    drop(journal);
    drop(open(&folder));
    assert_eq!(folder.verify().unwrap().entries, 11);
}

#[tokio::test]
async fn what_is_known_of_peers_is_kept() {
    let folder = of_ten().await;
    let journal = open(&folder);
    let head = journal.trail_head().await.unwrap();
    assert_eq!(head.mark.place(), (2, 3));
    assert!(head.is_signed(&crate::ed25519::verify));
    let first = Witnessed { peer: "p1".parse().unwrap(), head, at_ms: 1, contradicted_by: None };
    let second = Witnessed { at_ms: 2, contradicted_by: Some(head), ..first.clone() };
    journal.witness(first).await.unwrap();
    journal.witness(second.clone()).await.unwrap();
    drop(journal);
    assert_eq!(open(&folder).witnessed().await.unwrap(), [second]);
}

/// Damages a copy and opens it: the trail is whole, and as it was recorded.
fn assert_mended(whole: &Folder, what: &str, damage: impl FnOnce(&Folder)) {
    let expected = report(whole);
    let folder = copy_of(whole);
    damage(&folder);
    let journal = SqliteJournal::open_with(folder.0.path(), node(), short());
    drop(journal.unwrap_or_else(|error| panic!("{what}: {error}")));
    let found = folder.verify().unwrap_or_else(|error| panic!("{what}: {error}"));
    // One entry more where it was written anew, which says so.
    let rebuilt = found.entries - 10;
    assert_eq!(found.trail.behind, 0, "{what}");
    assert!(rebuilt <= 3, "{what}");
    let reader = JournalReader::open(folder.0.path()).unwrap();
    assert!(reader.leads_to(expected.mark).unwrap(), "{what}");
}

#[tokio::test]
async fn a_file_that_is_missing_cut_or_emptied_is_written_anew() {
    let whole = of_ten().await;
    for segment in 0..3 {
        for name in FILES {
            let length = fs::metadata(file(&whole, segment, name)).unwrap().len();
            assert_mended(&whole, &format!("{segment}/{name} is gone"), |folder| {
                fs::remove_file(file(folder, segment, name)).unwrap();
            });
            for length in [0, 1, length / 2, length - 1] {
                assert_mended(&whole, &format!("{segment}/{name} is cut at {length}"), |folder| {
                    let file = fs::OpenOptions::new().write(true).open(file(folder, segment, name)).unwrap();
                    file.set_len(length).unwrap();
                });
            }
        }
        assert_mended(&whole, &format!("{segment} is gone"), |folder| {
            fs::remove_dir_all(segment_folder(folder.0.path(), segment)).unwrap();
        });
    }
    assert_mended(&whole, "all is gone but the key", |folder| {
        (0..3).for_each(|it| fs::remove_dir_all(segment_folder(folder.0.path(), it)).unwrap());
    });
}

#[tokio::test]
async fn a_bit_that_turned_is_turned_back() {
    let whole = of_ten().await;
    for segment in [0, 2] {
        for name in FILES {
            let path = |folder: &Folder| file(folder, segment, name);
            let length = fs::read(path(&whole)).unwrap().len();
            for at in (0..length).step_by(1 + length / 12) {
                assert_mended(&whole, &format!("{segment}/{name}, byte {at}"), |folder| {
                    let mut bytes = fs::read(path(folder)).unwrap();
                    bytes[at] ^= 1 << (at % 8);
                    fs::write(path(folder), bytes).unwrap();
                });
            }
        }
    }
}

#[tokio::test]
async fn what_was_damaged_is_kept_aside_and_the_journal_says_so() {
    let folder = of_ten().await;
    for round in 1..=6 {
        fs::write(file(&folder, 1, "data"), "something else").unwrap();
        let error = folder.verify().unwrap_err().to_string();
        assert!(error.contains("segment 1 is damaged"), "{error}");
        drop(open(&folder));
        assert_eq!(folder.verify().unwrap().entries, 10 + round);
    }
    let aside: Vec<_> = fs::read_dir(folder.0.path().join("trail/aside")).unwrap().collect();
    assert_eq!(aside.len(), 4, "the oldest are gone");
}

#[tokio::test]
async fn a_disk_that_does_not_take_the_trail_does_not_hold_up_the_journal() {
    let folder = of_ten().await;
    let journal = open(&folder);
    // A file in the place of the folder that the next segment needs.
    fs::write(segment_folder(folder.0.path(), 3), "").unwrap();
    for number in 11..=20 {
        journal.append(vec![entry(number, "push")]).await.unwrap();
    }
    fs::remove_file(segment_folder(folder.0.path(), 3)).unwrap();
    drop(journal);
    drop(open(&folder));
    assert_eq!(report(&folder).behind, 0);
}

/// Writes the chain of hashes anew, as somebody would who knows how.
fn rechain(folder: &Folder) {
    let connection = Connection::open(folder.file()).unwrap();
    let query = format!("SELECT {} FROM events ORDER BY seq", RawEntry::COLUMNS);
    let raws: Vec<RawEntry> = connection
        .prepare(&query)
        .unwrap()
        .query_map([], RawEntry::from_row)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    drop(connection);
    let (mut head, mut sql) = (Head::EMPTY, String::new());
    for mut raw in raws {
        raw.hash = raw.hash_after(head.hash);
        head = raw.head();
        sql += &format!("UPDATE events SET hash = x'{}' WHERE seq = {};", raw.hash.to_hex(), raw.seq);
    }
    folder.tamper(&sql);
}

/// Signs the trail's record anew, as somebody would who has the audit key too.
fn sign_anew(folder: &Folder) {
    let mut connection = Connection::open(folder.file()).unwrap();
    let first = segments::all(&connection).unwrap().remove(0);
    let keys = Arc::new(AuditKeys::load(folder.0.path(), &first.key).unwrap());
    let network = keys.network(folder.0.path()).unwrap();
    let mut ledger = Ledger::begin(Arc::new(Pen { keys, node: node().to_string(), limit: SEGMENT }), network);
    let transaction = connection.transaction().unwrap();
    transaction
        .execute_batch(
            "DROP TRIGGER segments_only_grow; DROP TRIGGER segments_are_not_removed; DELETE FROM segments;",
        )
        .unwrap();
    let query = format!("SELECT {} FROM events ORDER BY seq", RawEntry::COLUMNS);
    let mut entries = transaction.prepare(&query).unwrap();
    entries.query_map([], RawEntry::from_row).unwrap().for_each(|raw| ledger.add(&raw.unwrap()));
    drop(entries);
    ledger.write(&transaction).unwrap();
    crate::journal::schema::make_triggers_again(&transaction);
    transaction.commit().unwrap();
}

const EDIT: &str = "UPDATE events SET body = replace(body, 'push', 'pull') WHERE seq = 7;";

#[tokio::test]
async fn an_edit_with_the_chain_written_anew_is_found_with_its_entry() {
    let folder = of_ten().await;
    folder.tamper(EDIT);
    rechain(&folder);
    let error = refusal(&folder);
    assert!(error.contains("entry 7: is not what was recorded: the trail has another one"), "{error}");
    assert_eq!(folder.verify().unwrap_err().seq, Seq(7));
    fs::remove_dir_all(folder.0.path().join("trail/000001")).unwrap();
    let error = refusal(&folder);
    assert!(error.contains("entry 5: or one after it, up to 8"), "{error}");
}

#[tokio::test]
async fn an_edit_with_the_record_signed_anew_is_contradicted_by_the_trail() {
    let folder = of_ten().await;
    folder.tamper(EDIT);
    rechain(&folder);
    sign_anew(&folder);
    let error = refusal(&folder);
    assert!(error.contains("tampered or lost: entry 7 is not the one that the trail has"), "{error}");
    assert!(folder.verify().unwrap_err().to_string().contains("entry 7 is not the one"));
}

#[tokio::test]
async fn entries_that_are_lost_are_missed() {
    let folder = of_ten().await;
    folder.tamper("DELETE FROM events WHERE seq = 10;");
    let error = refusal(&folder);
    assert!(error.contains("entry 10: is missing: the trail's record has entries up to 10"), "{error}");
    sign_anew(&folder);
    let error = refusal(&folder);
    assert!(error.contains("tampered or lost: the journal ends at entry 9"), "{error}");
    assert!(error.contains("has 1 more"), "{error}");
}

#[tokio::test]
async fn a_journal_of_an_older_copy_is_told_by_the_newer_trail() {
    let folder = of_ten().await;
    let older = copy_of(&folder);
    let journal = open(&folder);
    journal.append(vec![entry(11, "push"), entry(12, "push")]).await.unwrap();
    drop(journal);
    fs::copy(older.file(), folder.file()).unwrap();
    let error = refusal(&folder);
    assert!(error.contains("the journal ends at entry 10, but the trail"), "{error}");
    assert!(error.contains("has 2 more"), "{error}");
}

#[tokio::test]
async fn a_journal_that_was_set_back_to_the_end_of_a_segment_is_told_by_the_next_one() {
    let folder = Folder::new();
    let journal = open(&folder);
    journal.append((1..=8).map(|number| entry(number, "push")).collect()).await.unwrap();
    drop(journal);
    let older = copy_of(&folder);
    let journal = open(&folder);
    journal.append(vec![entry(9, "push"), entry(10, "push")]).await.unwrap();
    drop(journal);
    fs::copy(older.file(), folder.file()).unwrap();
    let error = refusal(&folder);
    assert!(error.contains("the journal ends at entry 8, but the trail"), "{error}");
    assert!(error.contains("has 2 more"), "{error}");
    assert!(folder.verify().unwrap_err().to_string().contains("has 2 more"));
}

#[tokio::test]
async fn a_record_that_is_begun_anew_is_held_against_the_trail_at_once() {
    let folder = of_ten().await;
    folder.tamper(EDIT);
    rechain(&folder);
    folder.tamper("DELETE FROM segments;");
    let error = refusal(&folder);
    assert!(error.contains("entry 7 is not the one that the trail has"), "{error}");
    let error = refusal(&folder);
    assert!(error.contains("entry 7"), "{error}");
}

/// What `bzzz audit verify` does while a node adds to all of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_trail_that_grows_meanwhile_is_verified() {
    let folder = of_ten().await;
    let journal = Arc::new(open(&folder));
    let writes = tokio::spawn({
        let journal = journal.clone();
        async move {
            for number in 1..400 {
                let entries = (0..=number % 4).map(|_| entry(number, "push")).collect();
                journal.append(entries).await.unwrap();
            }
        }
    });
    let (mut seen, mut looks) = (0, 0);
    while !writes.is_finished() || looks == 0 {
        let reader = JournalReader::open(folder.0.path()).unwrap();
        let report = tokio::task::spawn_blocking(move || reader.verify()).await.unwrap();
        let entries = report.unwrap_or_else(|error| panic!("{error}")).entries;
        assert!(entries >= seen);
        (seen, looks) = (entries, looks + 1);
    }
    writes.await.unwrap();
    println!("verified {looks} times");
}

#[tokio::test]
async fn a_key_that_is_missing_or_another_is_refused() {
    let folder = of_ten().await;
    let key = folder.0.path().join("trail/key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let error = folder.refusal();
    assert!(matches!(error, JournalOpenError::Key(_)), "{error}");
    fs::write(&key, "ab".repeat(32)).unwrap();
    let error = folder.refusal().to_string();
    assert!(error.contains("is not the one of this journal's trail"), "{error}");
    fs::write(&key, kept).unwrap();
    drop(folder.open());
}

#[tokio::test]
async fn sealed_segments_move_to_the_archive_and_are_checked_there() {
    let (folder, elsewhere) = (of_ten().await, tempfile::tempdir().unwrap());
    let before = report(&folder);
    let archive = Some(Archive { folder: elsewhere.path().to_owned(), keep: 1 });
    let options = || TrailOptions { segment_blocks: SEGMENT, archive: archive.clone() };
    let open = || SqliteJournal::open_with(folder.0.path(), node(), options()).unwrap();
    let is_here = |segment| segment_folder(folder.0.path(), segment).exists();
    let place = |segment: u64| elsewhere.path().join(format!("{}/{segment:06}", before.key));
    drop(open());
    assert_eq!((is_here(0), is_here(1), is_here(2)), (false, true, true));
    assert!(place(0).join("oplog").is_file() && !place(1).exists());
    assert_eq!(report(&folder), before, "it is read there");

    // While it runs, when another one is sealed.
    let journal = open();
    journal.append((11..=14).map(|number| entry(number, "push")).collect()).await.unwrap();
    journal.projected().await.unwrap();
    drop(journal);
    assert_eq!((is_here(1), is_here(2), is_here(3)), (false, true, true));
    assert_eq!(report(&folder).segments, 4);
    drop(open());

    let data = place(1).join("data");
    let mut bytes = fs::read(&data).unwrap();
    bytes[700] ^= 1;
    fs::write(&data, &bytes).unwrap();
    let error = folder.verify().unwrap_err().to_string();
    assert!(error.contains(&place(1).display().to_string()), "{error}");
    fs::remove_dir_all(place(1)).unwrap();
    let error = folder.verify().unwrap_err().to_string();
    assert!(error.contains(&place(1).display().to_string()), "{error}");
    // The node does not need it.
    drop(open());
}

#[tokio::test]
async fn what_is_exported_is_verified_by_its_key_alone() {
    let (folder, elsewhere) = (of_ten().await, tempfile::tempdir().unwrap());
    let expected = report(&folder);
    let reader = JournalReader::open(folder.0.path()).unwrap();
    let into = elsewhere.path().join("out");
    let folders = crate::trail::export(&reader, &into).unwrap();
    assert_eq!(folders.len(), 3);
    let found = crate::trail::verify_exported(&into, Some(&expected.key)).unwrap();
    assert_eq!((found.segments, found.first_entry, found.last_entry), (3, 1, 10));
    assert_eq!((found.key, found.mark), (expected.key, expected.mark));
    assert_eq!(crate::trail::verify_exported(&into, None).unwrap(), found);
    let only = crate::trail::verify_exported(&folders[1], Some(&expected.key)).unwrap();
    assert_eq!((only.segments, only.first_entry, only.last_entry), (1, 5, 8));

    let seed: Vec<u8> = fs::read(folder.0.path().join("trail/key")).unwrap();
    let seed: bzzz_actors::trail::Key = std::str::from_utf8(&seed).unwrap().trim().parse().unwrap();
    for name in FILES {
        let bytes = fs::read(folders[0].join(name)).unwrap();
        assert!(!bytes.windows(32).any(|window| window == seed.0), "the secret key is in {name}");
    }
    let again = crate::trail::export(&reader, &into).unwrap_err().to_string();
    assert!(again.contains("is there already"), "{again}");
    let other = AuditKeys::load_or_make(elsewhere.path()).unwrap().public();
    let error = crate::trail::verify_exported(&into, Some(&other)).unwrap_err().to_string();
    assert!(error.contains("is of the audit key"), "{error}");
    fs::remove_dir_all(&folders[1]).unwrap();
    let error = crate::trail::verify_exported(&into, None).unwrap_err().to_string();
    assert!(error.contains("does not follow the segment before it"), "{error}");
    let mut bytes = fs::read(folders[2].join("data")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(folders[2].join("data"), bytes).unwrap();
    assert!(crate::trail::verify_exported(&folders[2], None).is_err());
}

#[tokio::test]
async fn an_entry_is_proven_and_so_is_what_was_added_since() {
    let folder = of_ten().await;
    let reader = JournalReader::open(folder.0.path()).unwrap();
    let head = reader.trail_head().unwrap();
    for entry in 1..=10 {
        let proof = reader.entry_proof(entry).unwrap().unwrap();
        proof.check(&head.key, &crate::ed25519::verify).unwrap();
        assert!(proof.block.contains(&format!(r#""seq":{entry},"#)));
    }
    assert!(reader.entry_proof(0).unwrap().is_none() && reader.entry_proof(11).unwrap().is_none());
    let segments = reader.segments().unwrap();
    for earlier in &segments {
        let earlier = earlier.head(head.key);
        let growth = reader.growth(earlier.mark, head.mark).unwrap().unwrap();
        assert_eq!(growth.check(&earlier, &head, &crate::ed25519::verify), Ok(()));
        assert_eq!(reader.growth(head.mark, earlier.mark).unwrap().is_some(), earlier.mark == head.mark);
    }
    let beyond = Mark { length: 99, ..head.mark };
    assert_eq!(reader.growth(head.mark, beyond).unwrap(), None);
}
