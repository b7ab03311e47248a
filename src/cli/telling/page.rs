//! How a story is laid out on a terminal or in a file. Whatever people read on the page is made printable here.

use std::io::{self, IsTerminal};

use bzzz_actors::task::printable;
use rustix::termios::tcgetwinsize;

/// Where a line ends that is nobody's terminal's.
const WIDTH: usize = 120;
/// A narrower terminal breaks lines itself; on a wider one, lines get too long to read.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=140;
/// Of a text that is shown as it is, so many lines at its beginning and its end.
const HEAD_LINES: usize = 20;
const TAIL_LINES: usize = 10;
/// Below an entry's time.
const INDENT: usize = 10;
/// Of an entry that has one line alone. Whoever wants all of it has other ways.
const ONE_LINE: usize = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Tone {
    Plain,
    Good,
    Bad,
}

pub(in crate::cli) struct Page {
    width: usize,
    has_colour: bool,
    is_full: bool,
    text: String,
}

impl Page {
    /// `is_full`: nothing is left out of any text.
    pub(in crate::cli) fn new(width: usize, has_colour: bool, is_full: bool) -> Self {
        Self { width, has_colour, is_full, text: String::new() }
    }

    pub(in crate::cli) fn for_stdout(is_full: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let columns = is_terminal.then(|| tcgetwinsize(io::stdout()).ok()).flatten();
        let columns = columns.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        let width = columns.map_or(WIDTH, |columns| columns.clamp(*WIDTHS.start(), *WIDTHS.end()));
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::new(width, is_terminal && !no_colour, is_full)
    }

    pub(in crate::cli) fn into_text(self) -> String {
        self.text
    }

