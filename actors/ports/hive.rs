//! Hive: told what the nodes do, and one source of repositories. It decides nothing.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::task::{NodeId, RepoId};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HiveError {
    #[error("Hive is not available: {0}")]
    Unavailable(String),
    /// Also what Hive's validation errors become: it answers them with 500 and a text.
    #[error("Hive refused: {0}")]
    Refused(String),
}

/// A repository that Hive wants watched. Hive's project id is a number or a text; it is kept as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveProject {
    pub project_id: String,
    pub repo: RepoId,
    /// What its tasks work from; else the forge's default branch.
    pub branch: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiveStatus {
    InProgress,
    Completed,
    Failed,
    Escalated,
}

#[async_trait]
pub trait Hive: Send + Sync {
    async fn active_projects(&self) -> Result<Vec<HiveProject>, HiveError>;

    /// Registering a claim twice succeeds twice.
    async fn register_claim(&self, project_id: &str, number: u64, node: &NodeId) -> Result<(), HiveError>;

    async fn report_status(
        &self,
        project_id: &str,
        number: u64,
        status: HiveStatus,
        metadata: &serde_json::Value,
    ) -> Result<(), HiveError>;
}
