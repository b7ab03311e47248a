//! One running job: its shell, its pipes, and how far it is on its way to the end.
//!
//! ```text
//! Running ── the shell ends, or deadline, Cancel, too much output ──► Sweeping ── no process left ──► Draining ──► over
//! ```
//!
//! Sweeping kills all that the job left running, so a daemon that holds the output open delays nothing; Draining
//! reads what is still in the pipes, which nobody writes to any more.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitStatus};
use sandboxd::{Ending, INPUT_WINDOW_BYTES, Input, Job, MAX_DATA_BYTES, Output, SandboxFrame};
use serde_bytes::ByteBuf;

use super::capture::Capture;
use super::kernel;
use super::outbox::Outbox;
use super::outcomes::Outcome;

const SHELL: &str = "/bin/bash";

/// How much of a streamed job's standard error is kept: enough for the message of the program that failed.
const STDERR_CAP_BYTES: usize = 16 * 1024;

/// How many pieces of an output are read before everything else has its turn again.
const PIECES_A_TURN: usize = 16;

pub(crate) struct RunningJob {
    pub(crate) number: u32,
    shell: Pid,
    started: Instant,
    pub(crate) deadline: Instant,
    /// Set from the moment on when the job's end is decided.
    end: Option<(Ending, Duration)>,
    swept: bool,
    oom_kills_before: u64,
    input: JobInput,
    streamed: Option<Streamed>,
    captured: Option<OwnedFd>,
    capture: Capture,
}

struct JobInput {
    pipe: Option<OwnedFd>,
    waiting: VecDeque<ByteBuf>,
    /// How much of `waiting`'s first piece is written.
    written: usize,
    waiting_bytes: usize,
    is_whole: bool,
    /// Bytes that left `waiting` and that the host was not told of.
    taken: u32,
}

struct Streamed {
    pipe: Option<OwnedFd>,
    left_bytes: u64,
}

impl RunningJob {
    /// Starts the shell. The error is the kernel's reason why there is none.
    pub(crate) fn start(job: &Job, oom_kills_before: u64) -> io::Result<Self> {
        let started = Instant::now();
        let (captured, capture_end) = kernel::output_pipe()?;
        let (streamed, stdout) = match job.output {
            Output::Captured { .. } => (None, capture_end.try_clone()?),
            Output::Streamed { max_bytes } => {
                let (reader, writer) = kernel::output_pipe()?;
                (Some(Streamed { pipe: Some(reader), left_bytes: max_bytes }), writer)
            }
        };
        let (input, stdin) = match job.input {
            Input::Nothing => (None, Stdio::null()),
            Input::Streamed => kernel::input_pipe().map(|(reader, writer)| (Some(writer), reader.into()))?,
        };
        let capture_cap = match job.output {
            Output::Captured { cap_bytes } => cap_bytes as usize,
            Output::Streamed { .. } => STDERR_CAP_BYTES,
        };
        let shell = spawn_shell(job, stdin, stdout.into(), capture_end.into())?;
        Ok(Self {
            number: job.number,
            shell,
            started,
            deadline: started + Duration::from_millis(job.timeout_ms),
            end: None,
            swept: false,
            oom_kills_before,
            input: JobInput {
                pipe: input,
                waiting: VecDeque::new(),
                written: 0,
                waiting_bytes: 0,
                is_whole: false,
                taken: 0,
            },
            streamed,
            captured: Some(captured),
            capture: Capture::new(capture_cap),
        })
    }

    pub(crate) fn is_running(&self) -> bool {
        self.end.is_none()
    }

    /// Decides the job's end, if it is not decided yet. What it started is to be swept now.
    pub(crate) fn end_with(&mut self, ending: Ending) {
        if self.end.is_none() {
            self.end = Some((ending, self.started.elapsed()));
            self.input.close();
        }
    }

