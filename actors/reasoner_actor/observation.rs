//! A command's output as the model and the journal see it.

use crate::ports::sandbox::CapturedOutput;
use crate::task::printable;

/// What is shown of each end of a long output, in bytes. A small model's window holds about ten of them.
pub const HALF_SHOWN_BYTES: usize = 5000;

/// The text that is shown: valid UTF-8, no control characters, and of a long output the first and last 5,000 bytes
/// with the count of what was left out between them, and the file in the sandbox that has it.
pub fn shown(output: &CapturedOutput) -> String {
    let (head, tail) = (text_of(&output.head), text_of(&output.tail));
    let whole_len = head.len() + tail.len();
    if output.left_out == 0 && whole_len <= 2 * HALF_SHOWN_BYTES {
        return head + &tail;
    }
    let all = head + &tail;
    let start = &all[..all.floor_char_boundary(HALF_SHOWN_BYTES)];
    let end = &all[all.ceil_char_boundary(all.len().saturating_sub(HALF_SHOWN_BYTES)).max(start.len())..];
    let left_out = output.left_out + (all.len() - start.len() - end.len()) as u64;
    let has = if output.left_out == 0 { "has them" } else { "has more" };
    let where_it_is = output.file.as_ref().map(|file| format!("; {file} {has} for now")).unwrap_or_default();
    format!("{start}\n[… {left_out} bytes were left out here{where_it_is} …]\n{end}")
}

/// The whole output as the sandbox kept it, when `shown` leaves something out or changes a byte.
pub fn whole(output: &CapturedOutput, shown: &str) -> Option<Vec<u8>> {
    let mut bytes = output.head.clone();
    if output.left_out > 0 {
        bytes.extend_from_slice(format!("\n[… {} bytes were left out here …]\n", output.left_out).as_bytes());
    }
    bytes.extend_from_slice(&output.tail);
    (bytes != shown.as_bytes()).then_some(bytes)
}

/// Bytes that are no text become the replacement sign; a mostly binary output is only counted.
fn text_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let strange = text
        .chars()
        .filter(|c| *c == '\u{fffd}' || (c.is_control() && !matches!(c, '\n' | '\t' | '\r')))
        .count();
    if bytes.len() > 64 && strange * 4 > text.chars().count() {
        return format!("[{} bytes that are not text]\n", bytes.len());
    }
    printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(head: &[u8], tail: &[u8], left_out: u64) -> CapturedOutput {
        CapturedOutput { head: head.to_vec(), tail: tail.to_vec(), left_out, file: None }
    }

    #[test]
    fn short_text_is_shown_whole() {
        let output = output(b"a\n", b"b\n", 0);
        assert_eq!(shown(&output), "a\nb\n");
        assert_eq!(whole(&output, &shown(&output)), None);
    }

    #[test]
    fn long_text_keeps_both_ends_and_the_count_of_the_rest() {
        let output = output(&[b'a'; 8000], &[b'z'; 8000], 100);
        let text = shown(&output);
        assert!(text.starts_with("aaa") && text.ends_with("zzz"));
        assert!(text.contains("[… 6100 bytes were left out here …]"), "{text}");
        assert!(whole(&output, &text).is_some_and(|bytes| bytes.len() > 16_000));
        let in_file = CapturedOutput { file: Some("/tmp/outputs/7.txt".into()), ..output };
        assert!(shown(&in_file).contains("left out here; /tmp/outputs/7.txt has more for now …]"));
    }

    #[test]
    fn a_little_more_than_fits_overlaps_nowhere() {
        let long: Vec<u8> = (0..10_001u32).map(|n| b'0' + (n % 10) as u8).collect();
        assert!(shown(&output(&long, b"", 0)).contains("[… 1 bytes were left out here …]"));
    }

    #[test]
    fn binary_is_counted_and_escapes_removed() {
        assert_eq!(shown(&output(&[0xff; 1000], b"", 0)), "[1000 bytes that are not text]\n");
        assert_eq!(shown(&output(b"\x1b[31mred\x1b[0m\n", b"", 0)), "red\n");
    }
}
