//! What is not as it was recorded is found, and refused by a node that starts.

use std::os::unix::fs::FileExt;

use super::*;

#[tokio::test]
async fn an_edited_entry_is_found_whatever_was_edited() {
    let edits = [
        "at_ms = at_ms + 1",
        "node = 'bee-2'",
        "task = 'acme/rocket#9'",
        "epoch = 2",
        "kind = 'gave_up'",
        "body = replace(body, 'push', 'pull')",
        "body = body || ' '",
        "notices = zeroblob(32)",
        "hash = zeroblob(32)",
    ];
    for edit in edits {
        let folder = Folder::of_ten().await;
        folder.tamper(&format!("UPDATE events SET {edit} WHERE seq = 4;"));
        let error = folder.verify().expect_err(edit);
        assert_eq!(error.seq, Seq(4), "{edit}: {error}");
    }
}

#[tokio::test]
async fn removed_added_and_moved_entries_are_found() {
    let copy = |seq: u64, from: u64| {
        format!(
            "INSERT INTO events SELECT {seq}, at_ms, node, task, epoch, kind, body, notices, hash FROM events WHERE seq = {from};"
        )
    };
    let cases = [
        ("DELETE FROM events WHERE seq = 1;".to_owned(), 1),
        ("DELETE FROM events WHERE seq = 5;".to_owned(), 5),
        ("DELETE FROM events WHERE seq = 5; UPDATE events SET seq = seq - 1 WHERE seq > 5;".to_owned(), 5),
        (copy(11, 10), 11),
        (
            format!(
                "{}{}DELETE FROM events WHERE seq > 10;",
                copy(12, 3),
                "UPDATE events SET seq = 13 WHERE seq = 4; UPDATE events SET seq = 4 WHERE seq = 12;"
            ),
            4,
        ),
    ];
    for (tampering, expected) in cases {
        let folder = Folder::of_ten().await;
        folder.tamper(&tampering);
        assert_eq!(folder.verify().expect_err(&tampering).seq, Seq(expected), "{tampering}");
    }
}

#[tokio::test]
async fn an_entry_removed_from_the_end_is_missed() {
    let folder = Folder::of_ten().await;
    folder.tamper("DELETE FROM events WHERE seq = 10;");
    assert_eq!(folder.verify().unwrap_err().seq, Seq(10));
}

#[tokio::test]
async fn a_node_does_not_go_on_after_a_changed_entry() {
    for seq in [1, 4, 10] {
        let folder = Folder::of_ten().await;
        folder.tamper(&format!("UPDATE events SET body = replace(body, 'push', 'pull') WHERE seq = {seq}"));
        let refusal = folder.refusal();
        let JournalOpenError::Damaged { why, .. } = &refusal else { panic!("{refusal}") };
        assert!(why.starts_with(&format!("entry {seq}: ")), "{why}");
        assert!(refusal.to_string().contains("restore the data folder from a copy"), "{refusal}");
    }
}

#[tokio::test]
async fn a_changed_removed_added_or_moved_notice_is_found() {
    let tamperings = [
        ("UPDATE outbox SET notice = replace(notice, 'two', 'TWO') WHERE id = 2", 5),
        ("UPDATE outbox SET lane = 'hive' WHERE id = 1", 5),
        ("UPDATE outbox SET event = 6 WHERE id = 2", 5),
        ("DELETE FROM outbox WHERE id = 3", 6),
        ("INSERT INTO outbox (event, lane, notice) SELECT 7, lane, notice FROM outbox WHERE id = 1", 8),
        ("INSERT INTO outbox (event, lane, notice) SELECT 2, lane, notice FROM outbox WHERE id = 1", 8),
        ("UPDATE outbox SET id = 9 WHERE id = 1", 5),
        ("PRAGMA foreign_keys = OFF; INSERT INTO outbox (event, lane, notice) VALUES (9, 'hive', '')", 9),
    ];
    for (tampering, seq) in tamperings {
        let folder = Folder::new();
        let journal = folder.open();
        journal.append((1..=4).map(|n| entry(n, "push")).collect()).await.unwrap();
        let five = with_comment(with_comment(entry(5, "push"), "one"), "two");
        let six = with_comment(entry(6, "push"), "three");
        journal.append(vec![five, six, entry(7, "push")]).await.unwrap();
        journal.append(vec![with_comment(entry(8, "push"), "four")]).await.unwrap();
        journal.settle(1, &Delivery::Delivered).await.unwrap();
        drop(journal);
        assert_eq!(folder.verify().unwrap().entries, 8);
        folder.tamper(tampering);
        let error = folder.verify().expect_err(tampering);
        assert_eq!(error.seq, Seq(seq), "{tampering}: {error}");
        assert!(matches!(folder.refusal(), JournalOpenError::Damaged { .. }), "{tampering}");
    }
}

