//! The key that all nodes of a swarm share: a fence around it, on the wire before anything else.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use libp2p::pnet::PreSharedKey;

use super::files;

const KEY_BYTES: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum PreSharedError {
    #[error("the swarm's key {} can't be read: {source}", path.display())]
    Unread { path: PathBuf, source: io::Error },
    #[error("{} is there already: a swarm's key is not replaced; give another path", path.display())]
    Exists { path: PathBuf },
    #[error("the swarm's key can't be written to {}: {source}", path.display())]
    Unwritten { path: PathBuf, source: io::Error },
    #[error("{} holds no swarm's key: `bzzz swarm key` makes one", path.display())]
    NotAKey { path: PathBuf },
    #[error("{} can be read by everybody on this machine: chmod 600 it", path.display())]
    Open { path: PathBuf },
    #[error("this machine has no random numbers: {0}")]
    NoChance(String),
}

/// Reads the key of `swarm.key_file`.
///
/// # Errors
/// When it can't be read, is none, or is everybody's to read.
pub fn read(path: &Path) -> Result<PreSharedKey, PreSharedError> {
    let unread = |source| PreSharedError::Unread { path: path.to_owned(), source };
    let bytes = files::read(path).map_err(unread)?;
    let mode = fs::metadata(path).map_err(unread)?.permissions().mode();
    if mode & 0o004 != 0 {
        return Err(PreSharedError::Open { path: path.to_owned() });
    }
    let text = std::str::from_utf8(&bytes).ok();
    let is_plain = |text: &&str| text.is_ascii();
    let key = text.filter(is_plain).and_then(|text| text.parse().ok());
    key.ok_or_else(|| PreSharedError::NotAKey { path: path.to_owned() })
}

/// Makes a key and writes it, for its user alone.
///
/// # Errors
/// When the file is there already or can't be written.
pub fn make(path: &Path) -> Result<PreSharedKey, PreSharedError> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|problem| PreSharedError::NoChance(problem.to_string()))?;
    let key = PreSharedKey::new(bytes);
    files::create(path, key.to_key_file().as_bytes()).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => PreSharedError::Exists { path: path.to_owned() },
        _ => PreSharedError::Unwritten { path: path.to_owned(), source },
    })?;
    Ok(key)
}

/// What people compare to see whether two nodes have the same key. It tells nothing of the key.
pub fn fingerprint(key: &PreSharedKey) -> String {
    let mut text = String::new();
    let _ = write!(text, "{}", key.fingerprint());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_is_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("swarm.key");
        let key = make(&path).unwrap();
        assert!(read(&path).unwrap() == key);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).unwrap().starts_with("/key/swarm/psk/1.0.0/\n/base16/\n"));
        assert!(matches!(make(&path), Err(PreSharedError::Exists { .. })));
        assert!(read(&path).unwrap() == key);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("swarm.key");
        assert!(matches!(read(&path), Err(PreSharedError::Unread { .. })));
        let multi_byte = format!("/key/swarm/psk/1.0.0/\n/base16/\n{}é\n", "a".repeat(62));
        for bad in ["", "secret", "/key/swarm/psk/1.0.0/\n/base16/\nab\n", &multi_byte] {
            fs::write(&path, bad).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(read(&path), Err(PreSharedError::NotAKey { .. })), "{bad:?}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(&path), Err(PreSharedError::Open { .. })));
    }
}
