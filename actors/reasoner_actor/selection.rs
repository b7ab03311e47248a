//! Which models a question goes to: by configured order, or as somebody says who is asked once for each of a task's roles.

use std::sync::Arc;

use tracing::warn;

use crate::ports::model::ModelSelection;
use crate::task::TaskId;

use super::choice::ModelRole;
use super::servers::Servers;

/// Which models a question goes to, in order of preference.
pub(super) struct Selection {
    pub(super) task: TaskId,
    pub(super) role: ModelRole,
    pub(super) names: Vec<String>,
    /// What was selected before.
    pub(super) known: Option<Option<String>>,
    pub(super) issue: String,
    pub(super) servers: Servers,
    pub(super) asked: Option<Arc<dyn ModelSelection>>,
}

impl Selection {
    /// What was selected for the role, and the models with it as the first.
    pub(super) async fn made(self) -> ((ModelRole, Option<String>), Vec<String>) {
        let selected = match &self.known {
            Some(known) => known.clone(),
            None => self.select().await,
        };
        let others = self.names.iter().filter(|name| Some(*name) != selected.as_ref());
        let wanted = selected.iter().chain(others).cloned().collect();
        ((self.role, selected), wanted)
    }

    /// Whoever is asked may choose among those that are there; without an answer that counts, the order does.
    async fn select(&self) -> Option<String> {
        let asked = self.asked.as_ref()?;
        let present = self.servers.present(&self.names).await;
        if present.len() < 2 {
            return None;
        }
        match asked.select(&present, &self.issue).await {
            Ok(model) if present.contains(&model) => Some(model),
            Ok(model) => {
                warn!(task = %self.task, model, ?present, "the selection names none of the models: ignored");
                None
            }
            Err(problem) => {
                warn!(task = %self.task, problem, "no model was selected: the configured order counts");
                None
            }
        }
    }
}
