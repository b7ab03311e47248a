//! The audit key: what signs the trail, apart from the key of the swarm.
//!
//! It is made once and never replaced. The first segment has the key itself; the key of each later one is derived from its
//! seed, so that no two Hypercores have one key.

use std::io;
use std::path::{Path, PathBuf};

use bzzz_actors::trail::{Bytes, Key, Network, Signature};
use hypercore::SigningKey;

use super::FOLDER;
use crate::folder;
use crate::private_files as files;
use crate::swarm::identity;

const KEY_FILE: &str = "key";
/// Of BLAKE3's key derivation; changing it would make every trail another.
const DERIVATION: &str = "bzzz 2026-11 audit key of a trail's segment";

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the audit key {} can't be used: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} holds no audit key: bring it back from a copy of the data folder", path.display())]
    NotAKey { path: PathBuf },
    #[error(
        "the audit key {} is missing, and without it nothing can be added to the trail that the journal speaks of: bring \
         it back from a copy of the data folder, or move the whole data folder away and start as a new node",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error("the audit key {} is not the one of this journal's trail, {expected}: bring that one back", path.display())]
    Another { path: PathBuf, expected: Key },
    #[error("the key of the swarm can't sign the audit key: {why}")]
    Network { why: String },
}

/// The keys of all segments.
#[derive(Clone)]
pub struct AuditKeys {
    seed: [u8; 32],
}

impl std::fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuditKeys({})", self.public())
    }
}

impl AuditKeys {
    /// The key of a trail that was begun already.
    ///
    /// # Errors
    /// When it is missing, unreadable or another one.
    pub fn load(data_dir: &Path, expected: &Key) -> Result<Self, KeyError> {
        let path = path(data_dir);
        let keys = match files::read(&path) {
            Ok(bytes) => decode(&path, &bytes)?,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::Missing { path });
            }
            Err(source) => return Err(KeyError::File { path, source }),
        };
        match keys.public() == *expected {
            true => Ok(keys),
            false => Err(KeyError::Another { path, expected: *expected }),
        }
    }

    /// The key for a trail that begins. One that is there is taken: a crash may have come before its first use.
    ///
    /// # Errors
    /// When it can't be read or written.
    pub fn load_or_make(data_dir: &Path) -> Result<Self, KeyError> {
        let path = path(data_dir);
        let file = |source| KeyError::File { path: path.clone(), source };
        folder::make(&data_dir.join(FOLDER)).map_err(file)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|why| file(io::Error::other(why.to_string())))?;
        match files::create(&path, format!("{}\n", Bytes(seed)).as_bytes()) {
            Ok(()) => Ok(Self { seed }),
            Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => {
                decode(&path, &files::read(&path).map_err(file)?)
            }
            Err(source) => Err(file(source)),
        }
    }

    /// The audit key.
    pub fn public(&self) -> Key {
        self.public_of(0)
    }

    pub fn public_of(&self, segment: u64) -> Key {
        Bytes(self.signing(segment).verifying_key().to_bytes())
    }

    pub(super) fn signing(&self, segment: u64) -> SigningKey {
        match segment {
            0 => SigningKey::from_bytes(&self.seed),
            _ => {
                let material = [&self.seed[..], &segment.to_le_bytes()].concat();
                SigningKey::from_bytes(&blake3::derive_key(DERIVATION, &material))
            }
        }
    }

    /// By the key of a segment.
    pub fn sign(&self, segment: u64, bytes: &[u8]) -> Signature {
        Bytes(hypercore::sign(&self.signing(segment), bytes).to_bytes())
    }

    /// The word of the node's key in the swarm for this one.
    ///
    /// # Errors
    /// When there is no such key and none can be made.
    pub fn network(&self, data_dir: &Path) -> Result<Network, KeyError> {
        let network = |why: &dyn std::fmt::Display| KeyError::Network { why: why.to_string() };
        let key = identity::load_or_make(data_dir).map_err(|why| network(&why))?;
        let peer = key.public().to_peer_id().to_string();
        let signature = key.sign(&Network::statement(&self.public())).map_err(|why| network(&why))?;
        let signature = signature.try_into().map_err(|_| network(&"it is no ed25519 key"))?;
        let public = key.public().try_into_ed25519().map_err(|why| network(&why))?;
        Ok(Network { peer, key: Bytes(public.to_bytes()), signature: Bytes(signature) })
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FOLDER).join(KEY_FILE)
}

fn decode(path: &Path, bytes: &[u8]) -> Result<AuditKeys, KeyError> {
    let seed = std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse::<Key>().ok());
    seed.map(|seed| AuditKeys { seed: seed.0 }).ok_or_else(|| KeyError::NotAKey { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::ed25519::verify;

    #[test]
    fn the_key_is_made_once_and_each_segment_has_one_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let keys = AuditKeys::load_or_make(folder.path()).unwrap();
        let again = AuditKeys::load(folder.path(), &keys.public()).unwrap();
        assert_eq!((again.public_of(3), again.public()), (keys.public_of(3), keys.public_of(0)));
        assert_ne!(keys.public_of(1), keys.public_of(2));
        assert_eq!(format!("{keys:?}"), format!("AuditKeys({})", keys.public()), "the seed is not shown");
        let file = folder.path().join("trail/key");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let signature = keys.sign(2, b"so it is");
        assert!(verify(&keys.public_of(2), b"so it is", &signature));
        assert!(!verify(&keys.public_of(1), b"so it is", &signature));
        assert!(!verify(&keys.public_of(2), b"so it is not", &signature));
    }

    #[test]
    fn a_key_that_is_missing_broken_or_another_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let other = AuditKeys { seed: [7; 32] }.public();
        let error = AuditKeys::load(folder.path(), &other).unwrap_err();
        assert!(matches!(error, KeyError::Missing { .. }), "{error}");
        AuditKeys::load_or_make(folder.path()).unwrap();
        let error = AuditKeys::load(folder.path(), &other).unwrap_err();
        assert!(matches!(error, KeyError::Another { .. }), "{error}");
        fs::write(folder.path().join("trail/key"), "abc").unwrap();
        let error = AuditKeys::load_or_make(folder.path()).unwrap_err();
        assert!(matches!(error, KeyError::NotAKey { .. }), "{error}");
    }

    #[test]
    fn the_key_of_the_swarm_signs_the_audit_key() {
        let folder = tempfile::tempdir().unwrap();
        let keys = AuditKeys::load_or_make(folder.path()).unwrap();
        let network = keys.network(folder.path()).unwrap();
        assert!(verify(&network.key, &Network::statement(&keys.public()), &network.signature));
    }
}
