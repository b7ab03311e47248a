//! Small files of the data folder: written whole or not at all, for the node's user alone.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// No such file is longer; what is longer is not ours.
const MAX_FILE_BYTES: u64 = 4 << 20;

pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces the file. It is durable when this returns.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    prepared(path, bytes)?.persist(path).map_err(|problem| problem.error)?;
    sync_folder(path)
}

/// Makes the file, unless there is one: then the error is `AlreadyExists`.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    prepared(path, bytes)?.persist_noclobber(path).map_err(|problem| problem.error)?;
    sync_folder(path)
}

/// Temporary files have the mode 0600.
fn prepared(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new_in(parent(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_made_is_the_users_alone_and_is_not_replaced_by_chance() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        create(&path, b"one").unwrap();
        assert_eq!(create(&path, b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap(), b"one");
        write(&path, b"three").unwrap();
        assert_eq!(read(&path).unwrap(), b"three");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
