//! The signatures of audit trails.

use bzzz_actors::trail::{Key, Signature};
use libp2p::identity::ed25519::PublicKey;

/// Whether the key made the signature of these bytes. False for what is no key.
pub fn verify(key: &Key, bytes: &[u8], signature: &Signature) -> bool {
    PublicKey::try_from_bytes(&key.0).is_ok_and(|key| key.verify(bytes, &signature.0))
}

#[cfg(test)]
mod tests {
    use bzzz_actors::trail::Bytes;
    use libp2p::identity::ed25519::Keypair;

    use super::*;

    #[test]
    fn only_the_key_signs_for_itself() {
        let (pair, other) = (Keypair::generate(), Keypair::generate());
        let key = Bytes(pair.public().to_bytes());
        let signature = Bytes(pair.sign(b"so it is").try_into().unwrap());
        assert!(verify(&key, b"so it is", &signature));
        assert!(!verify(&key, b"so it is not", &signature));
        assert!(!verify(&Bytes(other.public().to_bytes()), b"so it is", &signature));
        assert!(!verify(&Bytes([0xff; 32]), b"so it is", &signature));
    }
}
