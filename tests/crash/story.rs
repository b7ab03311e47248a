//! What a task goes through: what the model says, what people do, and how it ends.

use bzzz::apiary::forge::Association;
use bzzz_actors::ports::forge::comment_marker;
use bzzz_actors::task::life::{End, Phase};
use bzzz_actors::task::{TaskId, label};

use crate::record::Record;
use crate::replies::{DONE, PLAN, help, sh};
use crate::world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Story {
    /// Two commands, and a pull request.
    Straight,
    /// The same, with a question to a person between the two.
    Helped,
    /// The same as the first, and the pull request is merged.
    Merged,
    /// Nothing that can be used.
    Failed,
}

/// What the first and the second command append to `log`.
pub(crate) const LINES: [&str; 2] = ["one", "two"];
const QUESTION: &str = "question-e1-1";

impl Story {
    pub(crate) fn replies(self) -> Vec<String> {
        let [one, two] = LINES.map(|line| sh(&format!("echo {line} >> log")));
        let (plan, done) = (PLAN.to_owned(), DONE.to_owned());
        match self {
            Self::Straight | Self::Merged => vec![plan, one, two, done.clone(), done],
            Self::Helped => vec![plan, one, help("One more?"), two, done.clone(), done],
            Self::Failed => [PLAN, "", "", ""].map(str::to_owned).to_vec(),
        }
    }

    /// Lets people do what they do when the task stands so; they do it once.
    pub(crate) fn let_people_act(self, world: &World, record: &Record, has_acted: &mut bool) {
        let (task, forge) = (&record.task.id, world.apiary.forge());
        match self {
            Self::Straight | Self::Failed => {}
            _ if *has_acted => {}
            Self::Helped => {
                let is_asked =
                    |body: &str| body.contains(&comment_marker(QUESTION)) && body.contains("> One more?");
                if forge.comments(task).iter().any(|comment| is_asked(&comment.body)) {
                    forge.add_comment(task, "maya", Some(Association::Owner), "Yes, go on.").unwrap();
                    *has_acted = true;
                }
            }
            Self::Merged => {
                if let Some(pull) = &record.task.pull_request {
                    let pull = TaskId::new(task.repo.clone(), pull.number);
                    world.wait(forge.merge_pull_request(&pull, "maya")).unwrap();
                    *has_acted = true;
                }
            }
        }
    }

    /// Whether there is nothing more to come.
    pub(crate) fn is_over(self, record: &Record) -> bool {
        let has_ended = match self {
            Self::Straight | Self::Helped => record.task.phase == Phase::InReview,
            Self::Merged => record.task.phase == Phase::Ended(End::Done),
            Self::Failed => record.failure().is_some(),
        };
        has_ended && !record.is_to_be_told
    }

    /// Whether the task came to another end.
    pub(crate) fn is_spoilt(self, record: &Record) -> bool {
        self != Self::Failed && record.failure().is_some()
    }

    pub(crate) fn has_pull_request(self) -> bool {
        self != Self::Failed
    }

    /// In the order of the alphabet.
    pub(crate) fn labels(self) -> &'static [&'static str] {
        match self.has_pull_request() {
            true => &[label::TASK, label::COMPLETED],
            false => &[label::TASK, label::NEEDS_HUMAN],
        }
    }

    /// The markers of the node's comments, oldest first.
    pub(crate) fn comments(self) -> &'static [&'static str] {
        match self {
            Self::Straight | Self::Merged => &["claim"],
            Self::Helped => &["claim", QUESTION],
            Self::Failed => &["claim", "failed-e1"],
        }
    }

    /// What Hive hears, in this order.
    pub(crate) fn statuses(self) -> &'static [&'static str] {
        match self {
            Self::Straight | Self::Merged => &["in_progress", "completed"],
            Self::Helped => &["in_progress", "escalated", "completed"],
            Self::Failed => &["in_progress", "failed"],
        }
    }

    /// The idempotency keys that the webhook hears.
    pub(crate) fn questions(self, task: &TaskId) -> Vec<String> {
        match self {
            Self::Helped => vec![format!("{task}/e1/question-1")],
            Self::Straight | Self::Merged | Self::Failed => Vec::new(),
        }
    }
}
