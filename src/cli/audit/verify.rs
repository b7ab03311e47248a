//! `bzzz audit verify`.

use std::path::{Path, PathBuf};

use bzzz_actors::trail::Key;
use clap::Args;

use super::data_dir;
use crate::cli::exit::Exit;
use crate::cli::{Global, print};
use crate::journal::{JournalReader, Kept, VerifyReport};
use crate::trail::{ExportReport, is_exported, verify_exported};

#[derive(Debug, Args)]
pub(crate) struct VerifyCommand {
    /// A node's data folder, or a folder that `bzzz audit export` wrote. Otherwise the configured data folder
    folder: Option<PathBuf>,
    /// Also that it still leads to this, as a pull request names it
    #[arg(long, value_name = "ENTRY:HASH or SEGMENT/BLOCKS:ROOT")]
    holds: Option<Kept>,
    /// The audit key by which an exported folder has to be signed. Otherwise the one that it names
    #[arg(long, value_name = "KEY")]
    key: Option<Key>,
}

impl VerifyCommand {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let folder = data_dir(self.folder.as_deref(), global)?;
        let text = match !folder.join("journal.db").exists() && is_exported(&folder) {
            true => self.exported(&folder)?,
            false => self.journal(&folder)?,
        };
        print(&text)?;
        Ok(Exit::Ok)
    }

    fn journal(&self, folder: &Path) -> anyhow::Result<String> {
        let reader = JournalReader::open(folder)?;
        let report = match &self.holds {
            Some(kept) => reader.verify_holding(kept)?,
            None => reader.verify()?,
        };
        let VerifyReport { entries, head_hash, blobs, trail } = report;
        if let Some(key) = self.key.filter(|key| *key != trail.key) {
            anyhow::bail!("{}: the audit key is {} and not {key}", folder.display(), trail.key);
        }
        let holds = match &self.holds {
            Some(Kept::Entry(kept)) => format!("; entry {} has the hash {}", kept.entry, kept.hash),
            Some(Kept::Mark(kept)) => format!("; the trail leads to {kept}"),
            None => String::new(),
        };
        let behind = match trail.behind {
            0 => String::new(),
            behind => format!(", but for the last {behind} blocks, which the node has still to write"),
        };
        Ok(format!(
            "{}: {entries} entries and {blobs} outputs are what was recorded; head {head_hash}{holds}\n\
             trail: {} of the audit key {} at {}, whole{behind}\n",
            folder.display(),
            counted(trail.segments),
            trail.key,
            trail.mark,
        ))
    }

    fn exported(&self, folder: &Path) -> anyhow::Result<String> {
        if self.holds.is_some() {
            anyhow::bail!("--holds needs the data folder: an exported trail has no earlier roots");
        }
        let report = verify_exported(folder, self.key.as_ref())?;
        let ExportReport { key, node, segments, first_entry, last_entry, mark } = report;
        let word = match self.key {
            Some(_) => "",
            None => ", which the trail itself names: compare it with what the node's people or its peers say",
        };
        Ok(format!(
            "{}: entries {first_entry} to {last_entry} of node {node:?} are what was signed; {} at {mark}\n\
             audit key {key}{word}\n",
            folder.display(),
            counted(segments),
        ))
    }
}

fn counted(segments: u64) -> String {
    match segments {
        1 => "1 segment".to_owned(),
        segments => format!("{segments} segments"),
    }
}
