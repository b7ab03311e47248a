//! What a body says that was not expected. Pure.

use bzzz_actors::task::printable;

/// The longest piece of a body that is quoted in an error, in bytes.
const MAX_EXCERPT_BYTES: usize = 300;

/// What a body that was not expected says, in one line, for an error's text.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(8 * MAX_EXCERPT_BYTES)]);
    let text = printable(&text);
    let start = text.trim_start().get(..15).unwrap_or_default().to_ascii_lowercase();
    if start.starts_with("<!doctype") || start.starts_with("<html") {
        return match title_of(&text) {
            Some(title) => format!("an HTML page: {title}"),
            None => "an HTML page".to_owned(),
        };
    }
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(MAX_EXCERPT_BYTES));
    if line.is_empty() { "an empty body".to_owned() } else { line }
}

fn title_of(html: &str) -> Option<&str> {
    let (_, rest) = html.split_once("<title>")?;
    let (title, _) = rest.split_once("</title>")?;
    Some(&title[..title.floor_char_boundary(100)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(b""), "an empty body");
        assert_eq!(excerpt(b"a\n\n b\x1b[2J"), "a b");
        assert_eq!(
            excerpt(b"<!DOCTYPE html>\n<title>502 Bad Gateway</title>"),
            "an HTML page: 502 Bad Gateway"
        );
        assert!(excerpt(&[0xff; 100_000]).len() <= MAX_EXCERPT_BYTES);
    }
}
