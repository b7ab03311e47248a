//! What the git side is told at its start.

use std::path::PathBuf;

use secrecy::SecretString;

use super::limits::GitLimits;
use crate::forks::Forks;
use crate::secrets::Secrets;

#[derive(Debug, Clone)]
pub struct GitOptions {
    /// The server: repositories lie at `GIT_URL/OWNER/NAME.git`. `https`, or `http` on this machine only.
    pub git_url: String,
    pub token: Option<SecretString>,
    /// The node's data folder; `mirrors`, `archives`, `tasks` and `claims.git` in it are this adapter's.
    pub data_dir: PathBuf,
    /// Who makes the published commits.
    pub author_name: String,
    pub author_email: String,
    /// Accepts a `file://` address: bare repositories in a folder of this machine.
    pub allow_file: bool,
    /// Repositories whose branches and claims are elsewhere.
    pub forks: Forks,
    pub limits: GitLimits,
    /// What no work and no message may hold.
    pub secrets: Secrets,
}
