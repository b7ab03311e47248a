//! The work, live: a line a task and a bar on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use bzzz_actors::task::printable;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Board;

/// How often the bar's clock moves on a terminal.
const TICK: Duration = Duration::from_millis(120);

pub enum Screen {
    Terminal(Bars),
    /// The last line shown of each task.
    Plain(Vec<String>),
}

pub struct Bars {
    lines: MultiProgress,
    tasks: Vec<ProgressBar>,
    all: ProgressBar,
}

impl Screen {
    pub fn for_stdout() -> Self {
        match io::stdout().is_terminal() {
            true => {
                let (lines, all) = (MultiProgress::new(), ProgressBar::hidden());
                Self::Terminal(Bars { lines, tasks: Vec::new(), all })
            }
            false => Self::Plain(Vec::new()),
        }
    }

    pub fn show(&mut self, board: &Board) {
        match self {
            Self::Terminal(bars) => bars.show(board),
            Self::Plain(shown) => show_plain(shown, board),
        }
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        // A reader that went away is no reason to stop the work.
        let _ = match self {
            Self::Terminal(bars) => bars.lines.println(line),
            Self::Plain(_) => writeln!(io::stdout(), "{line}"),
        };
    }

    /// Leaves the last state on the terminal, and the cursor below it.
    pub fn end(&mut self) {
        if let Self::Terminal(bars) = self {
            bars.tasks.iter().chain([&bars.all]).for_each(ProgressBar::abandon);
            // The bars leave the cursor behind their last line.
            let _ = writeln!(io::stdout());
        }
    }
}

impl Bars {
    fn show(&mut self, board: &Board) {
        if self.tasks.is_empty() {
            self.begin(board);
        }
        for (bar, entry) in self.tasks.iter().zip(board.entries()) {
            bar.set_message(printable(&board.line(entry)).replace('\n', " "));
            if entry.is_over() {
                bar.abandon();
            }
        }
        self.all.set_position(board.over() as u64);
    }

    fn begin(&mut self, board: &Board) {
        let style = |template: &str| {
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
        };
        let width = board.entries().iter().map(|entry| entry.id.to_string().len()).max().unwrap_or(0);
        for entry in board.entries() {
            let bar = self.lines.add(ProgressBar::new_spinner());
            bar.set_style(style("{spinner} {prefix} {wide_msg}"));
            bar.set_prefix(format!("{:<width$}", entry.id.to_string()));
            bar.enable_steady_tick(TICK);
            self.tasks.push(bar);
        }
        self.all = self.lines.add(ProgressBar::new(board.entries().len() as u64));
        self.all.set_style(style("  {bar:30} {pos}/{len} done, {elapsed}"));
        self.all.enable_steady_tick(TICK);
    }
}

/// A line for each task that changed.
fn show_plain(shown: &mut Vec<String>, board: &Board) {
    shown.resize(board.entries().len(), String::new());
    let mut out = io::stdout().lock();
    for (last, entry) in shown.iter_mut().zip(board.entries()) {
        let line = printable(&board.line(entry)).replace('\n', " ").trim_end().to_owned();
        if *last != line {
            // A reader that went away is no reason to stop the work.
            let _ = writeln!(out, "{}  {line}", entry.id);
            *last = line;
        }
    }
}
