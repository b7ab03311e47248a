//! The old part of a conversation, as a list: what was done, a line each, and what became of it.

use crate::task::{CheckResult, Observed};

/// Of a command, which may be a whole script, as much as tells what it was.
const MAX_COMMAND_CHARS: usize = 100;
const MAX_PROBLEM_CHARS: usize = 160;

pub(super) const SANDBOX_LOST: &str = "- The sandbox was lost, and another one was made.";
pub(super) const CHECKS_PASSED: &str =
    "- You said that it is done; nothing failed, and you were shown your change.";

pub(super) fn command(step: u32, command: &str, outcome: &Observed) -> String {
    format!("{step}. `{}`: {}", shortened(command, MAX_COMMAND_CHARS), outcome.ending)
}

pub(super) fn refused(problem: &str) -> String {
    format!("- Your work was refused: {}", shortened(problem, MAX_PROBLEM_CHARS))
}

pub(super) fn checks_failed(results: &[CheckResult]) -> String {
    format!("- You said that it is done, and these checks failed: {}", failed(results))
}

pub(super) fn setup_of_checks_failed(setup: &[CheckResult]) -> String {
    format!("- You said that it is done, and before the checks this setup failed: {}", failed(setup))
}

pub(super) fn set_up(setup: &[CheckResult]) -> String {
    match setup.iter().all(CheckResult::passed) {
        true => "- The new sandbox was set up.".to_owned(),
        false => format!("- The new sandbox's setup failed: {}", failed(setup)),
    }
}

fn failed(results: &[CheckResult]) -> String {
    let failed = results.iter().filter(|result| !result.passed());
    let shown = failed.map(|result| format!("`{}`", shortened(&result.command, MAX_COMMAND_CHARS)));
    shown.collect::<Vec<_>>().join(", ")
}

/// `lines` are of commands before `kept_from`, in order; those before `list_from` are left out. `replies` is how many of
/// the model's are gone.
pub(super) fn list(lines: &[(u32, String)], list_from: u32, kept_from: u32, replies: usize) -> String {
    let mut text = format!(
        "To save room, the first {replies} of your replies after the plan, until command {}, and what came of them are \
         summarised here. The files are as these commands left them; look at them again where you need what is no longer \
         told.\n",
        kept_from.saturating_sub(1)
    );
    if list_from > 1 {
        text += &format!("\nCommands 1 to {} are left out.", list_from - 1);
    }
    for (_, line) in lines.iter().filter(|(number, _)| *number >= list_from) {
        text.push('\n');
        text += line;
    }
    text
}

/// On one line, and not longer than that.
fn shortened(text: &str, max_chars: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "'");
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
