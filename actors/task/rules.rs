//! What the operator lets count of a repository's `.bzzz.toml`, and says in its place. Pure.
//!
//! What is asked for and not allowed ends the task before a sandbox is made, and the issue is told. Going on without it
//! would cost a model's hours: the file says what the repository's commands need, so they would fail for want of it, for a
//! reason that no model can mend; and checks that ran in another image would prove something else.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::RepoId;
use super::path_pattern::PathPattern;
use super::repository_policy::{PolicyError, RepositoryPolicy};

/// What counts for one repository. A key that is given here counts in place of the file's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositoryRules {
    /// What its sandboxes are made from when it chooses nothing.
    pub image: String,
    /// What it may choose beside that.
    pub choosable_images: Vec<String>,
    /// The hosts that its sandboxes reach anyway, in lower case.
    pub allowed_hosts: Vec<String>,
    /// Those that it may ask for beside them.
    pub askable_hosts: Vec<String>,
    pub checks: Option<Vec<String>>,
    pub setup: Option<Vec<String>>,
    pub paths: Option<Vec<PathPattern>>,
    pub instructions: Option<String>,
}

/// The operator's rules for all repositories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// For those without rules of their own.
    pub general: RepositoryRules,
    /// By the repository's name in lower case.
    pub of_repository: HashMap<String, RepositoryRules>,
    /// The most setup commands that a repository may have.
    pub max_setup: usize,
}

/// What a task works by beside its checks: the repository's wishes as far as they count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What its sandboxes are made from, if it is not what the repository has anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The hosts that they reach beside those that the operator allows anyway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<String>,
    /// Run in every new sandbox before anything else is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
    /// What may be changed; without any, everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathPattern>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instructions: String,
}

impl Terms {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Rules {
    fn of(&self, repo: &RepoId) -> &RepositoryRules {
        self.of_repository.get(&repo.to_string().to_ascii_lowercase()).unwrap_or(&self.general)
    }

    /// The checks and the terms of a task in `repo`, whose file says `policy`.
    ///
    /// # Errors
    /// When the file asks for more than is allowed. The text says for what, and what to do.
    pub fn judge(
        &self,
        repo: &RepoId,
        policy: RepositoryPolicy,
    ) -> Result<(Vec<String>, Terms), PolicyError> {
        let rules = self.of(repo);
        let setup = match &rules.setup {
            Some(setup) => setup.clone(),
            None if policy.setup.len() > self.max_setup => {
                let (count, max) = (policy.setup.len(), self.max_setup);
                return Err(PolicyError::at(
                    "setup",
                    format!("{count} commands, and the node's operator allows {max} (sandbox.max_setup)"),
                ));
            }
            None => policy.setup,
        };
        let terms = Terms {
            image: rules.image_of(policy.image)?,
            network: rules.hosts_of(policy.network)?,
            setup,
            paths: rules.paths.clone().unwrap_or(policy.paths),
            instructions: rules.instructions.clone().unwrap_or(policy.instructions),
        };
        Ok((rules.checks.clone().unwrap_or(policy.checks), terms))
    }

    /// Whether the repository may have this image today.
    pub fn may_choose(&self, repo: &RepoId, image: &str) -> bool {
        let rules = self.of(repo);
        rules.image == image || rules.choosable_images.iter().any(|it| it == image)
    }

    /// The hosts that were asked for when the task was prepared, as far as they may be asked for today.
    pub fn still_askable(&self, repo: &RepoId, hosts: &[String]) -> Vec<String> {
        let askable = &self.of(repo).askable_hosts;
        hosts.iter().filter(|host| askable.contains(host)).cloned().collect()
    }
}

impl RepositoryRules {
    fn image_of(&self, asked: Option<String>) -> Result<Option<String>, PolicyError> {
        let Some(image) = asked.filter(|image| *image != self.image) else { return Ok(None) };
        if self.choosable_images.contains(&image) {
            return Ok(Some(image));
        }
        Err(PolicyError::at(
            "image",
            format!(
                "the node's operator does not let this repository choose {image:?}: leave it out, or have it added to \
                 sandbox.choosable_images"
            ),
        ))
    }

