//! Folders for other software: the trail as Hypercores without a secret key, made anew from the journal.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bzzz_actors::trail::{Node, Tree};

use super::core::{Core, CoreError};
use super::plain;
use super::projection::{TrailError, is_as_recorded};
use super::segment_name;
use crate::folder;
use crate::journal::{JournalReader, Segment};

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{}: is there already: name a folder that is not", path.display())]
    Exists { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Trail(#[from] TrailError),
    #[error("{why}")]
    Wrong { why: String },
}

/// Writes all segments of a trail, each into a folder of its own, and returns these.
///
/// # Errors
/// Nothing is left of the segment that failed.
pub fn export(journal: &JournalReader, into: &Path) -> Result<Vec<PathBuf>, ExportError> {
    let segments = journal.segments().map_err(TrailError::from)?;
    segments.iter().map(|segment| export_segment(journal, segment, into)).collect()
}

/// Writes a segment as far as the journal has it, and returns its folder.
pub(super) fn export_segment(
    journal: &JournalReader,
    segment: &Segment,
    into: &Path,
) -> Result<PathBuf, ExportError> {
    let path = into.join(segment_name(segment.number));
    if path.exists() {
        return Err(ExportError::Exists { path });
    }
    folder::make(into).map_err(|source| ExportError::Folder { path: into.to_owned(), source })?;
    match write(journal, segment, &path) {
        Ok(()) => Ok(path),
        Err(error) => {
            // Half a segment would be taken for a whole one.
            let _ = fs::remove_dir_all(&path);
            Err(error)
        }
    }
}

/// The secret key never gets there, not for a moment: the journal has the signature.
fn write(journal: &JournalReader, segment: &Segment, path: &Path) -> Result<(), ExportError> {
    let failed = |source: CoreError| TrailError::Core { segment: segment.number, source };
    drop(Core::begin_copy(path, &segment.key).map_err(failed)?);
    let written = || {
        let mut data = BufWriter::new(plain::open_file(path, "data")?);
        let (mut tree, mut problem) = (Tree::default(), None);
        let read = journal.each_block(segment, 0, segment.length, |block| {
            tree.push(Node::of_block(block.as_bytes()));
            if problem.is_none() {
                problem = data.write_all(block.as_bytes()).err();
            }
        });
        read.map_err(|error| CoreError::Wrong(error.to_string()))?;
        problem.map_or(Ok(()), Err)?;
        data.flush()?;
        data.get_ref().sync_data()?;
        plain::count(path, &tree, 0, &segment.signature)
    };
    written().map_err(failed)?;
    let core = Core::open_to_read(path).map_err(failed)?;
    Ok(is_as_recorded(&core, segment).map_err(failed)?)
}
