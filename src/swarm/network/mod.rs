//! The network while it is open: one loop that owns everything.
//!
//! It ends when it is told to, when nobody listens or speaks any more, or when a listener is dead. Whoever opened it sees
//! that by the end of what is heard.

mod events;
mod exchanges;
mod finding;
mod hearing;
mod proofs;
mod relays;
mod saying;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use bzzz_actors::ports::swarm::{Heard, Misdeed, PeerId as Name, Said, SwarmError};
use bzzz_actors::trail::Mark;
use libp2p::core::ConnectedPoint;
use libp2p::core::transport::ListenerId;
use libp2p::futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::request_response::OutboundRequestId;
use libp2p::swarm::{Config, ConnectionId, Swarm};
use libp2p::{Multiaddr, PeerId, relay};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::behaviour::{self, Behaviour};
use super::board::Board;
use super::dialer::Dialer;
use super::exchange::Asked;
use super::gossip::{AUTHOR_RATE, FLOOD, PEER_RATE};
use super::options::Options;
use super::outlet::Outlet;
use super::own::Own;
use super::rate::{Rate, Rates};
use super::remembered::{self, Remembered};
use super::slots::Slots;
use super::standing::{Offence, Standings};
use super::{names, transport};

use proofs::{AnswerTo, PROOF_RATE, Proved};

/// What is due at intervals is looked at as often.
const TICK: Duration = Duration::from_secs(1);
/// Connections stay as long as their links live: ping finds out.
const IDLE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A peer that does not say by then what it is, is none of the swarm.
const UNKNOWN_FOR: Duration = Duration::from_secs(15);
/// The same is said about one peer once in so long.
const SAID_ONCE: Rate = Rate { a_second: 1.0 / 600.0, at_once: 1.0 };
/// Parts of exchanges that a peer may ask for: a whole one on connecting, and one every few seconds.
const ASK_RATE: Rate = Rate { a_second: 1.0, at_once: 300.0 };

/// Where a peer is to be found changes seldom.
const IDENTIFY_RATE: Rate = Rate { a_second: 0.1, at_once: 20.0 };
/// A full node lets somebody go for a newcomer, who may know nobody else, once in so long.
const EXCHANGE_OF_PEERS: Duration = Duration::from_secs(10);

pub(super) enum Command {
    Say(Said, oneshot::Sender<Result<(), SwarmError>>),
    Blame(Name, Misdeed),
    AskGrowth(Name, Mark, Mark, AnswerTo),
    #[cfg(test)]
    Panic,
    /// Closes the listeners, as the system may.
    #[cfg(test)]
    Deafen,
}

/// A connected peer.
struct Link {
    since: Instant,
    /// It said that it is a node of this swarm.
    is_known: bool,
    is_asked: bool,
    /// What this peer has was brought in once: what comes later was lost by gossip.
    is_synced: bool,
    /// What the search for peers tells others of it.
    findable: Vec<Multiaddr>,
    connections: HashMap<ConnectionId, ConnectedPoint>,
}

impl Link {
    fn new(since: Instant) -> Self {
        Self {
            since,
            is_known: false,
            is_asked: false,
            is_synced: false,
            findable: Vec::new(),
            connections: HashMap::new(),
        }
    }
}

/// What people are told once about a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Topic {
    Refused,
    Skew,
    Twin,
    Stranger,
}

pub(super) struct Network {
    options: Options,
    swarm: Swarm<Behaviour>,
    me: PeerId,
    own: Own,
    board: Board,
    standings: Standings,
    peer_rates: Rates<PeerId>,
    author_rates: Rates<Name>,
    /// Of what is beyond those two.
    peer_floods: Rates<PeerId>,
    author_floods: Rates<PeerId>,
    identify_rates: Rates<PeerId>,
    ask_rates: Rates<PeerId>,
    proof_rates: Rates<PeerId>,
    said_once: Rates<(Topic, PeerId)>,
    dialer: Dialer,
    /// Connections that `dialer` asked for, and of which nothing is known yet.
    dialling: HashSet<ConnectionId>,
    remembered: Remembered,
    keeping: Option<JoinHandle<()>>,
    links: HashMap<PeerId, Link>,
    asked: HashMap<OutboundRequestId, (PeerId, Asked)>,
    proofs_asked: HashMap<OutboundRequestId, AnswerTo>,
    proving: JoinSet<Proved>,
    outlet: Outlet,
    listeners: HashSet<ListenerId>,
    slots: Slots<ListenerId>,
    addresses: watch::Sender<Vec<String>>,
    next_exchange: Instant,
    next_keep: Instant,
    /// Peers were met, or heard of, since others were asked for more.
    has_new_peers: bool,
    last_search: Option<Instant>,
    next_newcomer: Instant,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("the transports can't be set up: {0}")]
    Transport(std::io::Error),
    #[error(transparent)]
    Setup(#[from] super::SwarmSetupError),
    #[error("can't listen on {address} (swarm.listen): {problem}; is another program or node there already?")]
    Listen { address: Multiaddr, problem: String },
    #[error("this node's key is none that a peer has")]
    Key,
}

