//! `bzzz demo` and what it prints.

use std::path::Path;

use anyhow::Context;
use bzzz_actors::task::printable;
use clap::Args;

use crate::demo::{Board, DemoError, DemoOptions, ModelServer, Report, Screen, Stage, make_folder, watch};
use crate::settings::{Log, LogFormat, LogLevel};
use crate::telemetry;

use super::exit::Exit;
use super::system::{Signals, block_on};
use super::table::Table;
use super::{Global, print};

/// What is shown of the diff, in lines.
const MAX_DIFF_LINES: usize = 60;

#[derive(Debug, Args)]
pub(crate) struct DemoCommand {
    /// Use this Ollama server instead of the scripted model
    #[arg(long, value_name = "URL", requires = "model")]
    ollama: Option<String>,
    /// The model of that server
    #[arg(long, value_name = "NAME", requires = "ollama")]
    model: Option<String>,
    /// Leave the stand-ins and the node up at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

impl DemoCommand {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let (folder, log_file) = make_folder()?;
        telemetry::init_to_file(&Log { format: LogFormat::Text, level: LogLevel::Info }, &log_file)?;
        let model =
            self.ollama.clone().zip(self.model.clone()).map(|(url, model)| ModelServer { url, model });
        let options = DemoOptions { model, set: global.set.clone() };
        block_on(self.perform(folder, options)).context("the runtime can't be started")?
    }

    async fn perform(&self, folder: tempfile::TempDir, options: DemoOptions) -> anyhow::Result<Exit> {
        let mut signals = Signals::listen().context("signals can't be listened to")?;
        let mut stage = tokio::select! {
            stage = Stage::set(folder, options) => stage?,
            () = signals.next() => return Ok(Exit::Failed),
        };
        print(&format!("sandbox: {}\nmodel:   {}\n\n", stage.sandbox(), stage.model))?;
        let mut screen = Screen::for_stdout();
        let watched = tokio::select! {
            board = watch(&mut stage, &mut screen) => Some(board),
            () = signals.next() => None,
        };
        screen.end();
        let told = match watched {
            None => print("\ninterrupted\n").map(|()| Exit::Failed),
            Some(Err(error)) => Err(error.into()),
            Some(Ok(board)) => self.tell(&stage, &board, &mut signals).await,
        };
        stage.strike().await;
        told
    }

    async fn tell(&self, stage: &Stage, board: &Board, signals: &mut Signals) -> anyhow::Result<Exit> {
        let report = Report::of(stage, board).await?;
        print(&shown(&report))?;
        if self.keep {
            print(&where_to_look(stage))?;
            signals.next().await;
        }
        Ok(if report.all_succeeded() { Exit::Ok } else { Exit::Failed })
    }
}

fn shown(report: &Report) -> String {
    let mut table = Table::new(["task", "state", "steps", "time", "checks", "pull request"]);
    for task in &report.tasks {
        let time = task.took_ms.map_or("-".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1e3));
        let url = task.pull_request.clone().unwrap_or_else(|| "none".to_owned());
        table.row([
            task.id.to_string(),
            task.state.clone(),
            task.steps.to_string(),
            time,
            task.checks.clone(),
            url,
        ]);
    }
    let mut text = format!("\n{table}\n");
    if let Some((task, diff)) = &report.diff {
        text += &format!("The change for {task}:\n\n{}\n", first_lines(&printable(diff)));
    }
    text + &format!("journal: {} entries, verified\n", report.journal_entries)
}

fn first_lines(diff: &str) -> String {
    let mut lines: Vec<&str> = diff.lines().take(MAX_DIFF_LINES).collect();
    if diff.lines().count() > MAX_DIFF_LINES {
        lines.push("[…]");
    }
    lines.join("\n") + "\n"
}

fn where_to_look(stage: &Stage) -> String {
    let folder: &Path = stage.folder();
    let apiary = stage.apiary();
    format!(
        "\nLeft up until Ctrl-C:\n  forge   {}\n  Hive    {}\n  N8N     {}\n  Ollama  {}\n  folder  {}\n",
        apiary.forge_url(),
        apiary.hive_url(),
        apiary.n8n_url(),
        apiary.ollama_url(),
        folder.display()
    )
}

impl From<&DemoError> for Exit {
    fn from(error: &DemoError) -> Self {
        match error {
            DemoError::Start(error) => error.into(),
            DemoError::Settings(_) => Self::Config,
            DemoError::NodeFailed(_) => Self::CoreGaveUp,
            DemoError::Folder(_) | DemoError::Apiary(_) | DemoError::Journal(_) | DemoError::Verify(_) => {
                Self::Failed
            }
        }
    }
}
