//! One connection of a follower: asks for the blocks of a segment, and goes on with the next when there is one.

use std::collections::BTreeMap;
use std::time::Duration;

use bzzz_actors::trail::{Key, Peaks};
use hypercore_schema::{Proof, RequestBlock, RequestUpgrade};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::claim::{Claim, height_of_peak, nodes};
use super::copy::{Copy, Segment};
use super::follower::Progress;
use super::session::KEEP_ALIVE;
use super::transport::{Side, Transport, discovery_key};
use super::wire::{self, Incoming, Message, Request, Synchronize};
use super::{LARGEST_FRAME, MAX_BLOCK, MAX_BLOCKS, Trouble};

/// To connect, and to say who one is.
const PATIENCE: Duration = Duration::from_secs(10);
/// Without a word.
const IDLE: Duration = Duration::from_secs(60);
/// Requests that are on their way: enough that the peer never waits for the next, and few enough that they fit into the
/// connection while it writes.
const WINDOW: usize = 64;
/// How soon a segment is found to have begun.
const NEXT_SEGMENT: Duration = Duration::from_secs(1);

/// Until `stop`, or trouble. Goes on with `segment`, and leaves there how far it came.
pub(super) async fn fetch(
    address: &str,
    copy: &Copy,
    segment: &mut Segment,
    stop: &CancellationToken,
    progress: &watch::Sender<Progress>,
) -> Result<(), Trouble> {
    let connecting =
        async { Transport::open(TcpStream::connect(address).await?, Side::Initiator, LARGEST_FRAME).await };
    let transport =
        timeout(PATIENCE, connecting).await.map_err(|_| Trouble::Silent("it does not answer"))??;
    let current = Channel::new(1, &segment.key);
    let is_compared = segment.signed() == 0;
    let mut fetching = Fetching {
        transport,
        copy,
        progress,
        segment,
        current,
        is_compared,
        longer: None,
        next: None,
        may_be_late: true,
        opened: 1,
        asked: Asked::default(),
    };
    fetching.say_open(&fetching.current.key.clone(), 1).await?;
    fetching.run(stop).await
}

struct Channel {
    own: u64,
    key: Key,
    name: [u8; 32],
    /// The peer's number, when it has opened the channel too.
    theirs: Option<u64>,
    /// The peer's length.
    length: u64,
}

impl Channel {
    fn new(own: u64, key: &Key) -> Self {
        Self { own, key: *key, name: discovery_key(&key.0), theirs: None, length: 0 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Upgrade,
    /// The signature over all there is.
    Whole,
    /// The last block that was signed before, with its way up.
    LastSigned(u64),
    Block(u64),
}

#[derive(Default)]
struct Asked {
    last_id: u64,
    open: BTreeMap<u64, Ask>,
    /// All blocks before it are here or asked for.
    next_block: u64,
}

struct Fetching<'a> {
    transport: Transport,
    copy: &'a Copy,
    progress: &'a watch::Sender<Progress>,
    segment: &'a mut Segment,
    current: Channel,
    /// What the peer has signed was found to be what it signed before.
    is_compared: bool,
    /// The peer's tree, until that is found.
    longer: Option<Peaks>,
    /// The segment after, while the peer is asked whether there is one.
    next: Option<Channel>,
    /// No segment after the current one was asked for in vain yet: there may be many, so the peer is asked at once.
    may_be_late: bool,
    /// Channels so far.
    opened: u64,
    asked: Asked,
}

impl Fetching<'_> {
    async fn run(&mut self, stop: &CancellationToken) -> Result<(), Trouble> {
        let mut heard = Instant::now();
        let mut keep_alive = interval_at(heard + KEEP_ALIVE, KEEP_ALIVE);
        let mut next_segment = interval_at(heard + NEXT_SEGMENT, NEXT_SEGMENT);
        loop {
            self.ask().await?;
            self.transport.flush().await?;
            // What is applied is applied to its end, outside of this: a core does not survive half of it.
            tokio::select! {
                frame = self.transport.read() => {
                    let frame = frame?.ok_or(Trouble::Closed)?;
                    self.take(&frame).await?;
                    while let Some(frame) = self.transport.read_now()? && !stop.is_cancelled() {
                        self.take(&frame).await?;
                    }
                    self.go_on().await?;
                    // The time that this took was not the peer's.
                    heard = Instant::now();
                }
                () = stop.cancelled() => return Ok(()),
                _ = next_segment.tick() => self.ask_for_next().await?,
                _ = keep_alive.tick() => self.transport.write(Vec::new()).await?,
                () = sleep_until(heard + IDLE) => return Err(Trouble::Silent("not a word")),
            }
        }
    }