/// The page of the index by which a task's events are found.
fn page_of_the_index(folder: &Folder) -> u64 {
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'events_of_task'";
    let root: u32 = Connection::open(folder.file()).unwrap().query_row(root, [], |row| row.get(0)).unwrap();
    u64::from(root - 1) * 4096
}

/// As a lost write leaves it.
fn empty_the_index(folder: &Folder) {
    const LEAF_OF_AN_INDEX: [u8; 8] = [0x0a, 0, 0, 0, 0, 0x10, 0, 0];
    let place = page_of_the_index(folder);
    let file = std::fs::OpenOptions::new().write(true).open(folder.file()).unwrap();
    file.write_all_at(&LEAF_OF_AN_INDEX, place).unwrap();
}

/// As many entries as before, in the same order.
fn give_the_index_another_name(folder: &Folder) {
    let place = page_of_the_index(folder);
    let file = std::fs::OpenOptions::new().read(true).write(true).open(folder.file()).unwrap();
    let mut page = [0; 4096];
    file.read_exact_at(&mut page, place).unwrap();
    let name = b"acme/rocket#10";
    let at = page.windows(name.len()).position(|bytes| bytes == name).unwrap();
    file.write_all_at(b"acme/rocket#11", place + at as u64).unwrap();
}

#[tokio::test]
async fn an_index_that_hides_entries_is_found_and_nothing_is_lost_with_it() {
    for damage in [empty_the_index, give_the_index_another_name] {
        let folder = Folder::of_ten().await;
        let before = folder.verify().unwrap();
        damage(&folder);
        assert_hidden_and_recovered(&folder, &before).await;
    }
}

async fn assert_hidden_and_recovered(folder: &Folder, before: &VerifyReport) {
    let reader = JournalReader::open(folder.0.path()).unwrap();
    assert_eq!(reader.events_of(&task(10), Seq(0)).unwrap(), []);
    let error = reader.verify().unwrap_err();
    assert!(error.seq == Seq(0) && error.why.contains("events_of_task"), "{error}");
    let refusal = folder.refusal().to_string();
    assert!(refusal.contains("all 10 entries are what was recorded"), "{refusal}");

    // What the refusal advises.
    drop(reader);
    let copy = folder.0.path().join("copy.db");
    let connection = Connection::open(folder.file()).unwrap();
    connection.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    drop(connection);
    Connection::open(&copy).unwrap().execute_batch("REINDEX").unwrap();
    std::fs::rename(copy, folder.file()).unwrap();
    let journal = folder.open();
    assert_eq!(journal.events_of(&task(10), Seq(0)).await.unwrap().len(), 1);
    assert_eq!(journal.verify().await.unwrap(), *before);
}

#[tokio::test]
async fn other_tables_indexes_and_triggers_than_bzzz_makes_are_refused() {
    let changes = [
        ("DROP TRIGGER events_are_not_removed", "events_are_not_removed"),
        ("DROP INDEX outbox_waiting", "outbox_waiting"),
        ("CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM outbox; END", "trigger t "),
        ("ALTER TABLE events ADD COLUMN note TEXT", "events"),
    ];
    for (change, object) in changes {
        let folder = Folder::of_ten().await;
        Connection::open(folder.file()).unwrap().execute_batch(change).unwrap();
        let error = folder.verify().expect_err(change);
        assert!(error.seq == Seq(0) && error.why.contains(object), "{change}: {error}");
        let refusal = folder.refusal();
        assert!(matches!(&refusal, JournalOpenError::Damaged { why, .. } if *why == error.why), "{refusal}");
    }
}

