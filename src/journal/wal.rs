//! SQLite's write-ahead log beside the database, looked at before SQLite uses it.
//!
//! SQLite takes what reads as far as the last commit and passes over the rest without a word. After a crash the rest is
//! at most the one batch that was being written: a commit is synced before the next begins. Commits beyond that were
//! answered to somebody, so a log that is damaged before them is not used.
//!
//! The format: <https://sqlite.org/fileformat2.html#walformat>.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The last bit says in which order the bytes of a word are, for its check sums.
const MAGIC: u32 = 0x377f_0682;
const PAGE_BYTES: [u32; 8] = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536];
/// What SQLite makes, for a log whose header does not say it.
const USUAL_PAGE_BYTES: u32 = 4096;

/// What a log holds beyond the last commit that reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rest {
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// What was written there since the log last began anew; older frames may follow.
    pub(super) bytes: u64,
    /// The commits in it that were answered, at least.
    pub(super) answered_commits: u64,
}

pub(super) fn beside(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push("-wal");
    name.into()
}

/// Reads the log of `database`, which may be missing.
pub(super) fn rest(database: &Path) -> io::Result<Rest> {
    match File::open(beside(database)) {
        Ok(file) => read(&mut BufReader::new(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Rest::default()),
        Err(error) => Err(error),
    }
}

impl Rest {
    pub(super) fn damage(&self) -> Option<String> {
        (self.answered_commits > 0).then(|| {
            let Self { offset, answered_commits, .. } = self;
            format!(
                "its write-ahead log (journal.db-wal) does not read from byte {offset} on, and at least \
                 {answered_commits} batches of entries that were recorded follow there"
            )
        })
    }
}

fn read(file: &mut impl Read) -> io::Result<Rest> {
    let mut header = [0; HEADER_BYTES];
    let header_length = fill(file, &mut header)?;
    let mut sum = Sum { is_big_endian: word(&header, 0) & 1 == 1, sums: (0, 0) };
    sum.add(&header[..24]);
    let page_bytes = PAGE_BYTES.iter().copied().find(|bytes| *bytes == word(&header, 8));
    let header_reads = word(&header, 0) & !1 == MAGIC && page_bytes.is_some() && sum.is_at(&header[24..]);
    let page_bytes = page_bytes.filter(|_| header_reads).unwrap_or(USUAL_PAGE_BYTES) as usize;

    let mut rest = Rest { bytes: header_length as u64, ..Rest::default() };
    if header_reads {
        rest = Rest { offset: rest.bytes, ..Rest::default() };
    }
    // Each time that the log begins anew it gets other salts.
    let mut salts = header_reads.then(|| header[16..24].to_vec());
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    let (mut reads, mut is_current, mut commits) = (header_reads, true, 0u64);
    loop {
        let length = fill(file, &mut frame)?;
        if length == 0 {
            break;
        }
        if length >= 16 {
            is_current = *salts.get_or_insert_with(|| frame[8..16].to_vec()) == frame[8..16];
        }
        let is_whole = length == frame.len();
        let is_commit = is_current && is_whole && word(&frame, 4) != 0;
        rest.bytes += if is_current { length as u64 } else { 0 };
        sum.add(&frame[..8]);
        sum.add(&frame[FRAME_HEADER_BYTES..]);
        reads &= is_current && is_whole && sum.is_at(&frame[16..24]);
        if reads && is_commit {
            rest = Rest { offset: rest.offset + rest.bytes, ..Rest::default() };
        } else if is_commit {
            commits += 1;
        }
    }
    // The last one may be what was being written when the machine stopped, but not in a log without a header: that is
    // synced before anything follows it.
    rest.answered_commits = if header_reads { commits.saturating_sub(1) } else { commits };
    Ok(rest)
}

/// As many bytes as there are.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// The check sum of all frames so far.
struct Sum {
    is_big_endian: bool,
    sums: (u32, u32),
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let value = |at| if self.is_big_endian { word(bytes, at) } else { word(bytes, at).swap_bytes() };
        let (mut first, mut second) = self.sums;
        for at in (0..bytes.len()).step_by(8) {
            first = first.wrapping_add(value(at)).wrapping_add(second);
            second = second.wrapping_add(value(at + 4)).wrapping_add(first);
        }
        self.sums = (first, second);
    }

    fn is_at(&self, stored: &[u8]) -> bool {
        (word(stored, 0), word(stored, 4)) == self.sums
    }
}
