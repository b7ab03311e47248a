//! The code on its way into a sandbox: one tar for each base, made once.
//!
//! Holds true: nothing of this host is in it, no path, no remote, no hook.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bzzz_actors::ports::code::CodeError;
use bzzz_actors::task::{RepoId, Sha};

use super::Git;
use super::command::{GitError, Run};
use super::failure::{code_error, disk_error};
use super::remote::allow_local;

/// How much history a sandbox gets: enough for `git log` and `git blame` to be of use.
const DEPTH: usize = 50;
/// For packing a base of a large repository.
const PACK_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5 * 60);

impl Git {
    pub(super) async fn archive_of(&self, repo: &RepoId, base: &Sha) -> Result<PathBuf, CodeError> {
        let _one_at_a_time = self.archive_locks.lock(repo).await;
        let place = self.home.archive(repo, base);
        if place.exists() {
            touch(&place).map_err(disk_error)?;
            return Ok(place);
        }
        let mirror = self.mirrors.hold_with(repo, base).await?;
        let folder = self.home.work_folder().map_err(disk_error)?;
        let dot_git = folder.path().join(".git");
        match self.shallow_clone(&mirror.path, base, &dot_git).await.map_err(code_error) {
            Ok(()) => {}
            Err(CodeError::Failed(problem)) => {
                // The mirror is damaged where the fetch did not look.
                tracing::warn!(%repo, problem, "mirror can't be read and is fetched anew");
                drop(mirror);
                std::fs::remove_dir_all(&dot_git).map_err(disk_error)?;
                let mirror = self.mirrors.renew(repo, base).await?;
                self.shallow_clone(&mirror.path, base, &dot_git).await.map_err(code_error)?;
            }
            Err(error) => return Err(error),
        }
        let tar = folder.path().join("archive.tar");
        let written =
            tokio::task::spawn_blocking(move || write_tar(&dot_git, &tar).map(|()| (tar, folder))).await;
        let (tar, _folder) = written
            .map_err(|error| CodeError::Unavailable(format!("the archive's writer failed: {error}")))?
            .map_err(disk_error)?;
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent).map_err(disk_error)?;
        }
        std::fs::rename(&tar, &place).map_err(disk_error)?;
        drop_oldest(&self.home.archives(), self.options.limits.archives_bytes, &place).map_err(disk_error)?;
        Ok(place)
    }

    async fn shallow_clone(&self, mirror: &Path, base: &Sha, to: &Path) -> Result<(), GitError> {
        let init =
            Run::new("init").args(["--quiet", "--bare", "--template=", "--initial-branch=work"]).arg(to);
        self.program.run(init).await?.checked()?;
        let fetch = Run::new("fetch")
            .in_repository(to)
            .args(["--quiet", "--no-tags", "--no-write-fetch-head"])
            .arg(format!("--depth={DEPTH}"))
            .timeout(PACK_TIMEOUT);
        let (fetch, url) = allow_local(fetch, mirror);
        let fetch = fetch.arg(url).arg(format!("{base}:refs/heads/work"));
        self.program.run(fetch).await?.checked()?;
        let config = Run::new("config").in_repository(to).args(["core.bare", "false"]);
        self.program.run(config).await?.checked()?;
        Ok(())
    }
}

fn write_tar(dot_git: &Path, to: &Path) -> std::io::Result<()> {
    let mut tar = tar::Builder::new(std::io::BufWriter::new(std::fs::File::create(to)?));
    // Neither this host's users nor its times.
    tar.mode(tar::HeaderMode::Deterministic);
    tar.follow_symlinks(false);
    tar.append_dir_all(".git", dot_git)?;
    std::io::Write::flush(&mut tar.into_inner()?)
}

/// Marks an archive as used now.
fn touch(path: &Path) -> std::io::Result<()> {
    let now = std::fs::FileTimes::new().set_modified(SystemTime::now());
    std::fs::File::options().append(true).open(path)?.set_times(now)
}

/// Drops the archives that were used the longest time ago until the others keep within `max_bytes`.
fn drop_oldest(root: &Path, max_bytes: u64, keep: &Path) -> std::io::Result<()> {
    let mut archives = Vec::new();
    for owner in std::fs::read_dir(root)?.flatten() {
        for name in std::fs::read_dir(owner.path())?.flatten() {
            for file in std::fs::read_dir(name.path())?.flatten() {
                let data = file.metadata()?;
                archives.push((data.modified()?, data.len(), file.path()));
            }
        }
    }
    archives.sort();
    let mut total: u64 = archives.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in archives {
        if total <= max_bytes {
            break;
        }
        if path != keep {
            std::fs::remove_file(&path)?;
            total -= bytes;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_least_recently_used_archives_are_dropped() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("acme/rocket");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, age) in [("a", 30), ("b", 40), ("c", 50)] {
            let file = std::fs::File::create(folder.join(name)).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age)).unwrap();
        }
        touch(&folder.join("b")).unwrap();
        drop_oldest(root.path(), 200, &folder.join("c")).unwrap();
        let left = |name: &str| folder.join(name).exists();
        assert_eq!((left("a"), left("b"), left("c")), (false, true, true));
        drop_oldest(root.path(), 0, &folder.join("c")).unwrap();
        assert_eq!((left("b"), left("c")), (false, true));
    }
}
