//! `bzzz eval` and the table that it prints.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bzzz_actors::task::printable;
use clap::Args;
use serde_json::json;

use crate::apiary::ollama::{MODEL as SCRIPTED_MODEL, ModelScript};
use crate::eval::{Arena, Case, EvalError, ModelUnderTest, Outcome, Results};
use crate::settings::{Log, LogFormat, LogLevel, Sources};
use crate::telemetry;

use super::exit::Exit;
use super::system::{Signals, block_on};
use super::table::Table;
use super::{Global, print};

#[derive(Debug, Args)]
pub(crate) struct EvalCommand {
    /// The folder of cases
    #[arg(default_value = "eval", value_name = "FOLDER")]
    cases: PathBuf,
    /// Only this case; may be repeated
    #[arg(long = "case", value_name = "NAME")]
    only: Vec<String>,
    /// This model of the configured servers, in place of all of model.names; may be repeated
    #[arg(long = "model", value_name = "NAME", conflicts_with = "scripted")]
    models: Vec<String>,
    /// The scripted model in place of real ones, with the replies in this file
    #[arg(long, value_name = "FILE")]
    scripted: Option<PathBuf>,
    /// Where results and journals are kept; what is there is not run again
    #[arg(long, value_name = "FOLDER", default_value = "bzzz-eval")]
    out: PathBuf,
    /// Cases that a model works on at the same time; more than one makes its seconds incomparable
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
    /// Print the outcomes as JSON
    #[arg(long)]
    json: bool,
}

impl EvalCommand {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let cases = self.cases()?;
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("{}: can't be made", self.out.display()))?;
        let out = std::fs::canonicalize(&self.out)?;
        let sources = Sources::of_process(global.config.clone(), global.set.clone())?;
        let models = self.models_under_test(global)?;
        let mut results = Results::open(&out.join("results.jsonl"))?;
        let log = Log { format: LogFormat::Text, level: LogLevel::Info };
        telemetry::init_to_file(&log, &out.join("node.log"))?;
        let evaluated = self.evaluate(&sources, &models, &cases, &mut results, &out);
        let is_whole = block_on(evaluated).context("the runtime can't be started")??;
        let rows = rows(&models, &cases, &results);
        print(&if self.json { as_json(&rows)? } else { as_tables(&rows, &cases) })?;
        Ok(if is_whole { Exit::Ok } else { Exit::Failed })
    }

    fn cases(&self) -> anyhow::Result<Vec<Case>> {
        let mut cases = Case::all_in(&self.cases)?;
        if let Some(unknown) = self.only.iter().find(|name| cases.iter().all(|case| case.name != **name)) {
            let known: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
            bail!("{} has no case {unknown}; it has {}", self.cases.display(), known.join(", "));
        }
        cases.retain(|case| self.only.is_empty() || self.only.contains(&case.name));
        Ok(cases)
    }

    fn models_under_test(&self, global: &Global) -> anyhow::Result<Vec<ModelUnderTest>> {
        if let Some(file) = &self.scripted {
            let script = Some(ModelScript::load(file)?);
            return Ok(vec![ModelUnderTest { name: SCRIPTED_MODEL.to_owned(), script }]);
        }
        let names = match self.models.is_empty() {
            true => global.load()?.settings.model.names,
            false => self.models.clone(),
        };
        Ok(names.into_iter().map(|name| ModelUnderTest { name, script: None }).collect())
    }

    /// True when every case has its outcome with every model.
    async fn evaluate(
        &self,
        sources: &Sources,
        models: &[ModelUnderTest],
        cases: &[Case],
        results: &mut Results,
        out: &Path,
    ) -> anyhow::Result<bool> {
        let mut signals = Signals::listen().context("signals can't be listened to")?;
        let mut is_whole = true;
        for model in models {
            let is_missing = |case: &&Case| results.of(model, case).is_none();
            let missing: Vec<Case> = cases.iter().filter(is_missing).cloned().collect();
            let done = cases.len() - missing.len();
            if missing.is_empty() {
                continue;
            }
            let data_dir = fresh_folder(&out.join("runs"))?;
            let opened = tokio::select! {
                opened = Arena::open(sources, model.clone(), &missing, self.jobs, data_dir) => opened,
                () = signals.next() => return Ok(interrupted()),
            };
            let mut arena = match opened {
                Ok(arena) => arena,
                Err(error @ EvalError::Model(_)) => {
                    tell(&format!("{}: left out: {error}", model.name));
                    is_whole = false;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let ended = follow(&mut arena, &mut signals, results, (done, cases.len())).await;
            arena.close().await;
            if !ended? {
                return Ok(interrupted());
            }
        }
        Ok(is_whole)
    }
}

/// Keeps every outcome as it comes; false when it was interrupted.
async fn follow(
    arena: &mut Arena,
    signals: &mut Signals,
    results: &mut Results,
    (mut done, all): (usize, usize),
) -> anyhow::Result<bool> {
    loop {
        let outcome = tokio::select! {
            outcome = arena.next() => outcome?,
            () = signals.next() => return Ok(false),
        };
        let Some(outcome) = outcome else { return Ok(true) };
        done += 1;
        let Outcome { model, case, steps, seconds, .. } = &outcome;
        tell(&format!(
            "{model} ({done} of {all}) {case}: {}, {steps} steps, {seconds:.0} s",
            in_short(&outcome)
        ));
        results.add(outcome)?;
    }
}

fn interrupted() -> bool {
    tell("interrupted: the same command goes on from here");
    false
}

/// Progress is no result: it goes to standard error.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

/// The first number that is free.
fn fresh_folder(all: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(all)?;
    for number in 1.. {
        let folder = all.join(number.to_string());
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("{}: can't be made", folder.display())),
            Ok(()) => return Ok(folder),
        }
    }
    unreachable!("numbers do not end")
}

