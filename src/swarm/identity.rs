//! Who this node is in the swarm: its key, and the number of this opening of its network.
//!
//! The key is made once and never replaced: others know the node by it. The number only grows, also when the file is
//! lost or the clock goes back, and is durable before it is used: what is said under it can't be taken for
//! something older.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use libp2p::PeerId;
use libp2p::identity::Keypair;
use tracing::warn;

use super::files;

const KEY_FILE: &str = "identity";
const BOOT_FILE: &str = "boot";

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the node's key {} can't be used: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(
        "{} holds no key of a node: bring it back, or remove it; without it the node gets a new name in the swarm, \
         which lists in swarm.allow and swarm.bootstrap of other nodes don't know",
        path.display()
    )]
    NotAKey { path: PathBuf },
}

/// The node's key; made if there is none.
///
/// # Errors
/// When the file can't be read or written, or holds something else.
pub fn load_or_make(data_dir: &Path) -> Result<Keypair, IdentityError> {
    let path = data_dir.join(files::FOLDER).join(KEY_FILE);
    let file = |source| IdentityError::File { path: path.clone(), source };
    files::folder(data_dir).map_err(file)?;
    match files::read(&path) {
        Ok(bytes) => decode(&path, &bytes),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => make(&path),
        Err(problem) => Err(file(problem)),
    }
}

/// The name of the node whose data folder it is, if it has a key already.
pub fn peer_id(data_dir: &Path) -> Option<PeerId> {
    let path = data_dir.join(files::FOLDER).join(KEY_FILE);
    let bytes = files::read(&path).ok()?;
    decode(&path, &bytes).ok().map(|key| key.public().to_peer_id())
}

fn make(path: &Path) -> Result<Keypair, IdentityError> {
    let key = Keypair::generate_ed25519();
    let bytes = key.to_protobuf_encoding().map_err(|_| IdentityError::NotAKey { path: path.to_owned() })?;
    match files::create(path, &bytes) {
        Ok(()) => Ok(key),
        // Somebody was faster: theirs it is.
        Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => {
            let file = |source| IdentityError::File { path: path.to_owned(), source };
            decode(path, &files::read(path).map_err(file)?)
        }
        Err(source) => Err(IdentityError::File { path: path.to_owned(), source }),
    }
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Keypair, IdentityError> {
    Keypair::from_protobuf_encoding(bytes).map_err(|_| IdentityError::NotAKey { path: path.to_owned() })
}

/// The number of this opening: greater than any before it.
///
/// # Errors
/// When it can't be kept.
pub(super) fn next_boot(data_dir: &Path) -> io::Result<u64> {
    let path = files::folder(data_dir)?.join(BOOT_FILE);
    let stored = match files::read(&path) {
        Ok(bytes) => parse_boot(&bytes).unwrap_or_else(|| {
            warn!(file = %path.display(), "the counter of starts is damaged: the clock takes its place");
            0
        }),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => 0,
        Err(problem) => return Err(problem),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let next = now.max(stored.saturating_add(1));
    files::write(&path, format!("{next}\n").as_bytes())?;
    Ok(next)
}

fn parse_boot(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_stays() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(peer_id(root.path()), None);
        let first = load_or_make(root.path()).unwrap().public().to_peer_id();
        assert_eq!(load_or_make(root.path()).unwrap().public().to_peer_id(), first);
        assert_eq!(peer_id(root.path()), Some(first));
        let path = root.path().join("swarm/identity");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "something else").unwrap();
        let error = load_or_make(root.path()).unwrap_err();
        assert!(matches!(error, IdentityError::NotAKey { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"something else");
    }

    #[test]
    fn the_number_of_an_opening_only_grows() {
        let root = tempfile::tempdir().unwrap();
        let first = next_boot(root.path()).unwrap();
        let second = next_boot(root.path()).unwrap();
        assert!(second > first);
        let path = root.path().join("swarm/boot");
        let future = second + 1_000_000;
        fs::write(&path, format!("{future}\n")).unwrap();
        assert_eq!(next_boot(root.path()).unwrap(), future + 1, "the clock may go back");
        fs::write(&path, "damaged").unwrap();
        assert!(next_boot(root.path()).unwrap() >= first, "a clock that is right takes its place");
    }
}
