//! A libp2p client of the test's own, which keeps no rule.

use std::io;
use std::time::Duration;

use bzzz::swarm::envelope::{self, Place, Stamp};
use bzzz::swarm::{COORDINATION, addresses::Bootstrap};
use bzzz_actors::ports::swarm::{PeerId as Name, Said};
use libp2p::futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::gossipsub::{self, IdentTopic, Message, MessageAuthenticity, MessageId, ValidationMode};
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{PeerId, StreamProtocol, Swarm, SwarmBuilder, Transport, identify, noise, tcp, yamux};
use tokio::sync::{mpsc, oneshot};

use super::bee::SWARM;

/// What it answers to questions.
pub(crate) enum Answer {
    Never,
    Bytes(Vec<u8>),
}

pub(crate) struct Manners {
    /// What it says that it is.
    pub(crate) spoken: String,
    pub(crate) key: Option<PreSharedKey>,
    pub(crate) topics: Vec<String>,
    /// To those for state.
    pub(crate) answer: Answer,
    /// To those for a proof of its audit trail.
    pub(crate) proof: Answer,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            spoken: format!("bzzz/{SWARM}/1"),
            key: None,
            topics: vec![COORDINATION.to_owned()],
            answer: Answer::Never,
            proof: Answer::Never,
        }
    }
}

enum Order {
    Publish(Vec<u8>, oneshot::Sender<Result<(), String>>),
    Ask(PeerId, Vec<u8>),
    AskForProof(PeerId, Vec<u8>),
}

/// What happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Connected(PeerId),
    Disconnected(PeerId),
    NotLetIn,
    /// A question came to its end.
    Answered,
    /// Somebody listens to the topic.
    Listens(PeerId),
    Message(Vec<u8>),
}

pub(crate) struct Raw {
    pub(crate) key: Keypair,
    orders: mpsc::UnboundedSender<Order>,
    seen: mpsc::UnboundedReceiver<Seen>,
}

/// Its network ends with it.
struct Client {
    swarm: Swarm<Behaviour>,
    answer: Answer,
    proof: Answer,
    seen: mpsc::UnboundedSender<Seen>,
}

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    gossip: gossipsub::Behaviour<gossipsub::IdentityTransform, gossipsub::AllowAllSubscriptionFilter>,
    identify: identify::Behaviour,
    ping: libp2p::ping::Behaviour,
    exchange: request_response::Behaviour<Bytes>,
    trail: request_response::Behaviour<Bytes>,
}

impl Raw {
    pub(crate) fn peer(&self) -> PeerId {
        self.key.public().to_peer_id()
    }

    pub(crate) fn name(&self) -> Name {
        self.peer().to_string().parse().unwrap()
    }

    /// Connects to the nodes.
    pub(crate) fn connect(key: Keypair, manners: Manners, nodes: &[Bootstrap]) -> Self {
        let mut swarm = build(&key, &manners);
        for topic in &manners.topics {
            swarm.behaviour_mut().gossip.subscribe(&IdentTopic::new(topic)).unwrap();
        }
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        for node in nodes {
            swarm.dial(node.address.clone().with_p2p(node.peer).unwrap()).unwrap();
        }
        let (orders, to_do) = mpsc::unbounded_channel();
        let (tell, seen) = mpsc::unbounded_channel();
        let Manners { answer, proof, .. } = manners;
        tokio::spawn(Client { swarm, answer, proof, seen: tell }.run(to_do));
        Self { key, orders, seen }
    }

    pub(crate) async fn until(&mut self, wanted: Seen) {
        let seeing = async { while self.seen.recv().await.expect("it has ended") != wanted {} };
        let seen = tokio::time::timeout(Duration::from_secs(60), seeing).await;
        assert!(seen.is_ok(), "{wanted:?} did not happen");
    }

    /// Without waiting for it.
    pub(crate) fn has_seen(&mut self, wanted: Seen) -> bool {
        std::iter::from_fn(|| self.seen.try_recv().ok()).any(|seen| seen == wanted)
    }

    /// Whichever comes first; `true`: the first.
    pub(crate) async fn until_either(&mut self, first: Seen, second: Seen) -> bool {
        let seeing = async {
            loop {
                let seen = self.seen.recv().await.expect("it has ended");
                if seen == first || seen == second {
                    return seen == first;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), seeing).await.expect("neither happened")
    }

    pub(crate) async fn publish(&self, bytes: Vec<u8>) {
        let (done, answer) = oneshot::channel();
        self.orders.send(Order::Publish(bytes, done)).unwrap();
        let published = answer.await.unwrap();
        assert_eq!(published, Ok(()));
    }

    /// Whether or not anybody takes it.
    pub(crate) async fn try_publish(&self, bytes: Vec<u8>) {
        let (done, answer) = oneshot::channel();
        self.orders.send(Order::Publish(bytes, done)).unwrap();
        let _ = answer.await;
    }

    pub(crate) fn ask(&self, node: PeerId, bytes: Vec<u8>) {
        self.orders.send(Order::Ask(node, bytes)).unwrap();
    }

    pub(crate) fn ask_for_proof(&self, node: PeerId, bytes: Vec<u8>) {
        self.orders.send(Order::AskForProof(node, bytes)).unwrap();
    }

    /// As a node says it.
    pub(crate) fn sealed(&self, seq: u64, said: &Said) -> Vec<u8> {
        self.sealed_as(&self.name(), seq, said)
    }

    /// Signed by this client, whoever is named.
    pub(crate) fn sealed_as(&self, author: &Name, seq: u64, said: &Said) -> Vec<u8> {
        let sign = |bytes: &[u8]| self.key.sign(bytes).ok();
        envelope::seal(PLACE, author, stamp(seq), said, sign).unwrap().bytes
    }

    pub(crate) fn sealed_body(&self, seq: u64, body: Vec<u8>) -> Vec<u8> {
        let sign = |bytes: &[u8]| self.key.sign(bytes).ok();
        envelope::seal_body(PLACE, &self.name(), stamp(seq), body, sign).unwrap()
    }
}

const PLACE: Place<'_> = Place { swarm: SWARM, topic: COORDINATION };

fn stamp(seq: u64) -> Stamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Stamp { boot: 1, seq, at_ms: u64::try_from(now.as_millis()).unwrap(), ttl_s: 600 }
}

