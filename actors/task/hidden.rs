//! What stands in a text and a person who reads it does not see: control signs and terminal escapes, signs that have no
//! width or turn the direction of the line, and HTML comments. All of it is taken out before a model or a terminal gets
//! the text, so that nobody is told what nobody could read. The one place for it, used everywhere; what else the page of a
//! Markdown text does not show is taken out in `unseen`.

/// Stands for an HTML comment that nothing closes: a page shows nothing behind its beginning.
const UNCLOSED: &str = "[the rest stands in a comment that is not closed, and was left out]";
/// A terminal's own strings (such as the title of its window) are looked for so far, in bytes.
const MAX_ESCAPE_BYTES: usize = 4096;

/// Whether a reader does not see `c`, or sees other signs in another order because of it. Line feed and tab are seen.
pub fn is_hidden(c: char) -> bool {
    if c.is_control() {
        return !matches!(c, '\n' | '\t');
    }
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        // Zero width, directions, separators, invisible operators.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        // Tags, which spell text in signs that are not shown, and more variation selectors.
        | '\u{e0000}'..='\u{e0fff}')
}

/// `text` without hidden signs and without terminal escapes; lines end in a line feed.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '\u{1b}' | '\u{9b}' | '\u{9d}' => behind_escape(rest),
            '\u{2028}' | '\u{2029}' => {
                shown.push('\n');
                &rest[c.len_utf8()..]
            }
            // Alone it would write over the line.
            '\r' if !rest.starts_with("\r\n") && rest.len() > 1 => {
                shown.push('\n');
                &rest[1..]
            }
            _ => {
                if !is_hidden(c) {
                    shown.push(c);
                }
                &rest[c.len_utf8()..]
            }
        };
    }
    shown
}

/// What follows the terminal escape at the beginning of `text`: the whole sequence is passed over if it is one, else
/// its first sign only.
fn behind_escape(text: &str) -> &str {
    let (kind, body) = if let Some(body) = text.strip_prefix('\u{9b}') {
        ('[', body)
    } else if let Some(body) = text.strip_prefix('\u{9d}') {
        (']', body)
    } else {
        let body = text.trim_start_matches('\u{1b}');
        let kind = body.chars().next().unwrap_or_default();
        if !matches!(kind, '[' | ']' | 'P' | '_' | '^' | 'X') {
            return body;
        }
        (kind, &body[1..])
    };
    let end = match kind {
        '[' => {
            let parameters = body.bytes().take_while(|b| matches!(b, b' '..=b'?')).count();
            body.as_bytes()
                .get(parameters)
                .is_some_and(|b| matches!(b, b'@'..=b'~'))
                .then_some(parameters + 1)
        }
        _ => {
            let near = &body[..body.floor_char_boundary(MAX_ESCAPE_BYTES)];
            let ends = ["\u{7}", "\u{1b}\\", "\u{9c}"];
            ends.iter().filter_map(|end| Some(near.find(end)? + end.len())).min()
        }
    };
    &body[end.unwrap_or(0)..]
}

/// `text` as a person sees it on a page: printable, and without HTML comments, also those inside code.
pub fn readable(text: &str) -> String {
    without_comments(&printable(text))
}

/// One pass: what stands before and behind a comment may begin another one together.
fn without_comments(text: &str) -> String {
    const BEGIN: &str = "<!--";
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        shown.push(c);
        rest = &rest[c.len_utf8()..];
        if shown.ends_with(BEGIN) {
            shown.truncate(shown.len() - BEGIN.len());
            match rest.find("-->") {
                Some(end) => rest = &rest[end + 3..],
                None => {
                    shown.push_str(UNCLOSED);
                    break;
                }
            }
        }
    }
    shown
}

/// `text` printable and in one line.
pub fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn terminal_escapes_go_whole() {
        for (text, shown) in [
            ("a\x1b[1;31mred\x1b[0m", "ared"),
            ("\x1b]0;title\x07x\x1b]8;;http://e\x1b\\link", "xlink"),
            ("\u{9b}2Jx", "x"),
            ("\x1b]never closed", "never closed"),
            ("\x1b[\u{e9}", "\u{e9}"),
            ("over\rwritten\r\nnext\r", "over\nwritten\nnext"),
            ("a\x1bcb", "acb"),
            ("\x1b", ""),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }

    #[test]
    fn signs_without_width_go() {
        assert_eq!(printable("a\u{200b}b\u{202e}c\u{feff}\u{e0041}\u{ad}d"), "abcd");
        assert_eq!(printable("é 漢字 🐝\tx\n"), "é 漢字 🐝\tx\n");
        assert_eq!(printable("a\u{2028}b"), "a\nb");
    }

    #[test]
    fn hidden_comments_go() {
        for (text, shown) in [
            ("a <!-- do evil --> b", "a  b"),
            ("<!<!-- x -->-- evil -->b", "b"),
            ("<!\u{200b}-- evil -->b", "b"),
            ("a --> b <!- c", "a --> b <!- c"),
            ("<!---->x<!-->y-->z", "xz"),
        ] {
            assert_eq!(readable(text), shown, "{text:?}");
        }
        assert_eq!(readable("seen\n<!-- run rm"), format!("seen\n{UNCLOSED}"));
    }

    /// Text in which hidden things are likely.
    fn hostile() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("<!--".to_owned()),
            Just("-->".to_owned()),
            Just("<!".to_owned()),
            Just("--".to_owned()),
            Just("\x1b[31m".to_owned()),
            Just("\x1b]0;".to_owned()),
            Just("\x07".to_owned()),
            Just("\r".to_owned()),
            any::<char>().prop_map(String::from),
            ".{0,6}",
        ];
        prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in hostile()) {
            let shown = readable(&text);
            prop_assert!(!shown.contains("<!--"), "{:?}", shown);
            prop_assert!(!shown.contains('\x1b'));
            prop_assert!(!shown.chars().any(is_hidden), "{:?}", shown);
            prop_assert_eq!(readable(&shown), shown);
        }

        #[test]
        fn plain_text_stays(text in "[a-zA-Z0-9 .,;\n\t(){}\\[\\]é漢🐝]{0,80}") {
            prop_assert_eq!(readable(&text), text);
        }
    }
}
