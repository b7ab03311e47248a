//! The port's sandbox, as every backend has it: a session, and what the backend knows of that which encloses it.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::code::CodeIn;
use bzzz_actors::ports::sandbox::{CommandOutcome, CommandRequest, Sandbox, SandboxError, WorkBundle};
use bzzz_actors::task::Sha;

use super::{Session, SessionOptions, Streams};
use crate::network::Network;

/// A container, or a tree of processes.
#[async_trait]
pub trait Enclosure: Send + Sync {
    fn name(&self) -> String;

    /// What is known of it, now that the session is lost.
    async fn obituary(&self) -> String;

    /// Succeeds when it is gone already.
    async fn destroy(&self) -> Result<(), SandboxError>;
}

pub struct EnclosedSandbox<E> {
    pub(crate) enclosure: E,
    session: Session,
    /// Where bundles that leave it are written.
    temp_dir: PathBuf,
    /// Its proxy, which ends with this.
    network: Option<Network>,
}

impl<E: Enclosure> EnclosedSandbox<E> {
    /// Greets the sandboxd inside.
    pub(crate) async fn open(
        enclosure: E,
        streams: Streams,
        options: SessionOptions,
        temp_dir: PathBuf,
        network: Option<Network>,
    ) -> Result<Self, SandboxError> {
        let connected = Session::connect(streams, options).await;
        let session = explained(&enclosure, connected).await?;
        Ok(Self { enclosure, session, temp_dir, network })
    }
}

/// A lost session, with what is known of the rest.
async fn explained<T>(
    enclosure: &impl Enclosure,
    result: Result<T, SandboxError>,
) -> Result<T, SandboxError> {
    match result {
        Err(SandboxError::Lost(why)) => {
            Err(SandboxError::Lost(format!("{why}: {}", enclosure.obituary().await)))
        }
        other => other,
    }
}

#[async_trait]
impl<E: Enclosure> Sandbox for EnclosedSandbox<E> {
    fn name(&self) -> String {
        self.enclosure.name()
    }

    fn is_lost(&self) -> bool {
        self.session.is_lost()
    }

    fn allowed_hosts(&self) -> Vec<String> {
        self.network.as_ref().map(|network| network.allowed.clone()).unwrap_or_default()
    }

    async fn import(&self, code: &CodeIn) -> Result<(), SandboxError> {
        explained(&self.enclosure, self.session.import(code).await).await
    }

    async fn run(&self, request: &CommandRequest) -> Result<CommandOutcome, SandboxError> {
        explained(&self.enclosure, self.session.run(request).await).await
    }

    async fn recall(&self, step: u32, patience: Duration) -> Result<Option<CommandOutcome>, SandboxError> {
        explained(&self.enclosure, self.session.recall(step, patience).await).await
    }

    async fn export_changes(
        &self,
        base: &Sha,
        known: Option<&Sha>,
        max_bytes: u64,
    ) -> Result<Option<WorkBundle>, SandboxError> {
        let exported = self.session.export_changes(base, known, max_bytes, &self.temp_dir).await;
        explained(&self.enclosure, exported).await
    }

    async fn destroy(&self) -> Result<(), SandboxError> {
        self.enclosure.destroy().await?;
        if let Some(network) = &self.network {
            network.remove();
        }
        Ok(())
    }
}
