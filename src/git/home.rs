//! The folders of the git side in the data folder, and the locks on them.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bzzz_actors::task::{RepoId, Sha, TaskId};
use tempfile::TempDir;

/// Where things lie. One node at a time has the data folder, which its journal's lock sees to.
#[derive(Debug)]
pub(super) struct Home {
    root: PathBuf,
}

impl Home {
    /// Makes the folders, and removes what a node that was killed left half made.
    pub(super) fn open(root: PathBuf) -> std::io::Result<Self> {
        let home = Self { root: std::path::absolute(root)? };
        for folder in [home.mirrors(), home.archives(), home.tasks()] {
            std::fs::create_dir_all(folder)?;
        }
        crate::folder::emptied(&home.root.join("git-work"))?;
        std::fs::create_dir(home.empty())?;
        Ok(home)
    }

    /// Git's own home: a folder with nothing in it.
    pub(super) fn empty(&self) -> PathBuf {
        self.root.join("git-work/empty")
    }

    /// A folder for what is not whole yet, on the same file system as its place. Removed when it is dropped.
    pub(super) fn work_folder(&self) -> std::io::Result<TempDir> {
        tempfile::Builder::new().prefix("w").tempdir_in(self.root.join("git-work"))
    }

    /// Removes a folder, so that whoever looks meanwhile, or after a crash, finds all of it or nothing.
    pub(super) async fn discard(&self, path: &Path) -> std::io::Result<()> {
        let grave = self.work_folder()?;
        std::fs::rename(path, grave.path().join("gone"))?;
        // Many files may be in it.
        let closed = tokio::task::spawn_blocking(move || grave.close()).await;
        closed.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    pub(super) fn mirrors(&self) -> PathBuf {
        self.root.join("mirrors")
    }

    pub(super) fn mirror(&self, repo: &RepoId) -> PathBuf {
        self.mirrors().join(repo.owner()).join(format!("{}.git", repo.name()))
    }

    pub(super) fn archives(&self) -> PathBuf {
        self.root.join("archives")
    }

    pub(super) fn archive(&self, repo: &RepoId, base: &Sha) -> PathBuf {
        self.archives_of(repo).join(format!("{base}.tar"))
    }

    pub(super) fn archives_of(&self, repo: &RepoId) -> PathBuf {
        self.archives().join(repo.owner()).join(repo.name())
    }

    pub(super) fn tasks(&self) -> PathBuf {
        self.root.join("tasks")
    }

    pub(super) fn task(&self, task: &TaskId) -> PathBuf {
        self.tasks().join(task.slug())
    }

    pub(super) fn store(&self, task: &TaskId) -> PathBuf {
        self.task(task).join("objects.git")
    }

    pub(super) fn claims(&self) -> PathBuf {
        self.root.join("claims.git")
    }
}

/// One lock for each name, made when it is first asked for.
#[derive(Debug)]
pub(super) struct Locks<K, L>(Mutex<HashMap<K, Arc<L>>>);

impl<K: Eq + Hash + Clone> Locks<K, tokio::sync::Mutex<()>> {
    pub(super) async fn lock(&self, key: &K) -> tokio::sync::OwnedMutexGuard<()> {
        self.of(key).lock_owned().await
    }
}

impl<K, L> Default for Locks<K, L> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, L: Default> Locks<K, L> {
    pub(super) fn of(&self, key: &K) -> Arc<L> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.entry(key.clone()).or_default().clone()
    }
}

/// A path as it stands in git's lists of alternates, which are separated by colons where they are a variable.
pub(super) fn as_alternate(objects: &Path) -> String {
    let path = objects.display().to_string();
    if path.contains(':') || path.starts_with('"') {
        format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        path
    }
}
