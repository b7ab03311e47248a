//! The open segments, for those who replicate them.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::archive;
use super::core::Core;
use super::keys::AuditKeys;
use super::replication::{Found, Segments, Served, discovery_key};
use super::segment_folder;

/// Each is four open files. Who reads a segment that is closed here keeps its own open meanwhile.
const SEALED_THAT_STAY_OPEN: usize = 8;

/// What a segment is called by who does not know its key.
type Name = [u8; 32];

pub(crate) struct Shelf {
    data_dir: PathBuf,
    keys: Arc<AuditKeys>,
    state: Mutex<State>,
    begun: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// The number of each segment that there is.
    known: HashMap<Name, u64>,
    /// The one that is appended to.
    written: Option<(Name, Found)>,
    /// The one after it, which has not begun.
    next: Option<Name>,
    /// Those that were asked for, the last one at the end.
    sealed: VecDeque<(Name, Found)>,
}

impl Shelf {
    pub(crate) fn new(data_dir: PathBuf, keys: Arc<AuditKeys>) -> Self {
        Self { data_dir, keys, state: Mutex::default(), begun: watch::Sender::default() }
    }

    /// There is such a segment, which is not appended to.
    pub(super) fn know(&self, segment: u64) {
        let name = discovery_key(&self.keys.public_of(segment).0);
        self.lock().known.insert(name, segment);
    }

    /// It is appended to from now on, under its lock. Who reads another core of the same segment is told to ask anew.
    pub(super) fn put(&self, segment: u64, served: Served) {
        let [name, next] = [segment, segment + 1].map(|it| discovery_key(&self.keys.public_of(it).0));
        let mut state = self.lock();
        state.known.insert(name, segment);
        state.next = Some(next);
        if let Some((before, found)) = state.written.replace((name, Found::new(served))) {
            state.keep(before, found);
        }
        if let Some(stale) = state.take(&name) {
            stale.replaced.cancel();
        }
        drop(state);
        self.begun.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&mut self, name: &Name) -> Option<Found> {
        if let Some((_, found)) = self.written.as_ref().filter(|(written, _)| written == name) {
            return Some(found.clone());
        }
        let found = self.take(name)?;
        self.keep(*name, found.clone());
        Some(found)
    }

    fn take(&mut self, name: &Name) -> Option<Found> {
        let at = self.sealed.iter().position(|(sealed, _)| sealed == name)?;
        self.sealed.remove(at).map(|(_, found)| found)
    }

    fn keep(&mut self, name: Name, found: Found) {
        self.sealed.push_back((name, found));
        if self.sealed.len() > SEALED_THAT_STAY_OPEN {
            self.sealed.pop_front();
        }
    }
}

impl Segments for Shelf {
    fn find(&self, discovery_key: &Name) -> Option<Found> {
        let segment = {
            let mut state = self.lock();
            if let Some(found) = state.open(discovery_key) {
                return Some(found);
            }
            *state.known.get(discovery_key)?
        };
        let open = || {
            let archived = archive::place_of(&self.data_dir, segment);
            let folder = archived.unwrap_or_else(|| segment_folder(&self.data_dir, segment));
            Core::open_to_read(&folder)
        };
        // It may have been moved into the archive meanwhile.
        let core = open().or_else(|_| open()).ok()?;
        let mut state = self.lock();
        // Somebody else may have opened it meanwhile.
        if let Some(found) = state.open(discovery_key) {
            return Some(found);
        }
        let found = Found::new(Served::new(core.handle()));
        state.keep(*discovery_key, found.clone());
        Some(found)
    }

    fn is_next(&self, discovery_key: &Name) -> bool {
        self.lock().next.as_ref() == Some(discovery_key)
    }

    fn begun(&self) -> watch::Receiver<()> {
        self.begun.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct World {
        folder: tempfile::TempDir,
        keys: Arc<AuditKeys>,
        shelf: Shelf,
    }

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(AuditKeys::load_or_make(folder.path()).unwrap());
        let shelf = Shelf::new(folder.path().to_owned(), keys.clone());
        World { folder, keys, shelf }
    }

    impl World {
        fn make(&self, segment: u64) -> Core {
            let core = Core::create(&segment_folder(self.folder.path(), segment), &self.keys, segment);
            let core = core.unwrap();
            core.append(&[b"a block"]).unwrap();
            core
        }

        fn name(&self, segment: u64) -> Name {
            discovery_key(&self.keys.public_of(segment).0)
        }

        fn find(&self, segment: u64) -> Option<Found> {
            self.shelf.find(&self.name(segment))
        }
    }

    #[test]
    fn few_of_the_sealed_segments_that_were_asked_for_stay_open() {
        let world = world();
        let count = SEALED_THAT_STAY_OPEN as u64 + 3;
        for segment in 0..count {
            world.make(segment);
            world.shelf.know(segment);
            assert_eq!(world.find(segment).unwrap().served.core.info().length, 1);
            // Asked for again and again, it stays.
            world.find(0).unwrap();
        }
        let state = world.shelf.lock();
        assert_eq!(state.sealed.len(), SEALED_THAT_STAY_OPEN);
        let is_open = |segment| state.sealed.iter().any(|(name, _)| *name == world.name(segment));
        assert!(is_open(0) && !is_open(1) && is_open(count - 1));
    }

    #[test]
    fn who_reads_a_core_hears_that_another_took_its_place() {
        let world = world();
        let first = world.make(0);
        world.shelf.put(0, Served::new(first.handle()));
        let found = world.find(0).unwrap();
        let next = world.make(1);
        world.shelf.put(1, Served::new(next.handle()));
        assert!(!found.replaced.is_cancelled(), "it is sealed, and as good as before");
        let found = world.find(1).unwrap();
        world.shelf.put(1, Served::new(next.handle()));
        assert!(found.replaced.is_cancelled());
        assert!(!world.find(1).unwrap().replaced.is_cancelled());
    }

    #[test]
    fn the_next_segment_is_the_one_after_the_last() {
        let world = world();
        let is_next = |segment| world.shelf.is_next(&world.name(segment));
        let mut begun = world.shelf.begun();
        assert!(!is_next(0));
        for segment in 0..2 {
            world.shelf.put(segment, Served::new(world.make(segment).handle()));
            assert!(begun.has_changed().unwrap());
            begun.mark_unchanged();
            assert!(!is_next(segment) && is_next(segment + 1) && !is_next(segment + 2));
        }
    }

    #[test]
    fn an_archived_segment_is_found_where_it_went() {
        let world = world();
        world.make(0);
        world.shelf.know(0);
        let elsewhere = tempfile::tempdir().unwrap();
        let place = elsewhere.path().join("000000");
        let folder = segment_folder(world.folder.path(), 0);
        fs::rename(&folder, &place).unwrap();
        assert!(world.find(0).is_none());
        fs::write(folder.with_extension("archived"), place.to_str().unwrap()).unwrap();
        assert_eq!(world.find(0).unwrap().served.core.info().length, 1);
    }
}
