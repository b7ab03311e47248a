//! An issue as the forge shows it: somebody's words, none of them trusted.

use serde::{Deserialize, Serialize};

use super::text::{on_page, one_line, readable};

/// The labels by which people and nodes talk about an issue.
pub mod label {
    /// A person asks for this issue to be worked on.
    pub const TASK: &str = "bzzz-task";
    /// A node holds the issue's lease.
    pub const IN_PROGRESS: &str = "in-progress";
    /// A pull request is open.
    pub const COMPLETED: &str = "completed";
    /// A node gave up or waits for an answer; no node takes the issue while this label is there.
    pub const NEEDS_HUMAN: &str = "needs-human";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueState {
    Open,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    pub number: u64,
    pub title: String,
    /// Empty when the issue has none.
    pub body: String,
    pub state: IssueState,
    pub labels: Vec<String>,
    pub author: String,
    pub url: String,
    /// RFC 3339, as the forge wrote it.
    pub updated_at: String,
}

/// The longest body kept of an issue, in bytes: GitHub's own limit is 65,536 characters. More than a small
/// model's window holds anyway; what is cut is said in the text.
const MAX_BODY_BYTES: usize = 32 * 1024;
/// The longest title kept, in bytes. GitHub's limit is 256 characters.
const MAX_TITLE_BYTES: usize = 1024;

impl Issue {
    pub fn has_label(&self, label: &str) -> bool {
        self.labels.iter().any(|l| l.eq_ignore_ascii_case(label))
    }

    /// Whether a node may take or go on with this issue.
    pub fn is_wanted(&self, task_label: &str) -> bool {
        self.state == IssueState::Open && self.has_label(task_label)
    }

    /// Whether a node may begin with it: a person's label keeps nodes away, a node's own says that a pull request is
    /// there.
    pub fn is_free(&self, task_label: &str) -> bool {
        self.is_wanted(task_label) && !self.has_label(label::NEEDS_HUMAN) && !self.has_label(label::COMPLETED)
    }

    /// The issue with its text bounded and free of what a person who reads it does not see: control signs, terminal
    /// escapes, invisible signs, hidden comments and all else that its page does not show.
    pub fn sanitized(mut self) -> Self {
        self.title = bounded(one_line(&readable(&self.title)), MAX_TITLE_BYTES);
        self.body = bounded(on_page(&self.body), MAX_BODY_BYTES);
        self.author = bounded(one_line(&readable(&self.author)), MAX_TITLE_BYTES);
        self.labels.iter_mut().for_each(|label| *label = one_line(label));
        self.url = one_line(&self.url);
        self.updated_at = one_line(&self.updated_at);
        self
    }
}

fn bounded(mut text: String, max_bytes: usize) -> String {
    if text.len() > max_bytes {
        let left_out = text.len() - text.floor_char_boundary(max_bytes);
        text.truncate(text.floor_char_boundary(max_bytes));
        text.push_str(&format!("\n[… {left_out} more bytes were left out]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(body: &str) -> Issue {
        Issue {
            number: 1,
            title: "a\x1b[2Jb\nc".into(),
            body: body.into(),
            state: IssueState::Open,
            labels: vec!["Bzzz-Task".into()],
            author: "ann".into(),
            url: "https://forge.example/a/b/issues/1".into(),
            updated_at: "2026-01-01T00:00:00Z".into(),
        }
    }

    #[test]
    fn terminal_escapes_and_reordering_signs_are_removed() {
        let clean = issue("red \x1b[31m, bell \x07, \u{202e}reversed\r\nnext\ttab").sanitized();
        assert_eq!(clean.body, "red , bell , reversed\nnext\ttab");
        assert_eq!(clean.title, "ab c");
    }

    #[test]
    fn a_megabyte_of_body_is_cut_and_said() {
        let clean = issue(&"é".repeat(500_000)).sanitized();
        assert!(clean.body.len() < MAX_BODY_BYTES + 100);
        assert!(clean.body.ends_with("more bytes were left out]"));
    }

    #[test]
    fn a_label_of_person_or_node_keeps_nodes_away() {
        let with =
            |labels: &[&str]| Issue { labels: labels.iter().map(|it| (*it).into()).collect(), ..issue("") };
        assert!(with(&["bzzz-task", "in-progress"]).is_free("bzzz-task"));
        for labels in [&["bzzz-task", "needs-human"], &["bzzz-task", "completed"], &["other", "bug"]] {
            assert!(!with(labels).is_free("bzzz-task"), "{labels:?}");
        }
    }

    #[test]
    fn a_closed_or_unlabelled_issue_is_not_wanted() {
        let mut it = issue("");
        assert!(it.is_wanted(label::TASK));
        it.state = IssueState::Closed;
        assert!(!it.is_wanted(label::TASK));
        it.state = IssueState::Open;
        it.labels.clear();
        assert!(!it.is_wanted(label::TASK));
    }
}
