//! The commands of `bzzz`. Results go to standard output, messages to standard error; [`exit::Exit`] lists the exit
//! statuses.

mod apiary;
mod audit;
mod claims;
mod config;
#[cfg(feature = "crash-points")]
mod crash;
mod demo;
mod doctor;
mod eval;
pub mod exit;
mod peers;
mod run;
mod sandbox;
mod swarm;
mod system;
mod table;
mod tasks;
mod telling;
mod watchdog;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bzzz_actors::task::printable;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::settings::{Loaded, Settings, Sources};
use exit::Exit;

#[derive(Debug, Parser)]
#[command(name = "bzzz", version, about = "Turns labelled issues into pull requests, with a local model")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

// The options that every command takes, at any place in the command line. Not by clap's own "global": of a repeated
// option that keeps only the occurrences behind the last command word. (No doc comment: clap would show it.)
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration file. Otherwise bzzz.toml in this folder, else ~/.config/bzzz/bzzz.toml, if there is one
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// A setting for this run, such as --set node.max_tasks=1; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl Global {
    fn and(self, further: Self) -> Self {
        Self { config: further.config.or(self.config), set: [self.set, further.set].concat() }
    }

    /// Loads the configuration. Its warnings go to standard error.
    pub(crate) fn load(&self) -> anyhow::Result<Loaded> {
        let loaded = Settings::load(&Sources::of_process(self.config.clone(), self.set.clone())?)?;
        for warning in &loaded.warnings {
            let _ = writeln!(io::stderr(), "warning: {warning}");
        }
        Ok(loaded)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the node: watch the repositories and turn labelled issues into pull requests
    Run(run::RunCommand),
    /// Look whether everything that a node needs is there, and say what to do where it is not
    Doctor,
    /// Show the main job on stand-ins: issues become pull requests, by nodes that share them
    Demo(demo::DemoCommand),
    /// Let models work on issues whose solution is known, and tell how well they do
    Eval(eval::EvalCommand),
    /// Keep stand-ins for GitHub, Hive, N8N and Ollama up on this machine
    Apiary(apiary::ApiaryCommand),
    /// Look at the tasks of this node
    #[command(subcommand)]
    Tasks(tasks::TasksCommand),
    /// Show the other nodes, as the node of this machine sees them, and the addresses by which they reach it
    Peers(peers::PeersCommand),
    /// Prepare a swarm of nodes
    #[command(subcommand)]
    Swarm(swarm::SwarmCommand),
    /// Show who holds which task, as the git server has it
    Claims(claims::ClaimsCommand),
    /// Look into a sandbox of the node that runs on this machine
    #[command(subcommand)]
    Sandbox(sandbox::SandboxCommand),
    /// Check, show or begin the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look into the record of what a node did
    #[command(subcommand)]
    Audit(audit::AuditCommand),
}

impl Command {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Self::Run(command) => run::run(command, global),
            Self::Doctor => doctor::run(global),
            Self::Demo(command) => command.run(global),
            Self::Eval(command) => command.run(global),
            Self::Apiary(command) => command.run(global),
            Self::Tasks(command) => command.run(global),
            Self::Peers(command) => command.run(global),
            Self::Swarm(command) => command.run(),
            Self::Claims(command) => command.run(global),
            Self::Sandbox(command) => command.run(global),
            Self::Config(command) => command.run(global),
            Self::Audit(command) => command.run(global),
        }
    }
}

impl Cli {
    fn parse_from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        fn with_options(command: clap::Command) -> clap::Command {
            Global::augment_args(command).mut_subcommands(with_options)
        }
        let matches = Self::command().mut_subcommands(with_options).try_get_matches_from(args)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        let mut level = matches.subcommand();
        while let Some((_, inner)) = level {
            cli.global = cli.global.and(Global::from_arg_matches(inner)?);
            level = inner.subcommand();
        }
        Ok(cli)
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::parse_from_args(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if is_answer { Exit::Ok } else { Exit::Usage }.into();
        }
    };
    match cli.command.run(&cli.global) {
        Ok(exit) => exit,
        Err(error) => {
            // It may quote what a forge, a repository or a journal said.
            let shown = printable(&format!("{error:#}"));
            let _ = writeln!(io::stderr(), "error: {shown}");
            Exit::of(&error)
        }
    }
    .into()
}

/// Writes a command's result. A reader that went away early (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_on(text).map(|_| ())
}

/// The same of a command that goes on: whether anybody still reads.
pub(crate) fn print_on(text: &str) -> anyhow::Result<bool> {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Global {
        Cli::parse_from_args(line.split(' ').map(OsString::from)).unwrap().global
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_count_wherever_they_stand() {
        let global = parse("bzzz --set a=1 --config x config --set b=2 check --set c=3 --set d=4");
        assert_eq!(global.set, ["a=1", "b=2", "c=3", "d=4"]);
        assert_eq!(global.config, Some("x".into()));
        assert_eq!(parse("bzzz --config x config show --config y").config, Some("y".into()));
    }
}