impl Network {
    /// Within the runtime that is to carry it.
    pub(super) fn open(
        options: Options,
        key: Keypair,
        boot: u64,
        addresses: watch::Sender<Vec<String>>,
    ) -> Result<Self, OpenError> {
        let me = key.public().to_peer_id();
        let name = names::name(&me).ok_or(OpenError::Key)?;
        let (relayed, relay_client) = relay::client::new(me);
        let transport = transport::build(&key, options.key, relayed).map_err(OpenError::Transport)?;
        let behaviour = behaviour::build(&options, &key, relay_client)?;
        let config = Config::with_tokio_executor().with_idle_connection_timeout(IDLE);
        let mut swarm = Swarm::new(transport, behaviour, me, config);
        let mut listeners = HashSet::new();
        for address in options.listen_in_use() {
            let listener = swarm
                .listen_on(address.clone())
                .map_err(|problem| OpenError::Listen { address, problem: problem.to_string() })?;
            listeners.insert(listener);
        }
        for address in &options.announce {
            swarm.add_external_address(address.clone());
        }
        let now = Instant::now();
        let remembered = Remembered::read(&options.data_dir);
        let mut dialer = Dialer::new(me, &options.bootstrap, options.pace.redial, now);
        for (peer, address) in remembered.peers() {
            dialer.remember(peer, address, now);
        }
        Ok(Self {
            own: Own::new(key, options.name.clone(), name, boot),
            board: Board::new(remembered::read_marks(&options.data_dir)),
            standings: Standings::default(),
            peer_rates: Rates::new(PEER_RATE),
            author_rates: Rates::new(AUTHOR_RATE),
            peer_floods: Rates::new(PEER_RATE.times(FLOOD)),
            author_floods: Rates::new(AUTHOR_RATE),
            identify_rates: Rates::new(IDENTIFY_RATE),
            ask_rates: Rates::new(ASK_RATE),
            proof_rates: Rates::new(PROOF_RATE),
            said_once: Rates::new(SAID_ONCE),
            keeping: None,
            links: HashMap::new(),
            asked: HashMap::new(),
            proofs_asked: HashMap::new(),
            proving: JoinSet::new(),
            outlet: Outlet::default(),
            next_exchange: now + options.pace.exchange,
            next_keep: now + options.pace.keep,
            has_new_peers: false,
            last_search: None,
            next_newcomer: now,
            options,
            swarm,
            me,
            dialer,
            dialling: HashSet::new(),
            remembered,
            listeners,
            slots: Slots::new(now),
            addresses,
        })
    }

    pub(super) fn me(&self) -> &Name {
        &self.own.me
    }

    /// Says at the start what the node is in the swarm.
    pub(super) fn introduce(&self) {
        let listen: Vec<String> = self.options.listen_in_use().iter().map(ToString::to_string).collect();
        let who = self.swarm.behaviour().admission.who(&self.options);
        info!(
            swarm = self.options.name, peer = %self.me, listen = listen.join(" "), may_join = who,
            "the swarm's network is open"
        );
        let says_who = !self.options.allow.is_empty() || self.options.key.is_some();
        if !self.options.bootstrap.is_empty() && !says_who {
            warn!(
                "nodes that are only named in swarm.bootstrap must name each other: set swarm.key_file or swarm.allow on all, \
                 and one address is enough to find them"
            );
        }
        if self.options.listen.len() > listen.len() {
            warn!("QUIC addresses of swarm.listen are left out: a pre-shared key can't fence them");
        }
    }

