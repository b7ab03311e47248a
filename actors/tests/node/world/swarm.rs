//! A swarm in memory: what is said reaches the others after a while, or not; who was away is told what stands.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::swarm::{Heard, Misdeed, OpenSwarm, PeerId, Said, Swarm, SwarmError, Voice};
use bzzz_actors::trail::{Growth, Mark};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::MemoryJournal;

/// What is lost is brought in at the latest then.
const EXCHANGE_EVERY: Duration = Duration::from_secs(30);

pub struct Hub {
    state: Mutex<State>,
    me: Weak<Hub>,
}

struct State {
    peers: BTreeMap<PeerId, Peer>,
    /// All that was ever said, the latest of each author and key.
    said: HashMap<(PeerId, String), (u64, Said)>,
    words: u64,
    latency: Duration,
    lost_percent: u64,
    chance: u64,
    /// Only peers of the same part hear each other.
    parts: BTreeMap<PeerId, u32>,
    blamed: Vec<(PeerId, PeerId, Misdeed)>,
    is_down: bool,
    /// The networks that were opened as the first so many.
    hanging: u32,
    panicking_opens: u32,
    opened: u32,
    /// Whose trail proves what a peer says of it. Others do not answer.
    provers: BTreeMap<PeerId, Arc<MemoryJournal>>,
    /// Peers tell a node that comes back what it said before.
    remembers: bool,
}

struct Peer {
    opened: u32,
    /// The words that were said before it came.
    words_before: u64,
    heard: mpsc::Sender<Heard>,
    known: HashMap<(PeerId, String), u64>,
}

impl State {
    fn random(&mut self) -> u64 {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.chance >> 33
    }

    fn part_of(&self, peer: &PeerId) -> u32 {
        self.parts.get(peer).copied().unwrap_or_default()
    }

    fn reachable(&self, from: &PeerId) -> Vec<PeerId> {
        let part = self.part_of(from);
        self.peers.keys().filter(|peer| *peer != from && self.part_of(peer) == part).cloned().collect()
    }

    fn deliver(&mut self, to: &PeerId, author: &PeerId, key: &str) {
        let id = (author.clone(), key.to_owned());
        let Some((number, said)) = self.said.get(&id).cloned() else { return };
        let Some(peer) = self.peers.get_mut(to) else { return };
        if peer.opened <= self.hanging {
            return;
        }
        if author != to && peer.known.get(&id).is_none_or(|known| *known < number) {
            peer.known.insert(id, number);
            let _ = peer.heard.try_send(Heard::Said { author: author.clone(), said });
        }
    }

    fn remind(&self, to: &PeerId, author: &PeerId, key: &str) {
        let Some(peer) = self.peers.get(to).filter(|_| self.remembers && author == to) else { return };
        match self.said.get(&(author.clone(), key.to_owned())) {
            Some((number, Said::AuditHead(head))) if *number <= peer.words_before => {
                let _ = peer.heard.try_send(Heard::OwnHead { head: *head });
            }
            _ => {}
        }
    }

    /// Two peers tell each other all that they know.
    fn exchange(&mut self, one: &PeerId, other: &PeerId) {
        for (from, to) in [(one, other), (other, one)] {
            let Some(peer) = self.peers.get(from) else { continue };
            let known: Vec<(PeerId, String)> = peer.known.keys().cloned().collect();
            let own = self.said.keys().filter(|(author, _)| author == from).cloned();
            let all: Vec<(PeerId, String)> = known.into_iter().chain(own).collect();
            for (author, key) in all {
                self.deliver(to, &author, &key);
                self.remind(to, &author, &key);
            }
        }
    }

    fn connect(&mut self, one: &PeerId, other: &PeerId) {
        for (to, peer) in [(one, other), (other, one)] {
            self.send(to, Heard::Connected { peer: peer.clone() });
        }
        self.exchange(one, other);
        self.synced(one, other);
    }

    fn synced(&self, one: &PeerId, other: &PeerId) {
        for (to, with) in [(one, other), (other, one)] {
            self.send(to, Heard::Synced { with: with.clone() });
        }
    }

    fn send(&self, to: &PeerId, heard: Heard) {
        if let Some(peer) = self.peers.get(to) {
            let _ = peer.heard.try_send(heard);
        }
    }
}

impl Hub {
    pub fn new(latency: Duration, seed: u64) -> Arc<Self> {
        let state = State {
            peers: BTreeMap::new(),
            said: HashMap::new(),
            words: 0,
            latency,
            lost_percent: 0,
            chance: seed,
            parts: BTreeMap::new(),
            blamed: Vec::new(),
            is_down: false,
            hanging: 0,
            panicking_opens: 0,
            opened: 0,
            provers: BTreeMap::new(),
            remembers: true,
        };
        let hub = Arc::new_cyclic(|me| Self { state: Mutex::new(state), me: me.clone() });
        let weak = hub.me.clone();
        tokio::spawn(async move {
            loop {
                sleep(EXCHANGE_EVERY).await;
                let Some(hub) = weak.upgrade() else { return };
                hub.exchange();
            }
        });
        hub
    }

    pub fn forget_the_dead(&self) {
        self.state.lock().unwrap().remembers = false;
    }

    pub fn prove(&self, name: &str, journal: &Arc<MemoryJournal>) {
        self.state.lock().unwrap().provers.insert(name.parse().unwrap(), journal.clone());
    }

    pub fn lose(&self, percent: u64) {
        self.state.lock().unwrap().lost_percent = percent;
    }

    /// Nobody gets into the swarm any more, and who was in it is out.
    pub fn down(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_down = true;
        state.peers.clear();
    }

