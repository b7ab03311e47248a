//! A journal with a past.

use std::path::Path;

use bzzz::journal::SqliteJournal;
use bzzz_actors::ports::journal::{Entry, Journal};
use bzzz_actors::task::{Ending, Epoch, Notice, Observed, TaskEvent, TaskId};

/// The events of a task's life, and the bytes of output that each shows.
pub(crate) const EVENTS_OF_TASK: u64 = 20;
const OUTPUT_BYTES: usize = 1000;
pub(crate) const BATCH: usize = 1000;

pub(crate) fn task(number: u64) -> TaskId {
    format!("acme/rocket#{number}").parse().unwrap()
}

/// The `step`th entry in the life of a task; every fourth tells others.
pub(crate) fn entry(task: &TaskId, step: u64) -> Entry {
    let outcome = Observed {
        ending: Ending::Exited { code: 0 },
        duration_ms: step,
        shown: "test it_works ... ok\n".repeat(OUTPUT_BYTES / 21),
        whole: None,
        out_of_memory: false,
    };
    let event = TaskEvent::CommandFinished { step: u32::try_from(step).unwrap(), outcome };
    let notice = Notice::IssueComment { marker: step.to_string(), body: "a step was done".into() };
    let notices = if step.is_multiple_of(4) { vec![notice] } else { Vec::new() };
    Entry { task: task.clone(), epoch: Epoch::FIRST, event, notices }
}

/// Writes the lives of tasks that have ended, `events` in all, and of some more that have not.
pub(crate) async fn write(folder: &Path, node: &str, events: u64, unfinished: u64) {
    let journal = SqliteJournal::open(folder, node.parse().unwrap()).unwrap();
    let ended = events / EVENTS_OF_TASK;
    let mut entries = Vec::new();
    for number in 1..=ended + unfinished {
        let task = task(number);
        entries.extend((1..=EVENTS_OF_TASK).map(|step| entry(&task, step)));
        if let Some(last) = entries.last_mut().filter(|_| number <= ended) {
            last.event = TaskEvent::CleanedUp { diff: None };
        }
        if entries.len() >= BATCH || number == ended + unfinished {
            journal.append(std::mem::take(&mut entries)).await.unwrap();
        }
    }
}
