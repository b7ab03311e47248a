use bzzz_actors::ports::journal::{NodeEvent, Recorded, Seq};
use bzzz_actors::task::{Ending, Sha, TaskEvent};
use serde_json::Value;

use super::show::{Style, Teller};
use crate::cli::telling::Page;
use crate::cli::telling::samples::*;
use crate::journal::{Logged, LoggedEvent};

fn told(style: Style, events: Vec<TaskEvent>) -> String {
    let entries = recorded(events).into_iter().map(|recorded| {
        let hash = blake3::hash(&recorded.seq.0.to_le_bytes()).to_hex().to_string();
        let Recorded { seq, at_ms, task, epoch, event } = recorded;
        Logged { seq, at_ms, hash, what: LoggedEvent::OfTask { task, epoch, event } }
    });
    let (mut page, mut teller) = (Page::new(100, false, false), Teller::new(style));
    entries.for_each(|entry| teller.tell(&mut page, &entry));
    page.into_text()
}

fn of_node(seq: u64, at_ms: u64, event: NodeEvent) -> Logged {
    Logged { seq: Seq(seq), at_ms, hash: "f".repeat(64), what: LoggedEvent::OfNode(event) }
}

#[test]
fn a_task_is_told_with_who_decided_what() {
    let text = told(Style::Story, proposed());
    let expected = "\
acme/rocket#7: Fuel is missing
issue     https://forge.example/acme/rocket/issues/7 by maya
1 ";
    assert!(text.starts_with(expected), "{text}");
    let mut rest = text.as_str();
    for part in [
        "  2026-01-01T00:00:00Z  person zoe: found, labelled by zoe\n2 ",
        "  node: is about to claim it: epoch 1, lease aaaaaaaaaa\n3 ",
        "  node: claimed: epoch 1, lease aaaaaaaaaa\n4 ",
        "          check: test -s fuel\n5 ",
        "  model coder: plan (coder: 1.2 s,",
        "          1. Look.\n          2. Fuel it.\n6 ",
        "  model coder: step 1 (1.2 s,",
        "          $ sleep 1000\n9 ",
        "  sandbox: step 1: killed after 60.0 s (time limit), 0.1 s\n10 ",
        "  sandbox: step 2: exit status 0, 0.1 s\n13 ",
        "  sandbox: check FAILED: exit status 1, 0.1 s\n",
        "  node: pull request https://forge.example/acme/rocket/pull/8\n",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?}, in this order: {text}"));
        rest = &rest[at + part.len() - 2..];
    }
    assert!(!text.contains('\x1b') && !text.contains('\u{9b}'), "{text:?}");
}

#[test]
fn each_entry_is_a_line_with_its_number_and_hash() {
    let mut events = begun();
    events.push(ran("make\n\nmake install"));
    events.push(finished(1, ended(Ending::Exited { code: 2 }, "\x1b[2Jno rule\n", None)));
    events.push(TaskEvent::LeaseRenewed { lease: "c".repeat(40).parse::<Sha>().unwrap() });
    events.push(TaskEvent::HumanAnswered { by: "m\x1b[31maya".into(), text: "Write\na Makefile.".into() });
    let count = events.len();
    let text = told(Style::Lines, events);
    assert_eq!(text.lines().count(), count, "{text}");
    for (line, number) in text.lines().zip(1u64..) {
        let hash = blake3::hash(&number.to_le_bytes()).to_hex().to_string();
        let begin = format!("{number:<7}{}  2026-01-01T00:00:", &hash[..10]);
        assert!(line.starts_with(&begin), "{line}");
        assert!(line.contains("Z  acme/rocket#7 "), "{line}");
    }
    for part in [
        " model coder: step 1 (1.2 s, 800 tokens read, 40 written): I look.; $ make make install\n",
        " sandbox: step 1: exit status 2, 0.1 s\n",
        " node: moved the lease to cccccccccc\n",
        "aya answered: Write a Makefile.\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\x1b'), "{text:?}");
}

#[test]
fn as_json_an_entry_is_whole() {
    let text = told(Style::Json, proposed());
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), proposed().len());
    assert!(text.contains("\\u009b") && !text.contains('\u{9b}'), "{text:?}");
    assert_eq!(lines[0]["entry"], 1);
    assert_eq!(lines[0]["hash"], blake3::hash(&1u64.to_le_bytes()).to_hex().to_string());
    assert_eq!(lines[0]["at"], "2026-01-01T00:00:00Z");
    assert_eq!((&lines[0]["task"], &lines[0]["who"]), (&"acme/rocket#7".into(), &"person zoe".into()));
    for (line, event) in lines.iter().zip(proposed()) {
        let whole = serde_json::json!({ "kind": line["kind"], "body": line["body"] });
        let mut expected = serde_json::to_value(&event).unwrap();
        expected.as_object_mut().unwrap().entry("body").or_insert(Value::Null);
        assert_eq!(whole, expected);
    }
}

#[test]
fn what_is_of_no_task_is_told_too() {
    let event = NodeEvent::TrailRebuilt { segment: 3, why: "block 7 can't be read".into() };
    let entry = of_node(9, 0, event);
    for (style, part) in [
        (Style::Lines, "9      ffffffffff  1970-01-01T00:00:00Z  node: segment 3 of the trail was damaged"),
        (Style::Story, "9      ffffffffff  1970-01-01T00:00:00Z  node: segment 3 of the trail was damaged"),
        (Style::Json, "\"kind\":\"trail_rebuilt\""),
    ] {
        let mut page = Page::new(100, false, false);
        Teller::new(style).tell(&mut page, &entry);
        let text = page.into_text();
        assert!(text.contains(part), "{text}");
    }
}
