//! The real program in the background: what it prints, how it ends, and its end whatever happens.

#![allow(dead_code, reason = "each test program uses another part of it")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long the program may take for anything that a test waits for. Far more than it needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    pub(crate) seen: Vec<String>,
}

impl Program {
    /// Starts `bzzz` with nothing of this process's environment but PATH.
    pub(crate) fn start(folder: &Path, args: &[String]) -> Self {
        Self::start_with(folder, args, &[])
    }

    /// The same with these variables in its environment.
    pub(crate) fn start_with(folder: &Path, args: &[String], environment: &[(&str, String)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bzzz"));
        command.args(args);
        Self::start_command(command, folder, environment)
    }

    /// The same by a command that becomes `bzzz`.
    pub(crate) fn start_command(mut command: Command, folder: &Path, environment: &[(&str, String)]) -> Self {
        let mut child = command
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        drop(sender);
        Self { child, lines, seen: Vec::new() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line with `part` in it, on either of the two streams.
    pub(crate) fn until_line(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no line with {part:?} in time:\n{}", self.text()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended without a line with {part:?}:\n{}", self.text())
                }
            }
        }
    }

    /// How it ended, if it has; all that was printed is in `seen` then.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap()?;
        self.seen.extend(self.lines.iter());
        Some(status)
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end, and returns the exit status; all that was printed is in `seen` then.
    pub(crate) fn until_end(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        // Its streams are closed when it, and all that it started, has ended.
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.text()),
            }
        }
        let status = self.child.wait().unwrap();
        status.code().unwrap_or_else(|| panic!("it was killed:\n{}", self.text()))
    }

    /// Kills it; all that was printed is in `seen` then.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.seen.extend(self.lines.iter());
    }

    /// Waits until it is dead, having been killed.
    pub(crate) fn until_death(&mut self) {
        assert_eq!(self.child.wait().unwrap().code(), None, "it ended by itself:\n{}", self.text());
    }

    /// The last lines of what a program has printed that may still run.
    pub(crate) fn tail(&mut self) -> String {
        const LINES: usize = 60;
        self.seen.extend(self.lines.try_iter());
        self.seen[self.seen.len().saturating_sub(LINES)..].join("\n")
    }

    pub(crate) fn text(&self) -> String {
        self.seen.join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
