//! An encrypted connection of messages: Noise XX as Hyperswarm's secret stream has it, in frames with a length of three
//! bytes.
//!
//! `hypercore_handshake` does the cryptography and nothing else. Its own reading of a socket panics on an error that it does
//! not know, and the crate for the framing sleeps through what comes in two pieces and has no largest frame.

use std::time::Duration;

use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, Update};
use futures_util::{FutureExt as _, SinkExt, StreamExt as _};
use hypercore_handshake::state_machine::SecStream;
use hypercore_handshake::state_machine::hc_specific::generate_keypair;
use hypercore_handshake::{Cipher, CipherEvent};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::Trouble;

/// A peer that takes nothing for so long has no more use for the connection.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// `crypto.namespace("hypercore", …)`: what a capability is made with, by who connected and by who was connected to.
const OF_INITIATOR: [u8; 32] = [
    0x51, 0x81, 0x2a, 0x2a, 0x35, 0x9b, 0x50, 0x36, 0x95, 0x36, 0x77, 0x5d, 0xf8, 0x9e, 0x18, 0xe4, 0x77,
    0x40, 0xf3, 0xdb, 0x72, 0xac, 0x0a, 0xe7, 0x0b, 0x29, 0x59, 0x4c, 0x19, 0x4d, 0xc3, 0x16,
];
const OF_RESPONDER: [u8; 32] = [
    0x04, 0x38, 0x49, 0x2d, 0x02, 0x97, 0x0c, 0xc1, 0x35, 0x28, 0xac, 0x02, 0x62, 0xbc, 0xa0, 0x07, 0x4e,
    0x09, 0x26, 0x26, 0x02, 0x56, 0x86, 0x5a, 0xcc, 0xc0, 0xbf, 0x15, 0xbd, 0x79, 0x12, 0x7d,
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Initiator,
    Responder,
}

pub(super) struct Transport {
    frames: Framed<TcpStream, LengthDelimitedCodec>,
    cipher: Cipher,
    handshake: Vec<u8>,
    side: Side,
}

impl Transport {
    /// Refuses frames of more than `largest` bytes. Whoever calls bounds the time.
    pub(super) async fn open(stream: TcpStream, side: Side, largest: usize) -> Result<Self, Trouble> {
        // Requests are small, and each waits for what it asks for.
        stream.set_nodelay(true)?;
        let codec = LengthDelimitedCodec::builder()
            .little_endian()
            .length_field_length(3)
            .max_frame_length(largest)
            .new_codec();
        let mut frames = Framed::new(stream, codec);
        let mut cipher = cipher(side)?;
        loop {
            while let Some(message) = cipher.get_next_sendable_message()? {
                frames.send(Bytes::from(message)).await?;
            }
            if cipher.ready() {
                break;
            }
            let frame = frames.next().await.ok_or(Trouble::Closed)??;
            cipher.receive_next(frame.into());
        }
        let handshake = cipher.handshake_hash().ok_or(Trouble::Closed)?.to_vec();
        Ok(Self { frames, cipher, handshake, side })
    }

    /// The next message; `None` at the connection's end. May be dropped and called again.
    pub(super) async fn read(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        loop {
            while let Some(event) = self.cipher.next_decrypted_message()? {
                match event {
                    CipherEvent::Message(message) => return Ok(Some(message)),
                    CipherEvent::HandshakePayload(_) => {}
                    CipherEvent::ErrStuff(why) => return Err(why.into()),
                }
            }
            match self.frames.next().await {
                Some(frame) => self.cipher.receive_next(BytesMut::into(frame?)),
                None => return Ok(None),
            }
        }
    }

    /// A message that has come already.
    pub(super) fn read_now(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        self.read().now_or_never().transpose().map(Option::flatten)
    }

