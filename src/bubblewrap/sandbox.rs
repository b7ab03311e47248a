//! One sandbox: its processes, and where it stands among the others.

use std::sync::{Mutex, PoisonError, Weak};

use async_trait::async_trait;
use bzzz_actors::ports::sandbox::{SandboxError, SandboxSpec};

use super::entrance::Entrance;
use super::options::BubblewrapOptions;
use super::process::Process;
use super::{Standing, lock};
use crate::network::Network;
use crate::sandbox::{EnclosedSandbox, Enclosure, SessionOptions, Streams, common};

/// Under which spec a sandbox stands, and among which.
pub(super) struct Place {
    pub(super) spec: SandboxSpec,
    pub(super) among: Weak<Standing>,
}

/// Dropped, they end.
pub struct Processes {
    name: String,
    pub(super) process: Process,
    place: Option<Place>,
    entrance: Mutex<Option<Entrance>>,
}

pub type BubblewrapSandbox = EnclosedSandbox<Processes>;

/// Greets the sandboxd of a sandbox that has started.
pub(super) async fn open(
    (process, streams): (Process, Streams),
    options: &BubblewrapOptions,
    name: String,
    place: Option<Place>,
    entrance: Option<Entrance>,
    network: Option<Network>,
) -> Result<BubblewrapSandbox, SandboxError> {
    let session_options = SessionOptions {
        output_cap_bytes: options.output_cap_bytes,
        heartbeat: common::heartbeat(options.orphan_grace),
    };
    let name = format!("{name} (process {})", process.id.as_raw_nonzero());
    let processes = Processes { name, process, place, entrance: Mutex::new(entrance) };
    let temp_dir = options.temp_dir.clone();
    EnclosedSandbox::open(processes, streams, session_options, temp_dir, network).await
}

#[async_trait]
impl Enclosure for Processes {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn obituary(&self) -> String {
        self.process.obituary().await
    }

    async fn destroy(&self) -> Result<(), SandboxError> {
        self.process.end().await?;
        drop(self.entrance.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(place) = &self.place
            && let Some(among) = place.among.upgrade()
        {
            // Another one may stand there by now.
            let is_this = |it: &BubblewrapSandbox| std::ptr::eq(&it.enclosure, self);
            lock(&among).extract_if(|at, it| *at == place.spec && is_this(it)).for_each(drop);
        }
        Ok(())
    }
}
