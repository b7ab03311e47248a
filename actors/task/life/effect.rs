//! What is due in a state. The actors carry effects out; each ends in one event.

use crate::task::Sha;

use super::{End, Phase};

/// Every effect but `Run` may be begun again after a crash in the middle of it: it looks first at what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// See whose the claim reference is: the write of `lease` may have happened.
    SettleClaim {
        lease: Sha,
    },
    /// A sandbox with the code in it, and with the work done so far.
    Prepare,
    DraftPlan,
    DiscussPlan,
    Think,
    Run {
        step: u32,
        command: String,
        /// What the model asked for.
        timeout_s: Option<u32>,
    },
    /// The node does not know whether the command ran: ask the sandbox, else say so to the model.
    Recall {
        step: u32,
        timeout_s: Option<u32>,
    },
    Export,
    Check {
        tree: Sha,
    },
    /// See that the issue is still wanted, make the commit, and move branch and lease, both or neither.
    Publish {
        tree: Sha,
    },
    Propose,
    WatchReview,
    AskPeers {
        question: String,
    },
    /// Save the work, let the sandbox go, and ask a person.
    Escalate {
        question: String,
    },
    AwaitAnswer {
        question: String,
    },
    CleanUp {
        end: End,
    },
}

impl Effect {
    /// What is to be done when it was begun and nobody knows how far it came.
    pub fn begun_again(self) -> Self {
        match self {
            Self::Run { step, timeout_s, .. } => Self::Recall { step, timeout_s },
            other => other,
        }
    }

    /// The effect's name in the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SettleClaim { .. } => "settle the claim",
            Self::Prepare => "prepare the sandbox",
            Self::DraftPlan => "draft the plan",
            Self::DiscussPlan => "discuss the plan",
            Self::Think => "ask the model",
            Self::Run { .. } => "run the command",
            Self::Recall { .. } => "recall the command",
            Self::Export => "take the work out",
            Self::Check { .. } => "run the checks",
            Self::Publish { .. } => "publish the branch",
            Self::Propose => "open the pull request",
            Self::WatchReview => "watch the pull request",
            Self::AskPeers { .. } => "ask the peers",
            Self::Escalate { .. } => "escalate",
            Self::AwaitAnswer { .. } => "wait for an answer",
            Self::CleanUp { .. } => "clean up",
        }
    }
}

impl Phase {
    /// What a node does that has just come into this phase.
    pub fn due(&self) -> Option<Effect> {
        match self.clone() {
            Self::Unclaimed | Self::Ended(_) => None,
            Self::Claiming { lease } => Some(Effect::SettleClaim { lease }),
            Self::Preparing => Some(Effect::Prepare),
            Self::Planning => Some(Effect::DraftPlan),
            Self::Discussing => Some(Effect::DiscussPlan),
            Self::Thinking => Some(Effect::Think),
            Self::Running { step, command, timeout_s } => Some(Effect::Run { step, command, timeout_s }),
            Self::Exporting => Some(Effect::Export),
            Self::Checking { tree } => Some(Effect::Check { tree }),
            Self::Publishing { tree } => Some(Effect::Publish { tree }),
            Self::Proposing => Some(Effect::Propose),
            Self::InReview => Some(Effect::WatchReview),
            Self::AskingPeers { question } => Some(Effect::AskPeers { question }),
            Self::Escalating { question } => Some(Effect::Escalate { question }),
            Self::Parked { question } => Some(Effect::AwaitAnswer { question }),
            Self::CleaningUp(end) => Some(Effect::CleanUp { end }),
        }
    }

    /// What a node does that comes back to this phase after a crash, a restart of the actor, or a rebuilt sandbox.
    pub fn due_again(&self) -> Option<Effect> {
        self.due().map(Effect::begun_again)
    }
}
