//! `bzzz audit`: the record of what a node did, and whether it is still what was recorded.

use std::path::PathBuf;

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
    },
}

impl AuditCommand {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let Self::Verify { data_dir } = self;
        let data_dir = match data_dir {
            Some(data_dir) => data_dir.clone(),
            None => global.load()?.settings.node.data_dir,
        };
        let report = JournalReader::open(&data_dir)?.verify()?;
        print(&format!(
            "{}: {} entries and {} outputs are what was recorded; head {}\n",
            data_dir.display(),
            report.entries,
            report.blobs,
            report.head_hash
        ))?;
        Ok(Exit::Ok)
    }
}
