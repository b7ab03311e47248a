//! What a message is on the wire, signed by its author.
//!
//! The signature covers the content's bytes as they came, so that nobody has to encode them the same way again. An
//! envelope has one form only: bytes behind it or written differently would make a new message of an old one.

use bzzz_actors::ports::swarm::{PeerId, Said};
use bzzz_actors::trail::{Key, Signature};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::plausible;

/// Longer ones are not read. The longest that this node says is far below.
pub const MAX_BYTES: usize = 64 * 1024;
const VERSION: u8 = 1;
/// So that no signature of this key for anything else is one of a message.
const SIGNED_AS: &[u8] = b"bzzz envelope 1\0";
/// The longest that something is told to those that come later.
const MAX_TTL_S: u32 = 7 * 24 * 60 * 60;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    content: ByteBuf,
    sig: ByteBuf,
}

/// What the author signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub v: u8,
    /// The swarm's name: what is said in one can't be repeated in another.
    pub swarm: String,
    pub topic: String,
    pub author: PeerId,
    /// Which opening of the author's network, and the how manieth message of it.
    pub boot: u64,
    pub seq: u64,
    /// By the author's clock, in milliseconds since 1970. Decides nothing.
    pub at: u64,
    /// How long it is told to those that come later, in seconds.
    pub ttl: u32,
    body: ByteBuf,
}

/// Why an envelope is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it is too long")]
    TooLong,
    #[error("it is no envelope")]
    Malformed,
    #[error("it is of another version")]
    Version,
    #[error("it is of another swarm or topic")]
    Elsewhere,
    #[error("its author did not sign it")]
    Forged,
    #[error("it says something that this version does not know")]
    Unknown,
    #[error("no node says such a thing")]
    Implausible,
}

impl Fault {
    /// Whether an honest node may pass it on: one of a later version does not refuse what this one does.
    pub fn is_honest(self) -> bool {
        match self {
            Self::Version | Self::Unknown => true,
            Self::TooLong | Self::Malformed | Self::Elsewhere | Self::Forged | Self::Implausible => false,
        }
    }
}

/// A message that its author signed and that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub author: PeerId,
    pub boot: u64,
    pub seq: u64,
    pub at_ms: u64,
    pub ttl_s: u32,
    pub said: Said,
    /// As they came, for those that ask for them.
    pub bytes: Vec<u8>,
}

/// Where a message belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub swarm: &'a str,
    pub topic: &'a str,
}

/// Whether a signature of some bytes is somebody's.
#[derive(Debug, Clone, Copy)]
pub struct Signatures {
    /// By the author's key.
    pub of_author: fn(&PeerId, &[u8], &[u8]) -> bool,
    /// By the key of an audit trail.
    pub of_trail: fn(&Key, &[u8], &Signature) -> bool,
}

/// The stamp of a message.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    pub boot: u64,
    pub seq: u64,
    pub at_ms: u64,
    pub ttl_s: u32,
}

/// Writes and signs. `None` when it is too long to be read by anybody, or can't be signed.
pub fn seal(
    place: Place<'_>,
    author: &PeerId,
    stamp: Stamp,
    said: &Said,
    sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Option<Letter> {
    let bytes = seal_body(place, author, stamp, encode(said)?, sign)?;
    let Stamp { boot, seq, at_ms, ttl_s } = stamp;
    let letter = Letter { author: author.clone(), boot, seq, at_ms, ttl_s, said: said.clone(), bytes };
    (letter.bytes.len() <= MAX_BYTES).then_some(letter)
}

/// The envelope around a body, whatever that is.
pub fn seal_body(
    place: Place<'_>,
    author: &PeerId,
    stamp: Stamp,
    body: Vec<u8>,
    sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let content = encode(&Content {
        v: VERSION,
        swarm: place.swarm.to_owned(),
        topic: place.topic.to_owned(),
        author: author.clone(),
        boot: stamp.boot,
        seq: stamp.seq,
        at: stamp.at_ms,
        ttl: stamp.ttl_s,
        body: ByteBuf::from(body),
    })?;
    let sig = sign(&signed(&content))?;
    encode(&Envelope { content: ByteBuf::from(content), sig: ByteBuf::from(sig) })
}

/// Reads and judges.
///
/// # Errors
/// What is wrong with it.
pub fn open(bytes: &[u8], place: Place<'_>, signatures: Signatures) -> Result<Letter, Fault> {
    if bytes.len() > MAX_BYTES {
        return Err(Fault::TooLong);
    }
    let envelope: Envelope = decode(bytes).ok_or(Fault::Malformed)?;
    if encode(&envelope).as_deref() != Some(bytes) {
        return Err(Fault::Malformed);
    }
    let content: Content = match decode::<Content>(&envelope.content) {
        Some(content) if content.v == VERSION => content,
        Some(_) => return Err(Fault::Version),
        None => return Err(Fault::Malformed),
    };
    if content.swarm != place.swarm || content.topic != place.topic {
        return Err(Fault::Elsewhere);
    }
    if !(signatures.of_author)(&content.author, &signed(&envelope.content), &envelope.sig) {
        return Err(Fault::Forged);
    }
    if content.seq == 0 || content.ttl > MAX_TTL_S {
        return Err(Fault::Implausible);
    }
    let said: Said = decode(&content.body).ok_or(Fault::Unknown)?;
    if !plausible::is_plausible(&said, &signatures.of_trail) {
        return Err(Fault::Implausible);
    }
    let Content { author, boot, seq, at: at_ms, ttl: ttl_s, .. } = content;
    Ok(Letter { author, boot, seq, at_ms, ttl_s, said, bytes: bytes.to_vec() })
}

fn signed(content: &[u8]) -> Vec<u8> {
    [SIGNED_AS, content].concat()
}

pub(super) fn encode<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    cbor4ii::serde::to_vec(Vec::new(), value).ok()
}

pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    cbor4ii::serde::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use bzzz_actors::ports::swarm::Availability;

    use super::*;

    const PLACE: Place<'_> = Place { swarm: "meadow", topic: "t" };
    const STAMP: Stamp = Stamp { boot: 1, seq: 2, at_ms: 3, ttl_s: 4 };

    fn sealed() -> Letter {
        let said = Said::Availability(Availability { free_slots: 2, tasks: vec!["a/b#1".parse().unwrap()] });
        seal(PLACE, &"abc".parse().unwrap(), STAMP, &said, |bytes| Some(mark(bytes))).unwrap()
    }

    /// Stands for a signature.
    fn mark(bytes: &[u8]) -> Vec<u8> {
        blake3::hash(bytes).as_bytes().to_vec()
    }

    const SIGNATURES: Signatures =
        Signatures { of_author: |_, bytes, sig| mark(bytes) == sig, of_trail: |_, _, _| true };

    #[test]
    fn what_is_sealed_opens() {
        let letter = sealed();
        assert_eq!(open(&letter.bytes, PLACE, SIGNATURES), Ok(letter));
    }

    #[test]
    fn whatever_is_changed_is_noticed() {
        let letter = sealed();
        for at in 0..letter.bytes.len() {
            for bit in 0..8 {
                let mut bytes = letter.bytes.clone();
                bytes[at] ^= 1 << bit;
                assert!(open(&bytes, PLACE, SIGNATURES).is_err(), "byte {at}, bit {bit}");
            }
        }
        let longer = [letter.bytes.as_slice(), &[0]].concat();
        assert_eq!(open(&longer, PLACE, SIGNATURES), Err(Fault::Malformed));
        assert_eq!(open(&letter.bytes, Place { swarm: "other", ..PLACE }, SIGNATURES), Err(Fault::Elsewhere));
        assert_eq!(open(&letter.bytes, Place { topic: "other", ..PLACE }, SIGNATURES), Err(Fault::Elsewhere));
        let nobody = Signatures { of_author: |_, _, _| false, ..SIGNATURES };
        assert_eq!(open(&letter.bytes, PLACE, nobody), Err(Fault::Forged));
        assert_eq!(open(&vec![0; MAX_BYTES + 1], PLACE, SIGNATURES), Err(Fault::TooLong));
    }

    #[test]
    fn what_a_later_version_says_is_no_offence() {
        let content = |v, body: &[u8]| {
            let author = "abc".parse().unwrap();
            let (swarm, topic) = ("meadow".to_owned(), "t".to_owned());
            let body = ByteBuf::from(body.to_vec());
            let content = Content { v, swarm, topic, author, boot: 1, seq: 1, at: 1, ttl: 1, body };
            let content = encode(&content).unwrap();
            let sig = ByteBuf::from(mark(&signed(&content)));
            encode(&Envelope { content: ByteBuf::from(content), sig }).unwrap()
        };
        let fault = |bytes: &[u8]| open(bytes, PLACE, SIGNATURES).unwrap_err();
        let unknown = encode(&("poem", "on bees")).unwrap();
        assert_eq!(fault(&content(VERSION + 1, &unknown)), Fault::Version);
        assert_eq!(fault(&content(VERSION, &unknown)), Fault::Unknown);
        assert!(Fault::Version.is_honest() && Fault::Unknown.is_honest() && !Fault::Forged.is_honest());
    }
}
