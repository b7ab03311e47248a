//! The other nodes. Everything heard from them is a hint that is right to miss: no message decides who owns a task.
//!
//! Behind the port is a network that delivers what is said to all who are there, at most once and not surely, and that
//! keeps the latest of everything that was said under one [`Said::key`] by each author, so that a node that was away
//! is told it by any other. What is heard was signed by its author; whether it is true is another matter.

mod peer;
mod said;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

pub use peer::PeerId;
pub use said::{
    Announcement, Availability, Capabilities, Contradiction, Elsewhere, Progress, Said, TasksSeen, Watched,
};

use crate::trail::{Growth, Mark, TrailHead};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwarmError {
    #[error("no peer is connected")]
    Alone,
    #[error("the swarm's network is not available: {0}")]
    Unavailable(String),
    #[error("the peer does not answer: {0}")]
    NoAnswer(String),
    /// The peer's own word.
    #[error("the peer says that it has no proof")]
    NoProof,
}

/// The network, once it is up. It ends by closing `heard`: then it has failed, and is opened again.
pub struct OpenSwarm {
    pub me: PeerId,
    pub voice: Arc<dyn Voice>,
    /// Bounded. What finds no room in it is lost, as a message may be on its way.
    pub heard: mpsc::Receiver<Heard>,
}

/// What happens in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A peer that may be in this swarm is connected.
    Connected {
        peer: PeerId,
    },
    Disconnected {
        peer: PeerId,
    },
    /// The state that a connected peer has was brought in.
    Synced {
        with: PeerId,
    },
    /// Said by `author`, here for the first time; never older than what was heard before under the same key.
    Said {
        author: PeerId,
        said: Said,
    },
    /// Said under this node's own key, not in this opening of its network, and still known to others.
    OwnHead {
        head: TrailHead,
    },
}

/// What a peer did that an honest one does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misdeed {
    /// It claimed to hold a task that the claim reference does not show as its.
    FalseClaim,
    /// It announced issues that are none.
    FalseTask,
    /// It uses the name of a node that is here by another key.
    StolenName,
}

#[async_trait]
pub trait Swarm: Send + Sync {
    /// Brings the network up: from then on it finds peers by itself.
    async fn open(&self) -> Result<OpenSwarm, SwarmError>;
}

#[async_trait]
pub trait Voice: Send + Sync {
    /// Says it to all, and to those that come later for as long as it is the latest of its key.
    ///
    /// # Errors
    /// `Alone` when nobody is connected: it is kept all the same.
    async fn say(&self, said: Said) -> Result<(), SwarmError>;

    /// Asks a connected peer for what proves that its trail leads from one mark to the other. Whether it does is for the
    /// caller to check; it is no larger than a proof is.
    ///
    /// # Errors
    /// `NoProof` when the peer says so; `NoAnswer` when it is not connected, is silent or answers with rubbish.
    async fn ask_growth(&self, peer: &PeerId, from: Mark, to: Mark) -> Result<Growth, SwarmError>;

    /// Counts against the peer. One that goes on is not heard any more for a while.
    async fn blame(&self, peer: &PeerId, misdeed: Misdeed);
}

/// A node by itself, which hears nothing and whom nobody hears.
pub struct Alone;

#[async_trait]
impl Swarm for Alone {
    async fn open(&self) -> Result<OpenSwarm, SwarmError> {
        Err(SwarmError::Alone)
    }
}
