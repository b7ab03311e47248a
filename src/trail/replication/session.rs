//! What one peer is answered: how long the segments are that it asks for, and blocks with their proofs, one request after the
//! other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::Stream;
use hypercore::replication::Event;
use hypercore_schema::Proof;
use tokio::net::TcpStream;
use tokio::time::{Instant, interval_at, sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::server::{Found, Limits, Segments, Served};
use super::transport::{Side, Transport};
use super::wire::{self, Incoming, Message, Request, Synchronize};
use super::{LARGEST_FRAME, MAX_BLOCKS, Trouble};

/// JavaScript's interval; who hears nothing for longer may close.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Frames that are taken one after the other before anything else gets its turn. A peer with a slow connection always has
/// the next one there.
const AT_ONCE: usize = 64;
/// Of a tree with [`MAX_BLOCKS`] leaves.
const DEEPEST: u64 = MAX_BLOCKS.ilog2() as u64;
/// When a block could not be read, as while an owner that does not say so writes its tree out.
const TRIES: u32 = 4;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

pub(super) async fn serve(
    stream: TcpStream,
    segments: Arc<dyn Segments>,
    limits: Limits,
) -> Result<(), Trouble> {
    let opening = Transport::open(stream, Side::Responder, LARGEST_FRAME);
    let transport = timeout(limits.handshake, opening)
        .await
        .map_err(|_| Trouble::Silent("it did not say who it is"))??;
    let mut begun = segments.begun();
    let mut session = Session { transport, segments, limits, channels: BTreeMap::new(), early: None };
    let mut heard = Instant::now();
    let mut keep_alive = interval_at(heard + KEEP_ALIVE, KEEP_ALIVE);
    loop {
        session.transport.flush().await?;
        tokio::select! {
            frame = session.transport.read() => {
                let Some(frame) = frame? else { return Ok(()) };
                session.take(&frame).await?;
                for _ in 1..AT_ONCE {
                    let Some(frame) = session.transport.read_now()? else { break };
                    session.take(&frame).await?;
                }
                // The time that the answers took was not the peer's.
                heard = Instant::now();
            }
            Ok(()) = begun.changed() => session.open_early().await?,
            channel = grown(&mut session.channels) => session.tell_length(channel?).await?,
            _ = keep_alive.tick() => session.transport.write(Vec::new()).await?,
            () = sleep_until(heard + limits.idle) => return Err(Trouble::Silent("not a word")),
        }
    }
}

struct Session {
    transport: Transport,
    segments: Arc<dyn Segments>,
    limits: Limits,
    /// By the numbers that the peer gave them.
    channels: BTreeMap<u64, Channel>,
    /// The next segment, asked for before it begins.
    early: Option<Early>,
}

/// What a peer asks for that is answered later. It would not ask again: JavaScript takes a rejection for good.
struct Early {
    channel: u64,
    discovery_key: [u8; 32],
    capability: [u8; 32],
}

struct Channel {
    /// The number that it has in what is sent.
    own: u64,
    served: Served,
    events: Pin<Box<dyn Stream<Item = Event> + Send + Sync>>,
    replaced: Pin<Box<WaitForCancellationFutureOwned>>,
    is_replaced: CancellationToken,
    /// The peer's length, as it was told to have been heard.
    acknowledged: u64,
    told: u64,
}

impl Channel {
    /// Blocks that can be served.
    fn length(&self) -> u64 {
        let info = self.served.core.info();
        info.length.min(info.contiguous_length)
    }
}

/// The channel whose core has news.
///
/// # Errors
/// When a core has none any more, because another took its place.
async fn grown(channels: &mut BTreeMap<u64, Channel>) -> Result<u64, Trouble> {
    poll_fn(|context| {
        for (number, channel) in channels.iter_mut() {
            if channel.replaced.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Trouble::Replaced));
            }
            let mut has_news = false;
            // They say no more than that there is something: the core is asked.
            while let Poll::Ready(Some(_)) = channel.events.as_mut().poll_next(context) {
                has_news = true;
            }
            if has_news && channel.length() > channel.told {
                return Poll::Ready(Ok(*number));
            }
        }
        Poll::Pending
    })
    .await
}

impl Session {
    async fn take(&mut self, frame: &[u8]) -> Result<(), Trouble> {
        for incoming in wire::read(frame)? {
            match incoming {
                Incoming::Open { channel, discovery_key, capability } => {
                    self.open(channel, &discovery_key, &capability).await?;
                }
                Incoming::OpenOther { channel } => self.reject(channel).await?,
                Incoming::Closed { channel } => {
                    self.channels.remove(&channel);
                    self.early.take_if(|early| early.channel == channel);
                }
                Incoming::Rejected { .. } => {}
                Incoming::Message { channel, message: Message::Synchronize(theirs) } => {
                    self.acknowledge(channel, theirs).await?;
                }
                Incoming::Message { channel, message: Message::Request(request) } => {
                    self.answer(channel, request).await?;
                }
                // Data too: what is served is its owner's alone to write.
                Incoming::Message { .. } => {}
            }
        }
        Ok(())
    }

