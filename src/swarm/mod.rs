//! The swarm: libp2p behind the port [`Swarm`].
//!
//! An open network lives on a thread and a runtime of its own: whatever libp2p starts there ends with it, sockets and
//! tasks, however it ends; a panic in it and load on it touch nothing else. It is opened again by whoever sees that
//! nothing is heard any more; the earlier one is gone before the next listens.
//!
//! Holds true: nothing here decides who owns a task. What a peer says is its author's, signed, or it is not heard; what
//! comes from outside is bounded; what is lost is brought by the exchange of state, or was not needed.

pub mod addresses;
mod admission;
mod behaviour;
mod board;
mod dialer;
pub mod envelope;
pub mod exchange;
mod files;
mod gossip;
pub mod identity;
mod names;
mod network;
mod options;
mod outlet;
mod own;
mod plausible;
pub mod preshared;
mod rate;
mod remembered;
mod slots;
mod standing;
pub mod trail;
mod transport;

use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::swarm::{Misdeed, OpenSwarm, PeerId, Said, Swarm, SwarmError, Voice};
use bzzz_actors::trail::{Growth, Mark};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use gossip::COORDINATION;
pub use options::{Options, Pace, SwarmSetupError};
pub use trail::Prover;

use network::{Command, Network};

/// What was heard and waits for the node. What finds no room waits in the network, and is bounded there.
const MAX_HEARD: usize = 256;
/// What the node says and the network has not taken up. Who says more waits.
const MAX_COMMANDS: usize = 256;
/// For the earlier network to end and this one to listen. Past it the opening has failed and is tried again.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an old network may take to end before a new one is opened without that.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The network of a node. Dropping it ends the network.
pub struct Libp2p {
    options: Options,
    key: libp2p::identity::Keypair,
    addresses: watch::Sender<Vec<String>>,
    current: Mutex<Option<Running>>,
    #[cfg(test)]
    commands: watch::Sender<Option<mpsc::Sender<Command>>>,
}

struct Running {
    stop: CancellationToken,
    thread: JoinHandle<()>,
    /// Closed when the thread ends, however it does.
    ended: std::sync::mpsc::Receiver<()>,
}

impl Running {
    /// Ends it. A thread that hangs is left to itself, with its ports.
    fn end(self) {
        self.stop.cancel();
        match self.ended.recv_timeout(CLOSE_TIMEOUT) {
            Err(RecvTimeoutError::Timeout) => {
                tracing::error!("the swarm's network hangs: its thread is left, with its ports");
            }
            // It may have panicked, which is no news here.
            _ => drop(self.thread.join()),
        }
    }
}

impl Libp2p {
    /// Checks the options and reads or makes the node's key. Nothing is opened yet.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn new(options: Options) -> Result<Self, SwarmSetupError> {
        options.check()?;
        let key = identity::load_or_make(&options.data_dir)?;
        Ok(Self {
            options,
            key,
            addresses: watch::channel(Vec::new()).0,
            current: Mutex::new(None),
            #[cfg(test)]
            commands: watch::channel(None).0,
        })
    }

    /// The addresses by which others reach this node, with its id at their end, as far as it knows them now. Empty while
    /// the network is not open.
    pub fn addresses(&self) -> watch::Receiver<Vec<String>> {
        self.addresses.subscribe()
    }

    /// This node's name in the swarm.
    pub fn me(&self) -> libp2p::PeerId {
        self.key.public().to_peer_id()
    }

    /// Ends the network, and returns when its sockets are closed.
    pub async fn close(&self) {
        let running = self.take_current();
        if let Some(running) = running {
            let _ = tokio::task::spawn_blocking(move || running.end()).await;
        }
    }

    fn take_current(&self) -> Option<Running> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Libp2p {
    fn drop(&mut self) {
        if let Some(running) = self.take_current() {
            running.stop.cancel();
        }
    }
}

/// What the thread of a network is given.
struct Start {
    options: Options,
    key: libp2p::identity::Keypair,
    addresses: watch::Sender<Vec<String>>,
    stop: CancellationToken,
    /// Goes with the thread.
    running: std::sync::mpsc::Sender<()>,
    before: Option<Running>,
    opened: oneshot::Sender<Result<OpenSwarm, SwarmError>>,
    #[cfg(test)]
    commands: watch::Sender<Option<mpsc::Sender<Command>>>,
}

#[async_trait]
impl Swarm for Libp2p {
    async fn open(&self) -> Result<OpenSwarm, SwarmError> {
        let (opened, answer) = oneshot::channel();
        let (running, ended) = std::sync::mpsc::channel();
        let stop = CancellationToken::new();
        let start = Start {
            options: self.options.clone(),
            key: self.key.clone(),
            addresses: self.addresses.clone(),
            stop: stop.clone(),
            running,
            before: self.take_current(),
            opened,
            #[cfg(test)]
            commands: self.commands.clone(),
        };
        let thread = std::thread::Builder::new().name("bzzz-swarm".to_owned()).spawn(|| carry(start));
        let thread =
            thread.map_err(|problem| SwarmError::Unavailable(format!("no thread for it: {problem}")))?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Running { stop, thread, ended });
        match tokio::time::timeout(OPEN_TIMEOUT, answer).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) => Err(SwarmError::Unavailable("it ended while it was opened".to_owned())),
            Err(_) => Err(SwarmError::Unavailable("it takes too long to open".to_owned())),
        }
    }
}

