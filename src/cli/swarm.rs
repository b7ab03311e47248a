//! `bzzz swarm`: what a swarm needs before its nodes start.

use std::path::PathBuf;

use clap::Subcommand;

use super::exit::Exit;
use super::print;
use crate::swarm::preshared;

#[derive(Debug, Subcommand)]
pub(super) enum SwarmCommand {
    /// Make a key that all nodes of a swarm share, and say what to put where
    Key {
        /// The file to write; one that is there is never replaced
        #[arg(long, value_name = "FILE", default_value = "swarm.key")]
        output: PathBuf,
    },
}

impl SwarmCommand {
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        match self {
            Self::Key { output } => key(output),
        }
    }
}

fn key(output: &PathBuf) -> anyhow::Result<Exit> {
    let key = preshared::make(output)?;
    let file = std::path::absolute(output).unwrap_or_else(|_| output.clone());
    let fingerprint = preshared::fingerprint(&key);
    print(&format!(
        "wrote {file}, fingerprint {fingerprint}\n\
         \n\
         On each node of the swarm:\n\
         \x20 1. copy the file there by a safe way, readable for the node's user alone:\n\
         \x20      scp -p {file} NODE:/etc/bzzz/swarm.key\n\
         \x20 2. name it in the configuration:\n\
         \x20      [swarm]\n\
         \x20      key_file = \"/etc/bzzz/swarm.key\"\n\
         \x20 3. start the node anew. Nodes without the key, or with another, are strangers from then on.\n\
         \n\
         Whoever has the file may join: to shut one out, list the ids of the others in swarm.allow, or make a new key.\n\
         With a key the nodes speak TCP only: QUIC addresses in swarm.listen are left out.\n",
        file = file.display(),
    ))?;
    Ok(Exit::Ok)
}
