//! Keeps a copy of another node's trail, so that it survives that node's machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bzzz_actors::trail::Key;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::copy::{Copy, Segment};
use super::{Trouble, fetching};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A peer that is back waits so long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Following {
    /// The peer's: host and port.
    pub address: String,
    /// The peer's: all else follows from it.
    pub audit_key: Key,
    /// The copy's own, of this trail alone.
    pub folder: PathBuf,
}

/// How far the copy is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    pub is_connected: bool,
    pub segment: u64,
    /// Blocks of the segment that are here.
    pub length: u64,
    /// Blocks of the segment that the peer has.
    pub peer_length: u64,
    /// Why there is no connection.
    pub trouble: Option<String>,
    /// The peer has signed what does not follow from what it signed before: the trouble says what, and stays.
    pub is_refused: bool,
}

/// [`Follower::stop`] waits for the block that is just written; dropping it does not.
#[derive(Debug)]
pub struct Follower {
    stop: CancellationToken,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<()>,
}

impl Follower {
    pub fn start(following: Following) -> Self {
        let stop = CancellationToken::new();
        let (report, progress) = watch::channel(Progress::default());
        let task = tokio::spawn(keep_following(following, stop.clone(), Arc::new(report)));
        Self { stop, progress, task }
    }

    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    pub async fn stop(mut self) {
        self.stop.cancel();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn keep_following(following: Following, stop: CancellationToken, report: Arc<watch::Sender<Progress>>) {
    let mut pause = FIRST_PAUSE;
    let mut segment = None;
    while !stop.is_cancelled() {
        let before = report.borrow().clone();
        let attempt = attempt(following.clone(), segment.take(), stop.clone(), Arc::clone(&report));
        let Err((trouble, kept)) = attempt.await else { break };
        segment = kept;
        let is_refused = matches!(trouble, Trouble::Refused { .. });
        let now = report.borrow().clone();
        let has_come_on = (now.segment, now.length) != (before.segment, before.length);
        if has_come_on {
            pause = FIRST_PAUSE;
        }
        match is_refused {
            true => warn!(peer = following.address, %trouble, "a peer's trail is not what it was"),
            false => debug!(peer = following.address, %trouble, ?pause, "a peer's trail is not followed"),
        }
        let trouble = Some(trouble.to_string());
        report.send_replace(Progress { is_connected: false, trouble, is_refused, ..now });
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// In a task of its own, which contains a panic over what the peer sent. It is never aborted.
///
/// The copy is read before there is a connection, whose other end would wait meanwhile, and outside of what the runtime
/// needs for others. With the trouble comes what was read and is as good as before, for the next attempt.
async fn attempt(
    following: Following,
    kept: Option<Box<Segment>>,
    stop: CancellationToken,
    report: Arc<watch::Sender<Progress>>,
) -> Result<(), (Trouble, Option<Box<Segment>>)> {
    let attempt = async move {
        let copy = Copy { folder: following.folder, audit_key: following.audit_key };
        let mut segment = match kept {
            Some(segment) => segment,
            None => {
                let copy = copy.clone();
                let read = spawn_blocking(move || copy.last().map(Box::new)).await;
                read.map_err(|panic| (Trouble::Copy(panic.to_string()), None))?.map_err(|why| (why, None))?
            }
        };
        let fetched = fetching::fetch(&following.address, &copy, &mut segment, &stop, &report).await;
        fetched.map_err(|why| {
            let is_kept = why.is_of_connection();
            (why, is_kept.then_some(segment))
        })
    };
    tokio::spawn(attempt).await.unwrap_or_else(|panic| Err((Trouble::Copy(panic.to_string()), None)))
}
