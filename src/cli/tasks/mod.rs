//! `bzzz tasks`: what a node's journal says of its tasks. Works beside a running node.

mod attempts;
mod export;
mod show;

use anyhow::{Context, bail};
use bzzz_actors::ports::journal::{Recorded, Seq};
use bzzz_actors::task::life::{End, Phase, Task};
use bzzz_actors::task::{BlobRef, TaskEvent, TaskId, printable};
use clap::Subcommand;

use crate::journal::JournalReader;

use super::exit::Exit;
use super::table::Table;
use super::{Global, print};

#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// The tasks that this node has had to do with, the latest last
    List,
    /// The diff of a task's work, as it was last saved or published
    Diff {
        /// owner/name#number
        task: TaskId,
    },
    /// A task step by step: what the model said, what it ran, and what came of it
    Show(show::ShowCommand),
    /// A task's conversation with the model, for other programs: how it went, message by message, and the diff
    Export(export::ExportCommand),
}

impl TasksCommand {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let settings = global.load()?.settings;
        let journal = JournalReader::open(&settings.node.data_dir)?;
        match self {
            Self::List => list(&journal),
            Self::Diff { task } => diff(&journal, task),
            Self::Show(command) => command.run(&journal),
            Self::Export(command) => command.run(&journal, &settings.model.json_models),
        }
    }
}

fn list(journal: &JournalReader) -> anyhow::Result<Exit> {
    let mut table = Table::new(["task", "state", "steps", "checks", "result"]);
    for id in journal.tasks()? {
        let task = fold(journal, &id)?;
        let checks = match &task.checked {
            None => "-",
            Some(checked) if !checked.passed() => "failed",
            Some(checked) if checked.results.is_empty() => "none",
            Some(_) => "passed",
        };
        table.row([
            id.to_string(),
            task.phase.name().to_owned(),
            task.steps.to_string(),
            checks.to_owned(),
            result(&task),
        ]);
    }
    print(&table.to_string())?;
    Ok(Exit::Ok)
}

fn fold(journal: &JournalReader, id: &TaskId) -> anyhow::Result<Task> {
    let events = journal.events_of(id, Seq::default())?;
    Ok(Task::fold(id.clone(), events.iter().map(|it| &it.event)))
}

fn result(task: &Task) -> String {
    let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    match (&task.phase, &task.pull_request) {
        (Phase::Ended(End::Failed { reason }) | Phase::CleaningUp(End::Failed { reason }), _) => {
            first_line(reason)
        }
        (Phase::Ended(End::Cancelled { why } | End::LeaseLost { why }), _) => first_line(why),
        (Phase::Parked { question } | Phase::Escalating { question }, _) => first_line(question),
        (_, Some(pull_request)) => pull_request.url.clone(),
        _ => String::new(),
    }
}

/// What the journal has of a task, which it must have.
fn events_of(journal: &JournalReader, id: &TaskId) -> anyhow::Result<Vec<Recorded>> {
    let events = journal.events_of(id, Seq::default())?;
    if events.is_empty() {
        bail!("this node's journal has no task {id}; `bzzz tasks list` shows those it has");
    }
    Ok(events)
}

fn diff(journal: &JournalReader, id: &TaskId) -> anyhow::Result<Exit> {
    let events = events_of(journal, id)?;
    let Some(blob) = events.iter().rev().find_map(|it| diff_of(&it.event)) else {
        bail!("no work of {id} was saved");
    };
    let bytes =
        journal.blob(blob)?.with_context(|| format!("the diff of {id} is missing from the data folder"))?;
    print(&printable(&String::from_utf8_lossy(&bytes)))?;
    Ok(Exit::Ok)
}

fn diff_of(event: &TaskEvent) -> Option<&BlobRef> {
    match event {
        TaskEvent::CleanedUp { diff } => diff.as_ref(),
        TaskEvent::Prepared { inherited, .. } => Some(&inherited.as_ref()?.taken()?.diff),
        TaskEvent::Checkpointed { produced } | TaskEvent::WorkProduced { produced } => Some(&produced.diff),
        TaskEvent::Escalated { saved, .. } => saved.as_ref().map(|saved| &saved.diff),
        _ => None,
    }
}
