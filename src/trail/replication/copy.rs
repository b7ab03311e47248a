//! A copy of a trail in files: a folder for each segment, which other software opens as it opens the node's own.
//!
//! The crate checks nothing here and writes nothing: it can't read back what it writes of a proof without an upgrade (it
//! decodes an entry of the oplog by the wrong bits). So blocks are written as they come, the tree over them is our own, and
//! what makes them count, a new oplog with nothing but a header, takes the place of the old one when they are as many as the
//! owner signed, and the same.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bzzz_actors::trail::{Key, Node, Peaks, Sealed, SegmentHeader, Signature, Tree};
use tracing::warn;

use super::Trouble;
use super::claim::{self, Claim};
use crate::ed25519::verify;
use crate::trail::core::{Core, CoreError};
use crate::trail::plain;

/// Places for what is put aside of one segment.
const KEPT_ASIDE: u32 = 4;

#[derive(Clone)]
pub(super) struct Copy {
    pub(super) folder: PathBuf,
    pub(super) audit_key: Key,
}

pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) key: Key,
    /// The segment before, if this is not the first.
    pub(super) before: Option<Sealed>,
    /// Once it has come and was found right.
    pub(super) header: Option<SegmentHeader>,
    folder: PathBuf,
    data: File,
    /// Of the blocks that are here, one after the other.
    tree: Tree,
    bytes: u64,
    /// Blocks that came before the one that is missing.
    early: BTreeMap<u64, Vec<u8>>,
    /// As far as the owner has signed.
    signed: Peaks,
    signature: Signature,
    /// Blocks that count.
    length: u64,
}

impl Copy {
    /// The segment to go on with: the last of which there is something that follows the one before it as that is here. If
    /// there was more of the one before, it is gone on with that one.
    ///
    /// Reads all blocks of that segment, and of those before it nothing but the header and the signature: `bzzz audit
    /// verify` reads more.
    pub(super) fn last(&self) -> Result<Segment, Trouble> {
        let mut place = Place { number: 0, key: self.audit_key, before: None };
        let mut here = self.glance(&place)?;
        while let Some(Glance { header, sealed }) = here {
            let next = Place { number: place.number + 1, key: header.next_key, before: Some(sealed) };
            here = self.glance(&next)?.filter(|glance| glance.header.before == next.before);
            if here.is_some() {
                place = next;
            }
        }
        self.segment(place)
    }

    /// A segment as it is, or a new one.
    pub(super) fn segment(&self, Place { number, key, before }: Place) -> Result<Segment, Trouble> {
        let folder = segment_folder(&self.folder, number);
        let Kept { tree, signature, header } = open_or_begin(&folder, &key)?;
        let data = plain::open_file(&folder, "data").map_err(Trouble::Files)?;
        let length = tree.length();
        let signed = tree.peaks(length).unwrap_or_default();
        let bytes = signed.nodes().iter().map(|node| node.bytes).sum();
        let (early, no_header) = (BTreeMap::new(), None);
        let mut segment = Segment {
            number,
            key,
            before,
            header: no_header,
            folder,
            data,
            tree,
            bytes,
            early,
            signed,
            signature,
            length,
        };
        if let Some(header) = header {
            segment.read_header(&header, &self.audit_key)?;
        }
        Ok(segment)
    }

    /// What the files of a segment say, if they do.
    fn glance(&self, place: &Place) -> Result<Option<Glance>, Trouble> {
        let folder = segment_folder(&self.folder, place.number);
        if !folder.join("oplog").try_exists().map_err(Trouble::Files)? {
            return Ok(None);
        }
        let read = || {
            let core = Core::open_to_read(&folder)?;
            if core.key() != place.key || core.length() == 0 {
                return Ok(None);
            }
            let root = Peaks::new(core.length(), core.peaks()?).map(|peaks| peaks.root());
            let mark = core.mark(place.number, root.unwrap_or_default());
            if !verify(&place.key, &mark.signed_bytes(), &core.signature()?) {
                return Ok(None);
            }
            let header = SegmentHeader::read(&core.block(0)?, &self.audit_key, &verify).ok();
            let sealed = Sealed { key: place.key, length: mark.length, root: mark.root };
            Ok(header.map(|header| Glance { header, sealed }))
        };
        match read() {
            Err(error) if CoreError::is_of_disk(&error) => Err(Trouble::Copy(error.to_string())),
            Err(_) => Ok(None),
            Ok(glance) => Ok(glance.filter(|glance| {
                (glance.header.segment, glance.header.segment_key) == (place.number, place.key)
            })),
        }
    }
}

