//! The names of references. All of them are computed here; none is taken from an issue, a model or a peer.

use bzzz_actors::task::{NodeId, RepoId, Sha, TaskId};

/// Where the claims of a repository are on its server. All nodes must use the same: `super::namespaces` says how they agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Namespace {
    /// Not under `refs/heads`: a claim is no branch there, and starts no pipeline.
    Own,
    /// Where the server hides or refuses the other one.
    Branches,
}

impl Namespace {
    pub(super) const BOTH: [Self; 2] = [Self::Own, Self::Branches];

    pub(super) fn claims(self) -> &'static str {
        match self {
            Self::Own => "refs/bzzz/claims",
            Self::Branches => "refs/heads/bzzz-claims",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Own => Self::Branches,
            Self::Branches => Self::Own,
        }
    }
}

/// The repository that the claims of another one, or its own, are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaimsAt {
    pub(super) repo: RepoId,
    /// Follows the kind of reference: empty where a repository keeps its own.
    of: String,
}

impl ClaimsAt {
    pub(super) fn itself(repo: &RepoId) -> Self {
        Self { repo: repo.clone(), of: String::new() }
    }

    /// The claims of `repo` in `elsewhere`, where others may be too, also its own. All nodes compute the same, however the
    /// name is written in their settings.
    pub(super) fn elsewhere(repo: &RepoId, elsewhere: &RepoId) -> Self {
        let of = without_dots(&repo.to_string().to_ascii_lowercase());
        Self { repo: elsewhere.clone(), of: format!("-of/{of}") }
    }

    fn claims(&self, namespace: Namespace) -> String {
        format!("{}{}", namespace.claims(), self.of)
    }

    pub(super) fn claim(&self, namespace: Namespace, number: u64) -> String {
        format!("{}/{number}", self.claims(namespace))
    }

    /// A pattern for all claims.
    pub(super) fn all_claims(&self, namespace: Namespace) -> String {
        format!("{}/*", self.claims(namespace))
    }

    /// The issue whose claim the reference `name` is, and where.
    pub(super) fn claimed_issue(&self, name: &str) -> Option<(Namespace, u64)> {
        let issue = |namespace: Namespace| {
            let number = name.strip_prefix(&self.claims(namespace))?.strip_prefix('/')?;
            let is_plain = |parsed: &u64| *parsed > 0 && parsed.to_string() == number;
            Some((namespace, number.parse().ok().filter(is_plain)?))
        };
        Namespace::BOTH.into_iter().find_map(issue)
    }

    pub(super) fn probe(&self, namespace: Namespace, node: &NodeId) -> String {
        let probes = match namespace {
            Namespace::Own => "refs/bzzz/probe",
            Namespace::Branches => "refs/heads/bzzz-probe",
        };
        // A node's name may end in what git forbids at the end of a component.
        format!("{probes}{}/{node}-probe", self.of)
    }
}

/// Branches whose names begin so are no code.
const NO_CODE: [&str; 4] = ["bzzz-claims/", "bzzz-claims-of/", "bzzz-probe/", "bzzz-probe-of/"];
/// What a mirror holds beside branches: commits that tasks stand on.
pub(super) const KEPT: &str = "refs/kept";

/// Git does not take every name with a dot in it.
fn without_dots(name: &str) -> String {
    name.replace('.', "%2e")
}

/// Whether the reference `name` is a branch that may hold code.
pub(super) fn is_code(name: &str) -> bool {
    name.strip_prefix("refs/heads/").is_some_and(|branch| !NO_CODE.iter().any(|it| branch.starts_with(it)))
}

pub(super) fn branch_ref(task: &TaskId) -> String {
    format!("refs/heads/{}", task.branch())
}

/// The claim as it was last fetched to this host.
pub(super) fn seen_claim_ref(task: &TaskId) -> String {
    format!("refs/seen/{}/{}", without_dots(&task.repo.to_string()), task.number)
}

