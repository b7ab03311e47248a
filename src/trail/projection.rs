//! What keeps the trail's files up with the journal: a thread that appends what was recorded.
//!
//! It reads the journal itself, so nothing waits for it and nothing that it misses is lost. What it can't write it tries
//! again; what turns out wrong it moves aside and writes anew.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bzzz_actors::ports::journal::JournalError;
use tokio::sync::watch;
use tracing::{info, warn};

use super::archive::Archive;
use super::core::{Core, CoreError};
use super::keys::AuditKeys;
use super::replication::{Segments, Served};
use super::shelf::Shelf;
use super::{FOLDER, segment_folder, segment_name};
use crate::folder;
use crate::journal::{JournalReader, Segment};

/// Blocks that share a sync.
pub(super) const GROUP: u64 = 256;
/// Until what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Damaged segments that are kept for a person to look at. Older ones go.
const KEPT_ASIDE: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    #[error("segment {segment} of the trail: {source}")]
    Core { segment: u64, source: CoreError },
    #[error("segment {segment} of the trail can't be moved aside: {source}")]
    Aside { segment: u64, source: io::Error },
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl TrailError {
    fn is_of_disk(&self) -> bool {
        match self {
            Self::Core { source, .. } => source.is_of_disk(),
            Self::Aside { .. } | Self::Journal(_) => true,
        }
    }
}

/// The thread. Dropping it waits until the files have what the journal has.
pub(crate) struct Projection {
    goal: Arc<Goal>,
    projected: watch::Receiver<u64>,
    shelf: Arc<Shelf>,
    thread: Option<JoinHandle<()>>,
}

impl Projection {
    /// Makes the files whole first, from segment `from` on, and anew those of `damaged`.
    pub(crate) fn start(
        data_dir: &Path,
        keys: Arc<AuditKeys>,
        journal: JournalReader,
        archive: Option<Archive>,
        from: u64,
        damaged: &[u64],
    ) -> Result<Self, TrailError> {
        let (progress, projected) = watch::channel(0);
        let data_dir = data_dir.to_owned();
        let shelf = Arc::new(Shelf::new(data_dir.clone(), keys.clone()));
        (0..from).for_each(|segment| shelf.know(segment));
        let (shown, turn) = (shelf.clone(), Arc::default());
        let mut worker = Worker {
            data_dir,
            keys,
            journal,
            archive,
            shelf,
            turn,
            at: from,
            core: None,
            progress,
            has_archived: false,
        };
        // Whatever is wrong with the trail, the journal has all of it: the node starts, and the thread tries again.
        for segment in damaged {
            worker.put_aside(*segment);
        }
        if let Err(error) = worker.catch_up().or_else(|error| worker.try_anew(&error)) {
            warn!(%error, "the audit trail is behind the journal; it is tried again");
        }
        let goal = Arc::new(Goal::default());
        goal.lock().recorded = worker.journal.segments()?.last().map_or(0, Segment::last_entry);
        let thread = std::thread::Builder::new().name("trail".to_owned());
        let thread = thread.spawn({
            let goal = goal.clone();
            move || worker.work(&goal)
        });
        let thread = thread.map_err(|source| TrailError::Core { segment: from, source: source.into() })?;
        Ok(Self { goal, projected, shelf: shown, thread: Some(thread) })
    }

    /// The segments as they are, for replication.
    pub(crate) fn segments(&self) -> Arc<dyn Segments> {
        self.shelf.clone()
    }

    pub(crate) fn goal(&self) -> Arc<Goal> {
        self.goal.clone()
    }

    /// Returns once the files have this entry, on the disk; also when they never will, because this ends.
    pub(crate) async fn has(&self, entry: u64) {
        let mut projected = self.projected.clone();
        let _ = projected.wait_for(|projected| *projected >= entry).await;
    }
}

impl Drop for Projection {
    fn drop(&mut self) {
        self.goal.lock().ends = true;
        self.goal.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// How far the journal is.
#[derive(Default)]
pub(crate) struct Goal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    recorded: u64,
    ends: bool,
}

impl Goal {
    /// The journal has entries up to this one, on the disk.
    pub(crate) fn recorded(&self, entry: u64) {
        self.lock().recorded = entry;
        self.changed.notify_all();
    }

    /// Nothing can panic under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for entries after `projected`; false when there will be none.
    fn wait_for_more(&self, projected: u64) -> bool {
        let waits = |state: &mut State| state.recorded <= projected && !state.ends;
        let state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        state.recorded > projected
    }

    /// False when this ends meanwhile.
    fn pause(&self, pause: Duration) -> bool {
        let waits = |state: &mut State| !state.ends;
        let waited = self.changed.wait_timeout_while(self.lock(), pause, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).0.ends
    }
}

struct Worker {
    data_dir: PathBuf,
    keys: Arc<AuditKeys>,
    journal: JournalReader,
    archive: Option<Archive>,
    shelf: Arc<Shelf>,
    /// Held while something is appended.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The segment that is appended to.
    at: u64,
    core: Option<Core>,
    /// The last entry that the files have.
    progress: watch::Sender<u64>,
    /// Since the start.
    has_archived: bool,
}

impl Worker {
    fn work(mut self, goal: &Goal) {
        let mut failed = false;
        while goal.wait_for_more(*self.progress.borrow()) {
            match self.catch_up_contained() {
                Ok(()) if std::mem::take(&mut failed) => {
                    info!("the audit trail is up with the journal again")
                }
                Ok(()) => {}
                Err(error) => {
                    if !std::mem::replace(&mut failed, true) {
                        warn!(%error, "the audit trail is behind the journal; it is tried again");
                    }
                    if !error.is_of_disk() {
                        self.put_aside(self.at);
                    }
                    self.core = None;
                    if !goal.pause(RETRY) {
                        break;
                    }
                }
            }
        }
    }

