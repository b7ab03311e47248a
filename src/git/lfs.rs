//! Pointers of Git LFS: a sandbox has no LFS server, so the file that one stands for would be nowhere. Pure.
//!
//! A checkout puts the pointer's file in its place wherever some version of git-lfs takes it for one, so a text counts as
//! one that any version would take, back to when it was called Hawser and Git Media, and somewhat more. Source: `DecodeFrom`
//! in `lfs/pointer.go` of git-lfs: it reads the first 1024 bytes, in older versions fewer, without the white space around
//! them, and of lines it passes over those that are empty and those of extensions.

/// As many bytes of a file are looked at, whatever its length.
const MAX_BYTES: usize = 1024;
const MAKERS: [&str; 3] = ["git-lfs", "hawser", "git-media"];

/// Whether a file with this content would be replaced by another one when it is checked out.
pub(super) fn is_pointer(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&content[..content.len().min(MAX_BYTES)]);
    let is_blank = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    let lines = text.split(['\n', '\r']).map(|line| line.trim_matches(is_blank));
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with("ext-"));
    match lines.next() {
        Some("[git-media]") => lines.next().is_some_and(is_version),
        Some(line) if line.starts_with("# ") => is_old_header(line) && lines.next().is_some_and(is_id),
        Some(line) => is_version(line),
        None => false,
    }
}

/// `version https://git-lfs.github.com/spec/v1` and the like.
fn is_version(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("version") else { return false };
    let address = rest.trim_start_matches([' ', '\t', '=', '"']);
    address.len() < rest.len() && address.starts_with("http") && MAKERS.iter().any(|it| address.contains(it))
}

fn is_old_header(line: &str) -> bool {
    MAKERS.iter().any(|it| line.contains(it)) || line.starts_with("# external")
}

fn is_id(line: &str) -> bool {
    line.len() >= 64 && line.bytes().take(64).all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";

    #[test]
    fn what_any_version_takes_for_a_pointer_is_one() {
        let id = "0a".repeat(32);
        for text in [
            POINTER.to_owned(),
            POINTER.replace('\n', "\r\n"),
            POINTER.replace("git-lfs.github.com", "hawser.github.com"),
            "version http://git-media.io/v/2\noid sha256:00\nsize 1\n".to_owned(),
            format!("\n{POINTER}"),
            format!("\r\n \t\u{b}\u{c}\u{85}\u{a0}\u{2003}\n{POINTER}"),
            format!("\u{feff}{POINTER}"),
            format!("{}{POINTER}", "\n".repeat(950)),
            format!("{POINTER}{}", "\n".repeat(1000)),
            format!("{POINTER}{}", "x".repeat(9000)),
            format!("ext-0-x sha256:00\n\next-1-y sha256:00\n{POINTER}"),
            "[git-media]\nversion=\"http://git-media.io/v/2\"\noid=00\nsize=1\n".to_owned(),
            format!("# git-media\n{id}\n"),
            format!("# external\n{id}\n"),
        ] {
            assert!(is_pointer(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn what_speaks_of_pointers_is_none() {
        for text in [
            String::new(),
            "\n\n".to_owned(),
            format!("# Large files\n\n{POINTER}"),
            "# git-media\nA tool of long ago\n".to_owned(),
            "version git-lfs-3.5\n".to_owned(),
            "version 1 of https://git-lfs.github.com\n".to_owned(),
            "versions https://git-lfs.github.com\n".to_owned(),
            "version https://example.org/spec/v1\n".to_owned(),
            format!("{}{POINTER}", "\n".repeat(MAX_BYTES)),
        ] {
            assert!(!is_pointer(text.as_bytes()), "{text:?}");
        }
    }
}
