//! Values that are never shown: tokens and keys. They print as "(set)", whatever prints them.

use std::fmt;
use std::io::Read;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands for a secret in every output. As a value it is refused, so that the output of `bzzz config show`,
/// taken as a configuration, does not become a wrong token.
const SHOWN: &str = "(set)";

/// The longest secret that is read; tokens have some hundred bytes.
const MAX_SECRET_BYTES: u64 = 16 * 1024;

/// A token or key: printable ASCII, so that it can stand in a header.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The error says what is wrong and never repeats the text.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text == SHOWN {
            return Err(format!("{SHOWN:?} stands for a secret that was not shown: give the secret itself"));
        }
        if text.len() as u64 > MAX_SECRET_BYTES {
            return Err(format!("is longer than {MAX_SECRET_BYTES} bytes"));
        }
        match text.chars().position(|c| !matches!(c, ' '..='~')) {
            Some(at) => Err(format!("has a character that can't stand in a header, the one at {}", at + 1)),
            None => Ok(Self(text.into())),
        }
    }

    /// Reads the secret that is all of a file. White space around it does not count.
    pub fn read(file: &Path) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("can't read {}: {error}", file.display());
        let mut text = String::new();
        let opened = std::fs::File::open(file).map_err(cannot)?;
        opened.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).map_err(cannot)?;
        Self::new(&text).map_err(|problem| format!("{}: {problem}", file.display()))
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(SHOWN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SecretString::deserialize(deserializer)?;
        Self::new(text.expose_secret()).map_err(serde::de::Error::custom)
    }
}

/// Whether every user of the machine may read `file`.
pub(super) fn is_world_readable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|data| data.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_secret() {
        let secret = Secret::new("ghp_abc").unwrap();
        assert_eq!(secret.expose(), "ghp_abc");
        assert_eq!(format!("{secret:?} {}", serde_json::to_string(&secret).unwrap()), "(set) \"(set)\"");
    }

    #[test]
    fn no_error_repeats_the_secret() {
        for bad in ["two\nlines", "tok\u{e9}n", "(set)", ""] {
            let problem = Secret::new(bad).unwrap_err();
            assert!(bad.is_empty() || bad == SHOWN || !problem.contains(bad), "{problem}");
        }
        let long = "x".repeat(20_000);
        assert!(Secret::new(&long).unwrap_err().len() < 100);
    }

    #[test]
    fn a_secret_file_is_read_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "ghp_abc\n").unwrap();
        assert_eq!(Secret::read(&file).unwrap().expose(), "ghp_abc");
        std::fs::write(&file, "\n").unwrap();
        assert!(Secret::read(&file).unwrap_err().ends_with("token: is empty"));
        assert!(Secret::read(folder.path()).unwrap_err().starts_with("can't read"));
    }
}
