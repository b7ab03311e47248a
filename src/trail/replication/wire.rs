//! What two ends of a connection say to each other: Hypercore 10's messages in frames of Protomux.
//!
//! ```text
//! frame     channel ‖ type ‖ message                a channel is named by the number its sender gave it
//!           0 ‖ 0 ‖ channel ‖ (length ‖ type ‖ message | 0 ‖ channel)*
//!           0 ‖ 1 ‖ channel ‖ protocol ‖ discovery key ‖ flags ‖ capability      open
//!           0 ‖ 2 ‖ channel                                                       reject
//!           0 ‖ 3 ‖ channel                                                       close
//! number    one byte up to 252, else 253, 254 or 255 and 2, 4 or 8 bytes, little-endian
//! ```
//!
//! The crates that Hypercore comes with reserve memory for as many channels and nodes as a peer claims to send; here
//! nothing is longer than the frame it stands in.

use hypercore_schema::{DataBlock, DataUpgrade, Node, Proof, RequestBlock, RequestUpgrade};

const PROTOCOL: &[u8] = b"hypercore/alpha";
/// Nobody has more to say at once.
const MESSAGES_IN_A_FRAME: usize = 4096;
/// The nodes of a tree are numbered up to twice its blocks: nothing here comes near.
const LARGEST_NODE: u64 = 1 << 32;
/// Bytes below one node.
const LARGEST_SUBTREE: u64 = 1 << 48;

/// The bytes are no message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0} that can't be read")]
pub(super) struct Malformed(&'static str);

#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    Open {
        channel: u64,
        discovery_key: [u8; 32],
        capability: [u8; 32],
    },
    /// Of another protocol.
    OpenOther {
        channel: u64,
    },
    /// The channel is the receiver's own, that the sender does not open.
    Rejected {
        channel: u64,
    },
    Closed {
        channel: u64,
    },
    Message {
        channel: u64,
        message: Message,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    Synchronize(Synchronize),
    Request(Request),
    Data {
        request: u64,
        proof: Proof,
    },
    NoData {
        request: u64,
    },
    /// Nothing that is acted on here.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Synchronize {
    pub(super) fork: u64,
    pub(super) length: u64,
    /// What the sender knows of the receiver's length.
    pub(super) remote_length: u64,
    pub(super) is_downloading: bool,
    pub(super) is_uploading: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) fork: u64,
    pub(super) block: Option<RequestBlock>,
    pub(super) upgrade: Option<RequestUpgrade>,
    /// For a hash or a place in bytes: known, and not answered.
    pub(super) asks_for_more: bool,
}

const CAN_UPGRADE: u8 = 1;
const UPLOADING: u8 = 2;
const DOWNLOADING: u8 = 4;

const HAS_BLOCK: u8 = 1;
const HAS_HASH: u8 = 2;
const HAS_SEEK: u8 = 4;
const HAS_UPGRADE: u8 = 8;

/// Everything in a frame. An empty one keeps the connection alive.
pub(super) fn read(frame: &[u8]) -> Result<Vec<Incoming>, Malformed> {
    let mut rest = Reader(frame);
    if frame.is_empty() {
        return Ok(Vec::new());
    }
    if frame.first_chunk() != Some(&[0, 0]) {
        let channel = rest.number()?;
        return Ok(vec![one(channel, rest)?]);
    }
    rest.take(2)?;
    let mut channel = rest.number()?;
    let mut all = Vec::new();
    while !rest.0.is_empty() {
        match rest.number()? {
            0 => channel = rest.number()?,
            length => all.push(one(channel, Reader(rest.take(length)?))?),
        }
        if all.len() > MESSAGES_IN_A_FRAME {
            return Err(Malformed("more in one frame"));
        }
    }
    Ok(all)
}

fn one(channel: u64, mut rest: Reader<'_>) -> Result<Incoming, Malformed> {
    let kind = rest.number()?;
    match (channel, kind) {
        (0, 1) => open(rest),
        (0, 2) => Ok(Incoming::Rejected { channel: rest.number()? }),
        (0, 3) => Ok(Incoming::Closed { channel: rest.number()? }),
        (0, _) => Err(Malformed("a control message")),
        _ => Ok(Incoming::Message { channel, message: message(kind, rest)? }),
    }
}

fn open(mut rest: Reader<'_>) -> Result<Incoming, Malformed> {
    let channel = rest.number()?;
    let protocol = rest.bytes()?;
    let discovery_key = rest.bytes()?;
    if protocol != PROTOCOL {
        return Ok(Incoming::OpenOther { channel });
    }
    let discovery_key = discovery_key.try_into().map_err(|_| Malformed("a discovery key"))?;
    rest.number()?;
    Ok(Incoming::Open { channel, discovery_key, capability: rest.array()? })
}

