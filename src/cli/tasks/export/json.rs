//! JSON that says exactly what was said and still steers no terminal: signs that a reader does not see are written as
//! numbers.

use std::fmt::Write;

use bzzz_actors::task::hidden::is_hidden;
use serde::Serialize;

pub(super) fn to_json(value: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string_pretty(value)?;
    let mut visible = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        match is_hidden(c) {
            // Only within a string can there be one.
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(visible, "\\u{unit:04x}");
            }),
            false => visible.push(c),
        }
    }
    visible.push('\n');
    Ok(visible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_signs_are_numbers_and_read_back_as_they_were() {
        let text = "plain \u{1b}[2J \\\u{9b}2J \u{202e}turned \u{7f} \u{e0041}tag\n\té";
        let json = to_json(&[text]).unwrap();
        assert!(!json.chars().any(is_hidden), "{json:?}");
        assert!(json.contains("\\u202e") && json.contains("é"), "{json}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [text]);
    }
}
