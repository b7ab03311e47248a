//! The names of references. All of them are computed here; none is taken from an issue, a model or a peer.

use bzzz_actors::task::{NodeId, Sha, TaskId};

/// Where leases live on the server. Not under `refs/heads`: it is no branch, and starts no pipeline.
const CLAIMS: &str = "refs/bzzz/claims";
const PROBES: &str = "refs/bzzz/probe";
/// What a mirror holds beside branches: commits that tasks stand on.
pub(super) const KEPT: &str = "refs/kept";

pub(super) fn claim_ref(task: &TaskId) -> String {
    format!("{CLAIMS}/{}", task.number)
}

/// The issue whose claim the reference `name` is.
pub(super) fn claimed_issue(name: &str) -> Option<u64> {
    let number = name.strip_prefix(CLAIMS)?.strip_prefix('/')?;
    number.parse().ok().filter(|parsed: &u64| *parsed > 0 && parsed.to_string() == number)
}

pub(super) fn claim_refs() -> String {
    format!("{CLAIMS}/*")
}

pub(super) fn branch_ref(task: &TaskId) -> String {
    format!("refs/heads/{}", task.branch())
}

pub(super) fn probe_ref(node: &NodeId) -> String {
    // A node's name may end in what git forbids at the end of a component.
    format!("{PROBES}/{node}-probe")
}

/// The claim as it was last fetched to this host.
pub(super) fn seen_claim_ref(task: &TaskId) -> String {
    format!("refs/seen/{}/{}/{}", task.repo.owner(), task.repo.name(), task.number)
}

pub(super) fn kept_ref(commit: &Sha) -> String {
    format!("{KEPT}/{commit}")
}

/// Whether `branch` is a branch's name by git's own rules (`git check-ref-format`). It comes from the forge, from Hive
/// or from the configuration.
pub(super) fn is_branch_name(branch: &str) -> bool {
    let is_forbidden =
        |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let is_component = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    branch.len() <= 200
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
        assert_eq!(claim_ref(&task), "refs/bzzz/claims/7");
        assert_eq!(claimed_issue("refs/bzzz/claims/7"), Some(7));
        for other in [
            "refs/bzzz/claims/07",
            "refs/bzzz/claims/0",
            "refs/bzzz/claims/+7",
            "refs/heads/7",
            "refs/bzzz/claims/7/8",
        ] {
            assert_eq!(claimed_issue(other), None, "{other}");
        }
        assert_eq!(branch_ref(&task), "refs/heads/bzzz/issue-7");
        assert_eq!(seen_claim_ref(&task), "refs/seen/acme/rocket/7");
    }

    #[test]
    fn branch_names_follow_gits_rules() {
        for good in ["main", "release/1.2", "feature/é", "a-b_c"] {
            assert!(is_branch_name(good), "{good}");
        }
        let bad = [
            "", "-x", "a..b", "a b", "a/", "/a", "a//b", ".a", "a/.b", "a.lock", "a:b", "a\nb", "@", "HEAD",
            "x.", "a@{1}", "a\\b",
        ];
        for bad in bad {
            assert!(!is_branch_name(bad), "{bad:?}");
        }
    }
}