    async fn reject(&mut self, channel: u64) -> Result<(), Trouble> {
        self.transport.write(wire::reject_frame(channel)).await
    }

    async fn open(
        &mut self,
        channel: u64,
        discovery_key: &[u8; 32],
        capability: &[u8; 32],
    ) -> Result<(), Trouble> {
        // In this order: it may begin at any time.
        let is_next = self.segments.is_next(discovery_key);
        let found = self.segments.find(discovery_key);
        // Before it hears that a segment has begun, it hears how long the one before became: asked after the segment was
        // found, by when the one before was sealed.
        for other in self.channels.keys().copied().collect::<Vec<_>>() {
            self.tell_length(other).await?;
        }
        let Some(Found { served, replaced }) = found else {
            if self.early.is_some() || !is_next {
                return self.reject(channel).await;
            }
            let (discovery_key, capability) = (*discovery_key, *capability);
            self.early = Some(Early { channel, discovery_key, capability });
            return Ok(());
        };
        if self.channels.len() >= self.limits.segments {
            // A rejection says that there is no such segment, and JavaScript tells nobody of it.
            return Err(Trouble::Misbehaved("it asks for more segments at once than it may"));
        }
        let key = served.core.key_pair().public.to_bytes();
        if !self.transport.is_capable(capability, &key)? {
            return Err(Trouble::Misbehaved("it asks for a segment whose key it does not know"));
        }
        let own = (1..).find(|own| self.channels.values().all(|other| other.own != *own)).unwrap_or_default();
        let Entry::Vacant(vacant) = self.channels.entry(channel) else {
            return Err(Trouble::Misbehaved("it opens a channel twice"));
        };
        let events = Box::pin(served.core.event_subscribe());
        let (is_replaced, replaced) = (replaced.clone(), Box::pin(replaced.cancelled_owned()));
        vacant.insert(Channel { own, served, events, replaced, is_replaced, acknowledged: 0, told: 0 });
        let capability = self.transport.capability(&key)?;
        self.transport.write(wire::open_frame(own, discovery_key, &capability)).await?;
        self.say_length(channel).await
    }

    /// What was asked for early, if it has begun by now.
    async fn open_early(&mut self) -> Result<(), Trouble> {
        match self.early.take() {
            Some(early) => self.open(early.channel, &early.discovery_key, &early.capability).await,
            None => Ok(()),
        }
    }

    /// If it is more than the peer was told.
    async fn tell_length(&mut self, channel: u64) -> Result<(), Trouble> {
        match self.channels.get(&channel) {
            Some(it) if it.is_replaced.is_cancelled() => Err(Trouble::Replaced),
            Some(it) if it.length() > it.told => self.say_length(channel).await,
            _ => Ok(()),
        }
    }

    async fn say_length(&mut self, channel: u64) -> Result<(), Trouble> {
        let Some(channel) = self.channels.get_mut(&channel) else { return Ok(()) };
        let length = channel.length();
        let synchronize = Synchronize {
            fork: 0,
            length,
            remote_length: channel.acknowledged,
            is_downloading: false,
            is_uploading: true,
        };
        self.transport.write(wire::synchronize_frame(channel.own, synchronize)).await?;
        if length > channel.told {
            let range = wire::range_frame(channel.own, channel.told, length - channel.told);
            self.transport.write(range).await?;
            channel.told = length;
        }
        Ok(())
    }

    /// A peer asks for what is new only when it was told that its own length was heard.
    async fn acknowledge(&mut self, channel: u64, theirs: Synchronize) -> Result<(), Trouble> {
        match self.channels.get_mut(&channel) {
            Some(it) if it.acknowledged != theirs.length => {
                it.acknowledged = theirs.length;
                self.say_length(channel).await
            }
            _ => Ok(()),
        }
    }

    async fn answer(&mut self, number: u64, request: Request) -> Result<(), Trouble> {
        // What was asked before the peer closed the channel is not worth an answer.
        let Some(channel) = self.channels.get(&number) else { return Ok(()) };
        let (own, id) = (channel.own, request.id);
        let proof = match fits(&request, channel.length()) {
            true => prove(&channel.served, &request).await,
            false => None,
        };
        let frame = match proof {
            Some(proof) => wire::data_frame(own, id, &proof),
            None => wire::no_data_frame(own, id),
        };
        // The proof of an upgrade is signed at the length of now. JavaScript that becomes longer by it than it was told of
        // does not say so, and then waits forever for its length to have been heard.
        self.tell_length(number).await?;
        self.transport.write(frame).await
    }
}

