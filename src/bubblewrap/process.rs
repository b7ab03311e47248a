//! The processes of one sandbox as this host sees them: bubblewrap, which watches, and below it sandboxd, the first
//! of the sandbox's own.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use bzzz_actors::ports::sandbox::SandboxError;
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::arguments::{
    ABSENT_CALLS_FD, ALLOWED_CALLS_FD, FIRST_FILE_FD, INFO_FD, SANDBOXD_FD, VISITS_FD, arguments, files,
};
use super::options::BubblewrapOptions;
use crate::sandbox::Streams;
use crate::sandbox::program::SANDBOXD;

/// From the start of bubblewrap to its word that the sandbox's namespaces are there. It takes milliseconds.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(20);

/// From the kill of a sandbox's first process to the end of all. The kernel waits for each of them.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a sandbox that has closed its streams may take to be dead and heard out, so that its end can be told.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// The most of what bubblewrap says about a sandbox: some numbers.
const MAX_INFO_BYTES: u64 = 4096;

/// How much of what bubblewrap and sandboxd say on their standard error is kept.
const MAX_LAST_WORDS_BYTES: usize = 1000;

/// Where a node that is root takes the users from that its sandboxes run as on the host. No user database, subordinate
/// range or container manager that is known gives these out, so nothing on the host is theirs.
const FIRST_HOST_USER: u32 = 0x7000_0000;

/// A range, so that two sandboxes hardly ever are the same user.
const HOST_USERS: u32 = 0x0100_0000;

/// What was said on standard error so far.
#[derive(Default)]
struct LastWords {
    text: StdMutex<String>,
    /// Cancelled when nobody can say more.
    all_said: CancellationToken,
}

pub(super) struct Process {
    /// Bubblewrap. It ends when sandboxd has ended, and sandboxd is killed when it ends.
    watcher: Mutex<Child>,
    sandboxd: OwnedFd,
    /// Sandboxd's number on this host.
    pub(super) id: Pid,
    last_words: Arc<LastWords>,
}

/// What a sandbox is started with.
pub(super) struct Start {
    pub(super) program: PathBuf,
    pub(super) filters: Arc<[Vec<u8>]>,
    pub(super) options: BubblewrapOptions,
    /// Who it is on this host, where that is not who the node is.
    pub(super) user: Option<u32>,
    /// The folder of the network proxy's socket.
    pub(super) network: Option<PathBuf>,
    /// The socket by which a person may look in.
    pub(super) visits: Option<OwnedFd>,
}

impl Process {
    /// Starts a sandbox. It ends with the thread that polls this: one that lives as long as the node. To be polled to its
    /// end: bubblewrap's child asks to die with it only after having waited for it, and one that is killed before would
    /// leave a process that waits for ever. (The same few milliseconds of a node that is killed leave one; nothing of a
    /// task is in it.)
    ///
    /// # Errors
    /// `Unavailable` when this host has no room for it; `Misconfigured` when bubblewrap can't make it.
    pub(super) async fn start(start: Start) -> Result<(Self, Streams), SandboxError> {
        let (info, info_end) = std::io::pipe().map_err(no_room)?;
        let command = command(start, info_end.into()).map_err(no_room)?;
        // The command holds the other end of the pipe: it goes with it.
        let mut watcher = Command::from(command).kill_on_drop(true).spawn().map_err(no_room)?;
        let last_words = Arc::new(LastWords::default());
        let streams = match (watcher.stdout.take(), watcher.stdin.take(), watcher.stderr.take()) {
            (Some(reader), Some(writer), Some(said)) => {
                tokio::spawn(listen(said, last_words.clone()));
                Streams::new(reader, writer)
            }
            _ => return Err(no_room("it has no streams")),
        };
        let info = tokio::net::unix::pipe::Receiver::from_owned_fd(info.into()).map_err(no_room)?;
        let id = tokio::time::timeout(START_TIMEOUT, child_of(info)).await.ok().flatten();
        let sandboxd = id.and_then(|id| rustix::process::pidfd_open(id, PidfdFlags::empty()).ok());
        match id.zip(sandboxd) {
            Some((id, sandboxd)) => {
                Ok((Self { watcher: Mutex::new(watcher), sandboxd, id, last_words }, streams))
            }
            None => {
                let _ = watcher.start_kill();
                let _ = tokio::time::timeout(END_TIMEOUT, watcher.wait()).await;
                Err(SandboxError::Misconfigured(format!(
                    "bubblewrap can't make a sandbox here: {}",
                    last_words.heard().await
                )))
            }
        }
    }

