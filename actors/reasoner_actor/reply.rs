//! Reads a model's reply: short reasoning and exactly one fenced block. Validated, never trusted.

use std::borrow::Cow;

use crate::ports::model::Finish;
use crate::task::{Step, printable};

use super::protocol::reasoning_of;

/// A longer command is refused; a script belongs into a file.
const MAX_COMMAND_BYTES: usize = 64 * 1024;
/// A longer question or pull-request text is refused.
const MAX_TEXT_BYTES: usize = 32 * 1024;
/// So much of an unknown label is told to the model.
const MAX_LABEL_CHARS: usize = 40;

/// What `reply` asks for. Never fails: what can't be read is a step of its own, whose text is told to the model.
pub fn read_step(reply: &str, finish: Finish) -> Step {
    read(reply, finish).unwrap_or_else(|problem| Step::Malformed { problem })
}

fn read(reply: &str, finish: Finish) -> Result<Step, String> {
    if reply.trim().is_empty() {
        return Err("Your reply was empty.".to_owned());
    }
    let blocks = match fenced_blocks(reply) {
        Ok(blocks) => blocks,
        Err(_) if finish == Finish::Length => return Err(cut_off()),
        Err(problem) => return Err(problem),
    };
    let [block] = blocks.as_slice() else {
        return Err(match (blocks.len(), finish) {
            (0, Finish::Length) => cut_off(),
            (0, Finish::Stop) => "Your reply had no fenced block.".to_owned(),
            (count, _) => format!("Your reply had {count} fenced blocks; exactly one is allowed."),
        });
    };
    block.as_step()
}

pub(super) fn cut_off() -> String {
    "Your reply was cut off because it was too long. Say less, or write a long file in several commands."
        .to_owned()
}

/// What stands behind `sh`: nothing, or how long the command may take.
fn timeout_in(more: &str) -> Result<Option<u32>, String> {
    let more = more.trim();
    if more.is_empty() {
        return Ok(None);
    }
    let seconds = more.strip_prefix("timeout=").map(|it| it.trim_end_matches('s').parse::<u32>());
    match seconds {
        Some(Ok(seconds)) if seconds > 0 => Ok(Some(seconds)),
        _ => Err("Behind `sh` only `timeout=SECONDS` may stand, such as `sh timeout=600`.".to_owned()),
    }
}

/// What a reply asks for, behind a label.
pub(super) struct Block<'a> {
    label: Cow<'a, str>,
    text: String,
}

impl Block<'_> {
    pub(super) fn new(label: String, text: String) -> Block<'static> {
        Block { label: label.into(), text }
    }

    pub(super) fn as_step(&self) -> Result<Step, String> {
        if self.text.trim().is_empty() {
            return Err(format!("The block `{}` was empty.", self.shown_label()));
        }
        if self.text.contains('\0') {
            return Err("The block held a NUL character.".to_owned());
        }
        let (label, more) = self.label.split_once(char::is_whitespace).unwrap_or((&self.label, ""));
        match label {
            "sh" | "bash" | "shell" => {
                let command = self.within(MAX_COMMAND_BYTES)?.trim_end().to_owned();
                Ok(Step::Run { command, timeout_s: timeout_in(more)? })
            }
            "done" => {
                let text = self.text_for_people()?;
                let (title, body) = text.split_once('\n').unwrap_or((&text, ""));
                Ok(Step::Done { title: title.trim().to_owned(), body: body.trim().to_owned() })
            }
            "help" => Ok(Step::Help { question: self.text_for_people()? }),
            "" => Err("The fenced block has no label; it must be `sh`, `done` or `help`.".to_owned()),
            _ => Err(format!(
                "The fenced block is labelled `{}`; it must be `sh`, `done` or `help`.",
                self.shown_label()
            )),
        }
    }

    fn shown_label(&self) -> String {
        printable(&self.label).chars().take(MAX_LABEL_CHARS).collect()
    }

    /// The text as it may stand on a page or in a terminal. The model chose its signs.
    fn text_for_people(&self) -> Result<String, String> {
        let text = printable(self.within(MAX_TEXT_BYTES)?).trim().to_owned();
        if text.is_empty() {
            return Err(format!("The block `{}` held nothing that can be seen.", self.shown_label()));
        }
        Ok(text)
    }

    fn within(&self, max_bytes: usize) -> Result<&str, String> {
        match self.text.len() {
            len if len > max_bytes => {
                Err(format!("The block holds {len} bytes; at most {max_bytes} are allowed."))
            }
            _ => Ok(&self.text),
        }
    }
}

/// The fenced blocks of a Markdown text, by CommonMark's rule: a fence of at least three backticks, closed by one that
/// is at least as long and bears no label.
fn fenced_blocks(text: &str) -> Result<Vec<Block<'_>>, String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((fence, label)) = fence_of(line) else { continue };
        let mut content = String::new();
        loop {
            let Some(line) = lines.next() else {
                return Err("The fenced block is not closed; end it with a line of backticks.".to_owned());
            };
            if fence_of(line).is_some_and(|(closing, label)| closing >= fence && label.is_empty()) {
                break;
            }
            content += line;
            content.push('\n');
        }
        blocks.push(Block { label: label.into(), text: content });
    }
    Ok(blocks)
}

/// What a reply says beside its step: outside of its fenced blocks, or as its reasoning.
pub fn words_of(reply: &str) -> String {
    if let Some(reasoning) = reasoning_of(reply) {
        return reasoning;
    }
    let mut words = String::new();
    let mut open = None;
    for line in reply.lines() {
        match (open, fence_of(line)) {
            (None, Some((fence, _))) => open = Some(fence),
            (Some(fence), Some((closing, ""))) if closing >= fence => open = None,
            (None, None) => {
                words += line;
                words.push('\n');
            }
            (Some(_), _) => {}
        }
    }
    words.trim().to_owned()
}

