//! The loop: one thread, one `poll`, everything in its turn.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use sandboxd::{
    Ending, HostFrame, Job, MAX_CAPTURE_BYTES, MAX_DATA_BYTES, MAX_SCRIPT_BYTES, Output, PROTOCOL_VERSION,
    Refusal, SandboxFrame,
};

use super::capture::Captured;
use super::host::Host;
use super::job::RunningJob;
use super::kernel::{self, ChildNews, OomCounter, Reaped, Reaper};
use super::outbox::Outbox;
use super::outcomes::{Outcome, Outcomes};
use super::output_files::OutputFiles;

/// How long a sweep waits for the news of a death before it kills again. The news nearly always comes first.
const SWEEP_INTERVAL: Duration = Duration::from_millis(10);

pub(crate) struct Daemon {
    /// Without a frame from a host for so long, the sandbox ends itself.
    orphan_grace: Duration,
    last_heard: Instant,
    host: Host,
    outbox: Outbox,
    outcomes: Outcomes,
    output_files: OutputFiles,
    /// Jobs whose outcome the host is to be told as soon as the outbox has room.
    to_report: VecDeque<u32>,
    job: Option<RunningJob>,
    children: ChildNews,
    reaper: Reaper,
    oom: OomCounter,
    buffer: Box<[u8; MAX_DATA_BYTES]>,
}

/// What a turn of the loop found to do.
#[derive(Default)]
struct Ready {
    children: bool,
    standard_input: bool,
    direct: bool,
}

impl Daemon {
    /// `reaper` is to leave alone what is not a job's.
    pub(crate) fn new(orphan_grace: Duration, host: Host, reaper: Reaper) -> io::Result<Self> {
        Ok(Self {
            orphan_grace,
            last_heard: Instant::now(),
            host,
            outbox: Outbox::default(),
            outcomes: Outcomes::default(),
            output_files: OutputFiles::default(),
            to_report: VecDeque::new(),
            job: None,
            children: ChildNews::new()?,
            reaper,
            oom: OomCounter::new(),
            buffer: Box::new([0; MAX_DATA_BYTES]),
        })
    }

