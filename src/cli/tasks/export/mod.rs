//! `bzzz tasks export`: a task's conversation as a file for other programs.

mod ending;
mod json;
mod shape;
#[cfg(test)]
mod tests;
mod trajectory;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bzzz_actors::ports::journal::Recorded;
use bzzz_actors::task::TaskId;
use clap::{Args, ValueEnum};

use crate::cli::exit::Exit;
use crate::cli::print;
use crate::journal::JournalReader;

use super::attempts::Attempt;
use super::events_of;

#[derive(Debug, Args)]
pub(crate) struct ExportCommand {
    /// owner/name#number
    task: TaskId,
    /// What is written
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Write there and not to standard output. mini-swe-agent's inspector looks for names that end in .traj.json
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if there is one
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A trajectory as mini-swe-agent writes it
    Json,
}

impl ExportCommand {
    /// The models named `json_models` were asked for JSON.
    pub(super) fn run(&self, journal: &JournalReader, json_models: &[String]) -> anyhow::Result<Exit> {
        let text = match self.format {
            Format::Json => exported(journal, &self.task, &events_of(journal, &self.task)?, json_models)?,
        };
        match &self.output {
            Some(path) => write(path, self.force, &text)?,
            None => print(&text)?,
        }
        Ok(Exit::Ok)
    }
}

fn exported(
    journal: &JournalReader,
    id: &TaskId,
    events: &[Recorded],
    json_models: &[String],
) -> anyhow::Result<String> {
    let attempt = Attempt::last_worked_on(events);
    let Some((attempt, task)) = attempt.and_then(|attempt| Some((attempt, attempt.task()?))) else {
        bail!("this node never worked on {id}: `bzzz tasks show {id}` tells what it knows of it");
    };
    Ok(json::to_json(&trajectory::trajectory(&attempt, task, json_models, &|blob| journal.blob(blob))?)?)
}

fn write(path: &Path, force: bool, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is there already: --force replaces it", path.display())
        }
        written => written.with_context(|| format!("can't write {}", path.display())),
    }
}
