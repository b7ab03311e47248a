//! The forge's git side, with the git program: the way of the code in and out, and the claims.
//!
//! Holds true: host git never runs in a work tree, nor in a repository that a sandbox could write; the token is in no
//! argument and no address; what comes from the server or a sandbox has limits of size and time.

mod archive;
mod bundle;
mod case;
mod changes;
mod collect;
mod command;
mod contents;
mod failure;
mod home;
mod import;
mod inherit;
mod lease_record;
mod leases;
mod left_overs;
mod lfs;
mod limits;
mod mirror;
mod names;
mod namespaces;
mod objects;
mod options;
mod paths;
mod porcelain;
mod program;
mod remote;
mod secret_check;
mod shown;
mod store;
mod swap;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use bzzz_actors::ports::claims::{BranchUpdate, Claims, ClaimsError, LeaseRecord, SeenLease, Swap};
use bzzz_actors::ports::code::{Code, CodeError, CodeIn, ImportedTree, Pushed};
use bzzz_actors::ports::sandbox::WorkBundle;
use bzzz_actors::task::{Base, NodeId, PathPattern, RepoId, Sha, TaskId};
use tokio::sync::Mutex;

use crate::http::SetupError;
pub use collect::{Collected, InUse};
use command::Run;
use home::{Home, Locks};
pub use limits::GitLimits;
use mirror::Mirrors;
use names::ClaimsAt;
pub use options::GitOptions;
use program::Program;
use remote::Remote;
pub use shown::ShownClaim;

