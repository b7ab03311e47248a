//! A task's events as a story with its own clock. Of some nothing is said: the renewals of a lease are many, and tell nothing
//! of the work.

use bzzz_actors::ports::journal::JournalError;
use bzzz_actors::reasoner_actor::Transcript;
use bzzz_actors::task::life::{Phase, Task};
use bzzz_actors::task::{Observed, TaskEvent, TaskId};

use super::super::attempts::Attempt;
use super::Read;
use crate::cli::telling::{Connections, Line, Page, Tone, Words};

pub(super) struct Story<'a> {
    page: &'a mut Page,
    /// Reads the outputs that are shown whole, if any are.
    whole: Option<Read<'a>>,
    after_ms: u64,
    /// Those since the last thing that was told.
    connections: Connections,
}

impl<'a> Story<'a> {
    pub(super) fn new(page: &'a mut Page, whole: Option<Read<'a>>) -> Self {
        Self { page, whole, after_ms: 0, connections: Connections::default() }
    }

    pub(super) fn tell(&mut self, id: &TaskId, attempt: &Attempt<'_>) -> Result<(), JournalError> {
        let nudged_by = Transcript::of(id, attempt.events(), &[]).nudged_by;
        let mut task = Task::new(id.clone());
        let mut words = Words::default();
        for (at, recorded) in attempt.recorded.iter().enumerate() {
            let was_asking = matches!(task.phase, Phase::AskingPeers { .. });
            task = task.step(&recorded.event).0;
            if self.connections.note(&recorded.event) {
                continue;
            }
            self.tell_connections();
            self.after_ms = recorded.at_ms.saturating_sub(attempt.began_ms());
            if is_told(&recorded.event) {
                for line in words.of(&recorded.event, &task) {
                    self.line(line)?;
                }
            }
            if nudged_by.contains(&at) {
                self.say(Tone::Plain, "it was told that it repeats itself");
            }
            match &task.phase {
                Phase::AskingPeers { question }
                    if !was_asking && !matches!(recorded.event, TaskEvent::Replied { .. }) =>
                {
                    self.say(Tone::Bad, "it goes in circles; the other nodes are asked");
                    self.page.prose(question);
                }
                _ => {}
            }
        }
        self.tell_connections();
        Ok(())
    }

    fn say(&mut self, tone: Tone, text: &str) {
        self.page.entry(self.after_ms, tone, text);
    }

    fn tell_connections(&mut self) {
        for (tone, text) in std::mem::take(&mut self.connections).lines() {
            self.say(tone, &text);
        }
    }

    fn line(&mut self, line: Line<'_>) -> Result<(), JournalError> {
        match line {
            Line::Blank => self.page.blank(),
            Line::Said(tone, text) => self.say(tone, &text),
            Line::Prose(text) => self.page.prose(&text),
            Line::Command(sign, text) => self.page.command(sign, text),
            Line::Output { is_dispensable: true, .. } if self.whole.is_none() => {}
            Line::Output { of, .. } => self.output(of)?,
        }
        Ok(())
    }

    fn output(&mut self, outcome: &Observed) -> Result<(), JournalError> {
        let whole = match (self.whole, &outcome.whole) {
            (Some(read), Some(blob)) => Some(read(blob)?),
            _ => None,
        };
        match whole {
            Some(Some(bytes)) => self.page.output(&String::from_utf8_lossy(&bytes)),
            Some(None) => {
                self.page.output(&outcome.shown);
                self.page.prose("[the whole output is missing from the data folder]");
            }
            None => self.page.output(&outcome.shown),
        }
        Ok(())
    }
}

fn is_told(event: &TaskEvent) -> bool {
    !matches!(
        event,
        TaskEvent::ClaimIntended { .. } | TaskEvent::LeaseIntended { .. } | TaskEvent::LeaseRenewed { .. }
    )
}