/// The crate panics on requests that do not fit, with the lock that its owner needs to append.
fn fits(request: &Request, length: u64) -> bool {
    let end = request.upgrade.as_ref().map(|upgrade| {
        let end = upgrade.start.checked_add(upgrade.length).filter(|end| *end <= length);
        end.filter(|_| upgrade.length > 0)
    });
    let end = match end {
        Some(Some(end)) => end,
        Some(None) => return false,
        None => length,
    };
    let block_fits = request.block.as_ref().is_none_or(|it| it.index < end && it.nodes <= DEEPEST);
    let asks = request.block.is_some() || request.upgrade.is_some();
    asks && block_fits && request.fork == 0 && !request.asks_for_more
}

async fn prove(served: &Served, request: &Request) -> Option<Proof> {
    for _ in 0..TRIES {
        let proof = {
            let _nobody_appends = served.appending.lock().await;
            served.core.create_proof(request.block.clone(), None, None, request.upgrade.clone()).await
        };
        match proof {
            Ok(proof) => return proof,
            Err(why) => tracing::debug!(%why, "a block of the trail could not be read"),
        }
        sleep(BETWEEN_TRIES).await;
    }
    None
}

#[cfg(test)]
mod tests {
    use hypercore::{HypercoreBuilder, Storage};
    use hypercore_schema::{RequestBlock, RequestUpgrade};
    use proptest::prelude::*;
    use tokio::net::TcpListener;
    use tokio::runtime::Builder;

    use super::super::{ServedSegments, discovery_key};
    use super::*;

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![8 => 0..40u64, 1 => any::<u64>()]
    }

    fn request() -> impl Strategy<Value = Request> {
        let block = prop::option::of((number(), number()));
        let upgrade = prop::option::of((number(), number()));
        (block, upgrade).prop_map(|(block, upgrade)| Request {
            id: 1,
            fork: 0,
            block: block.map(|(index, nodes)| RequestBlock { index, nodes }),
            upgrade: upgrade.map(|(start, length)| RequestUpgrade { start, length }),
            asks_for_more: false,
        })
    }

    #[tokio::test]
    async fn no_upgrade_goes_further_than_the_peer_was_told() {
        let core = HypercoreBuilder::new(Storage::new_memory().await.unwrap()).build().await.unwrap();
        core.append_batch([b"one", b"two"]).await.unwrap();
        let key = core.key_pair().public.to_bytes();
        let segments = Arc::<ServedSegments>::default();
        segments.add(Served::new(core.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (peer, own) = tokio::join!(
            Transport::open(near.unwrap(), Side::Initiator, LARGEST_FRAME),
            Transport::open(far.unwrap().0, Side::Responder, LARGEST_FRAME)
        );
        let (mut peer, limits) = (peer.unwrap(), Limits::default());
        let mut session =
            Session { transport: own.unwrap(), segments, limits, channels: BTreeMap::new(), early: None };
        let open = wire::open_frame(1, &discovery_key(&key), &peer.capability(&key).unwrap());
        session.take(&open).await.unwrap();

        // It grew, and its owner has not been heard to say so, when what was asked before is answered.
        core.append(b"three").await.unwrap();
        let upgrade = Some(RequestUpgrade { start: 0, length: 2 });
        let request = Request { id: 1, fork: 0, block: None, upgrade, asks_for_more: false };
        session.take(&wire::request_frame(1, &request)).await.unwrap();
        session.transport.flush().await.unwrap();
        let mut told = 0;
        loop {
            let frame = peer.read().await.unwrap().unwrap();
            for incoming in wire::read(&frame).unwrap() {
                match incoming {
                    Incoming::Message { message: Message::Synchronize(it), .. } => told = it.length,
                    Incoming::Message { message: Message::Data { proof, .. }, .. } => {
                        let signed_further = !proof.upgrade.unwrap().additional_nodes.is_empty();
                        assert_eq!((told, signed_further), (3, true));
                        return;
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn no_request_that_fits_harms_the_core() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let served = runtime.block_on(async {
            let core = HypercoreBuilder::new(Storage::new_memory().await.unwrap()).build().await.unwrap();
            core.append_batch((0..29).map(|it| vec![it; 9]).collect::<Vec<_>>()).await.unwrap();
            Served::new(core)
        });
        proptest!(ProptestConfig::with_cases(2000), |(request in request())| {
            if fits(&request, 29) {
                let proof = served.core.create_proof(request.block, None, None, request.upgrade);
                // That a node is asked for beyond the tree is an error, and nothing worse.
                let _ = runtime.block_on(proof);
            }
            prop_assert_eq!(served.core.info().length, 29);
        });
    }
}
