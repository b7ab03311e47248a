//! What a node may say: bounds on everything, so that nobody's words fill another's memory or screen.

use bzzz_actors::ports::swarm::{Announcement, Capabilities, Said, TasksSeen};
use bzzz_actors::trail::{TrailHead, Verify};

/// Of a list of labels, languages or models.
const MAX_NAMES: usize = 256;
/// Of one issue; a forge lets it have 100.
const MAX_LABELS: usize = 100;
/// Of all issues of a listing: many empty ones would be few bytes on the wire and many in memory.
const MAX_LABELS_OF_LISTING: usize = 4096;
/// Signs of a name: a model's, a label's, a version's.
const MAX_NAME: usize = 256;
/// Signs of a sentence: a reason, an address.
const MAX_TEXT: usize = 4096;
/// Issues of one repository. A poller sees 100 a page.
const MAX_ISSUES: usize = 4096;
const MAX_REPOSITORIES: usize = 512;
const MAX_TASKS: usize = 256;
/// Each is a node that lost a task; more would be years of it.
const MAX_EPOCH: u64 = 1_000_000;
/// Seconds: slower than any node polls.
const MAX_POLL_S: u64 = 7 * 24 * 60 * 60;

/// `verify`: of the signatures of audit trails.
pub(super) fn is_plausible(said: &Said, verify: Verify<'_>) -> bool {
    match said {
        Said::TasksSeen(seen) => is_listing(seen),
        Said::Task(announcement) => is_epoch(announcement.epoch().0) && are_words(announcement),
        Said::Progress(progress) => is_epoch(progress.epoch.0) && is_name(&progress.phase),
        Said::Capabilities(capabilities) => are_capabilities(capabilities),
        Said::Availability(availability) => availability.tasks.len() <= MAX_TASKS,
        Said::AuditHead(head) => is_head(head, verify),
        Said::Contradiction(it) => is_head(&it.witnessed, verify),
    }
}

/// The numbers first: they cost nothing.
fn is_head(head: &TrailHead, verify: Verify<'_>) -> bool {
    head.is_plausible() && head.is_signed(verify)
}

fn is_epoch(epoch: u64) -> bool {
    (1..=MAX_EPOCH).contains(&epoch)
}

fn are_words(announcement: &Announcement) -> bool {
    match announcement {
        Announcement::Claimed { .. } | Announcement::Released { .. } => true,
        Announcement::Completed { pull_request, .. } => is_text(pull_request),
        Announcement::Failed { reason, .. } => is_text(reason),
    }
}

fn is_listing(seen: &TasksSeen) -> bool {
    let count = seen.free.len() + seen.called.len() + seen.other.len();
    let are_labels = |labels: &Vec<String>| {
        labels.len() <= MAX_LABELS && labels.iter().all(|it| is_name(it) && !it.is_empty())
    };
    count <= MAX_ISSUES
        && seen.next_in_s <= MAX_POLL_S
        && seen.labels.len() <= seen.free.len()
        && seen.labels.values().map(Vec::len).sum::<usize>() <= MAX_LABELS_OF_LISTING
        && seen.labels.values().all(are_labels)
        && seen.language.as_deref().is_none_or(is_name)
}

fn are_capabilities(it: &Capabilities) -> bool {
    let lists = [&it.labels, &it.languages, &it.models];
    let are_names = |list: &&Vec<String>| list.len() <= MAX_NAMES && list.iter().all(|name| is_name(name));
    is_name(&it.version) && lists.iter().all(are_names) && it.repositories.len() <= MAX_REPOSITORIES
}

/// One line of plain text.
fn is_name(text: &str) -> bool {
    text.chars().count() <= MAX_NAME && !text.chars().any(char::is_control)
}

/// Who shows it makes it printable; what it may be here is long.
fn is_text(text: &str) -> bool {
    text.len() <= MAX_TEXT
}

#[cfg(test)]
mod tests {
    use bzzz_actors::ports::swarm::{Availability, Contradiction, Progress};
    use bzzz_actors::task::{Epoch, TaskId};
    use bzzz_actors::trail::{Bytes, Key, MAX_LENGTH, Mark, Signature};

    use super::*;

    fn task() -> TaskId {
        "a/b#1".parse().unwrap()
    }

    fn is_signed(_: &Key, _: &[u8], signature: &Signature) -> bool {
        signature.0 == [7; 64]
    }

    fn head(segment: u64, length: u64) -> TrailHead {
        let (key, mark) = (Bytes([1; 32]), Mark { segment, length, root: Bytes([2; 32]) });
        TrailHead { key, segment_key: key, mark, signature: Bytes([7; 64]) }
    }

    fn capabilities() -> Capabilities {
        Capabilities {
            node: "bee".parse().unwrap(),
            version: "0.1.0".to_owned(),
            labels: vec!["rust".to_owned()],
            languages: vec![],
            models: vec!["qwen:14b".to_owned()],
            max_tasks: 2,
            repositories: vec![],
        }
    }

    #[test]
    fn what_nodes_say_passes_and_what_none_would_say_does_not() {
        let seen = TasksSeen {
            repo: "a/b".parse().unwrap(),
            free: vec![1],
            called: vec![],
            other: vec![],
            next_in_s: 60,
            labels: [(1, vec!["rust".to_owned()])].into(),
            language: Some("Rust".to_owned()),
        };
        let progress = Progress { task: task(), epoch: Epoch(1), phase: "working".to_owned(), steps: 3 };
        let failed =
            |reason: String| Said::Task(Announcement::Failed { task: task(), epoch: Epoch(1), reason });
        let claimed = |epoch| Said::Task(Announcement::Claimed { task: task(), epoch: Epoch(epoch) });
        let good = [
            Said::TasksSeen(seen.clone()),
            Said::Progress(progress.clone()),
            Said::Capabilities(capabilities()),
            Said::Availability(Availability::default()),
            Said::AuditHead(head(3, 7)),
            Said::Contradiction(Contradiction { of: "abc".parse().unwrap(), witnessed: head(0, 1) }),
            failed("it did not build\nat all".to_owned()),
            claimed(1),
        ];
        for said in good {
            assert!(is_plausible(&said, &is_signed), "{said:?}");
        }
        let bad = [
            Said::TasksSeen(TasksSeen { free: vec![1; MAX_ISSUES + 1], ..seen.clone() }),
            Said::TasksSeen(TasksSeen { next_in_s: u64::MAX, ..seen }),
            Said::Progress(Progress { phase: "\u{1b}[2J".to_owned(), ..progress }),
            Said::Capabilities(Capabilities { models: vec![String::new(); MAX_NAMES + 1], ..capabilities() }),
            Said::Capabilities(Capabilities { version: "v".repeat(MAX_NAME + 1), ..capabilities() }),
            Said::Availability(Availability { free_slots: 0, tasks: vec![task(); MAX_TASKS + 1] }),
            failed("x".repeat(MAX_TEXT + 1)),
            claimed(0),
            claimed(u64::MAX),
            Said::AuditHead(head(0, 0)),
            Said::AuditHead(head(0, MAX_LENGTH + 1)),
            Said::AuditHead(head(u64::MAX, 1)),
            Said::AuditHead(TrailHead { signature: Bytes([8; 64]), ..head(0, 1) }),
            Said::AuditHead(TrailHead { segment_key: Bytes([8; 32]), ..head(0, 1) }),
            Said::Contradiction(Contradiction { of: "abc".parse().unwrap(), witnessed: head(0, 0) }),
        ];
        for said in bad {
            assert!(!is_plausible(&said, &is_signed), "{said:?}");
        }
    }
}
