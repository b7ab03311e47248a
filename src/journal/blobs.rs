//! Bytes too long for an event, each in a file named by its hash: `blobs/ab/cdef…`. A file that is there under its name
//! is whole: it is written elsewhere, synced, then moved there.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bzzz_actors::ports::journal::JournalError;
use bzzz_actors::task::BlobRef;

use crate::folder;

#[derive(Debug, Clone)]
pub(super) struct Blobs {
    root: PathBuf,
}

impl Blobs {
    pub(super) fn in_folder(data_dir: &Path) -> Self {
        Self { root: data_dir.join("blobs") }
    }

    /// Makes the folders and throws away what a crash left half written.
    pub(super) fn prepare(&self) -> io::Result<()> {
        folder::make(&self.root)?;
        folder::make(&self.unfinished())?;
        for left_over in fs::read_dir(self.unfinished())? {
            fs::remove_file(left_over?.path())?;
        }
        Ok(())
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn unfinished(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The place of a blob; `None` when the name is not a hash, so that no name leads out of the folder.
    pub(super) fn path(&self, blob: &BlobRef) -> Option<PathBuf> {
        let is_hash = blob.0.len() == 64 && blob.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let (folder, file) = is_hash.then(|| blob.0.split_at(2))?;
        Some(self.root.join(folder).join(file))
    }

    /// Durable on return. Bytes that are there already are not written again, unless they were damaged.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<BlobRef, JournalError> {
        let blob = BlobRef(blake3::hash(bytes).to_hex().to_string());
        let Some(path) = self.path(&blob) else {
            return Err(JournalError::Unavailable(format!("{} is no blob's name", blob.0)));
        };
        let unavailable =
            |error: io::Error| JournalError::Unavailable(format!("{}: {error}", path.display()));
        let is_there = self.check(&blob).is_ok();
        if !is_there {
            self.write(&path, bytes).map_err(unavailable)?;
        }
        // Also when it was there: the crash may have come between its move and this.
        path.parent().map_or(Ok(()), folder::sync).map_err(unavailable)?;
        Ok(blob)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            folder::make(folder)?;
        }
        let mut file = tempfile::NamedTempFile::new_in(self.unfinished())?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    pub(super) fn get(&self, blob: &BlobRef) -> Result<Option<Vec<u8>>, JournalError> {
        let Some(path) = self.path(blob) else {
            return Err(JournalError::Damaged(format!("{:?} is no blob's name", blob.0)));
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(JournalError::Unavailable(format!("{}: {error}", path.display()))),
        };
        if blake3::hash(&bytes).to_hex().as_str() != blob.0 {
            return Err(JournalError::Damaged(format!(
                "{}: the bytes are not those of its hash",
                path.display()
            )));
        }
        Ok(Some(bytes))
    }

    /// That the blob is there with the bytes of its hash; the error says what is wrong.
    pub(super) fn check(&self, blob: &BlobRef) -> Result<(), String> {
        let path = self.path(blob).ok_or_else(|| format!("{:?} is no blob's name", blob.0))?;
        let hash = || {
            let mut hasher = blake3::Hasher::new();
            let mut file = File::open(&path)?;
            let mut chunk = vec![0; 64 * 1024];
            loop {
                match file.read(&mut chunk)? {
                    0 => return Ok(hasher.finalize()),
                    length => hasher.update(&chunk[..length]),
                };
            }
        };
        match hash() {
            Ok(hash) if hash.to_hex().as_str() == blob.0 => Ok(()),
            Ok(_) => Err(format!("blob {}: the bytes are not those of its hash", blob.0)),
            Err(error) => Err::<(), io::Error>(error).map_err(|error| format!("blob {}: {error}", blob.0)),
        }
    }
}
