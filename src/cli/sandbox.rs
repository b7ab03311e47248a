//! `bzzz sandbox`: a look into a sandbox of a node that runs on this machine. The node knows nothing of it.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context, bail};
use bzzz_actors::ports::sandbox::{Purpose, SandboxError};
use bzzz_actors::task::{Epoch, TaskId, printable};
use clap::{Args, Subcommand};
use futures_util::StreamExt;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::bubblewrap::BubblewrapVisitor;
use crate::docker::DockerVisitor;
use crate::journal::JournalReader;
use crate::node::temp_folder;
use crate::sandbox::{Piece, Standing, Visit, VisitInput, VisitProcess, Visitor};
use crate::settings::{SandboxBackend, Settings};

use super::Global;
use super::exit::Exit;

/// Pieces of what is typed that wait to be sent.
const TYPED_QUEUE: usize = 16;

/// As a shell has it, for a command that ended nobody knows how.
const STATUS_UNKNOWN: u8 = 255;

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// A shell in the sandbox where a task is worked on, as the user of its commands. What is in the sandbox is anybody's
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

type Found = (Arc<dyn Visitor>, Standing);

/// By which the node's sandboxes can be seen: that of the backend that is set, or of each that the node may have found.
async fn visitors(settings: &Settings) -> Vec<Result<Arc<dyn Visitor>, SandboxError>> {
    let bubblewrap = || BubblewrapVisitor::new(settings.node.name.clone(), &temp_folder(settings));
    match settings.sandbox.backend {
        SandboxBackend::Docker => vec![dockers(settings).await],
        SandboxBackend::Bubblewrap => vec![Ok(Arc::new(bubblewrap()))],
        SandboxBackend::Auto => vec![dockers(settings).await, Ok(Arc::new(bubblewrap()))],
    }
}

async fn dockers(settings: &Settings) -> Result<Arc<dyn Visitor>, SandboxError> {
    let data_dir = &settings.node.data_dir;
    // The labels hold it so. Without the folder there is no node, which the journal's absence says.
    let home = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.clone());
    let daemon = &settings.sandbox;
    let (host, certificates) = (daemon.docker_host.as_deref(), daemon.docker_certificates.as_deref());
    Ok(Arc::new(DockerVisitor::connect(host, certificates, settings.node.name.clone(), home).await?))
}

async fn find(settings: &Settings, which: &Which) -> anyhow::Result<Found> {
    let (mut found, mut unseen): (Vec<Found>, Vec<SandboxError>) = Default::default();
    let visitors = visitors(settings).await;
    let all = visitors.len();
    for visitor in visitors {
        let seen = async {
            let visitor = visitor?;
            Ok((visitor.standing().await?, visitor))
        };
        match seen.await {
            Ok((standing, visitor)) => found.extend(standing.into_iter().map(|it| (visitor.clone(), it))),
            Err(problem) => unseen.push(problem),
        }
    }
    let problem = match choose(found, which) {
        Ok(found) => return Ok(found),
        Err(problem) => problem,
    };
    if unseen.len() == all
        && let Some(problem) = unseen.pop()
    {
        return Err(problem.into());
    }
    let journal = JournalReader::open(&settings.node.data_dir)?;
    if !journal.tasks()?.contains(&which.task) {
        bail!("this node's journal has no task {}; `bzzz tasks list` shows those it has", which.task);
    }
    match unseen.first() {
        None => bail!(problem),
        Some(reason) => bail!("{problem}. Not all could be looked for: {reason}"),
    }
}

