//! Frames in either direction.
//!
//! The first byte says how the others arrive. When it is odd they are the payload of one frame, which gets its checksum
//! and its encoding here: else no mutation would come past the checksum. When it is even they are the stream itself, in
//! pieces of that many bytes; 254 puts more bytes in front of it than a frame may have.

use std::fmt::Debug;

use sandboxd::frame::{Decoder, FrameError, MAX_ENCODED_BYTES, MAX_PAYLOAD_BYTES, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Returns the messages that were read. `sound` is a message that nothing before it may hide.
pub(crate) fn hold<M>(bytes: &[u8], sound: &M) -> Vec<M>
where
    M: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let Some((how, bytes)) = bytes.split_first() else { return Vec::new() };
    let read = if how % 2 == 1 {
        let read = read_in_pieces::<M>(&framed(bytes), usize::MAX);
        let is_one = match read.as_slice() {
            [Ok(_) | Err(FrameError::NotAMessage)] => bytes.len() + 4 <= MAX_PAYLOAD_BYTES,
            [Err(FrameError::TooLong)] => bytes.len() + 4 > MAX_PAYLOAD_BYTES,
            _ => false,
        };
        assert!(is_one, "{read:?}");
        read
    } else {
        let mut stream = if *how == 254 { vec![0xff; MAX_ENCODED_BYTES + 1] } else { Vec::new() };
        stream.extend_from_slice(bytes);
        let piece_bytes = if *how == 254 { 64 * 1024 } else { usize::from(*how) + 1 };
        let read = read_in_pieces::<M>(&stream, piece_bytes);
        assert_eq!(read, read_in_pieces(&stream, usize::MAX), "it depends on how the stream is cut");
        let zeros = stream.iter().filter(|byte| **byte == 0).count();
        assert!(read.len() <= zeros);

        encode(sound, &mut stream).unwrap();
        let with_sound = read_in_pieces::<M>(&stream, 64 * 1024);
        assert_eq!(with_sound.last(), Some(&Ok(sound_again(sound))), "a sound frame was lost behind others");
        assert!(with_sound.starts_with(&read));
        read
    };
    let messages: Vec<M> = read.into_iter().flatten().collect();
    for message in &messages {
        let mut wire = Vec::new();
        encode(message, &mut wire).unwrap();
        let again = read_in_pieces::<M>(&wire, usize::MAX);
        assert!(matches!(again.as_slice(), [Ok(again)] if again == message), "{message:?} became {again:?}");
    }
    messages
}

fn sound_again<M: Serialize + DeserializeOwned + Debug>(message: &M) -> M {
    let mut wire = Vec::new();
    encode(message, &mut wire).unwrap();
    read_in_pieces(&wire, usize::MAX).pop().unwrap().unwrap()
}

/// The frame as its definition says, without the code that writes it elsewhere.
fn framed(payload: &[u8]) -> Vec<u8> {
    let checksum = crc32fast::hash(payload).to_le_bytes();
    [&[0], cobs::encode_vec(&[payload, &checksum].concat()).as_slice(), &[0]].concat()
}

fn read_in_pieces<M: DeserializeOwned>(stream: &[u8], piece_bytes: usize) -> Vec<Result<M, FrameError>> {
    let mut decoder = Decoder::new();
    let mut read = Vec::new();
    for piece in stream.chunks(piece_bytes) {
        decoder.feed(piece);
        assert!(decoder.held_bytes() <= MAX_ENCODED_BYTES + piece.len());
        read.extend(std::iter::from_fn(|| decoder.next()));
    }
    read
}
