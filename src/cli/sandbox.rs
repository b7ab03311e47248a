//! `bzzz sandbox`: a look into a sandbox of a node that runs on this machine. The node knows nothing of it.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};

use anyhow::{Context, bail};
use bzzz_actors::ports::sandbox::{Purpose, SandboxError};
use bzzz_actors::task::{Epoch, TaskId, printable};
use clap::{Args, Subcommand};
use futures_util::StreamExt;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::docker::{Piece, Standing, Visit, Visitor};
use crate::journal::JournalReader;
use crate::settings::{SandboxBackend, Settings};

use super::Global;
use super::exit::Exit;

/// Pieces of what is typed that wait to be sent.
const TYPED_QUEUE: usize = 16;

/// As a shell has it, for a command that ended nobody knows how.
const STATUS_UNKNOWN: u8 = 255;

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// A shell in the sandbox (one of Docker's) where a task is worked on, as the user of its commands. What is in the sandbox is anybody's
    /// work: this terminal shows it as it is, with whatever escape sequences it holds. A command of the model's that is killed, or
    /// leaves processes behind, takes everything in the sandbox with it, the shell too
    Shell {
        #[command(flatten)]
        which: Which,
    },
    /// Run one command there, without input. Its output is shown without escape sequences on a terminal, and as it is
    /// anywhere else. A command of the model's that is killed, or leaves processes behind, takes it along
    Exec {
        #[command(flatten)]
        which: Which,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// owner/name#number
    task: TaskId,
    /// The sandbox where the checks run, not that of the work
    #[arg(long)]
    check: bool,
    /// The epoch of the task's lease, where sandboxes of several stand
    #[arg(long)]
    epoch: Option<u64>,
}

impl SandboxCommand {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let settings = global.load()?.settings;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("the runtime can't be started")?;
        runtime.block_on(async {
            match self {
                Self::Shell { which } => shell(&settings, which).await,
                Self::Exec { which, command } => exec(&settings, which, command).await,
            }
        })
    }
}

async fn find(settings: &Settings, which: &Which) -> anyhow::Result<(Visitor, Standing)> {
    if settings.sandbox.backend == SandboxBackend::Bubblewrap {
        bail!("sandbox.backend is \"bubblewrap\": only Docker's sandboxes can be looked into");
    }
    let data_dir = &settings.node.data_dir;
    // The labels hold it so. Without the folder there is no node, which the journal's absence says.
    let home = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.clone());
    let daemon = &settings.sandbox;
    let visitor =
        Visitor::connect(daemon.docker_host.as_deref(), daemon.docker_certificates.as_deref()).await?;
    let standing = visitor.standing(&settings.node.name, &home).await?;
    match choose(standing, which) {
        Ok(found) => Ok((visitor, found)),
        Err(problem) => {
            let journal = JournalReader::open(data_dir)?;
            if !journal.tasks()?.contains(&which.task) {
                bail!("this node's journal has no task {}; `bzzz tasks list` shows those it has", which.task);
            }
            bail!(problem)
        }
    }
}

fn choose(standing: Vec<Standing>, which: &Which) -> Result<Standing, String> {
    let purpose = if which.check { Purpose::Check } else { Purpose::Work };
    let is_asked = |it: &Standing| {
        it.spec.task == which.task
            && it.spec.purpose == purpose
            && which.epoch.is_none_or(|epoch| it.spec.epoch == Epoch(epoch))
    };
    let mut found: Vec<_> = standing.into_iter().filter(is_asked).collect();
    match (found.pop(), &found[..]) {
        (Some(only), []) => Ok(only),
        (Some(last), others) => {
            let mut epochs: Vec<_> = others.iter().chain([&last]).map(|it| it.spec.epoch.0).collect();
            epochs.sort_unstable();
            let epochs: Vec<_> = epochs.iter().map(ToString::to_string).collect();
            Err(format!(
                "{} has sandboxes of several epochs: say which one with --epoch {}",
                which.task,
                epochs.join(", or ")
            ))
        }
        (None, _) => Err(format!(
            "no {} sandbox of {} runs on this machine now, of Docker's, which alone can be looked into; \
             `bzzz tasks list` shows what the task is at",
            purpose.as_str(),
            which.task
        )),
    }
}