/// The length of the fence that `line` consists of, and the label behind it.
fn fence_of(line: &str) -> Option<(usize, &str)> {
    let indented_by = line.len() - line.trim_start_matches(' ').len();
    let line = line.trim();
    let length = line.len() - line.trim_start_matches('`').len();
    let label = line[length..].trim();
    (length >= 3 && indented_by <= 3 && !label.contains('`')).then_some((length, label))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(reply: &str, finish: Finish) -> String {
        match read_step(reply, finish) {
            Step::Malformed { problem } => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_with_reasoning_before_it() {
        let step = read_step("I look around.\n\n```sh\nls -la\ncat README.md\n```\n", Finish::Stop);
        assert_eq!(step, Step::Run { command: "ls -la\ncat README.md".into(), timeout_s: None });
    }

    #[test]
    fn a_command_may_be_given_more_time() {
        let step = |label: &str| read_step(&format!("```{label}\nmake\n```"), Finish::Stop);
        let with = |timeout_s| Step::Run { command: "make".into(), timeout_s };
        assert_eq!(
            (step("sh timeout=600"), step("bash  timeout=90s"), step("sh ")),
            (with(Some(600)), with(Some(90)), with(None))
        );
        for bad in ["sh timeout=0", "sh timeout=-1", "sh timeout=", "sh 600", "sh timeout=99999999999"] {
            assert!(matches!(step(bad), Step::Malformed { .. }), "{bad}");
        }
    }

    #[test]
    fn done_has_a_title_and_a_body() {
        let step = read_step("```done\nFix the parser\n\nIt lost the last line.\n```", Finish::Stop);
        let expected = Step::Done { title: "Fix the parser".into(), body: "It lost the last line.".into() };
        assert_eq!(step, expected);
    }

    #[test]
    fn what_people_are_shown_has_no_control_signs_and_an_end() {
        let step = read_step("```done\nFix\u{1b}[2J it\n\nSo\u{202e} it is.\n```", Finish::Stop);
        assert_eq!(step, Step::Done { title: "Fix it".into(), body: "So it is.".into() });
        let step = read_step("```help\nWhich\u{8}?\n```", Finish::Stop);
        assert_eq!(step, Step::Help { question: "Which?".into() });
        let label = "\u{1b}x".repeat(10_000);
        for block in ["", "ls\n"] {
            let problem = problem(&format!("```{label}\n{block}```"), Finish::Stop);
            assert!(problem.len() < 200 && !problem.contains('\u{1b}'), "{problem}");
        }
    }

    #[test]
    fn the_words_of_a_reply_are_what_stands_around_its_block() {
        let words = |reply: &str| words_of(reply);
        assert_eq!(words("I look.\n\n````sh\ncat <<'E'\n```\nE\n````\nThen on.\n"), "I look.\n\nThen on.");
        assert_eq!(words("```sh\nls\n```"), "");
        assert_eq!(words("No block.\n```sh\nls"), "No block.");
        assert_eq!(words(r#"{"reasoning": "I look. ", "step": {"sh": "ls"}}"#), "I look.");
        assert_eq!(words(r#"{"name": "bash"}"#), r#"{"name": "bash"}"#);
    }

    #[test]
    fn a_longer_fence_holds_a_shorter_one() {
        let step = read_step("````sh\ncat > a.md <<'E'\n```\ncode\n```\nE\n````", Finish::Stop);
        assert_eq!(
            step,
            Step::Run { command: "cat > a.md <<'E'\n```\ncode\n```\nE".into(), timeout_s: None }
        );
    }

    #[test]
    fn everything_else_is_answered_with_what_was_wrong() {
        for (reply, part) in [
            ("", "empty"),
            (" \n", "empty"),
            ("I am done!", "no fenced block"),
            ("{\"name\": \"bash\", \"arguments\": {\"cmd\": \"ls\"}}", "no fenced block"),
            ("<tool_call>ls</tool_call>", "no fenced block"),
            ("```sh\nls\n```\n```sh\npwd\n```", "2 fenced blocks"),
            ("```python\nprint(1)\n```", "labelled `python`"),
            ("```\nls\n```", "no label"),
            ("```sh\n\n```", "was empty"),
            ("```sh\nls", "not closed"),
            ("```done\n\u{1b}\u{202e}\n```", "nothing that can be seen"),
        ] {
            let problem = problem(reply, Finish::Stop);
            assert!(problem.contains(part), "{reply:?}: {problem}");
        }
    }

    #[test]
    fn a_reply_cut_by_its_limit_gets_its_own_words() {
        for reply in ["I think that", "```sh\ncat > big <<E\nline"] {
            assert!(problem(reply, Finish::Length).contains("cut off"), "{reply:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_at_all_is_read(reply in "(`{1,5}|sh|done|help|\n| |[a-z]|\\PC){0,60}", cut: bool) {
            read_step(&reply, if cut { Finish::Length } else { Finish::Stop });
        }

        #[test]
        fn a_command_comes_out_as_it_went_in(command in "[^`\r\0]{1,200}") {
            let command = command.trim_end();
            prop_assume!(!command.trim().is_empty());
            let step = read_step(&format!("so:\n```sh\n{command}\n```"), Finish::Stop);
            prop_assert_eq!(step, Step::Run { command: command.to_owned(), timeout_s: None });
        }
    }
}
