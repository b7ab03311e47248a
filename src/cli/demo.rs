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
    /// How many nodes, each a process of its own, share the work; with more of them there are more issues
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// Leave the stand-ins and the nodes up at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

impl DemoCommand {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let (folder, log_file) = make_folder()?;
        telemetry::init_to_file(&Log { format: LogFormat::Text, level: LogLevel::Info }, &log_file)?;
        let model =
            self.ollama.clone().zip(self.model.clone()).map(|(url, model)| ModelServer { url, model });
        let options = DemoOptions { nodes: self.nodes.into(), model, set: global.set.clone() };
        block_on(self.perform(folder, options)).context("the runtime can't be started")?
    }

    async fn perform(&self, folder: tempfile::TempDir, options: DemoOptions) -> anyhow::Result<Exit> {
        let mut signals = Signals::listen().context("signals can't be listened to")?;
        let mut stage = tokio::select! {
            stage = Stage::set(folder, options) => stage?,
            () = signals.next() => return Ok(Exit::Failed),
        };
        let nodes = match self.nodes {
            1 => "1".to_owned(),
            nodes => format!("{nodes}, each a process of `bzzz run`"),
        };
        print(&format!("sandbox: {}\nmodel:   {}\nnodes:   {nodes}\n\n", stage.sandbox(), stage.model))?;
        let mut screen = Screen::for_stdout();
        let followed = async {
            stage.start_nodes().await?;
            watch(&mut stage, &mut screen).await
        };
        let watched = tokio::select! {
            board = followed => Some(board),
            () = signals.next() => None,
        };
        screen.end();
        let told = match watched {
            None => print("\ninterrupted\n").map(|()| Exit::Failed),
            Some(Err(error)) => Err(error.into()),
            Some(Ok(board)) => self.tell(&mut stage, &board, &mut signals).await,
        };
        stage.strike().await;
        told
    }

    async fn tell(&self, stage: &mut Stage, board: &Board, signals: &mut Signals) -> anyhow::Result<Exit> {
        let report = Report::of(stage, board).await?;
        print(&shown(&report))?;
        if self.keep {
            print(&where_to_look(stage))?;
            tokio::select! {
                () = signals.next() => {}
                error = stage.ended() => return Err(error.into()),
            }
        }
        Ok(if report.all_succeeded() { Exit::Ok } else { Exit::Failed })
    }
}

fn shown(report: &Report) -> String {
    let mut table = Table::new(["task", "node", "state", "steps", "time", "checks", "pull request"]);
    for task in &report.tasks {
        let time = task.took_ms.map_or("-".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1e3));
        let url = task.pull_request.clone().unwrap_or_else(|| "none".to_owned());
        table.row([
            task.id.to_string(),
            task.node.map_or("-".to_owned(), |node| node.to_string()),
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
    if let Some(swarm) = &report.swarm {
        text += &format!("swarm:   {swarm}\n");
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
            // Of its own statuses these two tell what to do.
            DemoError::NodeEnded { code: Some(code), .. } if *code == i32::from(Self::Config.status()) => {
                Self::Config
            }
            DemoError::NodeEnded { code: Some(code), .. }
                if *code == i32::from(Self::Unavailable.status()) =>
            {
                Self::Unavailable
            }
            DemoError::NodeEnded { code: Some(code), .. }
                if *code == i32::from(Self::CoreGaveUp.status()) =>
            {
                Self::CoreGaveUp
            }
            DemoError::NodeEnded { .. }
            | DemoError::Folder(_)
            | DemoError::Apiary(_)
            | DemoError::Key(_)
            | DemoError::Name(_)
            | DemoError::Spawn { .. }
            | DemoError::NoAddress(_)
            | DemoError::Unopened(_)
            | DemoError::Journal(_)
            | DemoError::Verify(_) => Self::Failed,
        }
    }
}
