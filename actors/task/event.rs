//! What happened to a task. The journal's entries are these; a task's state is what they fold to.
//!
//! An event is a fact in the past tense and is never changed: a variant or field may be added with a default, none
//! renamed or given another meaning. An effect that must not happen twice has two: the intent, recorded before
//! (`ClaimIntended`, `LeaseIntended`, `Replied` with a command), and the outcome.

use serde::{Deserialize, Serialize};

use super::id::{Epoch, NodeId, Sha};
use super::issue::Issue;
use super::rules::Terms;
use super::work::{
    Base, BlobRef, CheckResult, ConnectionOutcome, Inherited, ModelUse, Observed, Produced, Publication,
    PullRequestRef, Review, Step,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case")]
pub enum TaskEvent {
    /// The poller saw the issue, labelled and open, and this node decided to try for it.
    Found {
        issue: Issue,
        /// What to work from, if it is not the default branch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        branch: Option<String>,
        /// On whose word: the account that set the label.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        labelled_by: Option<String>,
        /// Whose lease ran out, where the task was another node's: what that one pushed may be gone on from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken_over: Option<NodeId>,
    },
    /// About to write `lease` to the task's claim reference.
    ClaimIntended {
        epoch: Epoch,
        lease: Sha,
    },
    Claimed {
        epoch: Epoch,
        lease: Sha,
    },
    /// Another node was first.
    ClaimLost {
        holder: String,
    },
    /// About to move the claim reference on to `lease`, and the task's branch to `commit` with it if there is one.
    LeaseIntended {
        lease: Sha,
        commit: Option<Sha>,
    },
    /// The claim reference holds `lease` now.
    LeaseRenewed {
        lease: Sha,
    },
    /// The lease ran out or was taken: from here on nothing may be published.
    LeaseLost {
        why: String,
    },

    /// A sandbox stands with the code in it.
    Prepared {
        base: Base,
        checks: Vec<String>,
        sandbox: String,
        /// The hosts that commands in it may connect to; mostly none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hosts: Vec<String>,
        #[serde(default, skip_serializing_if = "Terms::is_empty")]
        terms: Terms,
        /// What came of the terms' setup commands in it, as far as the first that failed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        setup: Vec<CheckResult>,
        /// What became of the branch that an earlier owner of the task had pushed, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inherited: Option<Box<Inherited>>,
    },
    SandboxLost {
        why: String,
    },
    /// A command in a sandbox of the task asked for a connection, and this became of it. The host is what the command
    /// said. Changes nothing in the task's life, and may stand anywhere in it, also behind its end.
    Connected {
        host: String,
        port: u16,
        outcome: ConnectionOutcome,
        sent_bytes: u64,
        received_bytes: u64,
    },
    /// So many connections that were allowed, or refused, are recorded; further ones of the kind stand in the node's log
    /// only. Changes nothing, as [`Self::Connected`].
    ConnectionsOmitted {
        after: u32,
        allowed: bool,
    },

    PlanDrafted {
        plan: String,
        usage: ModelUse,
    },
    PlanSettled {
        reviews: Vec<Review>,
    },

    /// The model's reply, whole, and what was read from it. A command in it is about to run.
    Replied {
        text: String,
        step: Step,
        usage: ModelUse,
    },
    /// The task's command number `step` ended; the first command's number is 1.
    CommandFinished {
        step: u32,
        outcome: Observed,
    },

    /// The conversation had come near to the model's window: from here on what was said before the command `keep_from` is a
    /// list, of the commands from `list_from` on.
    Compacted {
        keep_from: u32,
        list_from: u32,
        /// The prompt did not fit although it was believed to.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        overflowed: bool,
    },

    /// The work was saved while it goes on: `produced.tree` is in the task's object store, and a new sandbox begins with
    /// it.
    Checkpointed {
        produced: Produced,
    },
    /// What the sandbox made was imported: `produced.tree` is in the task's object store.
    WorkProduced {
        produced: Produced,
    },
    /// What the sandbox made can't be taken; `problem` is told to the model.
    WorkRefused {
        problem: String,
    },
    ChecksFinished {
        tree: Sha,
        results: Vec<CheckResult>,
        /// The hosts that they could connect to; mostly none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hosts: Vec<String>,
        /// What came of the setup commands before them. After one that failed no check ran.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        setup: Vec<CheckResult>,
    },

    /// The task's branch holds `commit`, and the claim reference says that the work is done.
    Published {
        commit: Sha,
        /// What the pull request tells of the journal and of the time; only here, so that it says the same whenever it is
        /// opened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Publication>,
    },
    PullRequestOpened {
        pull_request: PullRequestRef,
    },
    /// Continuous integration has come to its end on the head of the pull request; empty: nothing failed.
    CiFinished {
        commit: Sha,
        failed: Vec<String>,
    },
    PullRequestMerged,
    PullRequestClosed,

    /// The peers were asked for help and this came back; empty when nobody had any.
    Advised {
        advice: Vec<Review>,
    },
    /// A person was asked. The sandbox is gone; `saved` is the work that was in it, if there was any.
    Escalated {
        question: String,
        saved: Option<Produced>,
    },
    HumanAnswered {
        by: String,
        text: String,
    },

    /// The node, or the task's actors, went down and came back to the task: its effect is begun again.
    TakenUp,
    /// An effect failed in a way that may pass; it is tried again.
    Stalled {
        what: String,
        problem: String,
    },
    /// The issue was closed, or lost its label.
    Cancelled {
        why: String,
    },
    /// The node stops working on this task for good.
    GaveUp {
        reason: String,
    },
    /// Sandbox and lease of the ended task are gone. `diff` holds what was made and not published.
    CleanedUp {
        diff: Option<BlobRef>,
    },
}

impl TaskEvent {
    /// Whether it only notes what a sandbox asked of the network: no part of the task's life.
    pub fn is_of_network(&self) -> bool {
        matches!(self, Self::Connected { .. } | Self::ConnectionsOmitted { .. })
    }

    /// The event's name as the journal spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Found { .. } => "found",
            Self::ClaimIntended { .. } => "claim_intended",
            Self::Claimed { .. } => "claimed",
            Self::ClaimLost { .. } => "claim_lost",
            Self::LeaseIntended { .. } => "lease_intended",
            Self::LeaseRenewed { .. } => "lease_renewed",
            Self::LeaseLost { .. } => "lease_lost",
            Self::Prepared { .. } => "prepared",
            Self::SandboxLost { .. } => "sandbox_lost",
            Self::Connected { .. } => "connected",
            Self::ConnectionsOmitted { .. } => "connections_omitted",
            Self::PlanDrafted { .. } => "plan_drafted",
            Self::PlanSettled { .. } => "plan_settled",
            Self::Replied { .. } => "replied",
            Self::CommandFinished { .. } => "command_finished",
            Self::Compacted { .. } => "compacted",
            Self::Checkpointed { .. } => "checkpointed",
            Self::WorkProduced { .. } => "work_produced",
            Self::WorkRefused { .. } => "work_refused",
            Self::ChecksFinished { .. } => "checks_finished",
            Self::Published { .. } => "published",
            Self::PullRequestOpened { .. } => "pull_request_opened",
            Self::CiFinished { .. } => "ci_finished",
            Self::PullRequestMerged => "pull_request_merged",
            Self::PullRequestClosed => "pull_request_closed",
            Self::Advised { .. } => "advised",
            Self::Escalated { .. } => "escalated",
            Self::HumanAnswered { .. } => "human_answered",
            Self::TakenUp => "taken_up",
            Self::Stalled { .. } => "stalled",
            Self::Cancelled { .. } => "cancelled",
            Self::GaveUp { .. } => "gave_up",
            Self::CleanedUp { .. } => "cleaned_up",
        }
    }
}
