//! `.bzzz.toml`: what a repository's own people ask of the nodes. Read by the host from the commit that the task works
//! from, never from a sandbox. Whoever may push to the branch may write it, so it is no more than a wish: what of it
//! counts the operator says (`rules`).

use serde::Deserialize;
use toml::{Table, Value};

use super::path_pattern::PathPattern;
use super::text::readable;

/// The file's path in the repository.
pub const FILE: &str = ".bzzz.toml";
/// More would take a task's whole time; a script in the repository can run as many as it likes.
const MAX_CHECKS: usize = 20;
/// Of a check or a setup command.
const MAX_COMMAND_BYTES: usize = 4096;
/// Of all checks, or all setup commands: the checks stand in every prompt.
const MAX_COMMANDS_BYTES: usize = 8192;
/// Every changed path is held against each.
const MAX_PATHS: usize = 100;
/// They stand in every prompt too.
const MAX_PATHS_BYTES: usize = 4096;
/// As DNS has it.
const MAX_HOST_BYTES: usize = 253;
/// Of what is told of a file that can't be used: it may quote the file.
const MAX_PROBLEM_BYTES: usize = 300;
const MAX_HOSTS: usize = 100;
const MAX_IMAGE_BYTES: usize = 255;
/// They stand in every prompt: about a thousand tokens of a window that may have sixteen thousand.
pub const MAX_INSTRUCTIONS_BYTES: usize = 4096;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositoryPolicy {
    /// What sandboxes are to be made from.
    pub image: Option<String>,
    /// Run in a new sandbox, before anything else is, each by `bash -c` at the top of the tree.
    pub setup: Vec<String>,
    /// Commands that must all exit 0 before anything is published, run in the same way.
    pub checks: Vec<String>,
    /// The hosts that commands need, in lower case.
    pub network: Vec<String>,
    /// What a task may change; without any, everything.
    pub paths: Vec<PathPattern>,
    /// For the model; may be empty.
    pub instructions: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{FILE} at the base of the work can't be used: {0}")]
pub struct PolicyError(pub(super) String);

impl PolicyError {
    /// The key and what is wrong with it, without the words on where it stands.
    pub fn problem(&self) -> &str {
        &self.0
    }

    pub(super) fn at(key: &str, problem: impl std::fmt::Display) -> Self {
        let problem = problem.to_string();
        Self(format!("{key}: {}", &problem[..problem.floor_char_boundary(MAX_PROBLEM_BYTES)]))
    }
}

impl RepositoryPolicy {
    /// Keys that are not known are left alone: a repository may be ahead of a node.
    ///
    /// # Errors
    /// When the text is not TOML, or a value is none that its key can have. The text names the key.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let table: Table =
            toml::from_str(text).map_err(|error| PolicyError::at("it is no TOML", error.message()))?;
        Ok(Self {
            image: value::<Option<String>>(&table, "image")?.map(image).transpose()?,
            setup: commands("setup", value(&table, "setup")?)?,
            checks: checks(value(&table, "checks")?)?,
            network: hosts(value(&table, "network")?)?,
            paths: paths(value(&table, "paths")?)?,
            instructions: instructions(value(&table, "instructions")?)?,
        })
    }
}

fn value<T: Default + for<'t> Deserialize<'t>>(table: &Table, key: &str) -> Result<T, PolicyError> {
    let given: Option<&Value> = table.get(key);
    let read = given.map(|given| given.clone().try_into());
    read.transpose()
        .map(Option::unwrap_or_default)
        .map_err(|error: toml::de::Error| PolicyError::at(key, error.message()))
}

fn at_most(key: &str, count: usize, max: usize, what: &str) -> Result<(), PolicyError> {
    match count <= max {
        true => Ok(()),
        false => Err(PolicyError::at(key, format!("{count} {what}, at most {max}"))),
    }
}

/// At most 20 commands that can be run.
///
/// # Errors
/// Names the key `checks`.
pub fn checks(checks: Vec<String>) -> Result<Vec<String>, PolicyError> {
    at_most("checks", checks.len(), MAX_CHECKS, "commands")?;
    commands("checks", checks)
}