/// A model and what came of each case, as far as it was run.
struct Row<'a> {
    model: &'a str,
    outcomes: Vec<Option<&'a Outcome>>,
}

fn rows<'a>(models: &'a [ModelUnderTest], cases: &[Case], results: &'a Results) -> Vec<Row<'a>> {
    let row = |model: &'a ModelUnderTest| Row {
        model: &model.name,
        outcomes: cases.iter().map(|case| results.of(model, case)).collect(),
    };
    models.iter().map(row).collect()
}

fn as_json(rows: &[Row<'_>]) -> anyhow::Result<String> {
    let models: Vec<_> = rows
        .iter()
        .map(|row| json!({ "model": row.model, "outcomes": row.outcomes.iter().flatten().collect::<Vec<_>>() }))
        .collect();
    Ok(serde_json::to_string_pretty(&json!({ "models": models }))? + "\n")
}

fn as_tables(rows: &[Row<'_>], cases: &[Case]) -> String {
    let mut totals = Table::new(["model", "solved", "steps", "tokens", "seconds", "malformed", "overflows"]);
    for row in rows {
        let all: Vec<&Outcome> = row.outcomes.iter().flatten().copied().collect();
        let sum = |number: fn(&Outcome) -> u64| all.iter().map(|it| number(it)).sum::<u64>().to_string();
        totals.row([
            row.model.to_owned(),
            format!("{} of {}", all.iter().filter(|it| it.solved).count(), row.outcomes.len()),
            sum(|it| it.steps.into()),
            sum(|it| it.prompt_tokens + it.output_tokens),
            format!("{:.0}", all.iter().fold(0.0, |sum, it| sum + it.seconds)),
            sum(|it| it.malformed.into()),
            sum(|it| it.overflows.into()),
        ]);
    }
    let mut text = String::new();
    for row in rows {
        let mut each =
            Table::new(["case", "language", "difficulty", "outcome", "steps", "tokens", "seconds"]);
        for (case, outcome) in cases.iter().zip(&row.outcomes) {
            let number = |number: fn(&Outcome) -> String| outcome.map_or("-".to_owned(), number);
            each.row([
                case.name.clone(),
                case.language.clone(),
                case.difficulty.as_str().to_owned(),
                outcome.map_or("not run".to_owned(), in_short),
                number(|it| it.steps.to_string()),
                number(|it| (it.prompt_tokens + it.output_tokens).to_string()),
                number(|it| format!("{:.0}", it.seconds)),
            ]);
        }
        text += &format!("{}\n\n{each}\n", printable(row.model));
    }
    text += &totals.to_string();
    if rows.iter().any(|row| row.outcomes.iter().flatten().any(|it| it.scripted)) {
        text += &format!(
            "\n{SCRIPTED_MODEL} says what a script holds: its figures tell of the node, not of a model.\n"
        );
    }
    text
}

/// Solved, or the beginning of why not.
fn in_short(outcome: &Outcome) -> String {
    const MAX_CHARS: usize = 60;
    let first_line = outcome.end.lines().next().unwrap_or_default();
    let short: String = first_line.chars().take(MAX_CHARS).collect();
    if short.len() < first_line.len() { short + "…" } else { short }
}

impl From<&EvalError> for Exit {
    fn from(error: &EvalError) -> Self {
        match error {
            EvalError::Start(error) => error.into(),
            EvalError::Settings(_) => Self::Config,
            EvalError::NodeFailed(_) => Self::CoreGaveUp,
            _ => Self::Failed,
        }
    }
}
