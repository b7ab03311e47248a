//! What `git push --porcelain` says of each reference. Pure.

/// A reference's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// The reference is now where the push wanted it.
    Moved,
    /// It was there already.
    UpToDate,
    /// Refused because the reference was not at the expected value, or because another one was refused.
    Lost { reason: String },
    /// Refused for another reason: a hidden namespace, a protected branch, a hook.
    Forbidden { reason: String },
}

/// Reasons that mean "somebody else was first", as git and the servers word them.
const RACES: [&str; 13] = [
    "stale info",
    "fetch first",
    "non-fast-forward",
    "already exists",
    "needs force",
    "failed to update ref",
    "cannot lock ref",
    "unable to lock",
    "reference conflict",
    "incorrect old value",
    "reference does not exist",
    "failed to lock",
    "atomic transaction failed",
];
/// What is said of the other references of an atomic push.
const ALONG: [&str; 3] = ["atomic push failed", "atomic push failure", "transaction aborted"];

/// The lines of `stdout`, each with the reference of the server that it is about.
pub(super) fn parse(stdout: &str) -> Vec<(String, Said)> {
    stdout.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<(String, Said)> {
    let mut fields = line.split('\t');
    let (flag, pair, summary) = (fields.next()?, fields.next()?, fields.next()?);
    let (_, reference) = pair.rsplit_once(':')?;
    let said = match flag {
        " " | "+" | "*" | "-" => Said::Moved,
        "=" => Said::UpToDate,
        "!" => refusal(summary),
        _ => return None,
    };
    Some((reference.to_owned(), said))
}

fn refusal(summary: &str) -> Said {
    let reason = summary.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    let shown: String = bzzz_actors::task::printable(summary).chars().take(200).collect();
    if says(&ALONG) || says(&RACES) {
        Said::Lost { reason: shown }
    } else {
        Said::Forbidden { reason: shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_read() {
        let text = "To https://h/a/b.git\n\
            *\taaa:refs/bzzz/claims/1\t[new reference]\n\
            +\taaa:refs/bzzz/claims/2\t1..2 (forced update)\n \taaa:refs/heads/x\t1..2\n\
            -\t:refs/bzzz/claims/3\t[deleted]\n\
            =\taaa:refs/bzzz/claims/4\t[up to date]\nDone\n";
        let said = parse(text);
        let of = |name: &str| said.iter().find(|(n, _)| n == name).map(|(_, s)| s.clone());
        assert_eq!(of("refs/bzzz/claims/1"), Some(Said::Moved));
        assert_eq!(of("refs/bzzz/claims/2"), Some(Said::Moved));
        assert_eq!(of("refs/heads/x"), Some(Said::Moved));
        assert_eq!(of("refs/bzzz/claims/3"), Some(Said::Moved));
        assert_eq!(of("refs/bzzz/claims/4"), Some(Said::UpToDate));
        assert_eq!(said.len(), 5);
    }

    #[test]
    fn a_lost_race_is_told_from_a_prohibition() {
        let is_lost = |summary: &str| {
            let said = parse(&format!("!\ta:refs/x\t{summary}\n"));
            matches!(said[..], [(_, Said::Lost { .. })])
        };
        for summary in [
            "[rejected] (stale info)",
            "[rejected] (fetch first)",
            "[rejected] (atomic push failed)",
            "[remote rejected] (failed to update ref)",
            "[remote rejected] (cannot lock ref 'refs/x': is at a but expected b)",
            "[remote rejected] (reference already exists)",
            "[remote rejected] (atomic transaction failed)",
        ] {
            assert!(is_lost(summary), "{summary}");
        }
        for summary in [
            "[remote rejected] (deny updating a hidden ref)",
            "[remote rejected] (pre-receive hook declined)",
            "[remote rejected] (protected branch hook declined)",
        ] {
            assert!(!is_lost(summary), "{summary}");
        }
    }
}
