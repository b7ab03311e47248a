//! The swarm's files in the data folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(super) use crate::private_files::{create, read, write};

/// The folder in the data folder.
pub(super) const FOLDER: &str = "swarm";

/// The swarm's folder, made if it is not there.
pub(super) fn folder(data_dir: &Path) -> io::Result<PathBuf> {
    let folder = data_dir.join(FOLDER);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
