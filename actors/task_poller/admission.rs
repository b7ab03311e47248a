//! Whether this node can work on a repository at all: looked at before its first issue is, so that a missing
//! permission is said at the start and not after an hour's work.

use crate::ports::claims::ClaimsError;
use crate::ports::forge::ForgeError;
use crate::task::RepoId;

use super::PollerDeps;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAdmitted {
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(
        "the token may read it but not push: it needs the permission contents: write, or a fork to push to (forge.fork)"
    )]
    NoPush,
    #[error("it is archived: nothing can be pushed to it")]
    Archived,
    #[error(transparent)]
    Claims(#[from] ClaimsError),
}

impl NotAdmitted {
    /// Whether it says nothing about the repository.
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::Forge(error) => error.is_retryable(),
            Self::Claims(error) => matches!(error, ClaimsError::Unclear(_)),
            Self::NoPush | Self::Archived => false,
        }
    }
}

/// Returns what most of the repository is written in.
pub(super) async fn admit(deps: &PollerDeps, repo: &RepoId) -> Result<Option<String>, NotAdmitted> {
    let repository = deps.forge.repository(repo).await?;
    if repository.archived {
        return Err(NotAdmitted::Archived);
    }
    if !repository.can_push {
        return Err(NotAdmitted::NoPush);
    }
    deps.git.probe(repo, &deps.node).await?;
    Ok(repository.language)
}
