//! One node for one data folder. The lock is the kernel's and ends with the process, however that ends; the file's
//! text, the holder's process id, is for people.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::JournalOpenError;
use crate::file_lock::LockedFile;

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct DataLock {
    _file: LockedFile,
}

impl DataLock {
    pub(super) fn acquire(data_dir: &Path) -> Result<Self, JournalOpenError> {
        let path = data_dir.join("lock");
        let unusable = |source| JournalOpenError::Folder { path: path.clone(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable)?;
        let file = match LockedFile::take(file) {
            Ok(file) => file,
            Err(TryLockError::WouldBlock) => {
                let holder = File::open(&path).ok().as_ref().and_then(read_pid);
                return Err(JournalOpenError::Locked { path: data_dir.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        };
        file.set_len(0).map_err(unusable)?;
        writeln!(&*file, "{}", std::process::id()).map_err(unusable)?;
        Ok(Self { _file: file })
    }
}

/// The process that holds the folder, if one does. Looks without taking the lock for a moment, which could be just the
/// one in which a node starts.
///
/// # Errors
/// When the kernel's list of locks can't be read.
pub fn holder(data_dir: &Path) -> io::Result<Option<u32>> {
    let file = match File::open(data_dir.join("lock")) {
        Ok(file) => file,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(problem) => return Err(problem),
    };
    let inode = file.metadata()?.ino();
    let Some(pid) = read_pid(&file) else { return Ok(None) };
    let locks = std::fs::read_to_string("/proc/locks")?;
    Ok(locks.lines().any(|line| is_lock_of(line, pid, inode)).then_some(pid))
}

/// A line such as `7: FLOCK  ADVISORY  WRITE 4711 fe:00:131083 0 EOF`. The device before the inode is not that of `stat` on
/// every file system, so process and inode count.
fn is_lock_of(line: &str, pid: u32, inode: u64) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, "FLOCK", _, "WRITE", holder, file, ..] = fields[..] else { return false };
    let of_inode = file.rsplit(':').next().and_then(|text| text.parse().ok());
    holder.parse() == Ok(pid) && of_inode == Some(inode)
}

fn read_pid(file: &File) -> Option<u32> {
    const MAX_PID_BYTES: u64 = 16;
    let mut text = String::new();
    file.take(MAX_PID_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_the_folder_is_seen_and_no_longer_than_it_does() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(holder(folder.path()).unwrap(), None);
        let lock = DataLock::acquire(folder.path()).unwrap();
        assert_eq!(holder(folder.path()).unwrap(), Some(std::process::id()));
        drop(lock);
        assert_eq!(holder(folder.path()).unwrap(), None);
    }

    #[test]
    fn a_lock_that_waits_and_one_of_another_file_are_none() {
        assert!(is_lock_of("1: FLOCK  ADVISORY  WRITE 12 fe:00:34 0 EOF", 12, 34));
        for other in
            ["1: -> FLOCK  ADVISORY  WRITE 12 fe:00:34 0 EOF", "1: POSIX  ADVISORY  WRITE 12 fe:00:34 0 EOF"]
        {
            assert!(!is_lock_of(other, 12, 34), "{other}");
        }
        assert!(!is_lock_of("1: FLOCK  ADVISORY  WRITE 12 fe:00:35 0 EOF", 12, 34));
    }
}