fn message(kind: u64, mut rest: Reader<'_>) -> Result<Message, Malformed> {
    Ok(match kind {
        0 => {
            let flags = rest.byte()?;
            let [fork, length, remote_length] = rest.numbers()?;
            let [is_uploading, is_downloading] = [UPLOADING, DOWNLOADING].map(|flag| flags & flag != 0);
            Message::Synchronize(Synchronize { fork, length, remote_length, is_downloading, is_uploading })
        }
        1 => request(rest)?,
        3 => data(rest)?,
        4 => Message::NoData { request: rest.number()? },
        _ => Message::Other,
    })
}

fn request(mut rest: Reader<'_>) -> Result<Message, Malformed> {
    let flags = rest.byte()?;
    let [id, fork] = rest.numbers()?;
    let mut pair = |flag: u8| match flags & flag != 0 {
        true => rest.numbers().map(Some),
        false => Ok(None),
    };
    let block = pair(HAS_BLOCK)?.map(|[index, nodes]| RequestBlock { index, nodes });
    pair(HAS_HASH)?;
    if flags & HAS_SEEK != 0 {
        rest.number()?;
    }
    let upgrade = match flags & HAS_UPGRADE != 0 {
        true => Some(rest.numbers().map(|[start, length]| RequestUpgrade { start, length })?),
        false => None,
    };
    let asks_for_more = flags & (HAS_HASH | HAS_SEEK) != 0;
    Ok(Message::Request(Request { id, fork, block, upgrade, asks_for_more }))
}

fn data(mut rest: Reader<'_>) -> Result<Message, Malformed> {
    let flags = rest.byte()?;
    let [request, fork] = rest.numbers()?;
    let block = match flags & HAS_BLOCK != 0 {
        true => {
            let index = rest.number()?;
            if index > LARGEST_NODE / 2 {
                return Err(Malformed("a block"));
            }
            Some(DataBlock { index, value: rest.bytes()?.to_vec(), nodes: rest.nodes()? })
        }
        false => None,
    };
    if flags & (HAS_HASH | HAS_SEEK) != 0 {
        return Err(Malformed("data that was not asked for"));
    }
    let upgrade = match flags & HAS_UPGRADE != 0 {
        true => {
            let [start, length] = rest.numbers()?;
            if start.checked_add(length).is_none_or(|end| end > LARGEST_NODE / 2) {
                return Err(Malformed("an upgrade"));
            }
            let (nodes, additional_nodes) = (rest.nodes()?, rest.nodes()?);
            let signature = rest.bytes()?.to_vec();
            Some(DataUpgrade { start, length, nodes, additional_nodes, signature })
        }
        false => None,
    };
    Ok(Message::Data { request, proof: Proof { fork, block, hash: None, seek: None, upgrade } })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed("a length"))?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed("a message's end"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed("a message's end"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        Ok(match self.byte()? {
            0xfd => u16::from_le_bytes(self.array()?).into(),
            0xfe => u32::from_le_bytes(self.array()?).into(),
            0xff => u64::from_le_bytes(self.array()?),
            small => small.into(),
        })
    }

    fn numbers<const N: usize>(&mut self) -> Result<[u64; N], Malformed> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.number()?;
        }
        Ok(numbers)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        self.take(length)
    }

    fn nodes(&mut self) -> Result<Vec<Node>, Malformed> {
        let count = self.number()?;
        let mut nodes = Vec::new();
        // Each takes more than a byte of what is there.
        for _ in 0..count {
            let [index, length] = self.numbers()?;
            if index > LARGEST_NODE || length > LARGEST_SUBTREE {
                return Err(Malformed("a node"));
            }
            nodes.push(Node::new(index, self.array::<32>()?.to_vec(), length));
        }
        Ok(nodes)
    }
}

pub(super) fn open_frame(channel: u64, discovery_key: &[u8; 32], capability: &[u8; 32]) -> Vec<u8> {
    let mut frame = Writer(vec![0, 1]);
    frame.number(channel).bytes(PROTOCOL).bytes(discovery_key).number(0).raw(capability);
    frame.0
}

pub(super) fn reject_frame(channel: u64) -> Vec<u8> {
    let mut frame = Writer(vec![0, 2]);
    frame.number(channel);
    frame.0
}

pub(super) fn close_frame(channel: u64) -> Vec<u8> {
    let mut frame = Writer(vec![0, 3]);
    frame.number(channel);
    frame.0
}

pub(super) fn synchronize_frame(channel: u64, it: Synchronize) -> Vec<u8> {
    let mut flags = CAN_UPGRADE;
    for (is_set, flag) in [(it.is_uploading, UPLOADING), (it.is_downloading, DOWNLOADING)] {
        flags |= if is_set { flag } else { 0 };
    }
    let mut frame = Writer::message(channel, 0);
    frame.raw(&[flags]).number(it.fork).number(it.length).number(it.remote_length);
    frame.0
}

/// Blocks that the sender has.
pub(super) fn range_frame(channel: u64, start: u64, length: u64) -> Vec<u8> {
    let mut frame = Writer::message(channel, 8);
    frame.raw(&[0]).number(start).number(length);
    frame.0
}

