//! `.bzzz.toml`: what a repository's own people ask of the nodes. Read by the host from the commit that the task works
//! from, never from a sandbox.

use serde::Deserialize;

/// The file's path in the repository.
pub const FILE: &str = ".bzzz.toml";
/// More would take a task's whole time; a script in the repository can run as many as it likes.
const MAX_CHECKS: usize = 20;
const MAX_CHECK_BYTES: usize = 4096;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositoryPolicy {
    /// Commands that must all exit 0 before anything is published, each run by `bash -c` at the top of the tree.
    pub checks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{FILE} at the base of the work can't be used: {0}")]
pub struct PolicyError(String);

/// Keys that are not known are left alone: a repository may be ahead of a node.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    checks: Vec<String>,
}

impl RepositoryPolicy {
    /// # Errors
    /// When the text is not TOML, or `checks` is not a list of at most 20 non-empty commands of at most 4 KiB each.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let file: File = toml::from_str(text).map_err(|error| PolicyError(error.message().to_owned()))?;
        if file.checks.len() > MAX_CHECKS {
            return Err(PolicyError(format!("checks: {} commands, at most {MAX_CHECKS}", file.checks.len())));
        }
        for check in &file.checks {
            if check.trim().is_empty() || check.len() > MAX_CHECK_BYTES || check.contains('\0') {
                let shown: String = check.chars().take(60).collect();
                return Err(PolicyError(format!(
                    "checks: {shown:?} is empty or over {MAX_CHECK_BYTES} bytes"
                )));
            }
        }
        Ok(Self { checks: file.checks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read_and_later_keys_left_alone() {
        let policy = RepositoryPolicy::parse("checks = ['make test']\ninstructions = 'be kind'").unwrap();
        assert_eq!(policy.checks, ["make test"]);
        assert_eq!(RepositoryPolicy::parse("").unwrap(), RepositoryPolicy::default());
    }

    #[test]
    fn what_can_not_be_run_is_refused_with_the_reason() {
        for bad in ["checks = 3", "checks = ['']", "checks = [", "checks = 'make test'"] {
            let error = RepositoryPolicy::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with(".bzzz.toml at the base of the work"), "{error}");
        }
        assert!(RepositoryPolicy::parse(&format!("checks = [{}]", "'x',".repeat(21))).is_err());
    }
}