    fn painted(&self, codes: &str, text: &str) -> String {
        match self.has_colour && !text.is_empty() {
            true => format!("\x1b[{codes}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    pub(in crate::cli) fn heading(&mut self, text: &str) {
        for line in wrapped(&one_line(text), self.width) {
            self.text += &self.painted("1", &line);
            self.text.push('\n');
        }
    }

    pub(in crate::cli) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// One thing about the whole task.
    pub(in crate::cli) fn fact(&mut self, name: &str, text: &str) {
        let mut name = name;
        for line in wrapped(&one_line(text), self.width.saturating_sub(INDENT)) {
            self.text += &format!("{name:<INDENT$}{line}\n");
            name = "";
        }
    }

    /// Something that happened, so long after the beginning.
    pub(in crate::cli) fn entry(&mut self, after_ms: u64, tone: Tone, text: &str) {
        let mut time = clock(after_ms);
        for line in wrapped(&one_line(text), self.width.saturating_sub(INDENT)) {
            let line = self.toned(tone, line);
            // Colours have no width.
            let gap = " ".repeat(INDENT.saturating_sub(time.len()));
            self.text += &format!("{}{gap}{line}\n", self.painted("2", &time));
            time.clear();
        }
    }

    /// An entry that is told whole, by where it stands: that is the caller's own words.
    pub(in crate::cli) fn recorded(&mut self, place: &str, tone: Tone, text: &str) {
        let mut place = place.to_owned();
        let first = self.width.saturating_sub(place.chars().count() + 2).max(INDENT);
        let text = one_line(text);
        let mut lines = wrapped(&text, first);
        if lines.len() > 1 {
            // What follows has the whole width but the indent.
            let rest = text[lines[0].len()..].trim_start();
            lines = [lines[0].clone()]
                .into_iter()
                .chain(wrapped(rest, self.width.saturating_sub(INDENT)))
                .collect();
        }
        for line in lines {
            let gap = if place.is_empty() { " ".repeat(INDENT) } else { "  ".to_owned() };
            self.text += &format!("{}{gap}{}\n", self.painted("2", &place), self.toned(tone, line));
            place.clear();
        }
    }

    /// The same in one line.
    pub(in crate::cli) fn recorded_in_a_line(&mut self, place: &str, tone: Tone, text: &str) {
        let line = cut(&one_line(text), ONE_LINE);
        self.text += &format!("{}  {}\n", self.painted("2", place), self.toned(tone, line));
    }

    /// What other programs read.
    pub(in crate::cli) fn line(&mut self, text: &str) {
        self.text += text;
        self.text.push('\n');
    }

    fn toned(&self, tone: Tone, line: String) -> String {
        match tone {
            Tone::Plain => line,
            Tone::Good => self.painted("32", &line),
            Tone::Bad => self.painted("31", &line),
        }
    }

    /// Somebody's sentences.
    pub(in crate::cli) fn prose(&mut self, text: &str) {
        let width = self.width.saturating_sub(INDENT);
        let text = printable(text);
        let lines: Vec<String> = text.trim().lines().flat_map(|line| wrapped(line, width)).collect();
        self.indented(&self.shortened(lines), "");
    }

    /// A command as it is, to be run again by who wants to; its first line begins with `sign`.
    pub(in crate::cli) fn command(&mut self, sign: &str, text: &str) {
        self.as_it_is(sign, text, usize::MAX);
    }

    /// What is no prose, line by line; long lines are cut.
    pub(in crate::cli) fn output(&mut self, text: &str) {
        let width = if self.is_full { usize::MAX } else { self.width.saturating_sub(INDENT) };
        self.as_it_is("", text, width);
    }

    fn as_it_is(&mut self, sign: &str, text: &str, width: usize) {
        let text = printable(text);
        let lines = text.trim_end_matches('\n').lines().map(|line| cut(line, width)).collect();
        self.indented(&self.shortened(lines), sign);
    }

    fn indented(&mut self, lines: &[String], sign: &str) {
        let mut sign = sign.to_owned();
        for line in lines {
            let line = format!("{}{sign}{line}", " ".repeat(INDENT));
            self.text += line.trim_end();
            self.text.push('\n');
            sign = " ".repeat(sign.len());
        }
    }

    fn shortened(&self, mut lines: Vec<String>) -> Vec<String> {
        // To leave out one line and say so would gain nothing.
        if !self.is_full && lines.len() > HEAD_LINES + TAIL_LINES + 1 {
            let left_out = lines.len() - HEAD_LINES - TAIL_LINES;
            let said = format!("[… {left_out} lines are left out here: --full shows them …]");
            lines.splice(HEAD_LINES..HEAD_LINES + left_out, [said]);
        }
        lines
    }
}

fn one_line(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(line: &str, width: usize) -> String {
    match line.char_indices().nth(width) {
        Some(_) => line.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        None => line.to_owned(),
    }
}

/// `line` in pieces of at most `width` signs, broken between words; a longer word stays whole.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = line.trim_end();
    while let Some((end, _)) = rest.char_indices().nth(width) {
        // What a line begins with is no gap between words.
        let begin = rest.len() - rest.trim_start().len();
        let gaps = rest.match_indices(' ').map(|(at, _)| at).filter(move |at| *at > begin);
        let last_within = gaps.clone().take_while(|at| *at <= end).last();
        let Some(gap) = last_within.or_else(|| gaps.clone().next()) else { break };
        lines.push(rest[..gap].trim_end().to_owned());
        rest = rest[gap..].trim_start();
    }
    lines.push(rest.to_owned());
    lines
}

fn clock(ms: u64) -> String {
    let seconds = ms / 1000;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(is_full: bool, write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(40, false, is_full);
        write(&mut page);
        page.into_text()
    }

    #[test]
    fn entries_and_prose_keep_to_the_width_and_their_margin() {
        let text = page(false, |page| {
            page.heading("a/b#1: \x1b[2JFix\nit");
            page.entry(3_723_000, Tone::Bad, "failed: the sandbox was lost too often in a row");
            page.prose("I look around,\x1b[31m and then I look once more.\n\n- a list");
        });
        let expected = "a/b#1: Fix it
1:02:03   failed: the sandbox was lost
          too often in a row
          I look around, and then I look
          once more.

          - a list
";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_entry_begins_with_its_place_and_may_go_on_below() {
        let text = page(false, |page| {
            page.recorded(
                "12 abcdef",
                Tone::Plain,
                "the node: goes on from\n a commit that was pushed before",
            );
            page.recorded_in_a_line(
                "13 abc",
                Tone::Bad,
                "a text\nof \x1b[2Jlines that is far longer than a page",
            );
        });
        let expected = "12 abcdef  the node: goes on from a
          commit that was pushed before
13 abc  a text of lines that is far longer than a page
";
        assert_eq!(text, expected);
    }

    #[test]
    fn lines_break_between_words_alone() {
        for (line, pieces) in [
            ("aa bb cc", vec!["aa bb", "cc"]),
            ("  aa bb cc", vec!["  aa", "bb cc"]),
            ("aaaaaaaa bb", vec!["aaaaaaaa", "bb"]),
            ("aaaaaaaa", vec!["aaaaaaaa"]),
            ("éé éé  é", vec!["éé éé", "é"]),
            ("aaaaa    ", vec!["aaaaa"]),
            ("", vec![""]),
        ] {
            assert_eq!(wrapped(line, 5), pieces, "{line:?}");
        }
    }

    #[test]
    fn of_a_long_output_both_ends_are_shown_unless_all_is_asked_for() {
        let output: String = (1..=50).map(|line| format!("line {line} {}\n", "x".repeat(40))).collect();
        let short = page(false, |page| page.output(&output));
        assert_eq!(short.lines().count(), HEAD_LINES + TAIL_LINES + 1);
        assert!(short.contains("          [… 20 lines are left out here: --full shows them …]\n"), "{short}");
        let mut lines = short.lines().filter(|line| !line.contains("left out"));
        assert!(lines.all(|line| line.chars().count() <= 40), "{short}");
        assert!(short.trim_end().ends_with('…'), "{short}");
        let full = page(true, |page| page.output(&output));
        assert_eq!((full.lines().count(), full.contains('…')), (50, false));
    }

    #[test]
    fn a_command_of_several_lines_stands_behind_one_sign() {
        let text = page(false, |page| page.command("$ ", "cat <<'E'\n  a\n\nE\n"));
        assert_eq!(text, "          $ cat <<'E'\n              a\n\n            E\n");
    }

    #[test]
    fn colours_are_the_page_s_own() {
        let mut page = Page::new(40, true, false);
        page.entry(0, Tone::Good, "\x1b[5mdone");
        assert_eq!(page.into_text(), "\x1b[2m0:00:00\x1b[0m   \x1b[32mdone\x1b[0m\n");
    }
}