#[tokio::test]
async fn entries_are_neither_changed_nor_removed_nor_replaced() {
    let folder = Folder::of_ten().await;
    let connection = Connection::open(folder.file()).unwrap();
    let row = "at_ms, node, task, epoch, kind, body, notices, hash FROM events WHERE seq = 1";
    for statement in [
        "UPDATE events SET kind = 'found' WHERE seq = 1".to_owned(),
        "DELETE FROM events".to_owned(),
        format!("INSERT OR REPLACE INTO events SELECT 3, {row}"),
        format!("INSERT INTO events SELECT 12, {row}"),
        format!("INSERT INTO events SELECT NULL, {row}"),
    ] {
        let error = connection.execute(&statement, []).expect_err(&statement).to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
    assert_eq!(folder.verify().unwrap().entries, 10);
}

#[tokio::test]
async fn a_newer_format_is_refused_in_words() {
    let folder = Folder::of_ten().await;
    Connection::open(folder.file()).unwrap().pragma_update(None, "user_version", 3).unwrap();
    let refusal = folder.refusal().to_string();
    assert!(refusal.contains("format 3") && refusal.contains("up to 2"), "{refusal}");
    assert!(matches!(JournalReader::open(folder.0.path()), Err(JournalOpenError::NewerFormat { .. })));
}

#[test]
fn what_is_no_journal_is_refused_and_not_touched() {
    let text = Folder::new();
    std::fs::write(text.file(), "this is no database, and long enough to look at ".repeat(30)).unwrap();
    let other = Folder::new();
    Connection::open(other.file()).unwrap().execute_batch("CREATE TABLE birds (name TEXT)").unwrap();
    for folder in [text, other] {
        let before = std::fs::read(folder.file()).unwrap();
        assert!(matches!(folder.refusal(), JournalOpenError::NotAJournal { .. }), "{}", folder.refusal());
        assert_eq!(std::fs::read(folder.file()).unwrap(), before);
    }
    let missing = Folder::new();
    assert!(matches!(JournalReader::open(missing.0.path()), Err(JournalOpenError::Missing { .. })));
    assert!(!missing.file().exists());
}

#[tokio::test]
async fn damaged_pages_are_refused_with_their_place() {
    const PAGE: u64 = 4096;
    let folder = Folder::new();
    let journal = folder.open();
    for n in 1..200 {
        journal.append(vec![entry(n, &"x".repeat(300))]).await.unwrap();
    }
    drop(journal);
    let file = std::fs::OpenOptions::new().write(true).open(folder.file()).unwrap();
    let pages = file.metadata().unwrap().len() / PAGE;
    assert!(pages > 20, "{pages}");
    for page in pages / 2..pages / 2 + 4 {
        file.write_all_at(&[0xa5; 512], page * PAGE).unwrap();
    }
    let refusal = folder.refusal();
    let JournalOpenError::Damaged { path, why } = &refusal else { panic!("{refusal}") };
    assert_eq!(*path, folder.file());
    assert!(why.starts_with("entry ") && why.contains("malformed"), "{why}");
    assert!(folder.verify().is_err());
}

/// What the chain alone can't tell: whoever writes it anew, or cuts its end off.
#[tokio::test]
async fn a_head_that_was_kept_elsewhere_tells_another_journal_and_a_shorter_one() {
    let folder = Folder::new();
    let journal = folder.open();
    let before = journal.head().await.unwrap();
    assert_eq!((before.entry, before.hash.as_str()), (0, "0".repeat(64).as_str()));
    journal.append(vec![entry(1, "a"), entry(1, "b")]).await.unwrap();
    let kept = journal.head().await.unwrap();
    assert_eq!((kept.entry, &kept.hash), (2, &journal.verify().await.unwrap().head_hash));
    let mark = Kept::Mark(kept.trail.unwrap().mark);
    let entry_kept = Kept::Entry(kept.clone());
    journal.append(vec![entry(1, "c")]).await.unwrap();
    drop(journal);
    let reader = JournalReader::open(folder.0.path()).unwrap();
    assert_eq!(reader.verify_holding(&entry_kept), reader.verify());
    assert_eq!(reader.verify_holding(&mark), reader.verify());

    let other = Folder::new();
    let journal = other.open();
    journal.append(vec![entry(1, "a")]).await.unwrap();
    let verify = || JournalReader::open(other.0.path()).unwrap().verify_holding(&entry_kept).unwrap_err();
    let cut = verify();
    assert_eq!((cut.seq, cut.why.as_str()), (Seq(2), "is missing: the last one is 1"));
    journal.append(vec![entry(1, "another")]).await.unwrap();
    let anew = verify();
    assert_eq!(anew.seq, Seq(2));
    assert!(anew.why.contains(&format!("and not {}", kept.hash)), "{anew}");
    let other = JournalReader::open(other.0.path()).unwrap();
    assert!(other.verify_holding(&mark).unwrap_err().why.contains("does not lead to what was kept"));
}
