//! What git commands that were killed leave in a repository: locks that nobody holds any more, and unfinished packs.
//!
//! Git itself never takes such a lock away, so the next change of the same reference would fail for ever. A git that
//! outlived its node may still hold a young one: that is waited for.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Git holds a lock for some milliseconds, and for a second where it packs very many references. Shorter, and one that
/// is in use could be taken away; longer, and a node that starts again waits for it in vain.
const LOCK_AGE: Duration = Duration::from_secs(10);

/// Removes unfinished packs, and the locks that are too old to be held. Only while no other command that this node
/// started changes the repository.
pub(super) fn clear(repository: &Path) {
    for (path, _) in unfinished_packs(repository) {
        remove(&path);
    }
    let places = ["", "objects", "objects/info", "objects/pack"];
    let mut locks: Vec<PathBuf> = places.iter().flat_map(|at| locks_in(&repository.join(at))).collect();
    let mut folders = vec![repository.join("refs")];
    while let Some(folder) = folders.pop() {
        locks.extend(locks_in(&folder));
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|it| it.is_dir());
        folders.extend(entries.filter(is_folder).map(|entry| entry.path()));
    }
    locks.iter().for_each(|lock| remove_if_old(lock));
}

/// The same for the locks that a change of the one reference `name` needs. Others may be changed meanwhile.
pub(super) fn clear_reference(repository: &Path, name: &str) {
    remove_if_old(&repository.join(format!("{name}.lock")));
    remove_if_old(&repository.join("packed-refs.lock"));
}

fn locks_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "lock")).collect()
}

fn remove_if_old(lock: &Path) {
    let Ok(made) = std::fs::symlink_metadata(lock).and_then(|data| data.modified()) else { return };
    // One from the future is none that a running git has just made.
    if SystemTime::now().duration_since(made).map_or(true, |age| age >= LOCK_AGE) {
        tracing::info!(lock = %lock.display(), "a lock that a killed git left is removed");
        remove(lock);
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "what a killed git left can't be removed");
    }
}

/// Packs, indexes of packs and the like that have no name yet, with their lengths.
pub(super) fn unfinished_packs(repository: &Path) -> Vec<(PathBuf, u64)> {
    let entries = std::fs::read_dir(repository.join("objects/pack")).into_iter().flatten().flatten();
    let is_unfinished = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        // The first are a fetch's, the second a repack's.
        [b"tmp_".as_slice(), b".tmp-"].iter().any(|start| name.as_encoded_bytes().starts_with(start))
    };
    entries.filter(is_unfinished).filter_map(|it| Some((it.path(), it.metadata().ok()?.len()))).collect()
}
