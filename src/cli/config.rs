//! `bzzz config`: what is in force, what is wrong with it, and a file to begin with.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;

use super::exit::Exit;
use super::{Global, print};
use crate::settings::{SettingsErrors, starter_file};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say everything that is wrong with the configuration, or that nothing is
    Check,
    /// Show the configuration in force as TOML, secrets hidden
    Show {
        /// Behind each value: where it came from
        #[arg(long)]
        origin: bool,
    },
    /// Write a configuration file with every setting in it, explained
    Init {
        #[arg(default_value = "bzzz.toml")]
        path: PathBuf,
        /// Replace the file if there is one
        #[arg(long)]
        force: bool,
    },
}

impl ConfigCommand {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Self::Check => check(global),
            Self::Show { origin } => {
                print(&global.load()?.to_toml(*origin)?)?;
                Ok(Exit::Ok)
            }
            Self::Init { path, force } => init(path, *force),
        }
    }
}

fn check(global: &Global) -> anyhow::Result<Exit> {
    let loaded = global.load()?;
    let missing = loaded.missing_to_run();
    if !missing.is_empty() {
        return Err(SettingsErrors(missing).into());
    }
    let place = loaded.file.map_or("no configuration file".to_owned(), |file| file.display().to_string());
    print(&format!("the configuration is good ({place})\n"))?;
    Ok(Exit::Ok)
}

fn init(path: &Path, force: bool) -> anyhow::Result<Exit> {
    let mut options = OpenOptions::new();
    // Only the user's own to read: people write tokens into it.
    options.write(true).mode(0o600);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(starter_file().as_bytes()));
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is there already: --force replaces it", path.display())
        }
        written => written.with_context(|| format!("can't write {}", path.display()))?,
    }
    print(&format!("wrote {}; set forge.token_file and forge.repositories in it\n", path.display()))?;
    Ok(Exit::Ok)
}
