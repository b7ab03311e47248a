//! A peer's id in its two forms, and its signature.

use bzzz_actors::ports::swarm::PeerId as Name;
use libp2p::PeerId;
use libp2p::identity::PublicKey;

use super::envelope::Signatures;
use crate::ed25519;

/// The multihash that is the key itself: ids of ed25519 keys, as all nodes have.
const IDENTITY: u64 = 0;

/// `None` never comes of libp2p's own text form; what it would be is left to who asks.
pub(super) fn name(peer: &PeerId) -> Option<Name> {
    peer.to_base58().parse().ok()
}

pub(super) fn peer(name: &Name) -> Option<PeerId> {
    name.as_str().parse().ok()
}

/// Who checks the signatures of what is heard.
pub(super) const SIGNATURES: Signatures = Signatures { of_author: verify, of_trail: ed25519::verify };

/// Whether the key that the name stands for signed these bytes.
pub(super) fn verify(author: &Name, bytes: &[u8], sig: &[u8]) -> bool {
    let Some(peer) = peer(author).filter(|peer| name(peer).as_ref() == Some(author)) else { return false };
    let hash = peer.as_ref();
    let key = (hash.code() == IDENTITY).then(|| PublicKey::try_decode_protobuf(hash.digest()).ok()).flatten();
    key.is_some_and(|key| key.verify(bytes, sig))
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;

    #[test]
    fn only_the_authors_key_signs_for_it() {
        let (key, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let author = name(&key.public().to_peer_id()).unwrap();
        let sig = key.sign(b"so it is").unwrap();
        assert!(verify(&author, b"so it is", &sig));
        assert!(!verify(&author, b"so it is not", &sig));
        assert!(!verify(&author, b"so it is", &other.sign(b"so it is").unwrap()));
        assert!(!verify(&name(&PeerId::random()).unwrap(), b"so it is", &sig));
        assert!(!verify(&"abc".parse().unwrap(), b"so it is", &sig));
    }
}