pub(super) fn request_frame(channel: u64, it: &Request) -> Vec<u8> {
    let mut frame = Writer::message(channel, 1);
    let flags = it.block.as_ref().map_or(0, |_| HAS_BLOCK) | it.upgrade.as_ref().map_or(0, |_| HAS_UPGRADE);
    frame.raw(&[flags]).number(it.id).number(it.fork);
    if let Some(block) = &it.block {
        frame.number(block.index).number(block.nodes);
    }
    if let Some(upgrade) = &it.upgrade {
        frame.number(upgrade.start).number(upgrade.length);
    }
    frame.0
}

pub(super) fn no_data_frame(channel: u64, request: u64) -> Vec<u8> {
    let mut frame = Writer::message(channel, 4);
    frame.number(request);
    frame.0
}

/// Of a proof of a block, of an upgrade, or of both.
pub(super) fn data_frame(channel: u64, request: u64, proof: &Proof) -> Vec<u8> {
    let mut frame = Writer::message(channel, 3);
    let flags =
        proof.block.as_ref().map_or(0, |_| HAS_BLOCK) | proof.upgrade.as_ref().map_or(0, |_| HAS_UPGRADE);
    frame.raw(&[flags]).number(request).number(proof.fork);
    if let Some(block) = &proof.block {
        frame.number(block.index).bytes(&block.value).nodes(&block.nodes);
    }
    if let Some(upgrade) = &proof.upgrade {
        frame.number(upgrade.start).number(upgrade.length);
        frame.nodes(&upgrade.nodes).nodes(&upgrade.additional_nodes).bytes(&upgrade.signature);
    }
    frame.0
}

struct Writer(Vec<u8>);

impl Writer {
    fn message(channel: u64, kind: u64) -> Self {
        let mut frame = Self(Vec::new());
        frame.number(channel).number(kind);
        frame
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        let bytes = number.to_le_bytes();
        match number {
            0..=0xfc => self.raw(&bytes[..1]),
            0xfd..=0xffff => self.raw(&[0xfd]).raw(&bytes[..2]),
            0x1_0000..=0xffff_ffff => self.raw(&[0xfe]).raw(&bytes[..4]),
            _ => self.raw(&[0xff]).raw(&bytes),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).raw(bytes)
    }

    fn nodes(&mut self, nodes: &[Node]) -> &mut Self {
        self.number(nodes.len() as u64);
        for node in nodes {
            self.number(node.index).number(node.length).raw(&node.hash);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(index: u64) -> Node {
        Node::new(index, vec![7; 32], 300)
    }

    #[test]
    fn what_is_written_is_read() {
        let request = Request {
            id: 300,
            fork: 0,
            block: Some(RequestBlock { index: 70_000, nodes: 3 }),
            upgrade: Some(RequestUpgrade { start: 5, length: 1 << 20 }),
            asks_for_more: false,
        };
        let block = DataBlock { index: 4, value: vec![1; 600], nodes: vec![node(10), node(13)] };
        let (nodes, additional_nodes) = (vec![node(17)], vec![]);
        let upgrade = DataUpgrade { start: 0, length: 10, nodes, additional_nodes, signature: vec![9; 64] };
        let proof = Proof { fork: 0, block: Some(block), hash: None, seek: None, upgrade: Some(upgrade) };
        let synchronize =
            Synchronize { fork: 0, length: 9, remote_length: 4, is_downloading: false, is_uploading: true };
        let [discovery_key, capability] = [[1; 32], [2; 32]];
        for (frame, read_back) in [
            (
                open_frame(1, &discovery_key, &capability),
                Incoming::Open { channel: 1, discovery_key, capability },
            ),
            (reject_frame(253), Incoming::Rejected { channel: 253 }),
            (close_frame(3), Incoming::Closed { channel: 3 }),
            (synchronize_frame(2, synchronize), message(Message::Synchronize(synchronize))),
            (range_frame(2, 0, 1), message(Message::Other)),
            (request_frame(2, &request), message(Message::Request(request))),
            (no_data_frame(2, 8), message(Message::NoData { request: 8 })),
            (data_frame(2, 8, &proof), message(Message::Data { request: 8, proof })),
        ] {
            assert_eq!(read(&frame), Ok(vec![read_back]));
        }
        fn message(message: Message) -> Incoming {
            Incoming::Message { channel: 2, message }
        }
    }

    #[test]
    fn a_batch_names_a_channel_once_and_may_change_it() {
        let batch = [0, 0, 1, 2, 4, 8, 0, 3, 2, 4, 9];
        let no_data = |channel, request| Incoming::Message { channel, message: Message::NoData { request } };
        assert_eq!(read(&batch), Ok(vec![no_data(1, 8), no_data(3, 9)]));
        assert_eq!(read(&[]), Ok(vec![]));
    }

    #[test]
    fn numbers_that_a_peer_makes_up_reserve_nothing() {
        let many = [&[2, 3, 1, 1, 0, 5, 0][..], &[0xff; 9]].concat();
        assert!(read(&many).is_err());
        let far = [&[0, 3][..], &[0xff; 9]].concat();
        assert_eq!(read(&far), Ok(vec![Incoming::Closed { channel: u64::MAX }]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(frame in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&frame);
        }
    }
}