    /// The networks of all end; they may be opened again, but so many times that panics.
    pub fn end_networks(&self, panicking_opens: u32) {
        let mut state = self.state.lock().unwrap();
        state.panicking_opens = panicking_opens;
        state.peers.clear();
    }

    /// The networks of all hang: they take no word and bring none. Those that are opened from now on do not.
    pub fn hang(&self) {
        let mut state = self.state.lock().unwrap();
        state.hanging = state.opened;
    }

    pub fn opened(&self) -> u32 {
        self.state.lock().unwrap().opened
    }

    /// Puts each peer into a part of its own number, and brings together those of one part.
    pub fn divide(&self, part_of: impl Fn(&PeerId) -> u32) {
        let mut state = self.state.lock().unwrap();
        let peers: Vec<PeerId> = state.peers.keys().cloned().collect();
        let before: Vec<u32> = peers.iter().map(|peer| state.part_of(peer)).collect();
        state.parts = peers.iter().map(|peer| (peer.clone(), part_of(peer))).collect();
        for (at, one) in peers.iter().enumerate() {
            for (other, was) in peers.iter().zip(&before).skip(at + 1) {
                let were_together = before[at] == *was;
                match (were_together, part_of(one) == part_of(other)) {
                    (false, true) => state.connect(one, other),
                    (true, false) => {
                        state.send(one, Heard::Disconnected { peer: other.clone() });
                        state.send(other, Heard::Disconnected { peer: one.clone() });
                    }
                    _ => {}
                }
            }
        }
    }

    /// Who blamed whom for what.
    pub fn blamed(&self) -> Vec<(PeerId, PeerId, Misdeed)> {
        self.state.lock().unwrap().blamed.clone()
    }

    /// The way into the swarm for one peer.
    pub fn entrance(&self, name: &str) -> Arc<dyn Swarm> {
        Arc::new(Entrance { hub: self.me.upgrade().unwrap(), me: name.parse().unwrap() })
    }

    fn exchange(&self) {
        let mut state = self.state.lock().unwrap();
        let peers: Vec<PeerId> = state.peers.keys().cloned().collect();
        for one in &peers {
            for other in state.reachable(one).into_iter().filter(|other| other > one) {
                state.exchange(one, &other);
                state.synced(one, &other);
            }
        }
    }
}

struct Entrance {
    hub: Arc<Hub>,
    me: PeerId,
}

#[async_trait]
impl Swarm for Entrance {
    async fn open(&self) -> Result<OpenSwarm, SwarmError> {
        let (heard_by, heard) = mpsc::channel(10_000);
        let (latency, opened) = {
            let mut state = self.hub.state.lock().unwrap();
            if state.is_down {
                return Err(SwarmError::Unavailable("no interface".into()));
            }
            let panics = state.panicking_opens > 0;
            state.panicking_opens = state.panicking_opens.saturating_sub(1);
            state.opened += 1;
            let (latency, opened, words_before) = (state.latency, state.opened, state.words);
            if panics {
                drop(state);
                panic!("the adapter panics");
            }
            state.peers.insert(
                self.me.clone(),
                Peer { opened, words_before, heard: heard_by, known: HashMap::new() },
            );
            (latency, opened)
        };
        let (hub, me) = (self.hub.clone(), self.me.clone());
        tokio::spawn(async move {
            sleep(latency).await;
            let mut state = hub.state.lock().unwrap();
            for other in state.reachable(&me) {
                state.connect(&me, &other);
            }
        });
        let voice = Arc::new(MemoryVoice { hub: self.hub.clone(), me: self.me.clone(), opened });
        Ok(OpenSwarm { me: self.me.clone(), voice, heard })
    }
}

struct MemoryVoice {
    hub: Arc<Hub>,
    me: PeerId,
    opened: u32,
}

#[async_trait]
impl Voice for MemoryVoice {
    async fn say(&self, said: Said) -> Result<(), SwarmError> {
        let (hub, me, key) = (self.hub.clone(), self.me.clone(), said.key());
        if self.opened <= self.hub.state.lock().unwrap().hanging {
            std::future::pending::<()>().await;
        }
        let (reached, latency) = {
            let mut state = hub.state.lock().unwrap();
            state.words += 1;
            let number = state.words;
            state.said.insert((me.clone(), key.clone()), (number, said));
            let lost = state.lost_percent;
            let reachable = state.reachable(&me);
            if reachable.is_empty() {
                return Err(SwarmError::Alone);
            }
            let reached: Vec<PeerId> =
                reachable.into_iter().filter(|_| state.random() % 100 >= lost).collect();
            let more = state.latency.mul_f64((state.random() % 100) as f64 / 100.0);
            (reached, state.latency + more)
        };
        tokio::spawn(async move {
            sleep(latency).await;
            let mut state = hub.state.lock().unwrap();
            for to in reached {
                state.deliver(&to, &me, &key);
            }
        });
        Ok(())
    }

    async fn ask_growth(&self, peer: &PeerId, from: Mark, to: Mark) -> Result<Growth, SwarmError> {
        let (prover, latency) = {
            let state = self.hub.state.lock().unwrap();
            let is_there = state.reachable(&self.me).contains(peer);
            (state.provers.get(peer).filter(|_| is_there).cloned(), state.latency)
        };
        sleep(2 * latency).await;
        let prover = prover.ok_or_else(|| SwarmError::NoAnswer("nobody is there".into()))?;
        prover.growth(from, to).ok_or(SwarmError::NoProof)
    }

    async fn blame(&self, peer: &PeerId, misdeed: Misdeed) {
        self.hub.state.lock().unwrap().blamed.push((self.me.clone(), peer.clone(), misdeed));
    }
}
