//! `bzzz audit`: the record of what a node did, whether it is still what was recorded, and what proves it to others.

mod export;
mod proof;
mod show;
#[cfg(test)]
mod tests;
mod verify;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::Global;
use super::exit::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// What a node did, entry by entry: who decided it, which commands ran and how they ended. A node may be running
    Show(show::ShowCommand),
    /// Check every entry, every output that it names, and the trail against its signatures. A node may be running
    Verify(verify::VerifyCommand),
    /// Write the trail for other software: folders that Hypercore 10 opens, or lines of JSON
    Export(export::ExportCommand),
    /// Print an entry with the proof that it stands in the trail
    Proof(proof::ProofCommand),
    /// Check such a proof, knowing nothing but the node's audit key
    CheckProof(proof::CheckProofCommand),
}

impl AuditCommand {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Self::Show(command) => command.run(global),
            Self::Verify(command) => command.run(global),
            Self::Export(command) => command.run(global),
            Self::Proof(command) => command.run(global),
            Self::CheckProof(command) => command.run(),
        }
    }
}

/// The data folder that was named, or the configured one.
fn data_dir(named: Option<&Path>, global: &Global) -> anyhow::Result<PathBuf> {
    match named {
        Some(named) => Ok(named.to_owned()),
        None => Ok(global.load()?.settings.node.data_dir),
    }
}