    /// A child died: the end of the job, if it is its shell.
    pub(crate) fn child_died(&mut self, child: Pid, status: WaitStatus) {
        if child == self.shell {
            self.end_with(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Ending::Exited { code },
                (None, signal) => Ending::Signalled { signal: signal.unwrap_or(0) },
            });
        }
    }

    /// No process of the job is left: what its pipes hold now is all there is.
    pub(crate) fn all_dead(&mut self) {
        self.swept = true;
    }

    pub(crate) fn is_over(&self) -> bool {
        let is_drained = self.captured.is_none() && self.streamed.as_ref().is_none_or(|s| s.pipe.is_none());
        self.end.is_some() && self.swept && is_drained
    }

    pub(crate) fn into_outcome(self, oom_kills: u64) -> Outcome {
        let (ending, duration) = self.end.unwrap_or((Ending::Cancelled, self.started.elapsed()));
        Outcome {
            job: self.number,
            ending,
            duration_us: duration.as_micros() as u64,
            captured: self.capture.finish(),
            oom_kills: oom_kills.saturating_sub(self.oom_kills_before) as u32,
            in_file: false,
        }
    }

    pub(crate) fn take_input(&mut self, data: ByteBuf) {
        if self.input.waiting_bytes + data.len() > INPUT_WINDOW_BYTES {
            self.end_with(Ending::Cancelled);
        } else if self.input.pipe.is_none() {
            self.input.taken += data.len() as u32;
        } else if !data.is_empty() {
            self.input.waiting_bytes += data.len();
            self.input.waiting.push_back(data);
        }
    }

    pub(crate) fn end_input(&mut self) {
        self.input.is_whole = true;
    }

    /// Feeds the job its input as far as its pipe takes it.
    pub(crate) fn write_input(&mut self, outbox: &mut Outbox) {
        self.input.write();
        if self.input.taken > 0 && outbox.has_room() {
            let bytes = std::mem::take(&mut self.input.taken);
            outbox.push(&SandboxFrame::InputTaken { job: self.number, bytes });
        }
    }

    /// Reads what the job has written: into the capture, or on to the host as far as the outbox has room.
    pub(crate) fn read_output(&mut self, buffer: &mut [u8], outbox: &mut Outbox) {
        let swept = self.swept;
        for _ in 0..PIECES_A_TURN {
            match read_piece(&mut self.captured, buffer, swept) {
                Some(bytes) => self.capture.push(bytes),
                None => break,
            }
        }
        for _ in 0..PIECES_A_TURN {
            let Some(streamed) = self.streamed.as_mut().filter(|_| outbox.has_room()) else { break };
            let Some(bytes) = read_piece(&mut streamed.pipe, &mut buffer[..MAX_DATA_BYTES], swept) else {
                break;
            };
            if bytes.len() as u64 > streamed.left_bytes {
                streamed.pipe = None;
                self.end_with(Ending::TooMuchOutput);
                break;
            }
            streamed.left_bytes -= bytes.len() as u64;
            outbox.push(&SandboxFrame::Stdout { job: self.number, data: ByteBuf::from(bytes) });
        }
    }

    /// What to wait for: pipes that can be read, and the pipe that can be written to when there is something to write.
    pub(crate) fn readable(&self, outbox: &Outbox) -> impl Iterator<Item = BorrowedFd<'_>> {
        let streamed = self.streamed.as_ref().filter(|_| outbox.has_room()).and_then(|s| s.pipe.as_ref());
        self.captured.as_ref().into_iter().chain(streamed).map(OwnedFd::as_fd)
    }

    pub(crate) fn writable(&self) -> Option<BorrowedFd<'_>> {
        self.input.pipe.as_ref().filter(|_| !self.input.waiting.is_empty()).map(OwnedFd::as_fd)
    }
}

impl JobInput {
    fn write(&mut self) {
        while let (Some(pipe), Some(piece)) = (&self.pipe, self.waiting.front()) {
            match rustix::io::write(pipe, &piece[self.written..]) {
                Ok(written) => {
                    self.written += written;
                    self.taken += written as u32;
                    self.waiting_bytes -= written;
                    if self.written == piece.len() {
                        self.waiting.pop_front();
                        self.written = 0;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                // The job reads no more of it. The rest is let go, so that the host does not wait for ever.
                Err(_) => self.close(),
            }
        }
        if self.is_whole {
            self.pipe = None;
        }
    }

    fn close(&mut self) {
        self.pipe = None;
        self.waiting.clear();
        self.written = 0;
        self.taken += self.waiting_bytes as u32;
        self.waiting_bytes = 0;
    }
}

/// One read. Closes the pipe at its end; when nobody can write to it any more, "nothing now" is its end too.
fn read_piece<'b>(pipe: &mut Option<OwnedFd>, buffer: &'b mut [u8], nobody_writes: bool) -> Option<&'b [u8]> {
    let reader = pipe.as_ref()?;
    loop {
        match rustix::io::read(reader, &mut *buffer) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if !nobody_writes => return None,
            Ok(0) | Err(_) => {
                *pipe = None;
                return None;
            }
            Ok(read) => return Some(&buffer[..read]),
        }
    }
}

fn spawn_shell(job: &Job, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> io::Result<Pid> {
    let mut command = Command::new(SHELL);
    // After "--" a script that begins with a dash is a script; "bash" is the name in its error messages.
    command.args(["-c", "--", &job.script, "bash"]);
    command.current_dir(usable_cwd(&job.cwd)).stdin(stdin).stdout(stdout).stderr(stderr);
    kernel::begin_apart(&mut command, false);
    let shell = command.spawn()?;
    Pid::from_raw(shell.id() as i32).ok_or_else(|| io::Error::other("the shell has no process id"))
}

/// `cwd`, made anew when a command removed it. The root when it can't be entered: a model that put a file in its
/// place must be able to run the command that removes the file.
pub(crate) fn usable_cwd(cwd: &str) -> &str {
    let can_enter = || {
        let stat = rustix::fs::stat(cwd)?;
        rustix::fs::access(cwd, rustix::fs::Access::EXEC_OK)?;
        Ok::<_, rustix::io::Errno>(rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
    };
    let is_usable =
        can_enter().unwrap_or(false) || std::fs::create_dir_all(cwd).is_ok() && can_enter().unwrap_or(false);
    if is_usable { cwd } else { "/" }
}
