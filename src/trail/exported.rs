//! A trail without its journal: what was exported, or what another node's was replicated to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bzzz_actors::trail::{Key, Mark, Node, Peaks, Sealed, SegmentHeader};
use serde::Deserialize;

use super::core::{Core, CoreError};
use crate::ed25519::verify;

/// The journal counts no further.
const LARGEST_ENTRY: u64 = i64::MAX as u64;

/// Of a trail all of whose blocks are signed and in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportReport {
    pub key: Key,
    /// The node's name in the last segment.
    pub node: String,
    pub segments: u64,
    pub first_entry: u64,
    /// One less than the first where there is none.
    pub last_entry: u64,
    pub mark: Mark,
}

#[derive(Debug, thiserror::Error)]
pub enum ExportedError {
    #[error("{}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{}: holds no segment of a trail: name a folder that `bzzz audit export` wrote, or a node's data folder", path.display())]
    NoTrail { path: PathBuf },
    #[error("{}: {why}", path.display())]
    Wrong { path: PathBuf, why: String },
}

/// Whether a folder holds segments of a trail, or is one.
pub fn is_exported(folder: &Path) -> bool {
    !segments_in(folder).unwrap_or_default().is_empty()
}

/// Reads every block, and checks it against the tree, the tree against its signature, and the segments and entries for gaps.
/// Without `key`, the one that the first segment names is taken at its word.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_exported(folder: &Path, key: Option<&Key>) -> Result<ExportReport, ExportedError> {
    let paths =
        segments_in(folder).map_err(|source| ExportedError::Folder { path: folder.to_owned(), source })?;
    let mut report: Option<ExportReport> = None;
    let mut before = None;
    for (at, path) in paths.iter().enumerate() {
        let wrong = |why: String| ExportedError::Wrong { path: path.clone(), why };
        let key = key.copied().or(report.as_ref().map(|report| report.key));
        let Some(Read { header, mark, entries }) = read(path, key).map_err(wrong)? else {
            // A copy has its last segment's files before it has a block of it.
            if report.is_some() && at + 1 == paths.len() {
                break;
            }
            return Err(wrong("it is empty".to_owned()));
        };
        if let Some(report) = &report
            && (header.before != before || header.first_entry != report.last_entry + 1)
        {
            return Err(wrong("does not follow the segment before it".to_owned()));
        }
        before = Some(Sealed { key: header.segment_key, length: mark.length, root: mark.root });
        let first_entry = report.as_ref().map_or(header.first_entry, |report| report.first_entry);
        let segments = report.as_ref().map_or(0, |report| report.segments) + 1;
        let last_entry = header.first_entry + entries - 1;
        report = Some(ExportReport {
            key: header.key,
            node: header.node,
            segments,
            first_entry,
            last_entry,
            mark,
        });
    }
    report.ok_or_else(|| ExportedError::NoTrail { path: folder.to_owned() })
}

/// In their order.
fn segments_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if folder.join("oplog").is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_number = |name: &str| name.bytes().all(|digit| digit.is_ascii_digit());
        let is_named = path.file_name().and_then(|name| name.to_str()).is_some_and(is_number);
        if is_named && path.join("oplog").is_file() {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

struct Read {
    header: SegmentHeader,
    mark: Mark,
    entries: u64,
}

/// Of an entry's block.
#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

/// `None` if it has no block.
fn read(path: &Path, key: Option<Key>) -> Result<Option<Read>, String> {
    let refused = |error: CoreError| error.to_string();
    let core = Core::open_to_read(path).map_err(refused)?;
    let block = |index| core.block(index).map_err(|error| format!("block {index}: {error}"));
    if core.length() == 0 {
        return Ok(None);
    }
    let first = block(0)?;
    #[derive(Deserialize)]
    struct Named {
        key: Key,
    }
    let named =
        serde_json::from_slice::<Named>(&first).map_err(|_| "its first block is no header".to_owned());
    let key = key.map_or(named.map(|named| named.key), Ok)?;
    let header = SegmentHeader::read(&first, &key, &verify).map_err(|why| format!("its header {why}"))?;
    if header.segment_key != core.key() {
        return Err("its header names another key than its files have".to_owned());
    }
    // The owner may sign any number, and those of the entries are counted from it.
    if !(1..=LARGEST_ENTRY).contains(&header.first_entry) {
        return Err(format!("its header names {} as its first entry", header.first_entry));
    }
    let mut peaks = Peaks::default();
    peaks.push(Node::of_block(&first));
    for index in 1..core.length() {
        let block = block(index)?;
        let entry = header.first_entry + index - 1;
        let numbered = serde_json::from_slice::<Numbered>(&block).map(|it| it.seq);
        if numbered.ok() != Some(entry) {
            return Err(format!("block {index} is not entry {entry}"));
        }
        peaks.push(Node::of_block(&block));
    }
    if core.peaks().map_err(refused)? != peaks.nodes() {
        return Err("its blocks are not those of its tree".to_owned());
    }
    let mark = core.mark(header.segment, peaks.root());
    if !verify(&header.segment_key, &mark.signed_bytes(), &core.signature().map_err(refused)?) {
        return Err("its blocks are not what was signed".to_owned());
    }
    Ok(Some(Read { entries: core.length() - 1, header, mark }))
}

#[cfg(test)]
mod tests {
    use bzzz_actors::trail::Bytes;

    use super::*;
    use crate::trail::AuditKeys;

    fn keys() -> AuditKeys {
        AuditKeys::load_or_make(tempfile::tempdir().unwrap().path()).unwrap()
    }

    /// A first segment with one entry.
    fn write(folder: &Path, keys: &AuditKeys, first_entry: u64) {
        let mut header = SegmentHeader {
            v: SegmentHeader::VERSION,
            kind: SegmentHeader::KIND.to_owned(),
            node: "bee".to_owned(),
            key: keys.public(),
            segment: 0,
            segment_key: keys.public(),
            next_key: keys.public_of(1),
            first_entry,
            before: None,
            network: None,
            signature: None,
        };
        let signature = keys.sign(0, &header.statement());
        header.signature = Some(Bytes(signature.0));
        let core = Core::create(&folder.join("000000"), keys, 0).unwrap();
        core.append(&[header.block(), format!("{{\"seq\":{first_entry}}}")]).unwrap();
    }

    #[test]
    fn a_last_segment_without_a_block_is_passed_over_and_no_other() {
        let (folder, keys) = (tempfile::tempdir().unwrap(), keys());
        Core::begin_copy(&folder.path().join("000001"), &keys.public_of(1)).unwrap();
        let error = verify_exported(folder.path(), None).unwrap_err();
        assert!(error.to_string().ends_with("it is empty"), "{error}");
        write(folder.path(), &keys, 1);
        let report = verify_exported(folder.path(), Some(&keys.public())).unwrap();
        assert_eq!((report.segments, report.last_entry), (1, 1));
        Core::begin_copy(&folder.path().join("000002"), &keys.public_of(2)).unwrap();
        assert!(verify_exported(folder.path(), None).is_err());
    }

    #[test]
    fn a_first_entry_that_can_not_be_is_wrong() {
        for first_entry in [0, u64::MAX, u64::MAX - 1] {
            let (folder, keys) = (tempfile::tempdir().unwrap(), keys());
            write(folder.path(), &keys, first_entry);
            let error = verify_exported(folder.path(), None).unwrap_err();
            assert!(error.to_string().contains("as its first entry"), "{error}");
        }
    }
}
