//! The way to a person: a webhook (N8N) that is told what a node is stuck on.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::task::{Epoch, NodeId, TaskId};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EscalationError {
    #[error("the escalation webhook is not available: {0}")]
    Unavailable(String),
    #[error("the escalation webhook refused: {0}")]
    Refused(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Sent as the `Idempotency-Key` header: the same escalation has the same one, however often it is sent.
    pub key: String,
    pub task: TaskId,
    pub epoch: Epoch,
    pub node: NodeId,
    pub issue_url: String,
    pub issue_title: String,
    /// What the model or the node asks.
    pub question: String,
    /// How far the task had come.
    pub steps: u32,
}

#[async_trait]
pub trait Escalations: Send + Sync {
    /// Tells a person. The workflow may answer at once; most answer later, as a comment on the issue.
    async fn raise(&self, escalation: &Escalation) -> Result<Option<String>, EscalationError>;
}
