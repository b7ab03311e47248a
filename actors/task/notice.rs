//! What the world is told of a task. A notice is recorded with the event that causes it, waits in the outbox, and is
//! never needed for the task to go on.

use serde::{Deserialize, Serialize};

use crate::ports::escalations::Escalation;
use crate::ports::hive::HiveStatus;
use crate::ports::swarm::Announcement;

/// Each is safe to deliver twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum Notice {
    HiveClaim,
    HiveStatus {
        status: HiveStatus,
        metadata: serde_json::Value,
    },
    IssueLabels {
        add: Vec<String>,
        remove: Vec<String>,
    },
    IssueAssign,
    /// The pull request is given to who asked for the work, if the forge lets them have it.
    PullRequestAssign {
        number: u64,
        login: String,
    },
    /// The issue's one comment with this hidden marker.
    IssueComment {
        marker: String,
        body: String,
    },
    Announce {
        announcement: Announcement,
    },
    Escalate {
        escalation: Escalation,
    },
}

/// The systems that notices go to. Each has its own lane: one that is away holds up no other, and within a lane a
/// task's notices keep their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    Hive,
    Forge,
    Swarm,
    Escalations,
}

impl Lane {
    pub const ALL: [Lane; 4] = [Lane::Hive, Lane::Forge, Lane::Swarm, Lane::Escalations];

    pub fn name(self) -> &'static str {
        match self {
            Self::Hive => "hive",
            Self::Forge => "forge",
            Self::Swarm => "swarm",
            Self::Escalations => "escalations",
        }
    }
}

impl Notice {
    pub fn lane(&self) -> Lane {
        match self {
            Self::HiveClaim | Self::HiveStatus { .. } => Lane::Hive,
            Self::IssueLabels { .. }
            | Self::IssueAssign
            | Self::PullRequestAssign { .. }
            | Self::IssueComment { .. } => Lane::Forge,
            Self::Announce { .. } => Lane::Swarm,
            Self::Escalate { .. } => Lane::Escalations,
        }
    }
}
