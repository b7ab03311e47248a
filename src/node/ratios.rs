//! How many bytes make a token, of each model: learned by a life of the node, and kept for the next.
//!
//! Nothing is wrong without it: a model of which nothing is known is reckoned with more tokens than it makes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bzzz_actors::reasoner_actor::Servers;
use tokio::task::JoinHandle;
use tracing::warn;

/// The file in the data folder.
const FILE: &str = "bytes-a-token.json";
/// A node that is killed forgets what it learned since; it learns it again with the first answers.
const INTERVAL: Duration = Duration::from_secs(10 * 60);

type BytesAToken = BTreeMap<String, f64>;

pub(super) struct Ratios {
    path: PathBuf,
    servers: Servers,
    rounds: JoinHandle<()>,
}

impl Ratios {
    /// Tells the servers what is known, and keeps what they learn from here on.
    pub(super) fn start(data_dir: &Path, servers: Servers) -> Self {
        let path = data_dir.join(FILE);
        let known = read(&path);
        servers.remember(&known);
        let rounds = tokio::spawn(keep_on(path.clone(), servers.clone(), known));
        Self { path, servers, rounds }
    }

    pub(super) fn end(&self) {
        self.rounds.abort();
        keep(&self.path, &self.servers.bytes_a_token());
    }
}

async fn keep_on(path: PathBuf, servers: Servers, mut kept: BytesAToken) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let learned = servers.bytes_a_token();
        if learned != kept {
            keep(&path, &learned);
            kept = learned;
        }
    }
}

fn read(path: &Path) -> BytesAToken {
    let read = fs::read(path).and_then(|text| serde_json::from_slice(&text).map_err(io::Error::from));
    read.unwrap_or_else(|problem| {
        if problem.kind() != io::ErrorKind::NotFound {
            warn!(file = %path.display(), %problem, "not read: how long prompts are is learned anew");
        }
        BytesAToken::new()
    })
}

/// Whole or not at all.
fn keep(path: &Path, known: &BytesAToken) {
    let written = (|| {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(known)?)?;
        file.persist(path)?;
        Ok::<_, io::Error>(())
    })();
    if let Err(problem) = written {
        warn!(file = %path.display(), %problem, "not kept: how long prompts are is learned anew");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_what_is_damaged_is_learned_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(read(&path), BytesAToken::new());
        let known = BytesAToken::from([("coder".to_owned(), 3.5)]);
        keep(&path, &known);
        assert_eq!(read(&path), known);
        fs::write(&path, "{").unwrap();
        assert_eq!(read(&path), BytesAToken::new());
    }
}