/// Of a segment in the trail.
pub(super) struct Place {
    number: u64,
    key: Key,
    before: Option<Sealed>,
}

struct Glance {
    header: SegmentHeader,
    sealed: Sealed,
}

impl Segment {
    /// Blocks that count: signed, and on the disk.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Blocks that the owner has signed.
    pub(super) fn signed(&self) -> u64 {
        self.signed.length()
    }

    /// The first block that is not here.
    pub(super) fn missing(&self) -> u64 {
        self.tree.length()
    }

    pub(super) fn has(&self, index: u64) -> bool {
        index < self.missing() || self.early.contains_key(&index)
    }

    /// The place after it, once it is complete.
    pub(super) fn next(&self) -> Result<Place, Trouble> {
        let header = self.header.as_ref().ok_or(Trouble::Misbehaved("it goes on before it began"))?;
        Ok(Place { number: self.number + 1, key: header.next_key, before: Some(self.sealed()) })
    }

    /// What the owner signed now.
    pub(super) fn upgrade(&mut self, claim: &Claim) -> Result<(), Trouble> {
        (self.signed, self.signature) = claim.verified(&self.key, self.signed.clone())?;
        Ok(())
    }

    /// Holds a signature over all blocks of the peer's against what was signed before. Returns the peer's tree when that is
    /// longer: then the last block that was signed before has to be seen in it, by [`Self::compare_longer`].
    pub(super) fn compare(&self, whole: &Claim) -> Result<Option<Peaks>, Trouble> {
        let (now, _) = whole.verified(&self.key, Peaks::default())?;
        if now.length() > self.signed() {
            return Ok(Some(now));
        }
        let is_all = now.length() == self.signed();
        let here = if is_all { Some(self.signed.clone()) } else { self.tree.peaks(now.length()) };
        if here.is_some_and(|here| here != now) {
            return Err(self.contradicted());
        }
        if !is_all {
            let (segment, has, signed) = (self.number, now.length(), self.signed());
            warn!(segment, has, signed, "a peer has fewer blocks of its trail than it once signed");
        }
        Ok(None)
    }

    /// By the last block that was signed before, as the peer's longer tree has it.
    pub(super) fn compare_longer(&self, now: &Peaks, block: &[u8], siblings: &[Node]) -> Result<(), Trouble> {
        let earlier = claim::earlier(now, self.signed().saturating_sub(1), block, siblings);
        let earlier = earlier.ok_or(Trouble::Misbehaved("its proof does not hold"))?;
        if earlier == self.signed { Ok(()) } else { Err(self.contradicted()) }
    }

    fn contradicted(&self) -> Trouble {
        let why = "is signed with other blocks than were signed before".to_owned();
        Trouble::Refused { segment: self.number, why }
    }

    /// A block that was asked for.
    pub(super) fn block(&mut self, index: u64, block: Vec<u8>, audit_key: &Key) -> Result<(), Trouble> {
        if index >= self.signed() || self.has(index) {
            return Err(Trouble::Misbehaved("its answer does not fit"));
        }
        self.early.insert(index, block);
        while let Some(block) = self.early.remove(&self.missing()) {
            if self.missing() == 0 {
                self.read_header(&block, audit_key)?;
            }
            self.data.write_all_at(&block, self.bytes).map_err(Trouble::Files)?;
            self.bytes += block.len() as u64;
            self.tree.push(Node::of_block(&block));
        }
        match self.missing() == self.signed() {
            true => self.count(),
            false => Ok(()),
        }
    }

