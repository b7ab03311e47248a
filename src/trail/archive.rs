//! Segments that have left the data folder: exported to another place, checked there, and only then removed here. The
//! journal keeps their roots, and the header of the segment after names them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bzzz_actors::trail::Key;
use tracing::{info, warn};

use super::export::{ExportError, export_segment};
use super::keys::AuditKeys;
use super::{FOLDER, segment_folder, segment_name};
use crate::folder;
use crate::journal::{JournalReader, Segment};
use crate::private_files as files;

/// Where sealed segments go.
#[derive(Debug, Clone)]
pub struct Archive {
    pub folder: PathBuf,
    /// The sealed segments that stay.
    pub keep: u64,
}

impl Archive {
    /// Moves those that no longer stay. What fails is tried again when the next segment is sealed, or the node starts.
    pub(super) fn take(
        &self,
        data_dir: &Path,
        keys: &AuditKeys,
        journal: &JournalReader,
        segments: &[Segment],
    ) {
        let sealed = segments.len().saturating_sub(1);
        let going = sealed.saturating_sub(usize::try_from(self.keep).unwrap_or(usize::MAX));
        for segment in &segments[..going] {
            if !segment_folder(data_dir, segment.number).exists() {
                continue;
            }
            match self.take_one(data_dir, keys, journal, segment) {
                Ok(place) => {
                    info!(segment = segment.number, place = %place.display(), "archived a segment of the trail")
                }
                Err(error) => {
                    warn!(segment = segment.number, %error, "a segment of the trail can't be archived: it stays");
                    return;
                }
            }
        }
    }

    fn take_one(
        &self,
        data_dir: &Path,
        keys: &AuditKeys,
        journal: &JournalReader,
        segment: &Segment,
    ) -> Result<PathBuf, ExportError> {
        let of_node = self.folder.join(keys.public().to_string());
        let place = of_node.join(segment_name(segment.number));
        let failed = |source| ExportError::Folder { path: place.clone(), source };
        if !place.exists() {
            folder::make(&of_node).map_err(failed)?;
            let unfinished = of_node.join("unfinished");
            folder::emptied(&unfinished).map_err(failed)?;
            let written = export_segment(journal, segment, &unfinished)?;
            fs::rename(written, &place).map_err(failed)?;
            folder::sync(&of_node).map_err(failed)?;
        }
        check(&place, &keys.public(), segment).map_err(|why| ExportError::Wrong { why })?;
        match files::create(&pointer(data_dir, segment.number), place.to_string_lossy().as_bytes()) {
            Err(problem) if problem.kind() != io::ErrorKind::AlreadyExists => return Err(failed(problem)),
            _ => {}
        }
        // In one step, and then at leisure: half a folder would be taken for a damaged one.
        let (here, gone) = (
            segment_folder(data_dir, segment.number),
            pointer(data_dir, segment.number).with_extension("gone"),
        );
        let _ = fs::remove_dir_all(&gone);
        fs::rename(&here, &gone).and_then(|()| fs::remove_dir_all(gone)).map_err(failed)?;
        Ok(place)
    }
}

/// Where a segment that is not in the data folder went, if it was archived.
pub(crate) fn place_of(data_dir: &Path, segment: u64) -> Option<PathBuf> {
    if segment_folder(data_dir, segment).exists() {
        return None;
    }
    let text = files::read(&pointer(data_dir, segment)).ok()?;
    Some(PathBuf::from(String::from_utf8(text).ok()?))
}

/// That an archived segment is still what was sealed.
pub(crate) fn check(place: &Path, audit_key: &Key, segment: &Segment) -> Result<(), String> {
    let report = super::verify_exported(place, Some(audit_key)).map_err(|error| error.to_string())?;
    match report.mark == segment.mark() {
        true => Ok(()),
        false => Err(format!("{}: is at {} and not at {}", place.display(), report.mark, segment.mark())),
    }
}

fn pointer(data_dir: &Path, segment: u64) -> PathBuf {
    data_dir.join(FOLDER).join(format!("{}.archived", segment_name(segment)))
}
