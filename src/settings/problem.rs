//! What is wrong with a configuration, and where each value came from.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from. The order is that of precedence: a later one replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Default,
    /// Found out at start, in place of an empty default: "host name".
    FoundOut(&'static str),
    File {
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable's name.
    Environment(String),
    /// `--set`.
    Flag,
}

impl Origin {
    /// Whether both were written at the same place, so that neither was meant to replace the other.
    pub(super) fn is_same_layer(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::FoundOut(what) => f.write_str(what),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag => f.write_str("--set"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The keys that it is about, and where each one's value came from. Empty when it is about a file as a whole.
    pub keys: Vec<(String, Origin)>,
    pub what: String,
    /// What is allowed, or what to do; may be empty.
    pub allowed: String,
}

impl Problem {
    pub(super) fn at(
        key: &str,
        origin: &Origin,
        what: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        Self { keys: vec![(key.to_owned(), origin.clone())], what: what.into(), allowed: allowed.into() }
    }

    pub(super) fn general(what: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { keys: Vec::new(), what: what.into(), allowed: allowed.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (key, origin)) in self.keys.iter().enumerate() {
            let separator = if n == 0 { "" } else { ", " };
            write!(f, "{separator}{key} ({origin})")?;
        }
        let colon = if self.keys.is_empty() { "" } else { ": " };
        write!(f, "{colon}{}", self.what)?;
        if !self.allowed.is_empty() {
            write!(f, "; {}", self.allowed)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration, at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SettingsErrors(pub Vec<Problem>);

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "a problem in the configuration:")?,
            n => write!(f, "{n} problems in the configuration:")?,
        }
        for problem in &self.0 {
            write!(f, "\n  - {problem}")?;
        }
        Ok(())
    }
}