impl Client {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                order = orders.recv() => match order {
                    Some(Order::Publish(bytes, done)) => {
                        let gossip = &mut self.swarm.behaviour_mut().gossip;
                        let published = gossip.publish(IdentTopic::new(COORDINATION), bytes);
                        let _ = done.send(published.map(drop).map_err(|problem| problem.to_string()));
                    }
                    Some(Order::Ask(node, bytes)) => {
                        self.swarm.behaviour_mut().exchange.send_request(&node, bytes);
                    }
                    Some(Order::AskForProof(node, bytes)) => {
                        self.swarm.behaviour_mut().trail.send_request(&node, bytes);
                    }
                    None => return,
                },
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let seen = match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => Seen::Connected(peer_id),
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => Seen::Disconnected(peer_id),
            SwarmEvent::OutgoingConnectionError { .. } => Seen::NotLetIn,
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => match event {
                gossipsub::Event::Subscribed { peer_id, .. } => Seen::Listens(peer_id),
                gossipsub::Event::Message { message, .. } => Seen::Message(message.data),
                _ => return,
            },
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(request_response::Event::Message {
                message: request_response::Message::Request { channel, .. },
                ..
            })) => {
                match &self.answer {
                    // Held open: it is neither answered nor refused.
                    Answer::Never => std::mem::forget(channel),
                    Answer::Bytes(bytes) => {
                        let _ = self.swarm.behaviour_mut().exchange.send_response(channel, bytes.clone());
                    }
                }
                return;
            }
            SwarmEvent::Behaviour(BehaviourEvent::Trail(request_response::Event::Message {
                message: request_response::Message::Request { channel, .. },
                ..
            })) => {
                match &self.proof {
                    Answer::Never => std::mem::forget(channel),
                    Answer::Bytes(bytes) => {
                        let _ = self.swarm.behaviour_mut().trail.send_response(channel, bytes.clone());
                    }
                }
                return;
            }
            SwarmEvent::Behaviour(BehaviourEvent::Trail(
                request_response::Event::Message { .. } | request_response::Event::OutboundFailure { .. },
            )) => Seen::Answered,
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(
                request_response::Event::Message { .. } | request_response::Event::OutboundFailure { .. },
            )) => Seen::Answered,
            _ => return,
        };
        let _ = self.seen.send(seen);
    }
}

fn build(key: &Keypair, manners: &Manners) -> Swarm<Behaviour> {
    let shared = manners.key;
    let spoken = manners.spoken.clone();
    SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_other_transport(|key| {
            let tcp = tcp::tokio::Transport::new(tcp::Config::new());
            tcp.and_then(move |stream, _| async move {
                use libp2p::futures::future::Either;
                match shared {
                    Some(shared) => {
                        let fenced = PnetConfig::new(shared).handshake(stream).await;
                        fenced.map(Either::Left).map_err(io::Error::other)
                    }
                    None => Ok(Either::Right(stream)),
                }
            })
            .upgrade(libp2p::core::upgrade::Version::V1Lazy)
            .authenticate(noise::Config::new(key).unwrap())
            .multiplex(yamux::Config::default())
        })
        .unwrap()
        .with_behaviour(|key| behaviour(key, spoken))
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build()
}

fn behaviour(key: &Keypair, spoken: String) -> Behaviour {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .max_transmit_size(1 << 20)
        .message_id_fn(|message: &Message| MessageId::from(blake3::hash(&message.data).as_bytes().to_vec()))
        .build()
        .unwrap();
    let patience = request_response::Config::default().with_request_timeout(Duration::from_secs(600));
    let asking = |protocol| {
        let protocol = StreamProtocol::new(protocol);
        request_response::Behaviour::new([(protocol, ProtocolSupport::Full)], patience.clone())
    };
    Behaviour {
        gossip: gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config).unwrap(),
        identify: identify::Behaviour::new(identify::Config::new(spoken, key.public())),
        ping: libp2p::ping::Behaviour::default(),
        exchange: asking("/bzzz/sync/1"),
        trail: asking("/bzzz/trail/1"),
    }
}

/// Whatever bytes, both ways.
#[derive(Clone, Default)]
struct Bytes;

impl request_response::Codec for Bytes {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: libp2p::futures::AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn read_response<T>(&mut self, protocol: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: libp2p::futures::AsyncRead + Unpin + Send,
    {
        self.read_request(protocol, io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: libp2p::futures::AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: libp2p::futures::AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }
}