    fn hosts_of(&self, asked: Vec<String>) -> Result<Vec<String>, PolicyError> {
        let mut hosts: Vec<String> =
            asked.into_iter().filter(|host| !self.allowed_hosts.contains(host)).collect();
        hosts.sort_unstable();
        hosts.dedup();
        match hosts.iter().find(|host| !self.askable_hosts.contains(host)) {
            None => Ok(hosts),
            Some(host) => Err(PolicyError::at(
                "network",
                format!(
                    "the node's operator does not let this repository connect to {host:?}: do without it, or have it added \
                     to sandbox.askable_hosts"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let text = |text: &str| text.to_owned();
        let general = RepositoryRules { image: text("plain:1"), ..RepositoryRules::default() };
        let own = RepositoryRules {
            choosable_images: vec![text("rust:1")],
            allowed_hosts: vec![text("crates.io")],
            askable_hosts: vec![text("a.example"), text("b.example")],
            ..general.clone()
        };
        Rules { general, of_repository: HashMap::from([(text("acme/rocket"), own)]), max_setup: 2 }
    }

    fn judged(repo: &str, file: &str) -> Result<(Vec<String>, Terms), String> {
        let policy = RepositoryPolicy::parse(file).unwrap();
        rules().judge(&repo.parse().unwrap(), policy).map_err(|error| error.to_string())
    }

    #[test]
    fn without_the_operators_word_a_file_chooses_neither_image_nor_hosts() {
        for (file, key) in [
            ("image = 'rust:1'", "image: the node's operator does not let this repository choose \"rust:1\""),
            (
                "network = ['crates.io']",
                "network: the node's operator does not let this repository connect to \"crates.io\"",
            ),
            ("setup = ['a', 'b', 'c']", "setup: 3 commands, and the node's operator allows 2"),
        ] {
            let error = judged("acme/other", file).unwrap_err();
            assert!(
                error.starts_with(".bzzz.toml at the base of the work can't be used: ")
                    && error.contains(key),
                "{error}"
            );
        }
        let (checks, terms) = judged("acme/other", "image = 'plain:1'\nchecks = ['x']").unwrap();
        assert_eq!((checks, terms.is_empty()), (vec!["x".to_owned()], true));
    }

    #[test]
    fn with_it_what_is_asked_for_beside_what_is_there_anyway_counts() {
        let file = "image = 'rust:1'\nnetwork = ['b.example', 'crates.io', 'A.example', 'b.example']";
        let (_, terms) = judged("Acme/Rocket", file).unwrap();
        assert_eq!(terms.image.as_deref(), Some("rust:1"));
        assert_eq!(terms.network, ["a.example", "b.example"]);
        assert!(judged("acme/rocket", "image = 'rust:2'").is_err());
        assert!(judged("acme/rocket", "network = ['a.example', 'c.example']").is_err());
        let stands = ["a.example", "gone.example"].map(str::to_owned);
        assert_eq!(rules().still_askable(&"acme/rocket".parse().unwrap(), &stands), ["a.example"]);
    }

    #[test]
    fn what_the_operator_says_counts_in_place_of_the_file() {
        let mut rules = rules();
        rules.general.checks = Some(vec!["mine".into()]);
        rules.general.setup = Some(vec![]);
        rules.general.paths = Some(vec![]);
        rules.general.instructions = Some("Be brief.".into());
        let file =
            "checks = ['theirs']\nsetup = ['a', 'b', 'c']\npaths = ['src/']\ninstructions = 'Be long.'";
        let policy = RepositoryPolicy::parse(file).unwrap();
        let (checks, terms) = rules.judge(&"acme/other".parse().unwrap(), policy).unwrap();
        assert_eq!(checks, ["mine"]);
        assert_eq!(terms, Terms { instructions: "Be brief.".into(), ..Terms::default() });
    }

    #[test]
    fn what_the_operator_takes_back_may_be_chosen_no_longer() {
        let mut rules = rules();
        let repo = "Acme/Rocket".parse().unwrap();
        assert!(rules.may_choose(&repo, "plain:1") && rules.may_choose(&repo, "rust:1"));
        assert!(!rules.may_choose(&"acme/other".parse().unwrap(), "rust:1"));
        rules.of_repository.clear();
        assert!(rules.may_choose(&repo, "plain:1") && !rules.may_choose(&repo, "rust:1"));
        assert!(rules.still_askable(&repo, &["a.example".to_owned()]).is_empty());
    }
}
