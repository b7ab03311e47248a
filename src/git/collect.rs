//! What belongs to nothing any more is removed, and what is kept is kept small: mirrors that nobody works from, mirrors
//! that were set aside, task stores of tasks that have ended, and objects that no branch holds.
//!
//! Holds true: nothing that an unfinished task stands on goes. What is removed needlessly costs a fetch, never work.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bzzz_actors::task::{RepoId, Sha, TaskId};

use super::Git;
use super::command::{GitError, Input, Run};
use super::left_overs;
use super::mirror::{FETCHED_MARK, Mirrors};
use super::names::{KEPT, kept_ref};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// A mirror from which nothing was fetched for this long makes place. Each task fetches, so its repository had none for
/// two weeks; the next one costs a clone. Shorter, and a repository with an issue now and then is cloned for each.
const MIRROR_AGE: Duration = DAY.saturating_mul(14);
/// Mirrors are put in order this often: what each day's fetches bring is little, and a large one takes minutes.
const TIDY_PAUSE: Duration = DAY.saturating_mul(7);
/// Objects that no branch holds stay this long after they came: longer than any look-up that is under way.
const PRUNED_AGE: &str = "--prune=14.days.ago";
/// Past it the mirror stays as it is until the next time. A task of the repository waits for it meanwhile.
const TIDY_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Its age tells when a mirror was last put in order.
const TIDIED_MARK: &str = "tidied";
/// Leases that were last fetched before this are not kept for the next look at them: they are fetched again then.
const SEEN_AGE: Duration = DAY.saturating_mul(14);

/// A task that has not ended, and the commit that it stands on once it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    pub task: TaskId,
    pub base: Option<Sha>,
}

/// What a round found to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Mirrors removed, those that were set aside too.
    pub mirrors: usize,
    /// Mirrors put in order.
    pub tidied: usize,
}

