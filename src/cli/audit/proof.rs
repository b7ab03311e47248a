//! `bzzz audit proof` and `bzzz audit check-proof`.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use anyhow::Context;
use bzzz_actors::task::printable;
use bzzz_actors::trail::{EntryProof, Key};
use clap::Args;
use serde::Deserialize;

use super::data_dir;
use crate::cli::exit::Exit;
use crate::cli::{Global, print};
use crate::ed25519::verify;
use crate::journal::JournalReader;

/// A proof has some thirty hashes and two blocks; more is none.
const MAX_PROOF_BYTES: u64 = 1 << 20;

/// The first that has no date of four digits.
const YEAR_10000_MS: u64 = 253_402_300_800_000;

#[derive(Debug, Args)]
pub(crate) struct ProofCommand {
    /// The entry's number
    entry: u64,
    /// The node's data folder. Otherwise the configured one
    data_dir: Option<PathBuf>,
}

impl ProofCommand {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let data_dir = data_dir(self.data_dir.as_deref(), global)?;
        let reader = JournalReader::open(&data_dir)?;
        let proof = reader.entry_proof(self.entry)?;
        let last = reader.head()?.entry;
        let proof = proof.with_context(|| {
            format!("{}: there is no entry {}: they go from 1 to {last}", data_dir.display(), self.entry)
        })?;
        print(&format!("{}\n", serde_json::to_string_pretty(&proof)?))?;
        Ok(Exit::Ok)
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckProofCommand {
    /// What `bzzz audit proof` printed; - for standard input
    file: PathBuf,
    /// The node's audit key, from a source that you trust: its people, its pull requests, its peers
    #[arg(long, value_name = "KEY")]
    key: Key,
}

/// What a person wants to know of an entry.
#[derive(Deserialize)]
struct Entry {
    seq: u64,
    at: u64,
    node: String,
    task: Option<String>,
    kind: String,
}

impl CheckProofCommand {
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let shown = self.file.display().to_string();
        let text = self.text().with_context(|| shown.clone())?;
        let proof: EntryProof =
            serde_json::from_str(&text).with_context(|| format!("{shown}: is no proof of an entry"))?;
        let header =
            proof.check(&self.key, &verify).map_err(anyhow::Error::msg).with_context(|| shown.clone())?;
        let entry: Entry = serde_json::from_str(&proof.block)
            .with_context(|| format!("{shown}: what it proves is no entry that is known here"))?;
        // Only the header says which entries are in the segment, and the tree where each is.
        if entry.seq != header.first_entry + proof.index - 1 {
            anyhow::bail!("{shown}: the block {} can't be entry {}", proof.index, entry.seq);
        }
        // Whoever made the proof wrote all of it.
        let at = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(entry.at));
        let at = at
            .filter(|_| entry.at < YEAR_10000_MS)
            .map(|at| humantime::format_rfc3339_millis(at).to_string());
        let text = format!(
            "entry {} ({}{}), recorded {} by node {:?}, stands in the trail of {}\nat {}\n{}\n",
            entry.seq,
            entry.kind,
            entry.task.map(|task| format!(" of {task}")).unwrap_or_default(),
            at.unwrap_or_else(|| format!("{} ms after 1970", entry.at)),
            entry.node,
            self.key,
            proof.head.mark,
            proof.block,
        );
        print(&printable(&text))?;
        Ok(Exit::Ok)
    }

    fn text(&self) -> io::Result<String> {
        let mut text = String::new();
        let mut read = |from: &mut dyn Read| from.take(MAX_PROOF_BYTES).read_to_string(&mut text);
        match self.file.as_os_str() == "-" {
            true => read(&mut io::stdin().lock())?,
            false => read(&mut fs::File::open(&self.file)?)?,
        };
        Ok(text)
    }
}
