//! The program sandboxd, carried inside this one, so that one binary is the whole installation.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::network;

/// Static, for this machine's architecture; built by `build.rs`.
pub(crate) const SANDBOXD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sandboxd"));

/// Any user may run it: in a sandbox it is started by one that owns nothing on the host.
pub(crate) const MODE: u32 = 0o755;

/// How much of the hash stands in names. It tells versions apart; a file's content is compared whole.
const HASH_DIGITS: usize = 16;

/// Puts sandboxd into `folder` under a name made of its content, unless it is there, and returns its path.
///
/// Running sandboxes keep the version that they were started with.
///
/// # Errors
/// When the folder or the file can't be written.
pub(crate) fn install(folder: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(folder.join(format!("sandboxd-{}", hash())))?;
    if is_installed(&path) {
        return Ok(path);
    }
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".sandboxd-").tempfile_in(folder)?;
    file.write_all(SANDBOXD)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(MODE))?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|problem| problem.error)?;
    Ok(path)
}

/// Tells versions of it apart.
pub(crate) fn hash() -> String {
    blake3::hash(SANDBOXD).to_hex()[..HASH_DIGITS].to_owned()
}

fn is_installed(path: &Path) -> bool {
    let is_whole = std::fs::read(path).is_ok_and(|content| content == SANDBOXD);
    is_whole && std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o777 == MODE)
}

/// The program's arguments.
pub(crate) fn arguments(orphan_grace: Duration) -> Vec<String> {
    vec!["--orphan-grace-ms".to_owned(), orphan_grace.as_millis().to_string()]
}

/// Further ones, in a sandbox with a network proxy.
pub(crate) fn proxy_arguments() -> [String; 2] {
    ["--proxy".to_owned(), network::socket_in_sandbox()]
}

/// Further ones, in a sandbox that a person may look into by a socket that is open as `descriptor`.
pub(crate) fn visit_arguments(descriptor: i32) -> [String; 2] {
    ["--visits".to_owned(), descriptor.to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_copy_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = install(folder.path()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), SANDBOXD);

        std::fs::write(&path, b"cut short").unwrap();
        assert_eq!(install(folder.path()).unwrap(), path);
        assert!(is_installed(&path));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn it_refuses_to_run_outside_a_sandbox() {
        let folder = tempfile::tempdir().unwrap();
        let program = install(folder.path()).unwrap();
        let output =
            std::process::Command::new(program).args(arguments(Duration::from_secs(1))).output().unwrap();
        assert_eq!(output.status.code(), Some(64));
        assert!(String::from_utf8_lossy(&output.stderr).contains("PID 1"));
    }
}
