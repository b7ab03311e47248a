//! A lock on a file: the kernel's, which ends with the process, however that ends.

use std::fs::{File, TryLockError};
use std::ops::Deref;

/// A locked file. Dropping it unlocks it.
#[derive(Debug)]
pub(crate) struct LockedFile(File);

impl LockedFile {
    /// Does not wait.
    pub(crate) fn take(file: File) -> Result<Self, TryLockError> {
        file.try_lock()?;
        Ok(Self(file))
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing it is not enough: a program that another thread just starts has a copy of it for a moment.
        let _ = self.0.unlock();
    }
}
