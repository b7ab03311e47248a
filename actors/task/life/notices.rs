//! Whom a transition is told to. Hive, the issue's page, the peers and the escalation webhook all follow the
//! lease; none of them is asked for leave.

use serde_json::json;

use crate::ports::escalations::Escalation;
use crate::ports::hive::HiveStatus;
use crate::ports::journal::Entry;
use crate::ports::swarm::Announcement;
use crate::task::inert::inert;
use crate::task::text::quoted;
use crate::task::{NodeId, Notice, TaskEvent, label};

use super::{End, Phase, Task};

/// Begins the mark of a comment that says that a node gave up.
pub(crate) const GAVE_UP: &str = "failed-e";

impl Task {
    /// The journal's entry of `event`, with whom it is told to; and the task after it.
    pub fn entry(&self, event: TaskEvent, node: &NodeId) -> (Entry, Task) {
        let (after, _) = self.clone().step(&event);
        let notices = after.notices_since(self, node);
        (Entry { task: self.id.clone(), epoch: after.epoch, event, notices }, after)
    }

    /// What others are told of the way from `before` to this state. Empty when the phase did not change.
    pub fn notices_since(&self, before: &Task, node: &NodeId) -> Vec<Notice> {
        if self.phase == before.phase {
            return Vec::new();
        }
        match (&before.phase, &self.phase) {
            (Phase::Claiming { .. }, Phase::Preparing) => self.claimed(node),
            (Phase::Escalating { .. }, Phase::Parked { question }) => self.escalated(node, question),
            (Phase::Parked { .. }, Phase::Preparing) => vec![labels(&[], &[label::NEEDS_HUMAN])],
            (Phase::Proposing, Phase::InReview) => self.proposed(),
            // The question is nobody's any more, and its label would keep the next owner away.
            (Phase::Parked { .. }, Phase::CleaningUp(End::LeaseLost { .. })) => {
                vec![labels(&[], &[label::NEEDS_HUMAN])]
            }
            (phase, Phase::CleaningUp(End::Failed { reason })) => {
                self.failed(node, reason, matches!(phase, Phase::Publishing { .. }))
            }
            (_, Phase::CleaningUp(End::Cancelled { why })) => self.cancelled(why),
            (_, Phase::CleaningUp(End::Declined)) => vec![labels(&[label::NEEDS_HUMAN], &[label::COMPLETED])],
            _ => Vec::new(),
        }
    }

    /// Marks the comment that asks the last question; an answer is a later comment.
    pub fn question_marker(&self) -> String {
        format!("question-e{}-{}", self.epoch, self.escalations)
    }

    /// Names the last question at the webhook.
    pub fn question_key(&self) -> String {
        format!("{}/e{}/question-{}", self.id, self.epoch, self.escalations)
    }

    fn claimed(&self, node: &NodeId) -> Vec<Notice> {
        let body = format!("Bzzz node `{node}` works on this issue (epoch {}).", self.epoch);
        vec![
            labels(&[label::IN_PROGRESS], &[label::COMPLETED]),
            Notice::IssueAssign,
            comment("claim", body),
            Notice::HiveClaim,
            status(HiveStatus::InProgress, json!({ "node": node, "epoch": self.epoch })),
            announce(Announcement::Claimed { task: self.id.clone(), epoch: self.epoch }),
        ]
    }

    fn escalated(&self, node: &NodeId, question: &str) -> Vec<Notice> {
        let key = self.question_key();
        let issue = self.issue.as_ref();
        let body = format!(
            "Bzzz node `{node}` is stuck here after {} commands and asks:\n\n{}\n\nAnswer with a comment on this \
             issue; work goes on with it.",
            self.steps,
            quoted(&inert(question))
        );
        let metadata = json!({
            "escalation_reason": question,
            "escalated_by": node,
            "conversation_length": self.steps,
        });
        vec![
            labels(&[label::NEEDS_HUMAN], &[]),
            comment(&self.question_marker(), body),
            status(HiveStatus::Escalated, metadata),
            Notice::Escalate {
                escalation: Escalation {
                    key,
                    task: self.id.clone(),
                    epoch: self.epoch,
                    node: node.clone(),
                    issue_url: issue.map(|issue| issue.url.clone()).unwrap_or_default(),
                    issue_title: issue.map(|issue| issue.title.clone()).unwrap_or_default(),
                    question: question.to_owned(),
                    steps: self.steps,
                },
            },
        ]
    }

    fn proposed(&self) -> Vec<Notice> {
        let url = self.pull_request.as_ref().map(|it| it.url.clone()).unwrap_or_default();
        let assign = self.labelled_by.clone().zip(self.pull_request.as_ref());
        let assign = assign.map(|(login, opened)| Notice::PullRequestAssign { number: opened.number, login });
        let mut notices = vec![
            labels(&[label::COMPLETED], &[label::IN_PROGRESS]),
            status(HiveStatus::Completed, json!({ "pull_request_url": url, "steps": self.steps })),
            announce(Announcement::Completed { task: self.id.clone(), epoch: self.epoch, pull_request: url }),
        ];
        // Behind the labels, which it must not hold up.
        notices.extend(assign);
        notices
    }

    fn failed(&self, node: &NodeId, reason: &str, was_publishing: bool) -> Vec<Notice> {
        let (diff, branch) = (format!("`bzzz tasks diff {}`", self.id), self.id.branch());
        let work = match (&self.pull_request, &self.published) {
            (Some(pull_request), _) => format!("Its pull request stays: {}", pull_request.url),
            (None, Some(_)) => format!("The work is on the branch `{branch}`, without a pull request."),
            (None, None) if was_publishing => {
                format!("The node keeps what it had ({diff}); it may be on the branch `{branch}` too.")
            }
            (None, None) => format!("Nothing was published; the node keeps what it had ({diff})."),
        };
        let body = format!(
            "Bzzz node `{node}` gave up on this issue after {} commands:\n\n{}\n\n{work} Remove the label `{}` to \
             have it tried again; if it is not there, the one by which the issue was handed over, and set that again.",
            self.steps,
            quoted(&inert(reason)),
            label::NEEDS_HUMAN,
        );
        let metadata = json!({ "reason": reason, "steps": self.steps });
        vec![
            labels(&[label::NEEDS_HUMAN], &[label::IN_PROGRESS]),
            comment(&format!("{GAVE_UP}{}", self.epoch), body),
            status(HiveStatus::Failed, metadata),
            announce(Announcement::Failed {
                task: self.id.clone(),
                epoch: self.epoch,
                reason: reason.to_owned(),
            }),
        ]
    }

    fn cancelled(&self, why: &str) -> Vec<Notice> {
        vec![
            labels(&[], &[label::IN_PROGRESS]),
            status(HiveStatus::Failed, json!({ "reason": format!("cancelled: {why}") })),
            announce(Announcement::Released { task: self.id.clone(), epoch: self.epoch }),
        ]
    }
}

fn labels(add: &[&str], remove: &[&str]) -> Notice {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Notice::IssueLabels { add: owned(add), remove: owned(remove) }
}

fn comment(marker: &str, body: String) -> Notice {
    Notice::IssueComment { marker: marker.to_owned(), body }
}

fn status(status: HiveStatus, metadata: serde_json::Value) -> Notice {
    Notice::HiveStatus { status, metadata }
}

fn announce(announcement: Announcement) -> Notice {
    Notice::Announce { announcement }
}
