//! Whose word counts: who may hand an issue to the nodes, and who may answer a node's question. Anybody may write an
//! issue; only a person who may sort the repository's issues (the right to triage, or more), or one whom the operator
//! names, may say that a node shall follow one: as it stands then, so that who changes it later must be one of them too.
//!
//! Holds true: a verdict stands until the issue changes, so that an issue that was decided costs no request; what the
//! forge can't be asked is not trusted; the log says once why an issue is left alone, and what to do.

mod memory;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tracing::{info, warn};

use crate::ports::forge::{Comment, Forge, ForgeError, LabelSetting};
use crate::task::{Issue, RepoId, TaskId};

use memory::{Memory, Verdict};

pub struct Trust {
    forge: Arc<dyn Forge>,
    task_label: String,
    /// Only these count, if there are any; otherwise who may triage.
    named: Vec<String>,
    memory: Mutex<Memory>,
}

/// Why an issue is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTrusted {
    #[error(
        "{setter} set its label and may not triage issues of the repository: someone who may has to remove it and set it again"
    )]
    MayNotTriage { setter: String },
    #[error(
        "{setter} set its label and is not in forge.label_setters: one of those has to remove it and set it again"
    )]
    NotNamed { setter: String },
    #[error("the forge does not say who set its label: remove it and set it again")]
    Nobody,
    #[error(
        "{editor} changed it after its label was set, and may not set that: someone who may has to read it again, remove the \
         label, and set it again"
    )]
    EditedSince { editor: String },
    #[error(
        "the forge does not tell this token whether the one who set its label may: {0}; give the token the right, or name \
         people in forge.label_setters"
    )]
    CanNotAsk(ForgeError),
}

impl Trust {
    pub fn new(forge: Arc<dyn Forge>, task_label: String, named: Vec<String>) -> Self {
        Self { forge, task_label, named, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the issue, as it is, was found untrusted before: without a request.
    pub fn is_known_untrusted(&self, task: &TaskId, issue: &Issue) -> bool {
        matches!(self.memory().verdict(task, issue, Instant::now()), Some(Verdict { setter: Err(_), .. }))
    }

    /// Who set the issue's label, if they may; `None`: it is not trusted.
    ///
    /// # Errors
    /// When the forge is away: nothing is known then.
    pub async fn trusted_setter(&self, task: &TaskId, issue: &Issue) -> Result<Option<String>, ForgeError> {
        if let Some(known) = self.memory().verdict(task, issue, Instant::now()) {
            return Ok(known.setter.ok());
        }
        let setter = match self.judge(task).await {
            Ok(setter) => setter,
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => Err(NotTrusted::CanNotAsk(error)),
        };
        let is_news = self.memory().remember(task, issue, setter.clone(), Instant::now());
        match &setter {
            Err(why @ NotTrusted::CanNotAsk(_)) if is_news => warn!(%task, %why, "not taken"),
            Err(why) if is_news => info!(%task, %why, "not taken"),
            _ => {}
        }
        Ok(setter.ok())
    }

    async fn judge(&self, task: &TaskId) -> Result<Result<String, NotTrusted>, ForgeError> {
        let Some(setting) = self.forge.label_setting(task, &self.task_label).await? else {
            return Ok(Err(NotTrusted::Nobody));
        };
        let setter = setting.by.clone();
        if !self.may_set(&task.repo, &setter).await? {
            return Ok(Err(match self.named.is_empty() {
                true => NotTrusted::MayNotTriage { setter },
                false => NotTrusted::NotNamed { setter },
            }));
        }
        Ok(match self.edited_since(task, setting).await? {
            Some(why) => Err(why),
            None => Ok(setter),
        })
    }

    /// Who set the label has read what stood there then.
    async fn edited_since(
        &self,
        task: &TaskId,
        setting: LabelSetting,
    ) -> Result<Option<NotTrusted>, ForgeError> {
        let mut editors = setting.renamed_by;
        // Of the same second it is not known which was first.
        editors.extend(
            self.forge.last_edit(task).await?.filter(|edit| edit.at >= setting.at).map(|edit| edit.by),
        );
        for editor in editors {
            let Some(editor) = editor else {
                return Ok(Some(NotTrusted::EditedSince { editor: "an account that is gone".to_owned() }));
            };
            if !self.may_set(&task.repo, &editor).await? {
                return Ok(Some(NotTrusted::EditedSince { editor }));
            }
        }
        Ok(None)
    }

    async fn may_set(&self, repo: &RepoId, login: &str) -> Result<bool, ForgeError> {
        match self.named.is_empty() {
            true => self.may_triage(repo, login).await,
            false => Ok(self.is_named(login)),
        }
    }

    /// Whether a comment may answer a question: what it says goes to the model, so it has to come from someone who could
    /// have set the label. That somebody wrote the issue is not enough.
    ///
    /// # Errors
    /// When the forge does not say.
    pub async fn may_answer(&self, repo: &RepoId, comment: &Comment) -> Result<bool, ForgeError> {
        match self.named.is_empty() {
            true if !comment.from_maintainer => Ok(false),
            true => self.may_triage(repo, &comment.author).await,
            false => Ok(self.is_named(&comment.author)),
        }
    }

    fn is_named(&self, login: &str) -> bool {
        self.named.iter().any(|name| name.eq_ignore_ascii_case(login))
    }

    async fn may_triage(&self, repo: &RepoId, login: &str) -> Result<bool, ForgeError> {
        if let Some(known) = self.memory().right(repo, login, Instant::now()) {
            return Ok(known);
        }
        let may = self.forge.may_triage(repo, login).await?;
        self.memory().remember_right(repo, login, may, Instant::now());
        Ok(may)
    }
}
