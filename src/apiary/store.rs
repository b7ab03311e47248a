//! A stand-in's state: in memory, and in one JSON file that is replaced as a whole after each change.
//!
//! The file is renamed into place but not synced to the disk: it survives the end of the process, which is what a
//! stand-in needs, not the loss of power.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiaryError;

pub(crate) struct Store<T> {
    file: PathBuf,
    value: Mutex<T>,
}

impl<T: Serialize + DeserializeOwned + Default> Store<T> {
    /// Reads the file, or begins with the default when there is none.
    pub(crate) fn open(file: PathBuf) -> Result<Self, ApiaryError> {
        let value = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| ApiaryError::State { path: file.clone(), problem: e.to_string() })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => T::default(),
            Err(source) => return Err(ApiaryError::Io { path: file, source }),
        };
        Ok(Self { file, value: Mutex::new(value) })
    }

    pub(crate) fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the state and writes it; a change that refuses itself is not written and must have changed nothing.
    ///
    /// # Errors
    /// The change's own, or [`ApiaryError::Io`] when the file can't be written: then the change stands in memory only.
    pub(crate) fn change<R, E: From<ApiaryError>>(
        &self,
        change: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut value = self.lock();
        let result = change(&mut value)?;
        save(&self.file, &*value)?;
        Ok(result)
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // A panic under the lock leaves whole values behind: every change is a few plain assignments.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn save<T: Serialize>(file: &Path, value: &T) -> Result<(), ApiaryError> {
    let io = |source| ApiaryError::Io { path: file.to_owned(), source };
    let bytes = serde_json::to_vec_pretty(value).map_err(|e| io(e.into()))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    temporary.write_all(&bytes).map_err(io)?;
    temporary.persist(file).map_err(|e| io(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_there_after_opening_again_and_a_refused_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("numbers.json");
        let store = Store::<Vec<u32>>::open(file.clone()).unwrap();
        store
            .change::<_, ApiaryError>(|v| {
                v.push(7);
                Ok(())
            })
            .unwrap();
        let refused: Result<(), _> = store.change(|_| Err(ApiaryError::Refused("no".into())));
        assert!(refused.is_err());
        assert_eq!(Store::<Vec<u32>>::open(file).unwrap().read(Clone::clone), [7]);
    }

    #[test]
    fn a_file_of_something_else_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("numbers.json");
        std::fs::write(&file, "hello").unwrap();
        let error = Store::<Vec<u32>>::open(file.clone()).err().unwrap().to_string();
        assert!(error.contains("numbers.json is not the state of an apiary"), "{error}");
        assert_eq!(std::fs::read_to_string(file).unwrap(), "hello");
    }
}