pub(super) fn kept_ref(commit: &Sha) -> String {
    format!("{KEPT}/{commit}")
}

/// Whether `branch` is a branch's name by git's own rules (`git check-ref-format`), and of one that may hold code. It comes from the forge, from Hive
/// or from the configuration.
pub(super) fn is_branch_name(branch: &str) -> bool {
    let is_forbidden =
        |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let is_component = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    branch.len() <= 200
        && !NO_CODE.iter().any(|it| branch.starts_with(it))
        && !branch.starts_with('-')
        && !branch.ends_with('.')
        && !branch.contains("..")
        && !branch.contains("@{")
        && branch != "@"
        && branch != "HEAD"
        && !branch.chars().any(is_forbidden)
        && branch.split('/').all(is_component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_no_branch() {
        let task: TaskId = "acme/rocket#7".parse().unwrap();
        let at = ClaimsAt::itself(&task.repo);
        assert_eq!(at.claim(Namespace::Own, 7), "refs/bzzz/claims/7");
        assert_eq!(at.claimed_issue("refs/bzzz/claims/7"), Some((Namespace::Own, 7)));
        assert_eq!(at.claim(Namespace::Branches, 7), "refs/heads/bzzz-claims/7");
        assert_eq!(at.claimed_issue("refs/heads/bzzz-claims/7"), Some((Namespace::Branches, 7)));
        assert!(is_code("refs/heads/bzzz-claim") && !is_code("refs/heads/bzzz-claims/7"));
        for other in [
            "refs/bzzz/claims/07",
            "refs/bzzz/claims/0",
            "refs/bzzz/claims/+7",
            "refs/heads/7",
            "refs/heads/bzzz-claims/x",
            "refs/bzzz/claims/7/8",
        ] {
            assert_eq!(at.claimed_issue(other), None, "{other}");
        }
        assert_eq!(branch_ref(&task), "refs/heads/bzzz/issue-7");
        assert_eq!(seen_claim_ref(&task), "refs/seen/acme/rocket/7");
    }

    #[test]
    fn claims_elsewhere_are_apart_from_those_of_every_other_repository() {
        let [ann, own]: [RepoId; 2] = ["Ann/x.lock", "us/claims"].map(|it| it.parse().unwrap());
        let at = ClaimsAt::elsewhere(&ann, &own);
        assert_eq!(at.repo, own);
        assert_eq!(at.claim(Namespace::Own, 7), "refs/bzzz/claims-of/ann/x%2elock/7");
        assert_eq!(at.claim(Namespace::Branches, 7), "refs/heads/bzzz-claims-of/ann/x%2elock/7");
        assert_eq!(at.claimed_issue(&at.claim(Namespace::Branches, 7)), Some((Namespace::Branches, 7)));
        for other in
            ["refs/bzzz/claims/7", "refs/bzzz/claims-of/ann/y/7", "refs/bzzz/claims-of/ann/x%2elock/7/8"]
        {
            assert_eq!(at.claimed_issue(other), None, "{other}");
        }
        assert_eq!(ClaimsAt::itself(&own).claimed_issue(&at.claim(Namespace::Own, 7)), None);
        assert!(!is_code(&at.claim(Namespace::Branches, 7)));
    }

    #[test]
    fn branch_names_follow_gits_rules() {
        for good in ["main", "release/1.2", "feature/é", "a-b_c"] {
            assert!(is_branch_name(good), "{good}");
        }
        let bad = [
            "",
            "-x",
            "a..b",
            "a b",
            "a/",
            "/a",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a:b",
            "a\nb",
            "@",
            "HEAD",
            "x.",
            "a@{1}",
            "a\\b",
            "bzzz-claims/7",
            "bzzz-probe/ann-probe",
            "bzzz-claims-of/a/b/7",
        ];
        for bad in bad {
            assert!(!is_branch_name(bad), "{bad:?}");
        }
    }
}
