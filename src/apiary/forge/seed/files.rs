//! The files of a repository to be made.

use std::path::Path;

use crate::apiary::forge::repository::NewFile;

/// A folder with more files or bytes is refused: it is somebody's home, not an example.
const MAX_FOLDER_FILES: usize = 10_000;
const MAX_FOLDER_BYTES: u64 = 128 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFile {
    /// Relative, with slashes.
    pub path: String,
    pub bytes: Vec<u8>,
    pub executable: bool,
}

impl RepositoryFile {
    pub fn text(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), bytes: text.as_bytes().to_vec(), executable: false }
    }

    /// All regular files under a folder but what is git's own.
    pub fn of_folder(folder: &Path) -> std::io::Result<Vec<Self>> {
        let mut files = Vec::new();
        let mut left = MAX_FOLDER_BYTES;
        read_folder(folder, folder, &mut files, &mut left)?;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }
}

fn read_folder(
    root: &Path,
    folder: &Path,
    files: &mut Vec<RepositoryFile>,
    left: &mut u64,
) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && entry.file_name() != ".git" {
            read_folder(root, &path, files, left)?;
        } else if kind.is_file() {
            let meta = entry.metadata()?;
            let too_much = || std::io::Error::other(format!("{} holds too much", root.display()));
            *left = left.checked_sub(meta.len()).ok_or_else(too_much)?;
            if files.len() == MAX_FOLDER_FILES {
                return Err(too_much());
            }
            files.push(RepositoryFile {
                path: path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned(),
                bytes: std::fs::read(&path)?,
                executable: meta.permissions().mode() & 0o111 != 0,
            });
        }
    }
    Ok(())
}

impl RepositoryFile {
    pub(super) fn as_new(&self) -> NewFile<'_> {
        NewFile { path: &self.path, bytes: &self.bytes, executable: self.executable }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_read_with_its_modes_and_without_git() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        std::fs::create_dir_all(folder.path().join(".git")).unwrap();
        std::fs::write(folder.path().join(".git/config"), "x").unwrap();
        std::fs::write(folder.path().join("README.md"), "# Hello\n").unwrap();
        let tool = folder.path().join("bin/tool");
        std::fs::write(&tool, [0, 255]).unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        let files = RepositoryFile::of_folder(folder.path()).unwrap();
        let tool = RepositoryFile { path: "bin/tool".into(), bytes: vec![0, 255], executable: true };
        assert_eq!(files, [RepositoryFile::text("README.md", "# Hello\n"), tool]);
    }
}