impl Git {
    /// Removes the task stores of every task but `in_use`: those of tasks whose end was recorded just before the node
    /// was killed, or that another journal knew. Only while no task is worked on. Returns how many.
    pub async fn collect_stores(&self, in_use: &[InUse]) -> std::io::Result<usize> {
        let kept: HashSet<PathBuf> = in_use.iter().map(|it| self.home.task(&it.task)).collect();
        let mut removed = 0;
        for entry in std::fs::read_dir(self.home.tasks())? {
            let path = entry?.path();
            if !kept.contains(&path) {
                self.home.discard(&path).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// One round through all repositories, at `now`. What can't be done is tried again in the next round. `in_use` may
    /// be some minutes old: a task that came since has just fetched.
    pub async fn collect(&self, in_use: &[InUse], now: SystemTime) -> Collected {
        let mut collected = Collected::default();
        for (repo, path) in set_aside(&self.home.mirrors()) {
            if is_older(&path.join(FETCHED_MARK), MIRROR_AGE, now) && self.discard(&repo, &path).await {
                collected.mirrors += 1;
            }
        }
        for repo in mirrored(&self.home.mirrors()) {
            let outcome = match bases_of(&repo, in_use) {
                None if self.is_unused(&repo, now) => {
                    self.remove_mirror(&repo, now).await.map(|()| collected.mirrors += 1)
                }
                bases => self.tidy_mirror(&repo, &bases.unwrap_or_default(), now).await.map(|is_tidied| {
                    collected.tidied += usize::from(is_tidied);
                }),
            };
            if let Err(error) = outcome {
                tracing::warn!(%repo, %error, "mirror not collected, tried again in the next round");
            }
        }
        if let Err(error) = self.forget_old_leases(now).await {
            tracing::warn!(%error, "old leases not collected, tried again in the next round");
        }
        collected
    }

    fn is_unused(&self, repo: &RepoId, now: SystemTime) -> bool {
        is_older(&self.home.mirror(repo).join(FETCHED_MARK), MIRROR_AGE, now)
    }

    async fn remove_mirror(&self, repo: &RepoId, now: SystemTime) -> Result<(), GitError> {
        let lock = self.mirrors.lock_of(repo);
        let _fetching = lock.fetching.lock().await;
        let _archive = self.archive_locks.lock(repo).await;
        let _standing = lock.standing.write().await;
        let failed = GitError::io("the data folder");
        // A task may have come while this waited.
        if self.is_unused(repo, now) {
            self.home.discard(&self.home.mirror(repo)).await.map_err(&failed)?;
            let archives = self.home.archives_of(repo);
            if archives.exists() {
                self.home.discard(&archives).await.map_err(&failed)?;
            }
            tracing::info!(%repo, "mirror removed, nobody works from it");
        }
        Ok(())
    }

    async fn discard(&self, repo: &RepoId, path: &Path) -> bool {
        let discarded = self.home.discard(path).await;
        if let Err(error) = &discarded {
            tracing::warn!(%repo, %error, "a mirror that was set aside can't be removed");
        }
        discarded.is_ok()
    }

    /// Drops what no branch and no unfinished task holds, and puts the rest into one pack. Says whether it was due.
    async fn tidy_mirror(&self, repo: &RepoId, bases: &[&Sha], now: SystemTime) -> Result<bool, GitError> {
        let path = self.home.mirror(repo);
        let mark = path.join(TIDIED_MARK);
        if mark.exists() && !is_older(&mark, TIDY_PAUSE, now) {
            return Ok(false);
        }
        let lock = self.mirrors.lock_of(repo);
        let _fetching = lock.fetching.lock().await;
        left_overs::clear(&path);
        let has_many = Mirrors::packs(&path) > 1;
        let is_changed = self.keep_only(&path, bases).await?;
        if has_many || is_changed {
            self.gc(&path, PRUNED_AGE).await?;
        }
        touch(&mark, now).map_err(GitError::io("the mark of the last tidying"))?;
        Ok(has_many || is_changed)
    }

    /// Lets references hold `bases`, and no other commit that was once fetched by its id. Says whether any went.
    async fn keep_only(&self, mirror: &Path, bases: &[&Sha]) -> Result<bool, GitError> {
        let list = Run::new("for-each-ref").in_repository(mirror).args(["--format=%(refname)", KEPT]);
        let kept = self.program.run(list).await?.checked()?.text();
        let wanted: Vec<String> = bases.iter().map(|base| kept_ref(base)).collect();
        let gone: Vec<&str> = kept.lines().filter(|name| !wanted.iter().any(|it| it == name)).collect();
        let mut changes: String = gone.iter().map(|name| format!("delete {name}\n")).collect();
        for (base, name) in bases.iter().zip(&wanted) {
            let look = Run::new("cat-file").in_repository(mirror).arg("-e").arg(format!("{base}^{{commit}}"));
            // One that is not there is fetched by its id when it is needed.
            if self.program.run(look).await?.is_success() {
                changes += &format!("update {name} {base}\n");
            }
        }
        self.change_references(mirror, changes).await?;
        Ok(!gone.is_empty())
    }

    async fn change_references(&self, repository: &Path, changes: String) -> Result<(), GitError> {
        if changes.is_empty() {
            return Ok(());
        }
        let update = Run::new("update-ref").in_repository(repository).arg("--stdin");
        let update = update.input(Input::Bytes(changes.into_bytes()));
        self.program.run(update).await?.checked().map(|_| ())
    }

    async fn gc(&self, repository: &Path, prune: &str) -> Result<(), GitError> {
        // Objects that nothing holds lie in a pack of their own with the times when they came: as single files they
        // would be many.
        let gc = Run::new("gc").in_repository(repository).args(["--quiet", "--cruft", prune]);
        self.program.run(gc.timeout(TIDY_TIMEOUT)).await?.checked().map(|_| ())
    }

    /// Lets go of the leases that were fetched to this host long ago. What nothing holds goes with the next tidying.
    async fn forget_old_leases(&self, now: SystemTime) -> Result<(), GitError> {
        let claims = self.home.claims();
        if !claims.exists() {
            return Ok(());
        }
        let format = "--format=%(committerdate:unix) %(objectname) %(refname)";
        let list = Run::new("for-each-ref").in_repository(&claims).args([format, "refs/seen"]);
        let seen = self.program.run(list).await?.checked()?.text();
        let until = now.checked_sub(SEEN_AGE).and_then(|it| it.duration_since(SystemTime::UNIX_EPOCH).ok());
        let until = until.unwrap_or_default().as_secs();
        let delete = |line: &str| {
            let (seconds, rest) = line.split_once(' ')?;
            let (id, name) = rest.split_once(' ')?;
            // The date is whatever the lease's writer put there; one that was fetched anew meanwhile is at another id.
            let is_old = seconds.parse::<u64>().is_ok_and(|seconds| seconds < until);
            is_old.then(|| format!("delete {name} {id}\n"))
        };
        let deletions: String = seen.lines().filter_map(delete).collect();
        self.change_references(&claims, deletions).await
    }
}

/// `None` when no unfinished task belongs to the repository.
fn bases_of<'a>(repo: &RepoId, in_use: &'a [InUse]) -> Option<Vec<&'a Sha>> {
    let tasks: Vec<&InUse> = in_use.iter().filter(|it| it.task.repo == *repo).collect();
    (!tasks.is_empty()).then(|| tasks.iter().filter_map(|it| it.base.as_ref()).collect())
}

/// Whether the file was last touched so long ago. One that is missing is made, and begins to grow old; one from the
/// future is not old.
fn is_older(mark: &Path, age: Duration, now: SystemTime) -> bool {
    match std::fs::metadata(mark).and_then(|data| data.modified()) {
        Ok(touched) => now.duration_since(touched).is_ok_and(|found| found >= age),
        Err(_) => {
            if let Err(error) = touch(mark, now) {
                tracing::warn!(mark = %mark.display(), %error, "a mark can't be made");
            }
            false
        }
    }
}

/// Makes the file when it is missing, and gives it the time `now`.
pub(super) fn touch(mark: &Path, now: SystemTime) -> std::io::Result<()> {
    std::fs::File::options().append(true).create(true).open(mark)?.set_modified(now)
}

fn mirrored(mirrors: &Path) -> Vec<RepoId> {
    named(mirrors, ".git").into_iter().map(|(repo, _)| repo).collect()
}

fn set_aside(mirrors: &Path) -> Vec<(RepoId, PathBuf)> {
    named(mirrors, ".git.broken")
}

/// `<mirrors>/<owner>/<name><suffix>`; whatever else lies there is not this adapter's.
fn named(mirrors: &Path, suffix: &str) -> Vec<(RepoId, PathBuf)> {
    let mut found = Vec::new();
    for owner in std::fs::read_dir(mirrors).into_iter().flatten().flatten() {
        for entry in std::fs::read_dir(owner.path()).into_iter().flatten().flatten() {
            let (owner, file) = (owner.file_name(), entry.file_name());
            let name = file.to_str().and_then(|name| name.strip_suffix(suffix));
            let repo = name.zip(owner.to_str()).map(|(name, owner)| format!("{owner}/{name}"));
            if let Some(repo) = repo.and_then(|repo| repo.parse().ok()) {
                found.push((repo, entry.path()));
            }
        }
    }
    found
}
