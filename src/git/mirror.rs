//! One bare mirror for each repository, with the branches that work starts from.
//!
//! Holds true: an object that a task stands on stays in its mirror, since the server may have dropped it from its
//! branches ([`super::collect`] says what goes); a mirror comes to its place whole; one that git can't read is moved
//! aside and fetched anew, never repaired.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bzzz_actors::ports::code::CodeError;
use bzzz_actors::task::{Base, RepoId, Sha};
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};

use super::collect::touch;
use super::command::{GitError, KernelLimits, Run};
use super::failure::code_error;
use super::home::{Home, Locks};
use super::left_overs::{self, unfinished_packs};
use super::limits::GitLimits;
use super::names::{is_branch_name, kept_ref};
use super::program::Program;
use super::remote::{Failure, Remote, failure_of};

/// Each fetch adds a pack, and each pack makes every look-up slower.
const MAX_PACKS: usize = 50;
/// Its age tells when a mirror was last fetched into.
pub(super) const FETCHED_MARK: &str = "fetched";
/// For putting the packs of a mirror together.
const REPACK_TIMEOUT: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Default)]
pub(super) struct MirrorLock {
    /// One fetch at a time, and nothing else that changes the mirror meanwhile.
    pub(super) fetching: Mutex<()>,
    /// Written only while a mirror is exchanged for another; held for reading by all that reads it.
    pub(super) standing: Arc<RwLock<()>>,
}

#[derive(Debug)]
pub(super) struct Mirrors {
    program: Program,
    remote: Remote,
    home: Arc<Home>,
    locks: Locks<RepoId, MirrorLock>,
    fetch_timeout: Duration,
    max_pack_bytes: u64,
}

/// A mirror that is not exchanged while this is held.
pub(super) struct Mirror {
    pub(super) path: PathBuf,
    _standing: OwnedRwLockReadGuard<()>,
}

impl Mirrors {
    pub(super) fn new(program: Program, remote: Remote, home: Arc<Home>, limits: &GitLimits) -> Self {
        Self {
            program,
            remote,
            home,
            locks: Locks::default(),
            fetch_timeout: limits.fetch_timeout,
            max_pack_bytes: limits.repository_bytes,
        }
    }

    pub(super) fn lock_of(&self, repo: &RepoId) -> Arc<MirrorLock> {
        self.locks.of(repo)
    }

    pub(super) async fn hold(&self, repo: &RepoId) -> Mirror {
        let standing = self.locks.of(repo).standing.clone().read_owned().await;
        Mirror { path: self.home.mirror(repo), _standing: standing }
    }

    /// Fetches `branch` and returns its tip.
    pub(super) async fn refresh(&self, repo: &RepoId, branch: &str) -> Result<Base, CodeError> {
        if !is_branch_name(branch) {
            return Err(CodeError::Failed(format!("{repo}: {branch:?} is not a branch's name")));
        }
        let lock = self.locks.of(repo);
        let _fetching = lock.fetching.lock().await;
        let name = format!("refs/heads/{branch}");
        let refspec = format!("+{name}:{name}");
        let fetched = self.fetch(repo, &refspec, &name).await;
        let tip = match fetched {
            Ok(tip) => tip,
            Err(MirrorError::NoSuchRef) => return Err(self.missing_branch(repo, branch).await),
            Err(MirrorError::Server(error)) => return Err(error),
            Err(MirrorError::Unreadable(error)) => return Err(CodeError::Failed(error)),
        };
        self.repack_if_scattered(repo).await;
        Ok(Base { branch: branch.to_owned(), commit: tip })
    }

    /// Holds the mirror with `commit` in it, fetched by its id when it is not there.
    pub(super) async fn hold_with(&self, repo: &RepoId, commit: &Sha) -> Result<Mirror, CodeError> {
        let mirror = self.hold(repo).await;
        if self.has_commit(&mirror.path, commit).await? {
            return Ok(mirror);
        }
        drop(mirror);
        self.fetch_commit(repo, commit).await?;
        Ok(self.hold(repo).await)
    }

    async fn fetch(&self, repo: &RepoId, refspec: &str, name: &str) -> Result<Sha, MirrorError> {
        let place = self.home.mirror(repo);
        if !place.exists() {
            return self.rebuild(repo, refspec, name).await;
        }
        let fetched = self.fetch_into(&place, repo, refspec, name).await;
        if let Err(MirrorError::Unreadable(problem)) = &fetched {
            tracing::warn!(%repo, %problem, "mirror can't be used and is fetched anew");
            return self.rebuild(repo, refspec, name).await;
        }
        fetched
    }