    /// Returns when no host has been heard of for the orphan grace.
    pub(crate) fn run(mut self) -> io::Result<()> {
        while self.last_heard.elapsed() < self.orphan_grace {
            let ready = self.wait()?;
            if ready.children {
                self.children.drain();
            }
            self.hear_host(ready)?;
            self.drive_job();
            self.report();
            self.outbox.flush(self.host.output());
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<Ready> {
        let now = Instant::now();
        let mut polled = vec![PollFd::from_borrowed_fd(self.children.as_fd(), PollFlags::IN)];
        let mut watch = |it| {
            polled.push(PollFd::from_borrowed_fd(it, PollFlags::IN));
            polled.len() - 1
        };
        let standard_input = self.host.standard_input(now).map(&mut watch);
        let direct = self.host.direct().map(&mut watch);
        if !self.outbox.is_empty() {
            polled.push(PollFd::from_borrowed_fd(self.host.output(), PollFlags::OUT));
        }
        if let Some(job) = &self.job {
            polled
                .extend(job.readable(&self.outbox).map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)));
            polled.extend(job.writable().map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::OUT)));
        }
        let timeout = Timespec::try_from(self.until_next_turn(now)).map_err(io::Error::other)?;
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(problem) => return Err(problem.into()),
        }
        let has_news = |at: usize| !polled[at].revents().is_empty();
        Ok(Ready {
            children: has_news(0),
            standard_input: standard_input.is_some_and(has_news),
            direct: direct.is_some_and(has_news),
        })
    }

    fn until_next_turn(&self, now: Instant) -> Duration {
        let mut next = self.last_heard + self.orphan_grace;
        if let Some(until) = self.host.detached_until(now) {
            next = next.min(until);
        }
        if let Some(job) = &self.job {
            next = next.min(if job.is_running() { job.deadline } else { now + SWEEP_INTERVAL });
        }
        next.saturating_duration_since(now)
    }

    fn hear_host(&mut self, ready: Ready) -> io::Result<()> {
        if ready.standard_input {
            self.host.read_standard_input(&mut self.buffer[..])?;
        }
        if ready.direct {
            self.host.read_direct(&mut self.buffer[..]);
        }
        while let Some(frame) = self.host.next_frame() {
            self.last_heard = Instant::now();
            self.obey(frame);
        }
        Ok(())
    }

    fn obey(&mut self, frame: HostFrame) {
        let running = self.job.as_ref().map(|job| job.number);
        match frame {
            HostFrame::Hello { nonce, directly, .. } => {
                // What another host asked for is not for this one. It asks for what it wants to know.
                self.to_report.clear();
                self.outbox.clear();
                if directly {
                    self.host.go_direct();
                }
                self.outbox.push(&SandboxFrame::Greeting { version: PROTOCOL_VERSION, nonce, running });
            }
            HostFrame::Ping { nonce } => self.outbox.push(&SandboxFrame::Pong { nonce }),
            HostFrame::Run(job) => self.start(&job),
            HostFrame::Input { job, data } => {
                if let Some(job) = self.running(job) {
                    job.take_input(data);
                }
            }
            HostFrame::InputEnd { job } => {
                if let Some(job) = self.running(job) {
                    job.end_input();
                }
            }
            HostFrame::Cancel { job } => {
                if let Some(job) = self.running(job) {
                    job.end_with(Ending::Cancelled);
                }
            }
            HostFrame::Ack { job } => self.outcomes.forget(job),
            HostFrame::Recall { job } if running == Some(job) => {
                self.outbox.push(&SandboxFrame::Running { job });
            }
            HostFrame::Recall { job } if self.outcomes.get(job).is_some() => self.will_report(job),
            HostFrame::Recall { job } => self.outbox.push(&SandboxFrame::Unknown { job }),
        }
    }

    fn running(&mut self, number: u32) -> Option<&mut RunningJob> {
        self.job.as_mut().filter(|job| job.number == number)
    }

    fn start(&mut self, job: &Job) {
        if self.outcomes.get(job.number).is_some() {
            return self.will_report(job.number);
        }
        if let Some(running) = &self.job {
            if running.number != job.number {
                let why = Refusal::Busy { running: running.number };
                self.outbox.push(&SandboxFrame::Refused { job: job.number, why });
            }
            return;
        }
        let is_cap_kept = match job.output {
            Output::Captured { cap_bytes } => cap_bytes <= MAX_CAPTURE_BYTES,
            Output::Streamed { .. } => true,
        };
        if !is_cap_kept || job.script.len() > MAX_SCRIPT_BYTES {
            return self.outbox.push(&SandboxFrame::Refused { job: job.number, why: Refusal::TooBig });
        }
        match RunningJob::start(job, self.oom.kills()) {
            Ok(started) => self.job = Some(started),
            Err(problem) => self.keep(Outcome {
                job: job.number,
                ending: Ending::NotStarted { why: problem.to_string() },
                duration_us: 0,
                captured: Captured::default(),
                oom_kills: 0,
                in_file: false,
            }),
        }
    }

    fn drive_job(&mut self) {
        let Some(job) = &mut self.job else { return };
        job.write_input(&mut self.outbox);
        job.read_output(&mut self.buffer[..], &mut self.outbox);
        if Instant::now() >= job.deadline {
            job.end_with(Ending::TimedOut);
        }
        let reaper = self.reaper;
        if reap_dead(job, reaper) == Left::Nobody || !job.is_running() && sweep(job, reaper) == Left::Nobody {
            job.end_with(Ending::Cancelled);
            job.all_dead();
            job.read_output(&mut self.buffer[..], &mut self.outbox);
        }
        if let Some(over) = self.job.take_if(|job| job.is_over()) {
            let mut outcome = over.into_outcome(self.oom.kills());
            outcome.in_file = self.output_files.write(outcome.job, &outcome.captured);
            self.keep(outcome);
        }
    }

    fn keep(&mut self, outcome: Outcome) {
        let job = outcome.job;
        self.outcomes.keep(outcome);
        self.will_report(job);
    }

    fn will_report(&mut self, job: u32) {
        if !self.to_report.contains(&job) {
            self.to_report.push_back(job);
        }
    }

    fn report(&mut self) {
        while self.outbox.has_room() {
            let Some(job) = self.to_report.pop_front() else { break };
            for frame in self.outcomes.get(job).into_iter().flat_map(Outcome::frames) {
                self.outbox.push(&frame);
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Left {
    Somebody,
    Nobody,
}

fn reap_dead(job: &mut RunningJob, reaper: Reaper) -> Left {
    loop {
        match reaper.reap() {
            Reaped::Child(child, status) => job.child_died(child, status),
            Reaped::NoneDead => return Left::Somebody,
            Reaped::NoneLeft => return Left::Nobody,
        }
    }
}

/// Kills all that is left of the job. What is dying still is waited for in later turns.
fn sweep(job: &mut RunningJob, reaper: Reaper) -> Left {
    kernel::kill_everything();
    reap_dead(job, reaper)
}
