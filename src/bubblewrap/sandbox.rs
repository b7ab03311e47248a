//! One sandbox and the session with the sandboxd in it.

use std::path::PathBuf;
use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::code::CodeIn;
use bzzz_actors::ports::sandbox::{
    CommandOutcome, CommandRequest, Sandbox, SandboxError, SandboxSpec, WorkBundle,
};
use bzzz_actors::task::Sha;

use super::options::BubblewrapOptions;
use super::process::{Process, Streams};
use super::{Standing, lock};
use crate::sandbox::{Session, SessionOptions, common};

/// Under which spec a sandbox stands, and among which.
pub(super) struct Place {
    pub(super) spec: SandboxSpec,
    pub(super) among: Weak<Standing>,
}

pub struct BubblewrapSandbox {
    name: String,
    session: Session,
    pub(super) process: Process,
    temp_dir: PathBuf,
    place: Option<Place>,
}

impl BubblewrapSandbox {
    /// Greets the sandboxd of a sandbox that has started. Dropped, it ends.
    pub(super) async fn open(
        started: (Process, Streams),
        options: &BubblewrapOptions,
        name: String,
        place: Option<Place>,
    ) -> Result<Self, SandboxError> {
        let (process, streams) = started;
        let session_options = SessionOptions {
            output_cap_bytes: options.output_cap_bytes,
            heartbeat: common::heartbeat(options.orphan_grace),
        };
        let session = match Session::connect(streams.reader, streams.writer, session_options).await {
            Ok(session) => session,
            Err(SandboxError::Lost(why)) => {
                return Err(SandboxError::Lost(format!("{why}: {}", process.obituary().await)));
            }
            Err(error) => return Err(error),
        };
        let name = format!("{name} (process {})", process.id.as_raw_nonzero());
        Ok(Self { name, session, process, temp_dir: options.temp_dir.clone(), place })
    }

    /// A lost session, with what is known of the processes.
    async fn explained<T>(&self, result: Result<T, SandboxError>) -> Result<T, SandboxError> {
        match result {
            Err(SandboxError::Lost(why)) => {
                Err(SandboxError::Lost(format!("{why}: {}", self.process.obituary().await)))
            }
            other => other,
        }
    }
}

#[async_trait]
impl Sandbox for BubblewrapSandbox {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn is_lost(&self) -> bool {
        self.session.is_lost()
    }

    async fn import(&self, code: &CodeIn) -> Result<(), SandboxError> {
        self.explained(self.session.import(code).await).await
    }

    async fn run(&self, request: &CommandRequest) -> Result<CommandOutcome, SandboxError> {
        self.explained(self.session.run(request).await).await
    }

    async fn recall(&self, step: u32, patience: Duration) -> Result<Option<CommandOutcome>, SandboxError> {
        self.explained(self.session.recall(step, patience).await).await
    }

    async fn export_changes(
        &self,
        base: &Sha,
        known: Option<&Sha>,
        max_bytes: u64,
    ) -> Result<Option<WorkBundle>, SandboxError> {
        self.explained(self.session.export_changes(base, known, max_bytes, &self.temp_dir).await).await
    }

    async fn destroy(&self) -> Result<(), SandboxError> {
        self.process.end().await?;
        if let Some(place) = &self.place
            && let Some(among) = place.among.upgrade()
        {
            // Another one may stand there by now.
            lock(&among).extract_if(|at, it| *at == place.spec && std::ptr::eq(&**it, self)).for_each(drop);
        }
        Ok(())
    }
}
