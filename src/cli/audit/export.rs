//! `bzzz audit export`.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::data_dir;
use crate::cli::exit::Exit;
use crate::cli::{Global, print};
use crate::journal::JournalReader;
use crate::trail::export;

#[derive(Debug, Args)]
pub(crate) struct ExportCommand {
    /// Where to: a folder, in which each segment gets one; with --json a file, or - for standard output
    to: PathBuf,
    /// The node's data folder. Otherwise the configured one
    data_dir: Option<PathBuf>,
    /// A line of JSON for each entry, whole, with its hash
    #[arg(long)]
    json: bool,
}

impl ExportCommand {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let data_dir = data_dir(self.data_dir.as_deref(), global)?;
        let reader = JournalReader::open(&data_dir)?;
        if self.json {
            return self.lines(&reader);
        }
        let folders = export(&reader, &self.to)?;
        for folder in &folders {
            print(&format!("{}\n", folder.display()))?;
        }
        Ok(Exit::Ok)
    }

    fn lines(&self, reader: &JournalReader) -> anyhow::Result<Exit> {
        if self.to.as_os_str() == "-" {
            return match reader.write_lines(&mut io::stdout().lock()) {
                // Whoever reads it has enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
                written => Ok(written.map(|()| Exit::Ok)?),
            };
        }
        let write = || {
            let mut file = BufWriter::new(File::create_new(&self.to)?);
            reader.write_lines(&mut file)?;
            file.get_ref().sync_all()
        };
        write().with_context(|| self.to.display().to_string())?;
        Ok(Exit::Ok)
    }
}
