//! `bzzz audit`: the record of what a node did, and whether it is still what was recorded.

use std::path::PathBuf;

use bzzz_actors::task::JournalHead;
use clap::Subcommand;

use super::exit::Exit;
use super::{Global, print};
use crate::journal::JournalReader;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check every entry of a journal, and every output that it names, against the chain of hashes. A node may be running
    Verify {
        /// The node's data folder. Otherwise the configured one
        data_dir: Option<PathBuf>,
        /// Also that it still has this entry with this hash, as a pull request names them
        #[arg(long, value_name = "ENTRY:HASH")]
        holds: Option<JournalHead>,
    },
}

impl AuditCommand {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let Self::Verify { data_dir, holds } = self;
        let data_dir = match data_dir {
            Some(data_dir) => data_dir.clone(),
            None => global.load()?.settings.node.data_dir,
        };
        let reader = JournalReader::open(&data_dir)?;
        let report = match holds {
            Some(kept) => reader.verify_holding(kept)?,
            None => reader.verify()?,
        };
        print(&format!(
            "{}: {} entries and {} outputs are what was recorded; head {}{}\n",
            data_dir.display(),
            report.entries,
            report.blobs,
            report.head_hash,
            holds
                .as_ref()
                .map(|kept| format!("; entry {} has the hash {}", kept.entry, kept.hash))
                .unwrap_or_default()
        ))?;
        Ok(Exit::Ok)
    }
}
