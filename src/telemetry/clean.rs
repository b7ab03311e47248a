//! Takes out of a log's lines what a reader does not see.

use std::io::{self, Write};

use bzzz_actors::task::hidden::is_hidden;

/// Writes whole lines on, as the log makes them, without hidden signs. Of terminal escapes only colours stay: the log's
/// own, and at worst somebody else's.
pub(super) struct Clean<W>(pub(super) W);

impl<W: Write> Write for Clean<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(cleaned(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn cleaned(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let length = colour(rest).unwrap_or(c.len_utf8());
        if length > c.len_utf8() || !is_hidden(c) {
            shown.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    shown
}

/// The length of the colour that begins here.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let length = parameters.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
    parameters[length..].starts_with('m').then_some(length + 3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_stay_and_all_that_moves_or_hides_goes() {
        let line = "\u{1b}[2m12:00\u{1b}[0m a\u{1b}[2J\u{1b}]0;x\u{7}b\u{202e}c\u{200b}\r\n";
        assert_eq!(cleaned(line), "\u{1b}[2m12:00\u{1b}[0m a[2J]0;xbc\n");
    }

    #[test]
    fn a_whole_line_counts_as_written() {
        let mut written = Clean(Vec::new());
        written.write_all("é\u{7}\u{ff}\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(written.0).unwrap(), "é\u{ff}\n");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_but_colours(line in "(\\x1b|\\[|[0-9;]|m|.|\\PC){0,60}") {
            let shown = cleaned(&line);
            let without_colours: String = shown.split('\u{1b}').enumerate().map(|(at, part)| match at {
                0 => part,
                _ => part.split_once('m').map_or("?\u{1b}", |(_, rest)| rest),
            }).collect();
            prop_assert!(!without_colours.chars().any(is_hidden), "{:?}", shown);
        }
    }
}
