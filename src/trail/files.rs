//! The four files of a Hypercore.
//!
//! A crash may leave any of the writes since the last sync, whole or not. So before the oplog says that there are blocks, these
//! and what leads to them are on the disk; and before it is cut, what it held is in its place.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hypercore::{HypercoreError, Storage, StorageTraits, Store};
use random_access_storage::{BoxFuture, RandomAccess, RandomAccessError};

use super::oplog;
use crate::folder;

/// In the order in which they are opened.
const NAMES: [&str; 4] = ["tree", "data", "bitfield", "oplog"];

/// How the files of a segment are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// They must be there.
    Read,
    /// They are made if they are not there.
    Write,
}

/// What is done with a file, for tests that let a disk fail.
#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Write { file: &'static str, offset: u64, bytes: Vec<u8> },
    Truncate { file: &'static str, length: u64 },
    Sync { file: &'static str },
}

#[cfg(test)]
thread_local! {
    /// What was done with the files that were opened on this thread, in order.
    pub(crate) static OPERATIONS: std::cell::RefCell<Vec<Operation>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[derive(Debug)]
pub(super) struct Files {
    tree: Arc<OneFile>,
    data: Arc<OneFile>,
    bitfield: Arc<OneFile>,
    oplog: Arc<OneFile>,
}

impl Files {
    pub(super) fn open(folder: &Path, mode: Mode) -> io::Result<Self> {
        if mode == Mode::Write {
            folder::make(folder)?;
        }
        let open = |name: &'static str, before| OneFile::open(folder, name, mode, before).map(Arc::new);
        let [tree, data, bitfield] = [NAMES[0], NAMES[1], NAMES[2]].map(|name| open(name, Vec::new()));
        let (tree, data, bitfield) = (tree?, data?, bitfield?);
        let oplog = open(NAMES[3], vec![data.clone(), tree.clone(), bitfield.clone()])?;
        oplog.leave_out_what_does_not_count(mode)?;
        if mode == Mode::Write {
            folder::sync(folder)?;
        }
        Ok(Self { tree, data, bitfield, oplog })
    }

    pub(super) async fn storage(&self) -> Result<Storage, HypercoreError> {
        let create = |store| {
            let file: Arc<dyn StorageTraits> = match store {
                Store::Tree => self.tree.clone(),
                Store::Data => self.data.clone(),
                Store::Bitfield => self.bitfield.clone(),
                Store::Oplog => self.oplog.clone(),
            };
            Box::pin(std::future::ready(Ok(file))) as _
        };
        Storage::open(create, false).await
    }

    /// What was appended is on the disk when this returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.oplog.sync_others()?;
        self.oplog.sync()
    }

    /// Bytes of the file `tree`; fewer at its end.
    pub(super) fn tree_bytes(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let length = length.min(usize::try_from(self.tree.len().saturating_sub(offset)).unwrap_or(0));
        let mut bytes = vec![0; length];
        self.tree.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

#[derive(Debug)]
struct OneFile {
    #[cfg_attr(not(test), allow(dead_code))]
    name: &'static str,
    file: File,
    length: AtomicU64,
    is_dirty: AtomicBool,
    /// What has to be on the disk before this is written.
    before: Vec<Arc<OneFile>>,
}

impl OneFile {
    fn open(folder: &Path, name: &'static str, mode: Mode, before: Vec<Arc<Self>>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true);
        if mode == Mode::Write {
            options.write(true).create(true).truncate(false).mode(0o600);
        }
        let file = options.open(folder.join(name))?;
        let length = AtomicU64::new(file.metadata()?.len());
        Ok(Self { name, file, length, is_dirty: AtomicBool::new(false), before })
    }

    /// Of an oplog.
    fn leave_out_what_does_not_count(&self, mode: Mode) -> io::Result<()> {
        let mut bytes = vec![0; usize::try_from(self.len()).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, 0)?;
        let length = oplog::length_that_counts(&bytes) as u64;
        match mode {
            Mode::Write => self.cut(length),
            Mode::Read => {
                self.length.store(length, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.sync_others()?;
        #[cfg(test)]
        self.observed(|file| Operation::Write { file, offset, bytes: bytes.to_vec() });
        self.is_dirty.store(true, Ordering::Relaxed);
        self.file.write_all_at(bytes, offset)?;
        self.length.fetch_max(offset + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn get(&self, offset: u64, length: u64) -> Result<Vec<u8>, RandomAccessError> {
        let end = offset.saturating_add(length);
        if end > self.len() {
            return Err(RandomAccessError::OutOfBounds { offset, end: Some(end), length: self.len() });
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        if length == self.len() {
            return Ok(());
        }
        self.sync_others()?;
        #[cfg(test)]
        self.observed(|file| Operation::Truncate { file, length });
        self.is_dirty.store(true, Ordering::Relaxed);
        self.file.set_len(length)?;
        self.length.store(length, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.is_dirty.swap(false, Ordering::Relaxed) {
            #[cfg(test)]
            self.observed(|file| Operation::Sync { file });
            if let Err(error) = self.file.sync_data() {
                self.is_dirty.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }

    fn sync_others(&self) -> io::Result<()> {
        self.before.iter().try_for_each(|file| file.sync())
    }

    #[cfg(test)]
    fn observed(&self, operation: impl FnOnce(&'static str) -> Operation) {
        OPERATIONS.with_borrow_mut(|all| all.push(operation(self.name)));
    }
}

/// Each call is carried out when it is made: what it returns only says how it went. So nothing is left half done by whoever
/// drops that.
impl RandomAccess for OneFile {
    fn write(&self, offset: u64, data: &[u8]) -> BoxFuture<Result<(), RandomAccessError>> {
        done(self.put(offset, data).map_err(Into::into))
    }

    fn read(&self, offset: u64, length: u64) -> BoxFuture<Result<Vec<u8>, RandomAccessError>> {
        done(self.get(offset, length))
    }

    fn del(&self, offset: u64, length: u64) -> BoxFuture<Result<(), RandomAccessError>> {
        let length = length.min(self.len().saturating_sub(offset));
        let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
        done(self.put(offset, &zeros).map_err(Into::into))
    }

    fn truncate(&self, length: u64) -> BoxFuture<Result<(), RandomAccessError>> {
        done(self.cut(length).map_err(Into::into))
    }

    fn len(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
    }

    fn sync_all(&self) -> BoxFuture<Result<(), RandomAccessError>> {
        done(self.sync().map_err(Into::into))
    }
}

fn done<T: Send + 'static>(result: T) -> BoxFuture<T> {
    Box::pin(std::future::ready(result))
}
