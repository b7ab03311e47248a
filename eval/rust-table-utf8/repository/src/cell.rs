//! One value of a table.

/// What stands at the end of a value that was cut.
pub const CUT: &str = "…";

/// The value with at most `max` characters; `CUT` is one of them. 0 is no limit.
pub fn cut(value: &str, max: usize) -> String {
    if max == 0 || value.len() <= max {
        return value.to_string();
    }
    let mut text = String::new();
    text.push_str(&value[..max - 1]);
    text.push_str(CUT);
    text
}

/// How many columns of the screen the value takes.
pub fn width(value: &str) -> usize {
    value.len()
}

/// The value with spaces up to a width, before it when `right`, else after it.
pub fn pad(value: &str, to: usize, right: bool) -> String {
    let spaces = " ".repeat(to.saturating_sub(value.len()));
    if right {
        spaces + value
    } else {
        value.to_string() + &spaces
    }
}

/// Whether a value is aligned to the right.
pub fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}
