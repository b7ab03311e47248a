//! `bzzz tasks show`: a task step by step, for a person.

mod story;
#[cfg(test)]
mod tests;

use std::time::{Duration, UNIX_EPOCH};

use bzzz_actors::ports::journal::{JournalError, Recorded};
use bzzz_actors::task::life::Task;
use bzzz_actors::task::{BlobRef, TaskId};
use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::print;
use crate::cli::telling::Page;
use crate::journal::JournalReader;

use super::attempts::Attempt;
use super::{events_of, result};
use story::Story;

#[derive(Debug, Args)]
pub(crate) struct ShowCommand {
    /// owner/name#number
    task: TaskId,
    /// Leave nothing out: every output whole, as far as the sandbox kept it
    #[arg(long)]
    full: bool,
}

impl ShowCommand {
    pub(super) fn run(&self, journal: &JournalReader) -> anyhow::Result<Exit> {
        let events = events_of(journal, &self.task)?;
        let read = |blob: &BlobRef| journal.blob(blob);
        let mut page = Page::for_stdout(self.full);
        write(&mut page, &self.task, &events, self.full.then_some(&read))?;
        print(&page.into_text())?;
        Ok(Exit::Ok)
    }
}

/// Reads a blob of the journal.
type Read<'a> = &'a dyn Fn(&BlobRef) -> Result<Option<Vec<u8>>, JournalError>;

/// `whole` reads the outputs that are shown whole, if they are.
fn write(
    page: &mut Page,
    id: &TaskId,
    events: &[Recorded],
    whole: Option<Read<'_>>,
) -> Result<(), JournalError> {
    let attempts = Attempt::all(events);
    let task = Task::fold(id.clone(), events.iter().map(|it| &it.event));
    let title = task.issue.as_ref().map_or("", |issue| issue.title.as_str());
    page.heading(&format!("{id}: {title}"));
    facts(page, &task);
    for (at, attempt) in attempts.iter().enumerate() {
        page.blank();
        let began = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(attempt.began_ms()));
        match attempts.len() {
            1 => page.heading(&format!("From {began}")),
            count => page.heading(&format!("Attempt {} of {count}, from {began}", at + 1)),
        }
        Story::new(page, whole).tell(id, attempt)?;
    }
    Ok(())
}

fn facts(page: &mut Page, task: &Task) {
    let state = match result(task) {
        result if result.is_empty() => task.phase.name().to_owned(),
        result => format!("{}: {result}", task.phase.name()),
    };
    page.fact("state", &state);
    if let Some(issue) = &task.issue {
        let labelled = task.labelled_by.as_ref().map(|by| format!(", labelled by {by}")).unwrap_or_default();
        page.fact("issue", &format!("{} by {}{labelled}", issue.url, issue.author));
    }
    if task.epoch.0 > 0 {
        page.fact("claim", &format!("epoch {}", task.epoch.0));
    }
    if let Some(base) = &task.base {
        page.fact("base", &format!("{} at {}", base.branch, base.commit));
    }
    let used = &task.usage;
    if !used.model.is_empty() {
        page.fact(
            "model",
            &format!(
                "{}: {} tokens read, {} written, in {:.1} s",
                used.model,
                used.prompt_tokens,
                used.output_tokens,
                used.duration_ms as f64 / 1e3
            ),
        );
        page.fact("steps", &task.steps.to_string());
    }
}
