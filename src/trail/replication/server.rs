//! Serves segments to whoever connects and knows their keys. Nothing that a peer sends is taken into a core.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hypercore::Hypercore;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{Mutex, watch};
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::transport::discovery_key;
use super::{Trouble, session};

/// Who accepts nothing new for a moment gives the machine time to close what it has.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(200);

/// A segment that is served.
#[derive(Debug, Clone)]
pub struct Served {
    pub core: Hypercore,
    /// Whoever appends to the core holds it meanwhile: while it writes its tree out, a node of that is neither in its
    /// memory nor in its file, and can't be served.
    pub appending: Arc<Mutex<()>>,
}

impl Served {
    pub fn new(core: Hypercore) -> Self {
        Self { core, appending: Arc::default() }
    }
}

/// A segment that was found.
#[derive(Debug, Clone)]
pub struct Found {
    pub served: Served,
    /// Cancelled when another core takes its place: nothing is appended to this one any more, and who reads it would hear
    /// of nothing new.
    pub replaced: CancellationToken,
}

impl Found {
    pub fn new(served: Served) -> Self {
        Self { served, replaced: CancellationToken::new() }
    }
}

/// What there is to serve. Asked at each request for a segment, by the hash that names it to who does not know its key.
pub trait Segments: Send + Sync + 'static {
    fn find(&self, discovery_key: &[u8; 32]) -> Option<Found>;

    /// Whether it is the one that begins when the last one is full.
    fn is_next(&self, discovery_key: &[u8; 32]) -> bool;

    /// Changes when a segment begins.
    fn begun(&self) -> watch::Receiver<()>;
}

/// Open segments, to which more may be added: nobody knows which.
#[derive(Debug, Default)]
pub struct ServedSegments {
    segments: RwLock<HashMap<[u8; 32], Found>>,
    begun: watch::Sender<()>,
}

impl ServedSegments {
    /// In the place of the one with the same key.
    pub fn add(&self, segment: Served) {
        let name = discovery_key(segment.core.key_pair().public.as_bytes());
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = segments.insert(name, Found::new(segment)) {
            before.replaced.cancel();
        }
        drop(segments);
        self.begun.send_replace(());
    }
}

impl Segments for ServedSegments {
    fn find(&self, discovery_key: &[u8; 32]) -> Option<Found> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).get(discovery_key).cloned()
    }

    fn is_next(&self, _: &[u8; 32]) -> bool {
        false
    }

    fn begun(&self) -> watch::Receiver<()> {
        self.begun.subscribe()
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Who comes when there are so many is turned away.
    pub connections: usize,
    /// So one host does not take all places.
    pub connections_of_one_host: usize,
    /// Who has not proved by then to speak the protocol is turned away.
    pub handshake: Duration,
    /// Without a word. Peers send an empty one every 5 s.
    pub idle: Duration,
    /// Segments that one connection may ask for at once. Who asks for more is let go.
    pub segments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            connections_of_one_host: 16,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            segments: 64,
        }
    }
}

/// Stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// # Errors
    /// When the address is not this machine's, or taken.
    pub async fn listen(
        address: impl ToSocketAddrs,
        segments: Arc<dyn Segments>,
        limits: Limits,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(Places::new(segments, limits).accept_all(listener));
        Ok(Self { address, accepting })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Until its address is free.
    pub async fn stop(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Sessions only read, so they may end anywhere.
        self.accepting.abort();
    }
}

struct Places {
    segments: Arc<dyn Segments>,
    limits: Limits,
    /// Each in a task of its own, which contains the panics of what it calls.
    sessions: JoinSet<Result<(), Trouble>>,
    hosts: HashMap<Id, IpAddr>,
}

impl Places {
    fn new(segments: Arc<dyn Segments>, limits: Limits) -> Self {
        Self { segments, limits, sessions: JoinSet::new(), hosts: HashMap::new() }
    }

    async fn accept_all(mut self, listener: TcpListener) {
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer),
                    Err(why) => {
                        warn!(%why, "could not accept a connection for the trail");
                        tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                    }
                },
                Some(ended) = self.sessions.join_next_with_id() => self.ended(ended),
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let host = peer.ip();
        let of_host = self.hosts.values().filter(|other| **other == host).count();
        if self.hosts.len() >= self.limits.connections || of_host >= self.limits.connections_of_one_host {
            debug!(%peer, "turned away from the trail: no place");
            return;
        }
        let session = session::serve(stream, Arc::clone(&self.segments), self.limits);
        let id = self.sessions.spawn(session).id();
        self.hosts.insert(id, host);
    }

    fn ended(&mut self, ended: Result<(Id, Result<(), Trouble>), JoinError>) {
        let (id, why) = match ended {
            Ok((id, Ok(()))) => (id, "it left".to_owned()),
            Ok((id, Err(why))) => (id, why.to_string()),
            Err(panic) => {
                warn!(%panic, "serving the trail to a peer failed");
                (panic.id(), "a panic".to_owned())
            }
        };
        let peer = self.hosts.remove(&id);
        debug!(?peer, why, "a peer of the trail is gone");
    }
}
