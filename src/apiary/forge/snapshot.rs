//! The forge as it was: a copy of its state and repositories, for reads that are to be stale.

use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use super::Forge;
use super::state::ForgeState;

pub(crate) struct Snapshot {
    pub(crate) state: ForgeState,
    folder: TempDir,
}

impl Snapshot {
    /// The folder that stands in for the apiary's.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }
}

impl Forge {
    pub(crate) fn snapshot(&self) -> io::Result<Snapshot> {
        let folder = tempfile::Builder::new().prefix("snapshot-").tempdir_in(self.root())?;
        let state = self.store.read(Clone::clone);
        for repo in state.repos() {
            let from = super::repo_path(self.root(), repo);
            let to = super::repo_path(folder.path(), repo);
            // References first: a push that comes in between adds objects that nothing here points at.
            copy(&from, &to, &|name| name != "objects")?;
            copy(&from.join("objects"), &to.join("objects"), &|_| true)?;
        }
        Ok(Snapshot { state, folder })
    }
}

fn copy(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        // Git's own names are ASCII; locks and half-written files belong to the present.
        let is_wanted = name.to_str().is_some_and(|n| {
            wanted(n) && !n.ends_with(".lock") && !n.starts_with("tmp_") && !n.starts_with("incoming-")
        });
        if !is_wanted {
            continue;
        }
        let kind = entry.file_type()?;
        let copied = if kind.is_dir() {
            copy(&entry.path(), &to.join(&name), &|_| true)
        } else {
            fs::copy(entry.path(), to.join(&name)).map(drop)
        };
        match copied {
            // Deleted while we looked.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}
