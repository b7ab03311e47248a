//! Where a test's node runs: an actor system as the program has it, and the end of all that was started, also when
//! the test fails.

use std::sync::{Condvar, Mutex, PoisonError};

use actix::System;
use tempfile::TempDir;

use crate::containers::{Containers, can_run};
use crate::hill::Hill;

/// Tests at once on a machine with many processors: each has a node, four servers and a few containers.
const MAX_AT_ONCE: usize = 6;

static PLACES: Mutex<usize> = Mutex::new(MAX_AT_ONCE);
static PLACE_FREED: Condvar = Condvar::new();

struct Place;

impl Place {
    fn take() -> Self {
        let places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        let has_none = |places: &mut usize| *places == 0;
        *PLACE_FREED.wait_while(places, has_none).unwrap_or_else(PoisonError::into_inner) -= 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *PLACES.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        PLACE_FREED.notify_one();
    }
}

/// Plays `test` on a new hill. At its end every node is stopped, every journal verified, and no container is left.
pub(crate) fn on_a_hill(test: impl AsyncFnOnce(&mut Hill)) {
    if !can_run() {
        return;
    }
    show_log();
    let _place = Place::take();
    // In the order of their end: the system with all that runs on it, the containers, the files.
    let folder = tempfile::Builder::new().prefix("bzzz-hill-").tempdir().unwrap();
    let containers = Containers { prefix: format!("hill-{:x}-", getrandom::u64().unwrap()) };
    in_system(play(test, &folder, &containers));
    assert_eq!(containers.names(), Vec::<String>::new(), "containers were left");
}

async fn play(test: impl AsyncFnOnce(&mut Hill), folder: &TempDir, containers: &Containers) {
    let mut hill = Hill::new(folder.path(), &containers.prefix);
    test(&mut hill).await;
    hill.end().await;
}

/// As the program's own: the actors on this thread, connections on two others.
fn in_system(work: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    let mut runtime = Some(runtime);
    let system = System::with_tokio_rt(move || runtime.take().expect("taken once"));
    system.block_on(work);
}

/// The nodes' log, for a person who looks for a fault: `RUST_LOG=info`.
fn show_log() {
    if std::env::var_os("RUST_LOG").is_some() {
        // An error means that another test was faster.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
    }
}