/// Older ones lack checks of what they are given, and options that are used here.
const OLDEST_GIT: (u32, u32) = (2, 39);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitSetupError {
    #[error(transparent)]
    Address(#[from] SetupError),
    #[error("the data folder {folder} can't be used: {problem}")]
    Folder { folder: String, problem: String },
    #[error("git can't be used: {problem}. Install git 2.39 or newer")]
    Git { problem: String },
}

/// The node's git.
pub struct Git {
    program: Program,
    remote: Remote,
    options: GitOptions,
    home: Arc<Home>,
    mirrors: Mirrors,
    archive_locks: Locks<RepoId, Mutex<()>>,
    task_locks: Locks<TaskId, Mutex<()>>,
    claims_lock: Mutex<()>,
    /// The claims' repository is being tidied.
    tidying: Arc<AtomicBool>,
    unreadable_leases: leases::UnreadableLeases,
    namespaces: namespaces::Namespaces,
}

impl Git {
    /// Makes its folders in the data folder, and looks whether git is there and new enough. Sends nothing.
    pub async fn open(options: GitOptions) -> Result<Self, GitSetupError> {
        let remote = Remote::new(&options.git_url, options.token.clone(), options.allow_file)?;
        let home = Home::open(options.data_dir.clone()).map_err(|error| GitSetupError::Folder {
            folder: options.data_dir.display().to_string(),
            problem: error.to_string(),
        })?;
        let home = Arc::new(home);
        let program = Program::new(home.empty());
        new_enough(&program).await?;
        let mirrors = Mirrors::new(program.clone(), remote.clone(), home.clone(), &options.limits);
        Ok(Self {
            program,
            remote,
            options,
            home,
            mirrors,
            archive_locks: Locks::default(),
            task_locks: Locks::default(),
            claims_lock: Mutex::default(),
            tidying: Arc::default(),
            unreadable_leases: leases::UnreadableLeases::default(),
            namespaces: namespaces::Namespaces::default(),
        })
    }
}

impl Git {
    fn claims_at(&self, repo: &RepoId) -> ClaimsAt {
        let fork = self.options.forks.of(repo);
        fork.map_or_else(|| ClaimsAt::itself(repo), |fork| ClaimsAt::elsewhere(repo, &fork.claims))
    }
}

/// The git of this machine, new enough.
///
/// # Errors
/// When there is none, or an older one.
pub(crate) async fn installed_version() -> Result<String, GitSetupError> {
    let problem = |problem: String| GitSetupError::Git { problem };
    let home = tempfile::tempdir().map_err(|error| problem(error.to_string()))?;
    new_enough(&Program::new(home.path().to_owned())).await
}

async fn new_enough(program: &Program) -> Result<String, GitSetupError> {
    let problem = |problem: String| GitSetupError::Git { problem };
    let version = program.run(Run::new("version")).await.and_then(|output| output.checked());
    let version = version.map_err(|error| problem(error.to_string()))?.text();
    if parse_version(&version).is_none_or(|version| version < OLDEST_GIT) {
        return Err(problem(format!("it is {version:?}")));
    }
    Ok(version)
}

/// Major and minor number of "git version 2.47.3".
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[async_trait]
impl Code for Git {
    async fn refresh(&self, repo: &RepoId, branch: &str) -> Result<Base, CodeError> {
        self.mirrors.refresh(repo, branch).await
    }

    async fn read_file(&self, repo: &RepoId, commit: &Sha, path: &str) -> Result<Option<String>, CodeError> {
        self.text_of(repo, commit, path).await
    }

    async fn code_in(&self, task: &TaskId, base: &Sha, tree: Option<&Sha>) -> Result<CodeIn, CodeError> {
        let archive = self.archive_of(&task.repo, base).await?;
        let changes = match tree {
            Some(tree) => Some(self.changes_bundle(task, base, tree).await?),
            None => None,
        };
        Ok(CodeIn { archive, base: base.clone(), changes })
    }

    async fn import(
        &self,
        task: &TaskId,
        base: &Sha,
        bundle: WorkBundle,
        paths: &[PathPattern],
    ) -> Result<ImportedTree, CodeError> {
        self.import_into_store(task, base, bundle, paths).await
    }

    async fn pushed(&self, task: &TaskId, newest: &Base) -> Result<Option<Pushed>, CodeError> {
        self.pushed_branch(task, newest).await
    }

    async fn inherit(
        &self,
        task: &TaskId,
        base: &Sha,
        pushed: &Sha,
        paths: &[PathPattern],
    ) -> Result<ImportedTree, CodeError> {
        self.inherit_branch(task, base, pushed, paths).await
    }

    async fn commit(&self, task: &TaskId, base: &Sha, tree: &Sha, message: &str) -> Result<Sha, CodeError> {
        let _one_at_a_time = self.task_locks.lock(task).await;
        self.commit_tree(task, base, tree, &self.options.secrets.redacted(message)).await
    }

    fn secret_in(&self, text: &str) -> Option<String> {
        self.options.secrets.find(text.as_bytes()).first().map(|found| found.what.to_owned())
    }

    async fn forget(&self, task: &TaskId) -> Result<(), CodeError> {
        self.forget_store(task).await
    }
}

#[async_trait]
impl Claims for Git {
    async fn read(&self, task: &TaskId) -> Result<Option<SeenLease>, ClaimsError> {
        self.read_lease(task).await
    }

    async fn list(&self, repo: &RepoId) -> Result<Vec<(u64, Sha)>, ClaimsError> {
        let mut claims: Vec<_> =
            self.server_claims(repo).await?.into_iter().map(|(_, number, sha)| (number, sha)).collect();
        claims.sort();
        claims.dedup_by_key(|(number, _)| *number);
        Ok(claims)
    }

    async fn read_all(&self, repo: &RepoId, numbers: &[u64]) -> Result<Vec<(u64, SeenLease)>, ClaimsError> {
        self.read_leases(repo, numbers).await
    }

    async fn read_branch(&self, task: &TaskId) -> Result<Option<Sha>, ClaimsError> {
        self.read_server_branch(task).await
    }

    async fn draft(&self, previous: Option<&Sha>, record: &LeaseRecord) -> Result<Sha, ClaimsError> {
        self.draft_lease(previous, record).await
    }

    async fn swap(
        &self,
        task: &TaskId,
        from: Option<&Sha>,
        to: &Sha,
        branch: Option<&BranchUpdate>,
    ) -> Result<Swap, ClaimsError> {
        self.swap_claim(task, from, to, branch).await
    }

    async fn delete(&self, task: &TaskId, from: &Sha) -> Result<Swap, ClaimsError> {
        self.delete_claim(task, from).await
    }

    async fn probe(&self, repo: &RepoId, node: &NodeId) -> Result<(), ClaimsError> {
        self.probe_server(repo, node).await
    }
}