    async fn say_open(&mut self, key: &Key, own: u64) -> Result<(), Trouble> {
        let capability = self.transport.capability(&key.0)?;
        self.transport.write(wire::open_frame(own, &discovery_key(&key.0), &capability)).await
    }

    async fn take(&mut self, frame: &[u8]) -> Result<(), Trouble> {
        for incoming in wire::read(frame)? {
            match incoming {
                Incoming::Open { channel, discovery_key, capability } => {
                    self.opened(channel, &discovery_key, &capability).await?;
                }
                Incoming::Rejected { channel } if channel == self.current.own => {
                    return Err(Trouble::Unknown);
                }
                Incoming::Rejected { channel } => {
                    self.next.take_if(|next| next.own == channel);
                    self.may_be_late = false;
                }
                Incoming::Closed { channel } if self.current.theirs == Some(channel) => {
                    return Err(Trouble::Closed);
                }
                Incoming::Message { channel, message } => self.message(channel, message).await?,
                Incoming::OpenOther { .. } | Incoming::Closed { .. } => {}
            }
        }
        Ok(())
    }

    async fn opened(&mut self, theirs: u64, name: &[u8; 32], capability: &[u8; 32]) -> Result<(), Trouble> {
        let is_current = self.current.name == *name;
        let next = self.next.as_mut().filter(|next| next.name == *name);
        let Some(channel) = (if is_current { Some(&mut self.current) } else { next }) else { return Ok(()) };
        if !self.transport.is_capable(capability, &channel.key.0)? {
            return Err(Trouble::Misbehaved("it opens a segment whose key it does not know"));
        }
        channel.theirs = Some(theirs);
        if !is_current {
            return Ok(());
        }
        self.report();
        self.say_length().await
    }

    async fn say_length(&mut self) -> Result<(), Trouble> {
        let synchronize = Synchronize {
            fork: 0,
            length: self.segment.signed(),
            remote_length: self.current.length,
            is_downloading: true,
            is_uploading: false,
        };
        self.transport.write(wire::synchronize_frame(self.current.own, synchronize)).await
    }

    async fn message(&mut self, channel: u64, message: Message) -> Result<(), Trouble> {
        match message {
            Message::Synchronize(said) => {
                if said.length > MAX_BLOCKS || said.fork != 0 {
                    return Err(Trouble::Misbehaved("it has a segment that can't be"));
                }
                if self.current.theirs == Some(channel) && said.length < self.current.length {
                    return Err(Trouble::Misbehaved("its segment has become shorter"));
                }
                let both = std::iter::once(&mut self.current).chain(&mut self.next);
                for of_channel in both.filter(|it| it.theirs == Some(channel)) {
                    of_channel.length = of_channel.length.max(said.length);
                }
                Ok(())
            }
            Message::Data { request, proof } if self.current.theirs == Some(channel) => {
                self.data(request, proof).await
            }
            Message::NoData { .. } if self.current.theirs == Some(channel) => {
                Err(Trouble::Misbehaved("it does not have what it said"))
            }
            _ => Ok(()),
        }
    }

    async fn data(&mut self, request: u64, proof: Proof) -> Result<(), Trouble> {
        let Some(ask) = self.asked.open.remove(&request) else { return Ok(()) };
        if !answers(ask, &proof) {
            return Err(Trouble::Misbehaved("it answers what was not asked"));
        }
        match (ask, proof.block, proof.upgrade) {
            (Ask::Block(_), Some(block), _) => {
                self.segment.block(block.index, block.value, &self.copy.audit_key)?;
            }
            (Ask::LastSigned(_), Some(block), _) => {
                let now = self.longer.take().unwrap_or_default();
                self.segment.compare_longer(&now, &block.value, &nodes(&block.nodes)?)?;
                self.is_compared = true;
            }
            (Ask::Upgrade, _, Some(upgrade)) => {
                self.segment.upgrade(&Claim::read(upgrade)?)?;
                // It may have grown while this was asked for.
                self.current.length = self.current.length.max(self.segment.signed());
            }
            (Ask::Whole, _, Some(upgrade)) => {
                self.longer = self.segment.compare(&Claim::read(upgrade)?)?;
                self.is_compared = self.longer.is_none();
            }
            _ => {}
        }
        self.report();
        if ask == Ask::Upgrade { self.say_length().await } else { Ok(()) }
    }

