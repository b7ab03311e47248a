//! `bzzz audit show` of a journal, with and without somebody who writes it.

use std::path::Path;

use bzzz::journal::SqliteJournal;
use bzzz_actors::ports::journal::{Entry, Journal};
use bzzz_actors::task::{Epoch, Issue, IssueState, TaskEvent, TaskId};
use serde_json::Value;

use crate::program::Program;

fn open(folder: &Path) -> SqliteJournal {
    SqliteJournal::open(&folder.join("data"), "bee-1".parse().unwrap()).unwrap()
}

fn task(number: u64) -> TaskId {
    format!("acme/rocket#{number}").parse().unwrap()
}

async fn record(journal: &SqliteJournal, task: TaskId, event: TaskEvent) {
    let entry = Entry { task, epoch: Epoch::FIRST, event, notices: vec![] };
    journal.append(vec![entry]).await.unwrap();
}

fn found(number: u64) -> TaskEvent {
    let issue = Issue {
        number,
        title: "Fuel is \x1b[2Jmissing".into(),
        body: String::new(),
        state: IssueState::Open,
        labels: vec!["bzzz-task".into()],
        author: "maya".into(),
        url: format!("https://forge.example/acme/rocket/issues/{number}"),
        updated_at: "2026-01-01T00:00:00Z".into(),
    };
    TaskEvent::Found { issue, branch: None, labelled_by: Some("zoe".into()), taken_over: None }
}

fn bzzz(folder: &Path, line: &[&str]) -> Program {
    let line: Vec<String> = line.iter().map(|it| (*it).to_owned()).collect();
    Program::start(folder, &line)
}

fn told(folder: &Path, line: &[&str]) -> String {
    let mut program = bzzz(folder, line);
    assert_eq!(program.until_end(), 0, "{line:?}: {}", program.text());
    program.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_is_shown_whole_by_task_and_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let journal = open(folder);
    record(&journal, task(1), found(1)).await;
    record(&journal, task(2), found(2)).await;
    let answered = TaskEvent::HumanAnswered { by: "maya".into(), text: "Take \x1b[31mkerosene.".into() };
    record(&journal, task(1), answered).await;
    drop(journal);

    let all = told(folder, &["audit", "show", "data"]);
    let lines: Vec<_> = all.lines().collect();
    assert_eq!(lines.len(), 3, "{all}");
    assert!(lines[1].starts_with("2 ") && lines[1].contains("acme/rocket#2 person zoe: found"), "{all}");
    assert!(lines[2].ends_with(" acme/rocket#1 person maya: maya answered: Take kerosene."), "{all}");

    let one = told(folder, &["audit", "show", "--task", "acme/rocket#1", "data"]);
    assert!(one.starts_with("acme/rocket#1: Fuel is missing\n") && !one.contains("rocket#2"), "{one}");
    assert!(one.ends_with("person maya: maya answered\n          Take kerosene."), "{one}");
    assert!(!all.contains('\x1b') && !one.contains('\x1b'));

    let json = told(folder, &["audit", "show", "--json", "--task", "acme/rocket#2", "data"]);
    let entry: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&entry["entry"], &entry["kind"]), (&2.into(), &"found".into()));
    let hash = entry["hash"].as_str().unwrap();
    assert!(lines[1].contains(&hash[..10]), "{all}");
    told(folder, &["audit", "verify", "data", "--holds", &format!("2:{hash}")]);

    let mut refused = bzzz(folder, &["audit", "show", "--task", "acme/rocket#3", "data"]);
    assert_eq!(refused.until_end(), 1);
    assert!(refused.text().contains("this node's journal has no task acme/rocket#3"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_followed_while_a_node_records_and_while_none_runs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let journal = open(folder);
    record(&journal, task(1), found(1)).await;
    drop(journal);
    let mut all = bzzz(folder, &["audit", "show", "--follow", "data"]);
    let mut one = bzzz(folder, &["audit", "show", "--follow", "--task", "acme/rocket#2", "data"]);
    all.until_line("acme/rocket#1 person zoe: found");

    let journal = open(folder);
    record(&journal, task(1), TaskEvent::TakenUp).await;
    record(&journal, task(2), found(2)).await;
    all.until_line("acme/rocket#1 node: taken up again");
    all.until_line("acme/rocket#2 person zoe: found");
    one.until_line("person zoe: found");
    drop(journal);
    // The next life of the node.
    record(&open(folder), task(2), TaskEvent::TakenUp).await;
    all.until_line("acme/rocket#2 node: taken up again");
    one.until_line("node: taken up again");
    assert_eq!(all.seen.len(), 4, "{}", all.text());
    assert!(!one.text().contains("rocket#1"), "{}", one.text());
    for program in [&mut all, &mut one] {
        // Not INT: who starts the tests in the background of a script has them, and what they start, ignore that.
        program.signal("TERM");
        program.until_death();
    }
}