    pub(super) async fn run(
        mut self: Box<Self>,
        mut commands: mpsc::Receiver<Command>,
        heard: mpsc::Sender<Heard>,
        stop: CancellationToken,
    ) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let dial_at = self.next_dial();
            let search_at = self.next_search();
            let flow = tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                command = commands.recv() => match command {
                    Some(command) => { self.on_command(command); ControlFlow::Continue(()) }
                    None => ControlFlow::Break(()),
                },
                permit = heard.reserve(), if !self.outlet.is_empty() => match (permit, self.outlet.pop()) {
                    (Ok(permit), Some(heard)) => { permit.send(heard); ControlFlow::Continue(()) }
                    _ => ControlFlow::Break(()),
                },
                Some(proved) = self.proving.join_next(), if !self.proving.is_empty() => {
                    self.on_proved(proved);
                    ControlFlow::Continue(())
                }
                () = heard.closed() => ControlFlow::Break(()),
                () = stop.cancelled() => ControlFlow::Break(()),
                () = sleep_until(dial_at.unwrap_or_else(Instant::now)), if dial_at.is_some() => {
                    self.dial();
                    ControlFlow::Continue(())
                }
                () = sleep_until(search_at.unwrap_or_else(Instant::now)), if search_at.is_some() => {
                    self.search();
                    ControlFlow::Continue(())
                }
                _ = tick.tick() => { self.on_tick(); ControlFlow::Continue(()) }
            };
            if flow.is_break() {
                break;
            }
        }
        self.close().await;
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Say(said, answer) => {
                let _ = answer.send(self.say(said));
            }
            Command::Blame(name, misdeed) => {
                if let Some(peer) = names::peer(&name) {
                    self.offend(peer, Offence::Blamed, &format!("{misdeed:?}"));
                }
            }
            Command::AskGrowth(peer, from, to, answer) => self.ask_growth(&peer, from, to, answer),
            #[cfg(test)]
            #[allow(clippy::panic)]
            Command::Panic => panic!("asked for by a test"),
            #[cfg(test)]
            Command::Deafen => {
                for listener in &self.listeners {
                    self.swarm.remove_listener(*listener);
                }
            }
        }
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        self.board.expire(now);
        self.repeat(now);
        self.send_unsent();
        self.part_with_unknown(now);
        self.exchange_at_intervals(now);
        self.swarm.behaviour_mut().admission.may_replace(now >= self.next_newcomer);
        self.begin_anew_with_mdns();
        self.mind_slots(now);
        self.leave_relays();
        for (peer, score) in self.standings.scores(now) {
            self.swarm.behaviour_mut().gossip.set_application_score(&peer, score);
        }
        let lost = self.outlet.take_lost();
        if lost > 0 {
            warn!(lost, "messages of peers were lost: the node is too busy to hear them all");
        }
        if now >= self.next_keep && self.keeping.as_ref().is_none_or(JoinHandle::is_finished) {
            self.next_keep = now + self.options.pace.keep;
            let (data_dir, peers, marks) =
                (self.options.data_dir.clone(), self.remembered.clone(), self.board.marks());
            let keep = move || remembered::keep(&data_dir, &peers, &marks);
            self.keeping = Some(tokio::task::spawn_blocking(keep));
        }
    }

    /// Keeps what the next opening is to know.
    async fn close(&mut self) {
        if let Some(keeping) = self.keeping.take() {
            let _ = keeping.await;
        }
        remembered::keep(&self.options.data_dir, &self.remembered, &self.board.marks());
    }

    /// Counts against a peer, and shuts it out when it is too much.
    fn offend(&mut self, peer: PeerId, offence: Offence, what: &str) {
        let now = Instant::now();
        let verdict = self.standings.count(peer, offence, now);
        let behaviour = self.swarm.behaviour_mut();
        behaviour.gossip.set_application_score(&peer, verdict.score);
        if verdict.is_shut_out {
            warn!(%peer, what, "the peer is shut out for a while: it does what no honest node does");
            behaviour.admission.shut_out(peer, now + super::standing::SHUT_OUT);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    fn is_first_time(&mut self, topic: Topic, peer: PeerId) -> bool {
        self.said_once.allows(&(topic, peer), Instant::now())
    }
}

/// A number between 0 and 1. Without the system's randomness everyone acts at once, which is only less polite.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
