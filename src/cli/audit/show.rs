//! `bzzz audit show`: the journal for a person. Each entry has its number and the beginning of its hash, by which what is shown
//! can be compared with the journal.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::bail;
use bzzz_actors::ports::journal::Seq;
use bzzz_actors::task::life::Task;
use bzzz_actors::task::{TaskEvent, TaskId, printable};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::telling::{Line, Page, Tone, Who, Words, of_node, short};
use crate::cli::{Global, print_on};
use crate::journal::{JournalReader, Logged, LoggedEvent};

/// How soon a new entry is shown.
const LOOK: Duration = Duration::from_millis(300);
/// Signs for an entry's number, and a gap.
const NUMBER: usize = 7;
/// Read at once.
const BATCH: u32 = 500;

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowCommand {
    /// The node's data folder. Otherwise the configured one
    data_dir: Option<PathBuf>,
    /// Only this task, with what was said: owner/name#number. Otherwise everything, an entry a line
    #[arg(long)]
    task: Option<TaskId>,
    /// Go on as the node records, until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Each entry whole, as a line of JSON
    #[arg(long)]
    json: bool,
}

impl ShowCommand {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let journal = JournalReader::open(&super::data_dir(self.data_dir.as_deref(), global)?)?;
        let style = match (self.json, &self.task) {
            (true, _) => Style::Json,
            (false, Some(_)) => Style::Story,
            (false, None) => Style::Lines,
        };
        let mut telling = Telling { teller: Teller::new(style), after: Seq::default() };
        let mut is_read = self.show_new(&journal, &mut telling)?;
        if let (Some(task), Seq(0), false) = (&self.task, telling.after, self.follow) {
            bail!("this node's journal has no task {task}; `bzzz tasks list` shows those it has");
        }
        let timer = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        while self.follow && is_read {
            timer.block_on(async { tokio::time::sleep(LOOK).await });
            is_read = self.show_new(&journal, &mut telling)?;
        }
        Ok(Exit::Ok)
    }

    /// Shows what was not shown yet, and returns whether anybody reads it.
    fn show_new(&self, journal: &JournalReader, telling: &mut Telling) -> anyhow::Result<bool> {
        loop {
            let entries = journal.entries(telling.after, self.task.as_ref(), BATCH)?;
            let Some(last) = entries.last() else { return Ok(true) };
            telling.after = last.seq;
            let mut page = Page::for_stdout(false);
            for entry in entries {
                telling.teller.tell(&mut page, &entry);
            }
            if !print_on(&page.into_text())? {
                return Ok(false);
            }
        }
    }
}

struct Telling {
    teller: Teller,
    /// The last entry that was told.
    after: Seq,
}

fn time(entry: &Logged) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(entry.at_ms)).to_string()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// One task, with what was said.
    Story,
    /// A line for each entry.
    Lines,
    Json,
}

/// Tells entries in their order.
pub(super) struct Teller {
    style: Style,
    /// As they are after what was told.
    tasks: HashMap<TaskId, (Task, Words)>,
}

impl Teller {
    pub(super) fn new(style: Style) -> Self {
        Self { style, tasks: HashMap::new() }
    }

    pub(super) fn tell(&mut self, page: &mut Page, entry: &Logged) {
        let (who, lines) = match &entry.what {
            LoggedEvent::OfTask { task, event, .. } => (Who::of(event), self.words(task, event)),
            LoggedEvent::OfNode(event) => {
                let (tone, text) = of_node(event);
                (Who::Node, vec![Line::Said(tone, text)])
            }
        };
        match self.style {
            Style::Story => story(page, entry, &who, lines),
            Style::Lines => {
                let task = match &entry.what {
                    LoggedEvent::OfTask { task, .. } => format!("{task} "),
                    LoggedEvent::OfNode(_) => String::new(),
                };
                let text = format!("{task}{who}: {}", in_one(&lines));
                page.recorded_in_a_line(&place(entry), tone(&lines), &text);
            }
            Style::Json => page.line(&inert(&to_json(entry, &who, &in_one(&lines)).to_string())),
        }
    }

    fn words<'e>(&mut self, id: &TaskId, event: &'e TaskEvent) -> Vec<Line<'e>> {
        // Each time that a task is found is another life.
        if matches!(event, TaskEvent::Found { .. }) {
            self.tasks.remove(id);
        }
        let begin = || (Task::new(id.clone()), Words::default());
        let (task, words) = self.tasks.entry(id.clone()).or_insert_with(begin);
        *task = task.clone().step(event).0;
        words.of(event, task)
    }
}

fn place(entry: &Logged) -> String {
    format!("{:<NUMBER$}{}  {}", entry.seq.0, short(&entry.hash), time(entry))
}

fn tone(lines: &[Line<'_>]) -> Tone {
    let tones =
        || lines.iter().filter_map(|line| if let Line::Said(tone, _) = line { Some(*tone) } else { None });
    match tones().find(|tone| *tone == Tone::Bad) {
        Some(bad) => bad,
        None => tones().next().unwrap_or(Tone::Plain),
    }
}

/// Its outputs are left out: `bzzz tasks show` has them.
fn story(page: &mut Page, entry: &Logged, who: &Who, lines: Vec<Line<'_>>) {
    if let LoggedEvent::OfTask { task, event: TaskEvent::Found { issue, .. }, .. } = &entry.what {
        page.heading(&format!("{task}: {}", issue.title));
        page.fact("issue", &format!("{} by {}", issue.url, issue.author));
    }
    for line in lines {
        match line {
            Line::Said(tone, text) => page.recorded(&place(entry), tone, &format!("{who}: {text}")),
            Line::Prose(text) => page.prose(&text),
            Line::Command(sign, text) => page.command(sign, text),
            Line::Blank | Line::Output { .. } => {}
        }
    }
}

fn in_one(lines: &[Line<'_>]) -> String {
    let mut text = String::new();
    for line in lines {
        match line {
            Line::Said(_, said) if text.is_empty() => text += said,
            Line::Said(_, said) => text += &format!("; {said}"),
            Line::Prose(prose) => text += &format!(": {prose}"),
            Line::Command(sign, command) => text += &format!("; {sign}{command}"),
            Line::Blank | Line::Output { .. } => {}
        }
    }
    text
}

fn to_json(entry: &Logged, who: &Who, text: &str) -> Value {
    let (task, epoch, event) = match &entry.what {
        LoggedEvent::OfTask { task, epoch, event } => (json!(task), json!(epoch), json!(event)),
        LoggedEvent::OfNode(event) => (Value::Null, Value::Null, json!(event)),
    };
    json!({
        "entry": entry.seq,
        "hash": entry.hash,
        "at": time(entry),
        "task": task,
        "epoch": epoch,
        "who": who.to_string(),
        "text": text,
        "kind": event["kind"],
        "body": event["body"],
    })
}

/// The same JSON, in which what would act on a terminal or deceive a reader is written as an escape.
fn inert(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for sign in json.chars() {
        let as_it_is = sign.encode_utf8(&mut [0; 4]).to_owned();
        if sign.is_ascii_graphic() || printable(&as_it_is) == as_it_is {
            text.push(sign);
        } else {
            let mut units = [0; 2];
            sign.encode_utf16(&mut units).iter().for_each(|unit| text += &format!("\\u{unit:04x}"));
        }
    }
    text
}
