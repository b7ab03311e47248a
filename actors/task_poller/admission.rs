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
    #[error("the token may read it but not push: it needs the permission contents: write")]
    NoPush,
    #[error("it is archived: nothing can be pushed to it")]
    Archived,
    #[error(transparent)]
    Claims(#[from] ClaimsError),
}

pub(super) async fn admit(deps: &PollerDeps, repo: &RepoId) -> Result<(), NotAdmitted> {
    let repository = deps.forge.repository(repo).await?;
    if repository.archived {
        return Err(NotAdmitted::Archived);
    }
    if !repository.can_push {
        return Err(NotAdmitted::NoPush);
    }
    Ok(deps.git.probe(repo, &deps.node).await?)
}