    /// Writes a message, or keeps it to be written with others: [`Self::flush`] writes what is kept.
    pub(super) async fn write(&mut self, message: Vec<u8>) -> Result<(), Trouble> {
        self.cipher.queue_msg(message);
        while let Some(frame) = self.cipher.get_next_sendable_message()? {
            timeout(WRITE_PATIENCE, self.frames.feed(Bytes::from(frame)))
                .await
                .map_err(|_| Trouble::Silent("it takes no more"))??;
        }
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<(), Trouble> {
        let flushed = timeout(WRITE_PATIENCE, SinkExt::<Bytes>::flush(&mut self.frames)).await;
        Ok(flushed.map_err(|_| Trouble::Silent("it takes no more"))??)
    }

    /// What proves to the other end that this one knows a key.
    pub(super) fn capability(&self, key: &[u8; 32]) -> Result<[u8; 32], Trouble> {
        self.capability_of(self.side, key)
    }

    /// Whether the other end knows a key.
    pub(super) fn is_capable(&self, capability: &[u8; 32], key: &[u8; 32]) -> Result<bool, Trouble> {
        let other = if self.side == Side::Initiator { Side::Responder } else { Side::Initiator };
        Ok(self.capability_of(other, key)? == *capability)
    }

    fn capability_of(&self, side: Side, key: &[u8; 32]) -> Result<[u8; 32], Trouble> {
        let namespace = if side == Side::Initiator { OF_INITIATOR } else { OF_RESPONDER };
        keyed_hash(&self.handshake, &[&namespace, key]).ok_or(Trouble::Closed)
    }
}

/// What names a core to who does not know its key.
pub fn discovery_key(key: &[u8; 32]) -> [u8; 32] {
    // The key has a length that is taken.
    keyed_hash(key, &[b"hypercore"]).unwrap_or_default()
}

/// `None` for a key that is too long.
fn keyed_hash(key: &[u8], parts: &[&[u8]]) -> Option<[u8; 32]> {
    let mut hash = Blake2bMac::<U32>::new_with_salt_and_personal(key, &[], &[]).ok()?;
    parts.iter().for_each(|part| hash.update(part));
    Some(hash.finalize_fixed().into())
}

fn cipher(side: Side) -> Result<Cipher, Trouble> {
    let refused = |why: hypercore_handshake::Error| Trouble::Handshake(why.to_string());
    let state = match side {
        Side::Initiator => SecStream::new_initiator_xx(&[]).map_err(refused)?.into(),
        Side::Responder => {
            let keys = generate_keypair().map_err(refused)?;
            SecStream::new_responder_xx(&keys, &[]).map_err(refused)?.into()
        }
    };
    Ok(Cipher::new(None, state))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (connected, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (connected.unwrap(), accepted.unwrap().0)
    }

    async fn opened(largest: usize) -> (Transport, Transport) {
        let (connected, accepted) = pair().await;
        let (initiator, responder) = tokio::join!(
            Transport::open(connected, Side::Initiator, largest),
            Transport::open(accepted, Side::Responder, largest)
        );
        (initiator.unwrap(), responder.unwrap())
    }

    #[tokio::test]
    async fn messages_arrive_whole_and_in_order() {
        let (mut initiator, mut responder) = opened(1 << 16).await;
        let messages = [vec![], vec![1], vec![2; 60_000], vec![3; 3]];
        for message in &messages {
            initiator.write(message.clone()).await.unwrap();
        }
        initiator.flush().await.unwrap();
        for message in &messages {
            assert_eq!(responder.read().await.unwrap().as_ref(), Some(message));
        }
        drop(initiator);
        assert_eq!(responder.read().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_capability_is_of_one_side_and_one_key() {
        let (initiator, responder) = opened(1 << 16).await;
        let (key, other) = ([1; 32], [2; 32]);
        let shown = initiator.capability(&key).unwrap();
        assert!(responder.is_capable(&shown, &key).unwrap());
        assert!(!responder.is_capable(&shown, &other).unwrap());
        assert!(!initiator.is_capable(&shown, &key).unwrap());
    }

    #[tokio::test]
    async fn a_frame_that_is_too_large_ends_the_connection() {
        let (mut initiator, responder) = opened(1 << 10).await;
        assert!(initiator.write(vec![0; 1 << 11]).await.is_err());
        let mut bare = responder.frames.into_inner();
        bare.write_all(&[0xff, 0xff, 0xff, 0, 0]).await.unwrap();
        assert!(initiator.read().await.is_err());
    }

    #[tokio::test]
    async fn what_is_no_handshake_is_refused() {
        let (mut connected, accepted) = pair().await;
        connected.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(Transport::open(accepted, Side::Responder, 1 << 10).await.is_err());
    }
}
