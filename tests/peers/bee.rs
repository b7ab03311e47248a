//! A node's network, and what it heard.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bzzz::swarm::{Libp2p, Options, Pace, addresses, identity};
use bzzz_actors::ports::swarm::{Heard, OpenSwarm, PeerId, Progress, Said, Swarm, SwarmError, Voice};
use bzzz_actors::task::Epoch;
use tempfile::TempDir;
use tokio::sync::mpsc;

pub(crate) const SWARM: &str = "meadow";
/// Nothing here takes a tenth of it, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that is not open yet: its folder, and so its id.
pub(crate) struct Nest {
    pub(crate) folder: TempDir,
    pub(crate) peer: libp2p::PeerId,
}

impl Nest {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let peer = identity::load_or_make(folder.path()).unwrap().public().to_peer_id();
        Self { folder, peer }
    }

    pub(crate) fn name(&self) -> PeerId {
        self.peer.to_string().parse().unwrap()
    }

    /// On a free port of the loopback, with everything that is due at intervals soon due.
    pub(crate) fn options(&self, allow: &[libp2p::PeerId]) -> Options {
        let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        let pace = Pace {
            exchange: Duration::from_secs(1),
            redial: Duration::from_millis(100),
            answer: Duration::from_secs(5),
            keep: Duration::from_millis(200),
        };
        let allow: HashSet<_> = allow.iter().copied().collect();
        Options { allow, pace, ..Options::new(self.folder.path(), SWARM, listen) }
    }

    pub(crate) async fn open(self, options: Options) -> Bee {
        // For who looks for a fault: RUST_LOG=bzzz=debug
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let network = Libp2p::new(options).unwrap();
        let OpenSwarm { me, voice, heard } = network.open().await.unwrap();
        assert_eq!(me, self.name());
        Bee { nest: self, network, voice, heard, so_far: Vec::new() }
    }
}

pub(crate) struct Bee {
    pub(crate) nest: Nest,
    pub(crate) network: Libp2p,
    pub(crate) voice: Arc<dyn Voice>,
    pub(crate) heard: mpsc::Receiver<Heard>,
    pub(crate) so_far: Vec<Heard>,
}

impl Bee {
    pub(crate) fn me(&self) -> PeerId {
        self.nest.name()
    }

    /// Where others reach it, with its id.
    pub(crate) async fn address(&self) -> String {
        let mut addresses = self.network.addresses();
        let addresses = addresses.wait_for(|addresses| !addresses.is_empty());
        tokio::time::timeout(PATIENCE, addresses).await.unwrap().unwrap()[0].clone()
    }

    pub(crate) async fn bootstrap(&self) -> addresses::Bootstrap {
        addresses::bootstrap(&self.address().await).unwrap()
    }

    pub(crate) async fn say(&self, number: u64) {
        match self.voice.say(numbered(number)).await {
            Ok(()) | Err(SwarmError::Alone) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Listens until it is heard. What came before stays in `so_far`.
    pub(crate) async fn until(&mut self, what: &str, is_it: impl Fn(&Heard) -> bool) {
        let listening = async {
            loop {
                let heard = self.heard.recv().await.expect("the network has ended");
                self.so_far.push(heard);
                if is_it(self.so_far.last().unwrap()) {
                    return;
                }
            }
        };
        let heard = tokio::time::timeout(PATIENCE, listening).await;
        assert!(heard.is_ok(), "{what} was not heard, but {:?}", self.so_far);
    }

    pub(crate) async fn until_said(&mut self, author: &PeerId, number: u64) {
        let wanted = Heard::Said { author: author.clone(), said: numbered(number) };
        self.until(&format!("{wanted:?}"), |heard| *heard == wanted).await;
    }

    pub(crate) async fn until_connected(&mut self, peer: &PeerId) {
        let wanted = Heard::Connected { peer: peer.clone() };
        self.until(&format!("{wanted:?}"), |heard| *heard == wanted).await;
    }

    pub(crate) async fn until_synced(&mut self, with: &PeerId) {
        let wanted = Heard::Synced { with: with.clone() };
        self.until(&format!("{wanted:?}"), |heard| *heard == wanted).await;
    }

    pub(crate) fn has_heard(&self, author: &PeerId, number: u64) -> bool {
        self.so_far.contains(&Heard::Said { author: author.clone(), said: numbered(number) })
    }
}

/// Something to say, told apart by its number, of which the last counts.
pub(crate) fn numbered(number: u64) -> Said {
    let (task, steps) = ("a/b#1".parse().unwrap(), u32::try_from(number).unwrap());
    Said::Progress(Progress { task, epoch: Epoch(1), phase: "working".to_owned(), steps })
}

/// Two nodes that know each other.
pub(crate) async fn pair() -> (Bee, Bee) {
    pair_with(&[]).await
}

/// And may be joined by others.
pub(crate) async fn pair_with(others: &[libp2p::PeerId]) -> (Bee, Bee) {
    let (a, b) = (Nest::new(), Nest::new());
    let allow = [&[a.peer, b.peer], others].concat();
    let (of_a, of_b) = (a.options(&allow), b.options(&allow));
    let mut a = a.open(of_a).await;
    let mut b = b.open(Options { bootstrap: vec![a.bootstrap().await], ..of_b }).await;
    a.until_synced(&b.me()).await;
    b.until_synced(&a.me()).await;
    (a, b)
}
