//! Issues and their comments.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueState {
    Open,
    Closed,
}

/// What an author is to the repository, in GitHub's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Association {
    Owner,
    Member,
    Collaborator,
    Contributor,
    FirstTimeContributor,
    None,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    pub id: u64,
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub state: IssueState,
    /// `completed`, `not_planned` or `reopened`.
    pub state_reason: Option<String>,
    pub author: String,
    /// Set when it is to be another than the author's role in the repository.
    pub association: Option<Association>,
    /// As the repository writes them.
    pub labels: Vec<String>,
    pub assignees: Vec<String>,
    pub locked: bool,
    pub created_at: String,
    pub updated_at: String,
    pub closed_at: Option<String>,
    pub closed_by: Option<String>,
    /// Oldest first.
    #[serde(default)]
    pub(crate) events: Vec<IssueEvent>,
    /// Who changed the body last, and when.
    #[serde(default)]
    pub(crate) edited: Option<(String, String)>,
}

/// That somebody put a label on an issue, took it off, or gave the issue another title.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IssueEvent {
    pub(crate) kind: EventKind,
    /// Of a rename none.
    pub(crate) label: Option<String>,
    pub(crate) actor: String,
    pub(crate) created_at: String,
}

/// In GitHub's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventKind {
    Labeled,
    Unlabeled,
    Renamed,
}

impl Issue {
    pub(crate) fn new(
        id: u64,
        number: u64,
        author: &str,
        title: &str,
        body: Option<&str>,
        now: &str,
    ) -> Self {
        Self {
            id,
            number,
            title: title.to_owned(),
            body: body.map(str::to_owned),
            state: IssueState::Open,
            state_reason: None,
            author: author.to_owned(),
            association: None,
            labels: Vec::new(),
            assignees: Vec::new(),
            locked: false,
            created_at: now.to_owned(),
            updated_at: now.to_owned(),
            closed_at: None,
            closed_by: None,
            events: Vec::new(),
            edited: None,
        }
    }

    pub fn has_label(&self, name: &str) -> bool {
        self.labels.iter().any(|l| l.eq_ignore_ascii_case(name))
    }

    pub(crate) fn add_label(&mut self, name: String, by: &str, now: &str) {
        if !self.has_label(&name) {
            self.note(EventKind::Labeled, Some(&name), by, now);
            self.labels.push(name);
            self.updated_at = now.to_owned();
        }
    }

    fn note(&mut self, kind: EventKind, label: Option<&str>, by: &str, now: &str) {
        let (label, actor, created_at) = (label.map(str::to_owned), by.to_owned(), now.to_owned());
        self.events.push(IssueEvent { kind, label, actor, created_at });
    }

    pub(crate) fn rename(&mut self, title: String, by: &str, now: &str) {
        if self.title != title {
            self.note(EventKind::Renamed, None, by, now);
            self.title = title;
            self.updated_at = now.to_owned();
        }
    }

    pub(crate) fn rewrite(&mut self, body: Option<String>, by: &str, now: &str) {
        if self.body != body {
            self.edited = Some((by.to_owned(), now.to_owned()));
            self.body = body;
            self.updated_at = now.to_owned();
        }
    }

    /// Removes all labels but those that are in `kept`.
    pub(crate) fn clear_labels(&mut self, kept: &[String], by: &str, now: &str) {
        let is_kept = |name: &String| kept.iter().any(|kept| kept.eq_ignore_ascii_case(name));
        let gone: Vec<String> = self.labels.iter().filter(|name| !is_kept(name)).cloned().collect();
        for name in gone {
            self.remove_label(&name, by, now);
        }
    }

    /// Removes a label; false when the issue does not have it.
    pub(crate) fn remove_label(&mut self, name: &str, by: &str, now: &str) -> bool {
        let before = self.labels.len();
        self.labels.retain(|l| !l.eq_ignore_ascii_case(name));
        let removed = self.labels.len() != before;
        if removed {
            self.note(EventKind::Unlabeled, Some(name), by, now);
            self.updated_at = now.to_owned();
        }
        removed
    }

    pub(crate) fn close(&mut self, by: &str, reason: Option<&str>, now: &str) {
        if self.state == IssueState::Open {
            self.state = IssueState::Closed;
            self.state_reason = Some(reason.unwrap_or("completed").to_owned());
            self.closed_at = Some(now.to_owned());
            self.closed_by = Some(by.to_owned());
            self.updated_at = now.to_owned();
        }
    }

    pub(crate) fn reopen(&mut self, now: &str) {
        if self.state == IssueState::Closed {
            self.state = IssueState::Open;
            self.state_reason = Some("reopened".to_owned());
            self.closed_at = None;
            self.closed_by = None;
            self.updated_at = now.to_owned();
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    pub id: u64,
    /// The issue's number.
    pub issue: u64,
    pub author: String,
    /// Set when it is to be another than the author's role in the repository.
    pub association: Option<Association>,
    pub body: String,
    pub created_at: String,
    pub updated_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_twice_keeps_who_closed_first() {
        let mut issue = Issue::new(1, 1, "ann", "t", None, "t0");
        issue.close("ben", None, "t1");
        issue.close("cem", Some("not_planned"), "t2");
        let closed = (issue.closed_by.as_deref(), issue.closed_at.as_deref(), issue.state_reason.as_deref());
        assert_eq!(closed, (Some("ben"), Some("t1"), Some("completed")));
        issue.reopen("t3");
        assert_eq!((issue.state, issue.closed_at, issue.updated_at.as_str()), (IssueState::Open, None, "t3"));
    }

    #[test]
    fn labels_are_compared_without_case_and_kept_as_written() {
        let mut issue = Issue::new(1, 1, "ann", "t", None, "t0");
        issue.add_label("Bug".into(), "ann", "t1");
        issue.add_label("bug".into(), "ann", "t2");
        assert_eq!(
            (issue.labels.as_slice(), issue.updated_at.as_str()),
            (["Bug".to_owned()].as_slice(), "t1")
        );
        assert!(issue.remove_label("BUG", "ben", "t3"));
        assert!(!issue.remove_label("BUG", "ben", "t4"));
    }
}
