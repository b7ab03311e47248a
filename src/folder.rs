//! Folders: made so that they survive a crash, and emptied whatever an earlier life of the node left in them.
//!
//! What a killed node had started, git above all, may outlive it for a moment and write on in them.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tracing::warn;

/// Makes an empty folder, whatever was at its path before.
///
/// What was there is moved aside before it is removed, to a folder beside it: a folder that somebody writes to can't be
/// removed for certain. What can't be removed now is removed when this is called again.
pub(crate) fn emptied(path: &Path) -> io::Result<()> {
    let aside = aside_of(path);
    match fs::symlink_metadata(path) {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => {}
        Err(problem) => return Err(problem),
        Ok(_) => {
            fs::create_dir_all(&aside)?;
            let grave = tempfile::Builder::new().tempdir_in(&aside)?.keep();
            fs::rename(path, grave.join("gone"))?;
        }
    }
    fs::create_dir(path)?;
    remove(&aside);
    Ok(())
}

/// Removes a folder, or says why not.
pub(crate) fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(problem) if problem.kind() != io::ErrorKind::NotFound => {
            warn!(folder = %folder.display(), %problem, "not removed; the next start of the node removes it");
        }
        _ => {}
    }
}

fn aside_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".old");
    path.with_file_name(name)
}

/// Makes a folder, for the node's user only, whose existence survives a crash.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), make)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => return Err(error),
        _ => {}
    }
    parent.map_or(Ok(()), sync)
}

pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn what_was_there_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("work");
        emptied(&path).unwrap();
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/b/c"), "left").unwrap();
        emptied(&path).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        assert_eq!(names(root.path()), ["work"]);
    }

    #[test]
    fn a_process_that_still_writes_there_does_not_keep_the_folder_from_being_emptied() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("work");
        fs::create_dir(&path).unwrap();
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..50 {
                let old = File::open(&path).unwrap();
                // As a process whose current folder it is.
                let writer = scope.spawn(|| {
                    let old = old;
                    for number in 0..10_000 {
                        let file = format!("/proc/self/fd/{}/{number}", old.as_raw_fd());
                        if ended.load(Ordering::Relaxed) || fs::write(file, "more").is_err() {
                            break;
                        }
                    }
                });
                while fs::read_dir(&path).unwrap().next().is_none() {
                    std::thread::yield_now();
                }
                emptied(&path).unwrap();
                assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
                ended.store(true, Ordering::Relaxed);
                writer.join().unwrap();
                ended.store(false, Ordering::Relaxed);
            }
        });
        emptied(&path).unwrap();
        assert_eq!(names(root.path()), ["work"], "what could not be removed then is removed now");
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}
