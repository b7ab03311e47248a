//! Frames that survive what a stream can do to them.
//!
//! ```text
//! 0x00   COBS( postcard(message) ++ CRC-32 of it, little endian )   0x00
//! ```
//!
//! COBS leaves no zero byte inside, so a zero always ends whatever came before. The leading one makes an empty frame,
//! which is skipped: a frame that a dead host sent half of, with the next host's first frame glued to it, costs the
//! half frame only. Length prefixes could not do that.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{MAX_DATA_BYTES, MAX_SCRIPT_BYTES};

const CHECKSUM_BYTES: usize = 4;

/// The longest message with its checksum: the greater of data and script, and room for the fields around it.
pub const MAX_PAYLOAD_BYTES: usize =
    if MAX_DATA_BYTES > MAX_SCRIPT_BYTES { MAX_DATA_BYTES } else { MAX_SCRIPT_BYTES } + 4096 + 256;

/// The same on the wire: COBS adds at most one byte in 254, and one.
pub const MAX_ENCODED_BYTES: usize = MAX_PAYLOAD_BYTES + MAX_PAYLOAD_BYTES / 254 + 1;

/// What arrived between two zero bytes is not a frame. The next one may well be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// It is longer than any frame may be.
    TooLong,
    /// It is not COBS, or its checksum is wrong: half a frame, or noise.
    Damaged,
    /// It arrived whole and is no message of this protocol.
    NotAMessage,
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a frame longer than the protocol allows",
            Self::Damaged => "a damaged frame",
            Self::NotAMessage => "a frame that is no message of the protocol",
        })
    }
}

impl std::error::Error for FrameError {}

/// Appends `message` to `wire` as a frame.
///
/// # Errors
/// When the message is longer than a frame may be: the sender did not keep the limits. Nothing is appended then.
pub fn encode<M: Serialize>(message: &M, wire: &mut Vec<u8>) -> Result<(), FrameError> {
    let mut payload = postcard::to_allocvec(message).map_err(|_| FrameError::NotAMessage)?;
    if payload.len() + CHECKSUM_BYTES > MAX_PAYLOAD_BYTES {
        return Err(FrameError::TooLong);
    }
    payload.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());

    wire.push(0);
    let start = wire.len();
    wire.resize(start + cobs::max_encoding_length(payload.len()), 0);
    let encoded = cobs::encode(&payload, &mut wire[start..]);
    wire.truncate(start + encoded);
    wire.push(0);
    Ok(())
}

/// Takes a stream apart into messages. Holds at most one unfinished frame and what was fed last.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the unread part of `buffer` begins, and how far of it is known to hold no zero.
    start: usize,
    scanned: usize,
    /// The frame that is arriving is too long already; the rest of it is not kept.
    skipping: bool,
}

impl Decoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they came from the stream. [`Self::next`] is to be called until it returns `None` before more
    /// are fed: that is what bounds the memory.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes it holds: read, unread and unfinished.
    pub fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole frame; `None` when more bytes are needed. An error costs that frame only.
    #[allow(clippy::should_implement_trait, reason = "an iterator could not be generic over its messages")]
    pub fn next<M: DeserializeOwned>(&mut self) -> Option<Result<M, FrameError>> {
        loop {
            let unseen = &self.buffer[self.scanned..];
            let Some(zero) = unseen.iter().position(|byte| *byte == 0) else {
                self.scanned = self.buffer.len();
                if self.scanned - self.start > MAX_ENCODED_BYTES {
                    self.skipping = true;
                    self.start = self.scanned;
                }
                return None;
            };
            let end = self.scanned + zero;
            let frame = self.start..end;
            self.start = end + 1;
            self.scanned = self.start;

            if std::mem::take(&mut self.skipping) || frame.len() > MAX_ENCODED_BYTES {
                return Some(Err(FrameError::TooLong));
            }
            if !frame.is_empty() {
                return Some(decode(&mut self.buffer[frame]));
            }
        }
    }
}