/// That each can be run; how many, the operator says.
///
/// # Errors
/// Names the `key`.
pub fn commands(key: &str, commands: Vec<String>) -> Result<Vec<String>, PolicyError> {
    for command in &commands {
        if command.trim().is_empty() || command.len() > MAX_COMMAND_BYTES || command.contains('\0') {
            let shown: String = command.chars().take(60).collect();
            return Err(PolicyError::at(
                key,
                format!("{shown:?} is empty or over {MAX_COMMAND_BYTES} bytes"),
            ));
        }
    }
    let bytes = commands.iter().map(String::len).sum();
    at_most(key, bytes, MAX_COMMANDS_BYTES, "bytes in all: put what is longer into a script")?;
    Ok(commands)
}

/// # Errors
/// Names the key `paths`.
pub fn paths(paths: Vec<String>) -> Result<Vec<PathPattern>, PolicyError> {
    at_most("paths", paths.len(), MAX_PATHS, "paths")?;
    let bytes = paths.iter().map(String::len).sum();
    at_most("paths", bytes, MAX_PATHS_BYTES, "bytes in all")?;
    let parsed = paths.iter().map(|path| path.parse::<PathPattern>());
    parsed.collect::<Result<_, _>>().map_err(|problem| PolicyError::at("paths", problem))
}

/// Without what a person who reads them would not see.
///
/// # Errors
/// Names the key `instructions`.
pub fn instructions(text: String) -> Result<String, PolicyError> {
    at_most("instructions", text.len(), MAX_INSTRUCTIONS_BYTES, "bytes")?;
    Ok(readable(&text).trim().to_owned())
}

fn hosts(hosts: Vec<String>) -> Result<Vec<String>, PolicyError> {
    at_most("network", hosts.len(), MAX_HOSTS, "hosts")?;
    at_most(
        "network",
        hosts.iter().map(String::len).max().unwrap_or(0),
        MAX_HOST_BYTES,
        "bytes in a host's name",
    )?;
    // Whether each is the name of one follows from the operator's list, in which it has to be.
    Ok(hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect())
}

fn image(image: String) -> Result<String, PolicyError> {
    match image.is_empty() || image.len() > MAX_IMAGE_BYTES || image.contains(char::is_control) {
        true => Err(PolicyError::at("image", "is not the name of an image")),
        false => Ok(image),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_and_later_ones_left_alone() {
        let policy = RepositoryPolicy::parse(
            "image = 'rust:1'\nsetup = ['make deps']\nchecks = ['make test']\nnetwork = ['Crates.IO']\n\
             paths = ['src/', '*.md']\ninstructions = ' Be\u{200b} kind. '\nhumour = 3\n[later]\nkey = 1",
        );
        let expected = RepositoryPolicy {
            image: Some("rust:1".into()),
            setup: vec!["make deps".into()],
            checks: vec!["make test".into()],
            network: vec!["crates.io".into()],
            paths: vec!["src/".parse().unwrap(), "*.md".parse().unwrap()],
            instructions: "Be kind.".into(),
        };
        assert_eq!(policy, Ok(expected));
        assert_eq!(RepositoryPolicy::parse(""), Ok(RepositoryPolicy::default()));
    }

    #[test]
    fn what_can_not_be_used_is_refused_with_its_key() {
        let long = format!("instructions = '{}'", "x".repeat(4097));
        let many = format!("checks = [{}]", "'x',".repeat(21));
        for (bad, key) in [
            ("checks = 3", "checks: "),
            ("checks = ['']", "checks: "),
            ("checks = 'make test'", "checks: "),
            (&many, "checks: 21 commands, at most 20"),
            ("setup = [1]", "setup: "),
            ("setup = [' ']", "setup: "),
            ("image = ''", "image: "),
            ("image = ['a']", "image: "),
            ("network = true", "network: "),
            ("paths = ['../x']", "paths: \"../x\""),
            ("paths = ['a', '[b]']", "paths: \"[b]\""),
            (&long, "instructions: 4097 bytes, at most 4096"),
            ("checks = [", ""),
        ] {
            let error = RepositoryPolicy::parse(bad).unwrap_err().to_string();
            let expected = format!(".bzzz.toml at the base of the work can't be used: {key}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