fn choose<V>(found: Vec<(V, Standing)>, which: &Which) -> Result<(V, Standing), String> {
    let purpose = if which.check { Purpose::Check } else { Purpose::Work };
    let is_asked = |(_, it): &(V, Standing)| {
        it.spec.task == which.task
            && it.spec.purpose == purpose
            && which.epoch.is_none_or(|epoch| it.spec.epoch == Epoch(epoch))
    };
    let mut found: Vec<_> = found.into_iter().filter(is_asked).collect();
    match (found.pop(), &found[..]) {
        (Some(only), []) => Ok(only),
        (Some(last), others) => {
            let mut epochs: Vec<_> = others.iter().chain([&last]).map(|(_, it)| it.spec.epoch.0).collect();
            epochs.sort_unstable();
            let epochs: Vec<_> = epochs.iter().map(ToString::to_string).collect();
            Err(format!(
                "{} has sandboxes of several epochs: say which one with --epoch {}",
                which.task,
                epochs.join(", or ")
            ))
        }
        (None, _) => Err(format!(
            "no {} sandbox of {} runs on this machine now; `bzzz tasks list` shows what the task is at",
            purpose.as_str(),
            which.task
        )),
    }
}

async fn exec(settings: &Settings, which: &Which, command: &[String]) -> anyhow::Result<Exit> {
    let (visitor, found) = find(settings, which).await?;
    let mut visit = visitor.visit(&found, command.to_vec(), false).await?;
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
    Ok(status_of(&*visit.process).await)
}

/// On a terminal, without what would steer it.
fn write(to: &mut impl Write, bytes: &[u8], is_terminal: bool) -> io::Result<()> {
    match is_terminal {
        true => to.write_all(printable(&String::from_utf8_lossy(bytes)).as_bytes())?,
        false => to.write_all(bytes)?,
    }
    to.flush()
}

async fn status_of(process: &dyn VisitProcess) -> Exit {
    Exit::OfCommand(process.status().await.unwrap_or(STATUS_UNKNOWN))
}

async fn shell(settings: &Settings, which: &Which) -> anyhow::Result<Exit> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        bail!("a shell needs a terminal: use `bzzz sandbox exec {} -- COMMAND`", which.task);
    }
    let (visitor, found) = find(settings, which).await?;
    let mut resized = signal(SignalKind::window_change()).context("signals can't be listened to")?;
    let visit = visitor.visit(&found, vec!["bash".to_owned()], true).await?;
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

async fn converse(visit: Visit, resized: &mut tokio::signal::unix::Signal) -> Result<Exit, SandboxError> {
    let lost = |error: io::Error| SandboxError::Lost(error.to_string());
    let Visit { input, mut output, process } = visit;
    // Beside the output: a program that does not read may wait for what it writes to be read.
    let mut typing = pin!(pass_on(typed(), input));
    tell_size(&*process).await;
    loop {
        tokio::select! {
            piece = output.next() => match piece {
                Some(Ok(Piece::Out(bytes) | Piece::Err(bytes))) => {
                    write(&mut io::stdout(), &bytes, false).map_err(lost)?;
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(status_of(&*process).await),
            },
            () = &mut typing => {}
            _ = resized.recv() => tell_size(&*process).await,
        }
    }
}

/// Never returns: a shell that has ended reads no more, and its output's end says so.
async fn pass_on(mut typed: mpsc::Receiver<Vec<u8>>, mut input: VisitInput) {
    while let Some(bytes) = typed.recv().await {
        let _ = input.write_all(&bytes).await;
        let _ = input.flush().await;
    }
    std::future::pending().await
}

async fn tell_size(process: &dyn VisitProcess) {
    if let Ok(size) = tcgetwinsize(io::stdout()) {
        process.resize(size.ws_col, size.ws_row).await;
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

    fn standing(task: &str, epoch: u64, purpose: Purpose) -> ((), Standing) {
        let spec = SandboxSpec {
            node: "n".parse().unwrap(),
            task: task.parse().unwrap(),
            epoch: Epoch(epoch),
            purpose,
        };
        let name = format!("{task} {epoch} {}", purpose.as_str());
        ((), Standing { handle: name.clone(), name, spec })
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
        let name = |which| choose(all(), &which).map(|((), found)| found.name);
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