    fn report(&self) {
        let (segment, length, peer_length) =
            (self.segment.number, self.segment.length(), self.current.length);
        self.progress.send_replace(Progress {
            is_connected: true,
            segment,
            length,
            peer_length,
            trouble: None,
            is_refused: false,
        });
    }

    /// Asks for what is missing, as far as the window allows.
    async fn ask(&mut self) -> Result<(), Trouble> {
        if self.current.theirs.is_none() {
            return Ok(());
        }
        if !self.is_compared {
            return self.ask_to_compare().await;
        }
        let length = self.segment.signed();
        // One after the other: what was signed counts once all of it is here.
        if self.current.length > length && self.asked.open.is_empty() && self.segment.missing() == length {
            let upgrade = RequestUpgrade { start: length, length: self.current.length - length };
            self.request(Ask::Upgrade, None, Some(upgrade)).await?;
        }
        while self.asked.open.len() < WINDOW {
            let index = self.asked.next_block.max(self.segment.missing());
            if index >= length {
                break;
            }
            self.asked.next_block = index + 1;
            if !self.segment.has(index) {
                // Without its proof: the root over all of them is signed.
                self.request(Ask::Block(index), Some(RequestBlock { index, nodes: 0 }), None).await?;
            }
        }
        Ok(())
    }

    /// Before anything else: see [`super::claim`].
    async fn ask_to_compare(&mut self) -> Result<(), Trouble> {
        if !self.asked.open.is_empty() || self.current.length == 0 {
            return Ok(());
        }
        let Some(longer) = &self.longer else {
            let upgrade = RequestUpgrade { start: 0, length: self.current.length };
            return self.request(Ask::Whole, None, Some(upgrade)).await;
        };
        let index = self.segment.signed() - 1;
        let nodes = height_of_peak(index, longer.length()).into();
        self.request(Ask::LastSigned(index), Some(RequestBlock { index, nodes }), None).await
    }

    async fn request(
        &mut self,
        ask: Ask,
        block: Option<RequestBlock>,
        upgrade: Option<RequestUpgrade>,
    ) -> Result<(), Trouble> {
        self.asked.last_id += 1;
        let id = self.asked.last_id;
        self.asked.open.insert(id, ask);
        let request = Request { id, fork: 0, block, upgrade, asks_for_more: false };
        self.transport.write(wire::request_frame(self.current.own, &request)).await
    }

    fn is_complete(&self) -> bool {
        let length = self.segment.length();
        length > 0 && self.is_compared && length == self.current.length && self.asked.open.is_empty()
    }

    async fn ask_for_next(&mut self) -> Result<(), Trouble> {
        let Some(header) = &self.segment.header else { return Ok(()) };
        if self.next.is_some() || !self.is_complete() {
            return Ok(());
        }
        let key = header.next_key;
        self.opened += 1;
        self.next = Some(Channel::new(self.opened, &key));
        self.say_open(&key, self.opened).await
    }

    /// To the next segment, if the peer has it: it told this one's last length before.
    async fn go_on(&mut self) -> Result<(), Trouble> {
        if self.may_be_late {
            self.ask_for_next().await?;
        }
        let is_next_open = self.next.as_ref().is_some_and(|next| next.theirs.is_some());
        if !is_next_open || !self.is_complete() {
            return Ok(());
        }
        let Some(next) = self.next.take() else { return Ok(()) };
        self.transport.write(wire::close_frame(self.current.own)).await?;
        let (copy, place) = (self.copy.clone(), self.segment.next()?);
        // There may be much of it already, all of which is read.
        let opened = spawn_blocking(move || copy.segment(place)).await;
        *self.segment = opened.map_err(|panic| Trouble::Copy(panic.to_string()))??;
        self.current = next;
        self.is_compared = self.segment.signed() == 0;
        self.asked.next_block = 0;
        self.say_length().await?;
        self.report();
        Ok(())
    }
}

fn answers(ask: Ask, proof: &Proof) -> bool {
    match (ask, &proof.block, &proof.upgrade) {
        (Ask::Block(index) | Ask::LastSigned(index), Some(block), None) => {
            block.index == index && block.value.len() <= MAX_BLOCK
        }
        (Ask::Upgrade | Ask::Whole, None, Some(upgrade)) => {
            upgrade.start.checked_add(upgrade.length).is_some_and(|end| end <= MAX_BLOCKS)
        }
        _ => false,
    }
}
