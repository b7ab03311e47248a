//! Somebody's words inside our own Markdown: quoted so that they stay words. What in them is hidden from people is
//! taken out in [`super::hidden`], what would act on a forge's page in [`super::inert`].

pub use super::hidden::{one_line, printable, readable};
pub use super::unseen::on_page;

/// `text` as a Markdown block quote. A fence, a heading or a list in it stays inside the quote.
pub fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

/// `text` in a code fence that is longer than any run of backticks in it, so that nothing in it can end it.
pub fn fenced(text: &str) -> String {
    let fence = "`".repeat(longest_run_of_backticks(text).max(2) + 1);
    let end_of_line = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    format!("{fence}\n{text}{end_of_line}{fence}")
}

fn longest_run_of_backticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// The first and last `half_bytes` of a text longer than both, with a line between them that counts what was left
/// out; a shorter text as it is.
pub fn head_and_tail(text: &str, half_bytes: usize) -> String {
    if text.len() <= 2 * half_bytes {
        return text.to_owned();
    }
    let head = &text[..text.floor_char_boundary(half_bytes)];
    let tail = &text[text.ceil_char_boundary(text.len() - half_bytes)..];
    let left_out = text.len() - head.len() - tail.len();
    format!("{head}\n[… {left_out} bytes were left out here …]\n{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_inside_can_not_end_the_fence_around() {
        let fence = fenced("a\n````\nb");
        assert!(fence.starts_with("`````\n") && fence.ends_with("\n`````"));
        assert_eq!(fenced("x\n"), "```\nx\n```");
    }

    #[test]
    fn a_quote_holds_every_line() {
        assert_eq!(quoted("a\n\n# b"), "> a\n> \n> # b");
    }

    #[test]
    fn long_text_keeps_both_ends_and_counts_the_rest() {
        let text = format!("{}{}{}", "a".repeat(10), "é".repeat(50), "z".repeat(10));
        let short = head_and_tail(&text, 11);
        assert_eq!(short, "aaaaaaaaaa\n[… 100 bytes were left out here …]\nzzzzzzzzzz");
        assert_eq!(head_and_tail("short", 11), "short");
    }
}