    /// Lets all blocks that are here count.
    fn count(&mut self) -> Result<(), Trouble> {
        let length = self.missing();
        if self.tree.peaks(length).as_ref() != Some(&self.signed) {
            return Err(Trouble::Misbehaved("its blocks are not those that were signed"));
        }
        self.data.sync_data().map_err(Trouble::Files)?;
        plain::count(&self.folder, &self.tree, self.length, &self.signature).map_err(
            |error| match error {
                CoreError::Files(problem) => Trouble::Files(problem),
                other => Trouble::Copy(other.to_string()),
            },
        )?;
        self.length = length;
        Ok(())
    }

    /// Checks the header.
    ///
    /// # Errors
    /// [`Trouble::Refused`] if the segment is not what follows the one before it, and [`Trouble::Longer`] if there is more of
    /// the one before it than is here: the peer did not say so before this segment began.
    fn read_header(&mut self, block: &[u8], audit_key: &Key) -> Result<(), Trouble> {
        let refused = |why: String| Trouble::Refused { segment: self.number, why };
        let header = SegmentHeader::read(block, audit_key, &verify)
            .map_err(|why| refused(format!("has a header that {why}")))?;
        if (header.segment, header.segment_key) != (self.number, self.key) {
            return Err(refused(format!("says that it is segment {}", header.segment)));
        }
        if header.before != self.before {
            if let (Some(truth), Some(here)) = (&header.before, &self.before)
                && truth.key == here.key
                && truth.length > here.length
            {
                return Err(Trouble::Longer { segment: self.number.saturating_sub(1) });
            }
            return Err(refused("does not follow the one before it".to_owned()));
        }
        self.header = Some(header);
        Ok(())
    }

    fn sealed(&self) -> Sealed {
        Sealed { key: self.key, length: self.length, root: self.signed.root() }
    }
}

/// Where a segment of a copy is.
pub fn segment_folder(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:06}"))
}

/// What a folder has.
#[derive(Default)]
struct Kept {
    tree: Tree,
    signature: Signature,
    header: Option<Vec<u8>>,
}

/// What is broken is put aside: a copy can be fetched again. What a disk does not give now it may give later.
fn open_or_begin(folder: &Path, key: &Key) -> Result<Kept, Trouble> {
    let failed = |error: CoreError| Trouble::Copy(error.to_string());
    if folder.join("oplog").try_exists().map_err(Trouble::Files)? {
        match read(folder, key) {
            Ok(kept) => return Ok(kept),
            Err(error) if error.is_of_disk() => return Err(failed(error)),
            Err(why) => {
                warn!(folder = %folder.display(), %why, "a copy of a segment does not open: it is fetched anew");
                put_aside(folder).map_err(Trouble::Files)?;
            }
        }
    }
    Core::begin_copy(folder, key).map_err(failed)?;
    Ok(Kept::default())
}

/// The peer may be gone for good, and what is broken all that there is. So when all places are taken, the newest goes: the
/// oldest is the likeliest to hold much.
fn put_aside(folder: &Path) -> io::Result<()> {
    let mut place = folder.with_extension("broken");
    for number in 2..=KEPT_ASIDE {
        if !place.try_exists()? {
            break;
        }
        place = folder.with_extension(format!("broken-{number}"));
    }
    if place.try_exists()? {
        fs::remove_dir_all(&place)?;
    }
    fs::rename(folder, &place)
}

fn read(folder: &Path, key: &Key) -> Result<Kept, CoreError> {
    let core = Core::open_to_read(folder)?;
    let wrong = |why: &str| Err(CoreError::Wrong(why.to_owned()));
    if core.key() != *key {
        return wrong("it is of another key");
    }
    if core.length() == 0 {
        return Ok(Kept::default());
    }
    let mut tree = Tree::default();
    for index in 0..core.length() {
        tree.push(Node::of_block(&core.block(index)?));
    }
    let signature = core.signature()?;
    let root = tree.peaks(core.length()).unwrap_or_default().root();
    match verify(key, &core.mark(0, root).signed_bytes(), &signature) {
        true => Ok(Kept { tree, signature, header: Some(core.block(0)?) }),
        false => wrong("its blocks are not those that were signed"),
    }
}