async fn exec(settings: &Settings, which: &Which, command: &[String]) -> anyhow::Result<Exit> {
    let (visitor, found) = find(settings, which).await?;
    let mut visit = visitor.visit(&found.name, command.to_vec(), false).await?;
    let (out_is_terminal, err_is_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
    while let Some(piece) = visit.output.next().await {
        let written = match piece? {
            Piece::Out(bytes) => write(&mut io::stdout(), &bytes, out_is_terminal),
            Piece::Err(bytes) => write(&mut io::stderr(), &bytes, err_is_terminal),
        };
        match written {
            // A reader that went away early (`| head`) is no error.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Ok),
            other => other?,
        }
    }
    Ok(status_of(&visit).await)
}

/// On a terminal, without what would steer it.
fn write(to: &mut impl Write, bytes: &[u8], is_terminal: bool) -> io::Result<()> {
    match is_terminal {
        true => to.write_all(printable(&String::from_utf8_lossy(bytes)).as_bytes())?,
        false => to.write_all(bytes)?,
    }
    to.flush()
}

async fn status_of(visit: &Visit) -> Exit {
    let status = visit.status().await.and_then(|status| u8::try_from(status).ok());
    Exit::OfCommand(status.unwrap_or(STATUS_UNKNOWN))
}

async fn shell(settings: &Settings, which: &Which) -> anyhow::Result<Exit> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        bail!("a shell needs a terminal: use `bzzz sandbox exec {} -- COMMAND`", which.task);
    }
    let (visitor, found) = find(settings, which).await?;
    let mut resized = signal(SignalKind::window_change()).context("signals can't be listened to")?;
    let visit = visitor.visit(&found.name, vec!["bash".to_owned()], true).await?;
    eprintln!(
        "in {}: a command of the model's that is killed, or leaves processes behind, takes this shell with it; what you \
         change becomes part of the work",
        found.name
    );
    let raw = RawTerminal::enter().context("the terminal can't be made raw")?;
    let ended = converse(visit, &mut resized).await;
    drop(raw);
    Ok(ended?)
}

async fn converse(mut visit: Visit, resized: &mut tokio::signal::unix::Signal) -> Result<Exit, SandboxError> {
    let lost = |error: io::Error| SandboxError::Lost(error.to_string());
    let mut typed = typed();
    tell_size(&visit).await;
    loop {
        tokio::select! {
            piece = visit.output.next() => match piece {
                Some(Ok(Piece::Out(bytes) | Piece::Err(bytes))) => {
                    write(&mut io::stdout(), &bytes, false).map_err(lost)?;
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(status_of(&visit).await),
            },
            Some(bytes) = typed.recv() => {
                // A shell that has ended reads no more: its output's end says so.
                let _ = visit.input.write_all(&bytes).await;
                let _ = visit.input.flush().await;
            }
            _ = resized.recv() => tell_size(&visit).await,
        }
    }
}

async fn tell_size(visit: &Visit) {
    if let Ok(size) = tcgetwinsize(io::stdout()) {
        visit.resize(size.ws_col, size.ws_row).await;
    }
}

/// What is typed, read on a thread that nobody waits for: a read of a terminal can't be given up.
fn typed() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(TYPED_QUEUE);
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = io::stdin().read(&mut buffer) {
            if sender.blocking_send(buffer[..read].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Every key goes to the sandbox, Ctrl-C too. As it was before, when this is dropped.
struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use bzzz_actors::ports::sandbox::SandboxSpec;

    use super::*;

    fn standing(task: &str, epoch: u64, purpose: Purpose) -> Standing {
        let spec = SandboxSpec {
            node: "n".parse().unwrap(),
            task: task.parse().unwrap(),
            epoch: Epoch(epoch),
            purpose,
        };
        Standing { name: format!("{task} {epoch} {}", purpose.as_str()), spec }
    }

    fn which(task: &str, epoch: Option<u64>, check: bool) -> Which {
        Which { task: task.parse().unwrap(), check, epoch }
    }

    #[test]
    fn the_one_that_is_asked_for_is_found() {
        let all = || {
            vec![
                standing("a/b#1", 1, Purpose::Work),
                standing("a/b#1", 1, Purpose::Check),
                standing("a/b#2", 1, Purpose::Work),
                standing("a/b#2", 3, Purpose::Work),
            ]
        };
        let name = |which| choose(all(), &which).map(|found| found.name);
        assert_eq!(name(which("a/b#1", None, false)).unwrap(), "a/b#1 1 work");
        assert_eq!(name(which("a/b#1", None, true)).unwrap(), "a/b#1 1 check");
        assert_eq!(name(which("a/b#2", Some(3), false)).unwrap(), "a/b#2 3 work");
        let several = name(which("a/b#2", None, false)).unwrap_err();
        assert!(several.contains("--epoch 1, or 3"), "{several}");
        let none = name(which("a/b#3", None, true)).unwrap_err();
        assert!(none.contains("no check sandbox of a/b#3 runs"), "{none}");
    }

    #[test]
    fn a_terminal_is_not_steered() {
        let written = |is_terminal| {
            let mut bytes = Vec::new();
            write(&mut bytes, b"a\x1b[2Jb\n", is_terminal).unwrap();
            bytes
        };
        assert_eq!(written(false), b"a\x1b[2Jb\n");
        assert!(!written(true).contains(&0x1b));
    }
}
