//! The delivery of one notice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use crate::escalation_actor::{Escalate, EscalationActor};
use crate::ports::escalations::EscalationError;
use crate::ports::forge::{Forge, ForgeError};
use crate::ports::hive::{Hive, HiveError};
use crate::ports::journal::Pending;
use crate::ports::swarm::SwarmError;
use crate::supervisor::Inbox;
use crate::swarm_actor::{Announce, SwarmActor};
use crate::task::{NodeId, Notice, RepoId};

use super::OutboxDeps;

/// How long Hive's list of projects is believed.
const PROJECTS_AGE: Duration = Duration::from_secs(300);

pub(super) enum NotDelivered {
    /// Try again later.
    Away(String),
    /// Never.
    Refused(String),
    /// There is nobody who wants it; not worth a word.
    Unwanted(String),
}

pub(super) struct Recipients {
    node: NodeId,
    hive: Option<Arc<dyn Hive>>,
    forge: Arc<dyn Forge>,
    swarm: Inbox<SwarmActor>,
    escalations: Inbox<EscalationActor>,
    projects: HashMap<RepoId, String>,
    projects_read_at: Option<Instant>,
}

impl Recipients {
    pub(super) fn new(deps: &OutboxDeps) -> Self {
        Self {
            node: deps.node.clone(),
            hive: deps.hive.clone(),
            forge: deps.forge.clone(),
            swarm: deps.swarm.clone(),
            escalations: deps.escalations.clone(),
            projects: HashMap::new(),
            projects_read_at: None,
        }
    }

    pub(super) async fn deliver(&mut self, pending: &Pending) -> Result<(), NotDelivered> {
        let task = &pending.task;
        match &pending.notice {
            Notice::HiveClaim => {
                let (hive, project) = self.project(&task.repo).await?;
                Ok(hive.register_claim(&project, task.number, &self.node).await?)
            }
            Notice::HiveStatus { status, metadata } => {
                let (hive, project) = self.project(&task.repo).await?;
                Ok(hive.report_status(&project, task.number, *status, metadata).await?)
            }
            Notice::IssueLabels { add, remove } => {
                Ok(self.forge.change_labels(task, &borrowed(add), &borrowed(remove)).await?)
            }
            Notice::IssueAssign => Ok(self.forge.assign(task).await?),
            Notice::PullRequestAssign { number, login } => {
                Ok(self.forge.assign_pull_request(&task.repo, *number, login).await?)
            }
            Notice::IssueComment { marker, body } => Ok(self.forge.put_comment(task, marker, body).await?),
            Notice::Announce { announcement } => {
                Ok(self.swarm.send(Announce(announcement.clone())).await??)
            }
            Notice::Escalate { escalation } => {
                Ok(self.escalations.send(Escalate(escalation.clone())).await??)
            }
        }
    }

    /// Hive's name for a repository; most repositories have none.
    async fn project(&mut self, repo: &RepoId) -> Result<(Arc<dyn Hive>, String), NotDelivered> {
        let Some(hive) = self.hive.clone() else {
            return Err(NotDelivered::Unwanted("no Hive is configured".to_owned()));
        };
        let is_fresh = self.projects_read_at.is_some_and(|read_at| read_at.elapsed() < PROJECTS_AGE);
        if !is_fresh {
            let projects = hive.active_projects().await?;
            self.projects = projects.into_iter().map(|project| (project.repo, project.project_id)).collect();
            self.projects_read_at = Some(Instant::now());
        }
        match self.projects.get(repo) {
            Some(project) => Ok((hive, project.clone())),
            None => Err(NotDelivered::Unwanted("the repository is none of Hive's".to_owned())),
        }
    }
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

impl From<HiveError> for NotDelivered {
    fn from(error: HiveError) -> Self {
        match error {
            HiveError::Unavailable(_) => Self::Away(error.to_string()),
            HiveError::Refused(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<ForgeError> for NotDelivered {
    fn from(error: ForgeError) -> Self {
        match error.is_retryable() {
            true => Self::Away(error.to_string()),
            false => Self::Refused(error.to_string()),
        }
    }
}

impl From<SwarmError> for NotDelivered {
    fn from(error: SwarmError) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<EscalationError> for NotDelivered {
    fn from(error: EscalationError) -> Self {
        match error {
            EscalationError::Unavailable(_) => Self::Away(error.to_string()),
            EscalationError::Refused(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<MailboxError> for NotDelivered {
    fn from(error: MailboxError) -> Self {
        Self::Away(format!("the actor that tells it is being restarted ({error})"))
    }
}