    async fn fetch_commit(&self, repo: &RepoId, commit: &Sha) -> Result<(), CodeError> {
        let lock = self.locks.of(repo);
        let _fetching = lock.fetching.lock().await;
        let name = kept_ref(commit);
        let refspec = format!("+{commit}:{name}");
        let fetched = self.fetch(repo, &refspec, &name).await;
        match fetched {
            Ok(_) => Ok(()),
            Err(MirrorError::Server(error)) => Err(error),
            Err(MirrorError::NoSuchRef) => {
                Err(CodeError::Failed(format!("{repo}: the server no longer has the commit {commit}")))
            }
            Err(MirrorError::Unreadable(problem)) => Err(CodeError::Failed(problem)),
        }
    }

    /// Exchanges a mirror that failed while it was read for one that has `commit`.
    pub(super) async fn renew(&self, repo: &RepoId, commit: &Sha) -> Result<Mirror, CodeError> {
        let lock = self.locks.of(repo);
        let fetching = lock.fetching.lock().await;
        let name = kept_ref(commit);
        let renewed = self.rebuild(repo, &format!("+{commit}:{name}"), &name).await;
        renewed.map_err(|error| match error {
            MirrorError::Server(error) => error,
            MirrorError::NoSuchRef => CodeError::Failed(format!("{repo}: the server has no commit {commit}")),
            MirrorError::Unreadable(problem) => CodeError::Failed(problem),
        })?;
        drop(fetching);
        Ok(self.hold(repo).await)
    }

    async fn has_commit(&self, mirror: &Path, commit: &Sha) -> Result<bool, CodeError> {
        if !mirror.exists() {
            return Ok(false);
        }
        let run = Run::new("cat-file").in_repository(mirror).arg("-e").arg(format!("{commit}^{{commit}}"));
        Ok(self.program.run(run).await.map_err(code_error)?.is_success())
    }