/// One message from the bytes between two zeros. Works in place; what is left there afterwards means nothing.
fn decode<M: DeserializeOwned>(encoded: &mut [u8]) -> Result<M, FrameError> {
    let length = cobs::decode_in_place(encoded).map_err(|_| FrameError::Damaged)?;
    let (payload, checksum) =
        encoded[..length].split_last_chunk::<CHECKSUM_BYTES>().ok_or(FrameError::Damaged)?;
    if crc32fast::hash(payload) != u32::from_le_bytes(*checksum) {
        return Err(FrameError::Damaged);
    }
    match postcard::take_from_bytes(payload) {
        Ok((message, [])) => Ok(message),
        _ => Err(FrameError::NotAMessage),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_bytes::ByteBuf;

    use super::*;
    use crate::{HostFrame, Input, Job, Output};

    fn data(job: u32, bytes: Vec<u8>) -> HostFrame {
        HostFrame::Input { job, data: ByteBuf::from(bytes) }
    }

    fn wire_of(message: &HostFrame) -> Vec<u8> {
        let mut wire = Vec::new();
        encode(message, &mut wire).unwrap();
        wire
    }

    fn read_all(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Result<HostFrame, FrameError>> {
        decoder.feed(bytes);
        std::iter::from_fn(|| decoder.next()).collect()
    }

    fn any_message() -> impl Strategy<Value = HostFrame> {
        let bytes = prop::collection::vec(any::<u8>(), 0..2000);
        prop_oneof![
            any::<u64>().prop_map(|nonce| HostFrame::Ping { nonce }),
            any::<u32>().prop_map(|job| HostFrame::Ack { job }),
            (any::<u32>(), bytes).prop_map(|(job, bytes)| data(job, bytes)),
            (any::<u32>(), ".{0,200}", any::<u64>()).prop_map(|(number, script, timeout_ms)| {
                HostFrame::Run(Job {
                    number,
                    script,
                    cwd: "/work/repo".into(),
                    input: Input::Nothing,
                    output: Output::Captured { cap_bytes: number },
                    timeout_ms,
                })
            }),
        ]
    }

    proptest! {
        #[test]
        fn messages_arrive_however_the_stream_is_cut(
            messages in prop::collection::vec(any_message(), 0..8),
            cut in 1_usize..700,
        ) {
            let wire: Vec<u8> = messages.iter().flat_map(wire_of).collect();
            let mut decoder = Decoder::new();
            let arrived: Vec<_> = wire.chunks(cut).flat_map(|piece| read_all(&mut decoder, piece)).collect();
            prop_assert_eq!(arrived, messages.into_iter().map(Ok).collect::<Vec<_>>());
        }

        #[test]
        fn a_half_frame_costs_no_other_frame(first in any_message(), second in any_message(), at in 0.0..1.0) {
            let mut wire = wire_of(&first);
            wire.truncate((wire.len() as f64 * at) as usize);
            wire.extend(wire_of(&second));
            let arrived = read_all(&mut Decoder::new(), &wire);
            prop_assert_eq!(arrived.last(), Some(&Ok(second)));
            prop_assert!(arrived.len() <= 2);
        }

        #[test]
        fn noise_is_never_a_message_and_hides_none(
            noise in prop::collection::vec(any::<u8>(), 0..3000),
            message in any_message(),
        ) {
            let mut decoder = Decoder::new();
            prop_assert!(read_all(&mut decoder, &noise).iter().all(Result::is_err));
            let arrived = read_all(&mut decoder, &wire_of(&message));
            prop_assert_eq!(arrived.last(), Some(&Ok(message)));
        }

        #[test]
        fn a_changed_byte_is_noticed(message in any_message(), at in 0.0..1.0, flip in 1_u8..) {
            let mut wire = wire_of(&message);
            let last = wire.len() - 1;
            let position = 1 + ((last - 1) as f64 * at) as usize;
            wire[position] ^= flip;
            wire.push(0);
            prop_assert!(!read_all(&mut Decoder::new(), &wire).contains(&Ok(message)));
        }
    }

    #[test]
    fn the_longest_data_and_script_fit_and_more_is_refused() {
        wire_of(&data(u32::MAX, vec![0; MAX_DATA_BYTES]));
        let mut wire = Vec::new();
        assert_eq!(encode(&data(1, vec![7; MAX_PAYLOAD_BYTES]), &mut wire), Err(FrameError::TooLong));
        assert!(wire.is_empty());
    }

    #[test]
    fn an_endless_frame_is_dropped_without_filling_the_memory() {
        let mut decoder = Decoder::new();
        for _ in 0..200 {
            assert_eq!(read_all(&mut decoder, &[0xff; 65536]), []);
            assert!(decoder.held_bytes() <= MAX_ENCODED_BYTES + 2 * 65536);
        }
        let arrived = read_all(&mut decoder, &wire_of(&HostFrame::Ping { nonce: 7 }));
        assert_eq!(arrived, [Err(FrameError::TooLong), Ok(HostFrame::Ping { nonce: 7 })]);
    }

    #[test]
    fn bytes_after_the_message_are_refused() {
        let mut payload = postcard::to_allocvec(&HostFrame::Ack { job: 1 }).unwrap();
        payload.push(9);
        payload.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        let mut wire = cobs::encode_vec(&payload);
        wire.push(0);
        assert_eq!(read_all(&mut Decoder::new(), &wire), [Err(FrameError::NotAMessage)]);
    }
}