    /// What a file holds that is wrong is written anew, once.
    fn try_anew(&mut self, error: &TrailError) -> Result<(), TrailError> {
        warn!(%error, segment = self.at, "a segment of the audit trail is written anew");
        if !error.is_of_disk() {
            self.put_aside(self.at);
        }
        self.core = None;
        self.catch_up()
    }

    /// A panic of the library under a lock leaves its core unusable, and not this thread.
    fn catch_up_contained(&mut self) -> Result<(), TrailError> {
        let caught = catch_unwind(AssertUnwindSafe(|| self.catch_up()));
        caught.unwrap_or_else(|_| {
            let source = CoreError::Panicked("see above".to_owned());
            Err(TrailError::Core { segment: self.at, source })
        })
    }

    /// Appends all that the journal has.
    fn catch_up(&mut self) -> Result<(), TrailError> {
        let (began_at, segments) = (self.at, self.journal.segments()?);
        for segment in &segments {
            if segment.number < self.at {
                continue;
            }
            if segment.number > self.at {
                (self.at, self.core) = (segment.number, None);
            }
            self.fill(segment)?;
            self.progress.send_replace(segment.last_entry());
        }
        if let Some(archive) = &self.archive
            && (self.at > began_at || !std::mem::replace(&mut self.has_archived, true))
        {
            archive.take(&self.data_dir, &self.keys, &self.journal, &segments);
        }
        Ok(())
    }

    fn fill(&mut self, segment: &Segment) -> Result<(), TrailError> {
        let failed = |source| TrailError::Core { segment: segment.number, source };
        let was_open = self.core.is_some();
        let core = match self.core.take() {
            Some(core) => core,
            None => self.open(segment.number).map_err(failed)?,
        };
        let mut is_shown = was_open;
        let had = core.length();
        while core.length() < segment.length {
            // At the start, in an asynchronous context, nobody else has it.
            let _turn = match self.turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => self.turn.blocking_lock(),
            };
            append_group(&core, segment, &self.journal)?;
            self.show(&core, segment.number, &mut is_shown);
        }
        self.show(&core, segment.number, &mut is_shown);
        // It costs as much as a block, and a segment is filled in many small parts.
        if core.length() - had > GROUP || !was_open {
            is_as_recorded(&core, segment).map_err(failed)?;
        }
        self.core = Some(core);
        Ok(())
    }

    fn open(&self, segment: u64) -> Result<Core, CoreError> {
        let folder = segment_folder(&self.data_dir, segment);
        match folder.exists() {
            true => Core::open_to_write(&folder),
            false => Core::create(&folder, &self.keys, segment),
        }
    }

    /// To those who read it, once: not before something could be appended, since they have to begin anew. A full disk would
    /// have them do that again and again.
    fn show(&self, core: &Core, segment: u64, is_shown: &mut bool) {
        if !std::mem::replace(is_shown, true) {
            self.shelf.put(segment, Served { core: core.handle(), appending: self.turn.clone() });
        }
    }

    fn put_aside(&mut self, segment: u64) {
        if let Err(error) = self.move_aside(segment) {
            warn!(%error, "it is left where it is");
        }
    }

    /// Nothing is thrown away at once: it may be what somebody wants to look at.
    fn move_aside(&mut self, segment: u64) -> Result<(), TrailError> {
        self.core = None;
        self.at = self.at.min(segment);
        let moved = || {
            let folder = segment_folder(&self.data_dir, segment);
            if !folder.exists() {
                return Ok(());
            }
            let aside = self.data_dir.join(FOLDER).join("aside");
            folder::make(&aside)?;
            let mut free = (1..u32::MAX).map(|n| aside.join(format!("{}-{n}", segment_name(segment))));
            let free = free.find(|place| !place.exists());
            let place = free.ok_or_else(|| io::Error::other("too many are there"))?;
            fs::rename(&folder, &place)?;
            // So the oldest is the one that was moved first.
            fs::File::open(&place)?.set_modified(SystemTime::now())?;
            folder::sync(&self.data_dir.join(FOLDER))?;
            forget_oldest(&aside)
        };
        moved().map_err(|source| TrailError::Aside { segment, source })
    }
}

fn append_group(core: &Core, segment: &Segment, journal: &JournalReader) -> Result<(), TrailError> {
    let blocks = journal.blocks(segment, core.length(), GROUP)?;
    let appended = match blocks.is_empty() {
        false => core.append(&blocks),
        true => Err(CoreError::Wrong("the journal lacks its entries".to_owned())),
    };
    appended.map_err(|source| TrailError::Core { segment: segment.number, source })
}

/// The same blocks and the same key have the same signature.
pub(crate) fn is_as_recorded(core: &Core, segment: &Segment) -> Result<(), CoreError> {
    let is_it = core.length() == segment.length
        && core.key() == segment.key
        && core.signature()? == segment.signature;
    match is_it {
        true => Ok(()),
        false => Err(CoreError::Wrong(format!(
            "it has {} blocks and another root than {}, which the journal recorded",
            core.length(),
            segment.mark()
        ))),
    }
}

fn forget_oldest(aside: &Path) -> io::Result<()> {
    let mut places = Vec::new();
    for place in fs::read_dir(aside)? {
        let place = place?;
        places.push((place.metadata()?.modified()?, place.path()));
    }
    places.sort_unstable();
    let too_many = places.len().saturating_sub(KEPT_ASIDE);
    places.drain(..too_many).try_for_each(|(_, place)| fs::remove_dir_all(place))
}
