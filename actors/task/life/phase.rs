//! Where a task stands.

use crate::task::Sha;

/// How a task's life ended on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The pull request was merged.
    Done,
    /// The pull request was closed without being merged.
    Declined,
    Cancelled {
        why: String,
    },
    Failed {
        reason: String,
    },
    /// Another node owns the task now, or may: nothing of it is ours to touch.
    LeaseLost {
        why: String,
    },
}

impl End {
    /// What was made and is not published is kept for people.
    pub fn keeps_work(&self) -> bool {
        match self {
            Self::Done | Self::Declined => false,
            Self::Cancelled { .. } | Self::Failed { .. } | Self::LeaseLost { .. } => true,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of this task is this node's.
    #[default]
    Unclaimed,
    Claiming {
        lease: Sha,
    },
    Preparing,
    Planning,
    Discussing,
    /// The model is to say the next step.
    Thinking,
    Running {
        step: u32,
        command: String,
        timeout_s: Option<u32>,
    },
    Exporting,
    Checking {
        tree: Sha,
    },
    Publishing {
        tree: Sha,
    },
    Proposing,
    InReview,
    AskingPeers {
        question: String,
    },
    Escalating {
        question: String,
    },
    Parked {
        question: String,
    },
    CleaningUp(End),
    Ended(End),
}

impl Phase {
    /// The word for it in tables and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unclaimed => "unclaimed",
            Self::Claiming { .. } => "claiming",
            Self::Preparing => "preparing",
            Self::Planning => "planning",
            Self::Discussing => "discussing",
            Self::Thinking => "thinking",
            Self::Running { .. } => "running",
            Self::Exporting => "exporting",
            Self::Checking { .. } => "checking",
            Self::Publishing { .. } => "publishing",
            Self::Proposing => "proposing",
            Self::InReview => "in review",
            Self::AskingPeers { .. } => "asking peers",
            Self::Escalating { .. } => "escalating",
            Self::Parked { .. } => "waits for a person",
            Self::CleaningUp(_) => "cleaning up",
            Self::Ended(End::Done) => "done",
            Self::Ended(End::Declined) => "declined",
            Self::Ended(End::Cancelled { .. }) => "cancelled",
            Self::Ended(End::Failed { .. }) => "failed",
            Self::Ended(End::LeaseLost { .. }) => "lease lost",
        }
    }

    /// Nothing is due until something new is heard of the issue.
    pub fn is_resting(&self) -> bool {
        matches!(self, Self::Unclaimed | Self::Ended(_))
    }

    /// The task has a runner: it is this node's, and there is something to do or to wait for.
    pub fn has_runner(&self) -> bool {
        !self.is_resting() && !matches!(self, Self::Claiming { .. })
    }

    /// Work goes on that only the lease's holder may do, and that a lost lease or a closed issue stops.
    pub fn needs_lease(&self) -> bool {
        !self.is_resting()
            && !matches!(self, Self::Claiming { .. } | Self::Proposing | Self::InReview | Self::CleaningUp(_))
    }

    /// The sandbox where the model works must be there.
    pub fn needs_work_sandbox(&self) -> bool {
        match self {
            Self::Planning
            | Self::Discussing
            | Self::Thinking
            | Self::Running { .. }
            | Self::Exporting
            | Self::AskingPeers { .. } => true,
            Self::Unclaimed
            | Self::Claiming { .. }
            | Self::Preparing
            | Self::Checking { .. }
            | Self::Publishing { .. }
            | Self::Proposing
            | Self::InReview
            | Self::Escalating { .. }
            | Self::Parked { .. }
            | Self::CleaningUp(_)
            | Self::Ended(_) => false,
        }
    }

    /// One of the node's places for tasks is taken: a sandbox stands, or is being made or removed.
    pub fn takes_a_place(&self) -> bool {
        !self.is_resting() && !matches!(self, Self::InReview | Self::Parked { .. })
    }
}
