//! The node's trail for others, and the copies that it keeps of theirs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bzzz_actors::trail::Key;
use tracing::info;

use crate::folder;
use crate::journal::SqliteJournal;
use crate::settings::{Audit, Settings};
use crate::trail::replication::{Follower, Following, Limits, Server};
use crate::trail::{Archive, SEGMENT_BLOCKS, TrailOptions};

use super::StartError;

pub(super) struct Trails {
    server: Option<Server>,
    followers: Vec<Follower>,
}

/// How the trail is kept.
pub(super) fn options(settings: &Settings) -> TrailOptions {
    let Audit { archive, keep_segments, .. } = &settings.audit;
    let archive = archive.clone().map(|folder| Archive { folder, keep: u64::from(*keep_segments) });
    TrailOptions { segment_blocks: SEGMENT_BLOCKS, archive }
}

/// Where the copy of a trail is.
pub fn copy_of(data_dir: &Path, key: &Key) -> PathBuf {
    data_dir.join("copies").join(key.to_string())
}

impl Trails {
    /// # Errors
    /// When it can't listen where it is told to, or has no folder for a copy.
    pub(super) async fn start(settings: &Settings, journal: &SqliteJournal) -> Result<Self, StartError> {
        let server = match settings.audit.listen {
            Some(address) => Some(listen(address, journal).await?),
            None => None,
        };
        let mut followers = Vec::new();
        for followed in &settings.audit.follow {
            let folder = copy_of(&settings.node.data_dir, &followed.key);
            folder::make(&folder).map_err(|source| StartError::Folder { path: folder.clone(), source })?;
            let (address, audit_key) = (followed.address.clone(), followed.key);
            followers.push(Follower::start(Following { address, audit_key, folder }));
        }
        Ok(Self { server, followers })
    }

    pub(super) async fn end(self) {
        for follower in self.followers {
            follower.stop().await;
        }
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}

async fn listen(address: SocketAddr, journal: &SqliteJournal) -> Result<Server, StartError> {
    let server = Server::listen(address, Arc::clone(&journal.segments()), Limits::default());
    let server = server.await.map_err(|source| StartError::Trail { address, source })?;
    info!(address = %server.address(), "the audit trail can be replicated");
    Ok(server)
}