    /// The user that it is on this host.
    pub(super) fn host_user(&self) -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id.as_raw_nonzero())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    pub(super) async fn has_ended(&self) -> bool {
        !matches!(self.watcher.lock().await.try_wait(), Ok(None))
    }

    /// Kills everything in it; it is gone then.
    pub(super) async fn end(&self) -> Result<(), SandboxError> {
        // It fails only when it is dead already. The kernel kills the others with it, and it has ended when they have.
        let _ = rustix::process::pidfd_send_signal(&self.sandboxd, Signal::KILL);
        let mut watcher = self.watcher.lock().await;
        match tokio::time::timeout(END_TIMEOUT, watcher.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(SandboxError::Unavailable(format!("a sandbox's end is not seen: {error}"))),
            Err(_) => Err(SandboxError::Unavailable(format!("a sandbox does not end in {END_TIMEOUT:?}"))),
        }
    }

    /// What can be said of it when it is lost.
    pub(super) async fn obituary(&self) -> String {
        let mut watcher = self.watcher.lock().await;
        let state = match tokio::time::timeout(STATUS_TIMEOUT, watcher.wait()).await {
            Ok(Ok(status)) => ended(status),
            _ => "the sandbox is running".to_owned(),
        };
        match self.last_words.heard().await {
            said if said.is_empty() => state,
            said => format!("{state}; its last words: {said}"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Bubblewrap, which is killed next, may not have told sandboxd yet to die with it.
        let _ = rustix::process::pidfd_send_signal(&self.sandboxd, Signal::KILL);
    }
}

/// Bubblewrap tells as its own the status of sandboxd, or 128 and the signal that killed it.
fn ended(status: ExitStatus) -> String {
    const KILLED: i32 = 128;
    match status.code() {
        Some(code) if code > KILLED => format!("the sandbox was killed by signal {}", code - KILLED),
        Some(code) => format!("the sandbox ended with status {code}"),
        None => format!("bubblewrap was killed ({status})"),
    }
}

fn no_room(why: impl std::fmt::Display) -> SandboxError {
    SandboxError::Unavailable(format!("bubblewrap can't be started: {why}"))
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Who a new sandbox is to be on this host, if the node is root. Inside, a user is what the host has for it: as root it
/// could read root's files, change what the kernel lets root change, and start processes without a limit.
///
/// # Errors
/// `Unavailable` when the kernel gives no random number.
pub(super) fn new_user() -> Result<Option<u32>, SandboxError> {
    if !is_root() {
        return Ok(None);
    }
    let random = getrandom::u32().map_err(no_room)?;
    Ok(Some(FIRST_HOST_USER + random % HOST_USERS))
}

fn command(start: Start, info: OwnedFd) -> std::io::Result<std::process::Command> {
    let mut mappings = vec![
        FdMapping { parent_fd: info, child_fd: INFO_FD },
        FdMapping { parent_fd: memory_file(SANDBOXD)?, child_fd: SANDBOXD_FD },
    ];
    for (filter, child_fd) in start.filters.iter().zip([ALLOWED_CALLS_FD, ABSENT_CALLS_FD]) {
        mappings.push(FdMapping { parent_fd: memory_file(filter)?, child_fd });
    }
    for ((_, content), child_fd) in files().iter().zip(FIRST_FILE_FD..) {
        mappings.push(FdMapping { parent_fd: memory_file(content.as_bytes())?, child_fd });
    }
    let mut command = std::process::Command::new(&start.program);
    let arguments = arguments(&start.options, start.network.as_deref(), start.visits.is_some());
    command.args(arguments).env_clear().current_dir("/");
    // The node keeps none: when sandboxd ends, nobody listens.
    mappings.extend(start.visits.map(|parent_fd| FdMapping { parent_fd, child_fd: VISITS_FD }));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.fd_mappings(mappings).map_err(std::io::Error::other)?;
    if let Some(user) = start.user {
        command.uid(user).gid(user);
    }
    Ok(command)
}

/// A file without a name that is read from its beginning.
fn memory_file(content: &[u8]) -> std::io::Result<OwnedFd> {
    let descriptor = rustix::fs::memfd_create("bzzz", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(descriptor);
    file.write_all(content)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file.into())
}

/// Sandboxd's number on this host, as bubblewrap says it; `None` when it ends before.
async fn child_of(info: impl AsyncRead + Unpin) -> Option<Pid> {
    let mut text = Vec::new();
    info.take(MAX_INFO_BYTES).read_to_end(&mut text).await.ok()?;
    let info: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Pid::from_raw(i32::try_from(info.get("child-pid")?.as_i64()?).ok()?)
}

/// Keeps the first of what is said, and reads the rest so that nobody who says more is held up.
async fn listen(mut said: impl AsyncRead + Unpin, last_words: Arc<LastWords>) {
    let _all_said = last_words.all_said.clone().drop_guard();
    let mut buffer = [0; MAX_LAST_WORDS_BYTES];
    while let Ok(read @ 1..) = said.read(&mut buffer).await {
        if let Ok(mut words) = last_words.text.lock() {
            words.push_str(&bzzz_actors::task::printable(&String::from_utf8_lossy(&buffer[..read])));
            let end = words.floor_char_boundary(MAX_LAST_WORDS_BYTES);
            words.truncate(end);
        }
    }
}

impl LastWords {
    /// All of it, when nobody is left to say more; waits a moment for that.
    async fn heard(&self) -> String {
        let _ = tokio::time::timeout(STATUS_TIMEOUT, self.all_said.cancelled()).await;
        self.text.lock().map(|words| words.trim().to_owned()).unwrap_or_default()
    }
}