    /// Builds the mirror in a work folder and puts it in its place. An old one is set aside, the last of them.
    async fn rebuild(&self, repo: &RepoId, refspec: &str, name: &str) -> Result<Sha, MirrorError> {
        let folder = self.home.work_folder().map_err(local)?;
        let fresh = folder.path().join("mirror.git");
        let tip = self.fetch_into(&fresh, repo, refspec, name).await?;
        let place = self.home.mirror(repo);
        let broken = place.with_extension("git.broken");
        let lock = self.locks.of(repo);
        let _standing = lock.standing.write().await;
        match tokio::fs::remove_dir_all(&broken).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(local(error)),
            _ => {}
        }
        if place.exists() {
            tokio::fs::rename(&place, &broken).await.map_err(local)?;
            // How long it is kept counts from now; one whose folder takes no file has its time from its next look.
            let _ = touch(&broken.join(FETCHED_MARK), SystemTime::now());
        }
        if let Some(owner) = place.parent() {
            tokio::fs::create_dir_all(owner).await.map_err(local)?;
        }
        tokio::fs::rename(&fresh, &place).await.map_err(local)?;
        Ok(tip)
    }

    /// Fetches into the repository at `path`, which is made when it is missing, and returns what `name` is then.
    /// Whoever calls it sees to it that nothing else changes the repository meanwhile.
    async fn fetch_into(
        &self,
        path: &Path,
        repo: &RepoId,
        refspec: &str,
        name: &str,
    ) -> Result<Sha, MirrorError> {
        if !path.exists() {
            let init = Run::new("init").args(["--quiet", "--bare", "--template="]).arg(path);
            self.local(init).await?;
            // The archives are made from commits that no reference need hold any more.
            let config = ["uploadpack.allowAnySHA1InWant", "true"];
            self.local(Run::new("config").in_repository(path).args(config)).await?;
        }
        let fetch = Run::new("fetch")
            .in_repository(path)
            .args(["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"])
            .arg(self.remote.url(repo))
            .arg(refspec)
            .timeout(self.fetch_timeout)
            .kernel_limits(KernelLimits { file_bytes: Some(self.max_pack_bytes), ..KernelLimits::default() });
        left_overs::clear(path);
        let output = self.program.run(self.remote.allow(fetch)).await.map_err(server)?;
        if !output.is_success() {
            let max = self.max_pack_bytes;
            let is_too_large = has_hit_limit(path, max);
            left_overs::clear(path);
            if is_too_large {
                let problem = format!("{repo}: it is larger than the limit for repositories, {max} bytes");
                return Err(MirrorError::Server(CodeError::Failed(problem)));
            }
            return Err(fetch_problem(repo, &output.stderr, output.failure()));
        }
        touch(&path.join(FETCHED_MARK), SystemTime::now()).map_err(local)?;
        // Reads the commit itself, which a fetch that had nothing to do did not.
        let tip = self.local(Run::new("rev-list").in_repository(path).args(["-1", name, "--"])).await?;
        tip.parse()
            .map_err(|error: bzzz_actors::task::InvalidName| MirrorError::Unreadable(error.to_string()))
    }

    async fn local(&self, run: Run) -> Result<String, MirrorError> {
        let output = self.program.run(run).await.and_then(|o| o.checked());
        output.map(|o| o.text()).map_err(|error| match failure_of(&error.to_string()) {
            Failure::Passing => MirrorError::Server(CodeError::Unavailable(error.to_string())),
            Failure::Denied | Failure::Other => MirrorError::Unreadable(error.to_string()),
        })
    }

    /// The server has no such branch: perhaps it has none at all.
    async fn missing_branch(&self, repo: &RepoId, branch: &str) -> CodeError {
        match self.has_any_branch(repo).await {
            Ok(false) => CodeError::EmptyRepository { repo: repo.clone() },
            Ok(true) => CodeError::Failed(format!(
                "{repo}: it has no branch {branch}: make it, or set another one as the default branch (or in Hive)"
            )),
            Err(error) => error,
        }
    }

    async fn has_any_branch(&self, repo: &RepoId) -> Result<bool, CodeError> {
        let run = Run::new("ls-remote").arg("--heads").arg(self.remote.url(repo)).timeout(self.fetch_timeout);
        let output = self.program.run(self.remote.allow(run)).await;
        match output.and_then(|o| o.checked()) {
            Ok(output) => Ok(!output.stdout.is_empty()),
            // So many branches that their list is too long.
            Err(GitError::TooMuchOutput { .. }) => Ok(true),
            Err(error) => Err(code_error(error)),
        }
    }

    pub(super) fn packs(mirror: &Path) -> usize {
        let is_pack = |e: &std::fs::DirEntry| e.path().extension().is_some_and(|x| x == "pack");
        std::fs::read_dir(mirror.join("objects/pack")).map_or(0, |it| it.flatten().filter(is_pack).count())
    }

    async fn repack_if_scattered(&self, repo: &RepoId) {
        let path = self.home.mirror(repo);
        let packs = Self::packs(&path);
        if packs <= MAX_PACKS {
            return;
        }
        // Rolls small packs into larger ones and leaves alone what is large already, and the pack of objects that
        // nothing holds, which would otherwise never grow old.
        let repack = Run::new("repack")
            .in_repository(&path)
            .args(["--geometric=2", "-d", "--quiet"])
            .timeout(REPACK_TIMEOUT);
        match self.program.run(repack).await.and_then(|o| o.checked()) {
            Ok(_) => tracing::debug!(%repo, packs, "put the packs of the mirror together"),
            Err(error) => tracing::warn!(%repo, packs, %error, "the mirror's packs can't be put together"),
        }
    }
}

#[derive(Debug)]
enum MirrorError {
    /// The server or the network; the mirror is fine.
    Server(CodeError),
    NoSuchRef,
    /// Git can't use the mirror.
    Unreadable(String),
}

fn local(error: std::io::Error) -> MirrorError {
    MirrorError::Server(CodeError::Unavailable(format!("the data folder can't be written: {error}")))
}

fn server(error: GitError) -> MirrorError {
    MirrorError::Server(code_error(error))
}

/// Whether a fetch ended at the limit for files: the kernel ends it without a word.
pub(super) fn has_hit_limit(repository: &Path, max_file_bytes: u64) -> bool {
    // The limit is set in whole blocks.
    let last_block = max_file_bytes.saturating_sub(1024);
    unfinished_packs(repository).iter().any(|(_, length)| *length >= last_block)
}

fn fetch_problem(repo: &RepoId, stderr: &str, error: GitError) -> MirrorError {
    let text = stderr.to_ascii_lowercase();
    if text.contains("couldn't find remote ref") || text.contains("not our ref") {
        return MirrorError::NoSuchRef;
    }
    let message = error.to_string();
    match failure_of(stderr) {
        Failure::Denied => MirrorError::Server(CodeError::Denied { repo: repo.clone(), message }),
        Failure::Passing => MirrorError::Server(CodeError::Unavailable(message)),
        Failure::Other => MirrorError::Unreadable(message),
    }
}