/// The whole life of a network, on its thread.
fn carry(start: Start) {
    let Start { options, key, addresses, stop, running: _running, before, opened, .. } = start;
    if let Some(before) = before {
        before.end();
    }
    let unavailable = |problem: &dyn std::fmt::Display| SwarmError::Unavailable(problem.to_string());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(problem) => return drop(opened.send(Err(unavailable(&problem)))),
    };
    let _closing = Unreachable(addresses.clone());
    runtime.block_on(async move {
        let boot = match identity::next_boot(&options.data_dir) {
            Ok(boot) => boot,
            Err(problem) => return drop(opened.send(Err(not_counted(&problem)))),
        };
        let network = match Network::open(options, key, boot, addresses) {
            Ok(network) => Box::new(network),
            Err(problem) => return drop(opened.send(Err(unavailable(&problem)))),
        };
        network.introduce();
        let (commands, orders) = mpsc::channel(MAX_COMMANDS);
        #[cfg(test)]
        start.commands.send_replace(Some(commands.clone()));
        let (hearing, heard) = mpsc::channel(MAX_HEARD);
        let voice = Arc::new(Speaker { commands });
        let open = OpenSwarm { me: network.me().clone(), voice, heard };
        if opened.send(Ok(open)).is_ok() {
            network.run(orders, hearing, stop).await;
        }
    });
}

/// Also after a panic nobody is told addresses at which nobody is.
struct Unreachable(watch::Sender<Vec<String>>);

impl Drop for Unreachable {
    fn drop(&mut self) {
        self.0.send_replace(Vec::new());
    }
}

fn not_counted(problem: &io::Error) -> SwarmError {
    SwarmError::Unavailable(format!(
        "the counter of its openings can't be kept in the data folder: {problem}"
    ))
}

struct Speaker {
    commands: mpsc::Sender<Command>,
}

#[async_trait]
impl Voice for Speaker {
    async fn say(&self, said: Said) -> Result<(), SwarmError> {
        let ended = || SwarmError::Unavailable("it has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Say(said, answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    async fn ask_growth(&self, peer: &PeerId, from: Mark, to: Mark) -> Result<Growth, SwarmError> {
        let ended = || SwarmError::Unavailable("it has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        let asked = Command::AskGrowth(peer.clone(), from, to, answer);
        self.commands.send(asked).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    async fn blame(&self, peer: &PeerId, misdeed: Misdeed) {
        // A network that has ended has forgotten all.
        let _ = self.commands.send(Command::Blame(peer.clone(), misdeed)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that another test is starting holds a copy of a listener until it has begun.
    async fn until_free<T, E: std::fmt::Display>(take: impl AsyncFn() -> Result<T, E>) -> T {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            match take().await {
                Ok(taken) => break taken,
                Err(_) if std::time::Instant::now() < deadline => tokio::task::yield_now().await,
                Err(why) => panic!("{why}"),
            }
        }
    }

    /// Opens the network, and waits until this has ended it; returns its port.
    async fn end_by(network: &Libp2p, command: Command) -> u16 {
        let mut open = until_free(|| network.open()).await;
        let mut addresses = network.addresses();
        let address = addresses.wait_for(|addresses| !addresses.is_empty()).await.unwrap()[0].clone();
        let port = address.split('/').nth(4).unwrap().parse().unwrap();
        let commands = network.commands.borrow().clone().unwrap();
        commands.send(command).await.unwrap();
        drop(commands);
        while open.heard.recv().await.is_some() {}
        assert!(open.voice.say(Said::Availability(Default::default())).await.is_err());
        port
    }

    #[tokio::test]
    async fn a_network_that_panics_or_no_longer_listens_ends_alone_and_is_opened_again_at_its_port() {
        let root = tempfile::tempdir().unwrap();
        let listen = |port: u16| vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()];
        let first = Libp2p::new(Options::new(root.path(), "test", listen(0))).unwrap();
        let port = end_by(&first, Command::Panic).await;
        let network = Libp2p::new(Options::new(root.path(), "test", listen(port))).unwrap();
        for command in [Command::Panic, Command::Deafen, Command::Deafen, Command::Panic] {
            assert_eq!(end_by(&network, command).await, port);
        }
        network.close().await;
        assert!(network.addresses().borrow().is_empty());
        until_free(|| tokio::net::TcpListener::bind(("127.0.0.1", port))).await;
    }
}
