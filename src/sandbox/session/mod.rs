//! The node's side of the conversation with one sandboxd.
//!
//! A [`Session`] is a handle; a task of its own (`driver`) owns the two streams. It serves one job after the other,
//! sends a heartbeat in between and during them, and ends when the handle is dropped (the sandbox goes on until its
//! orphan grace) or when sandboxd breaks the protocol (the session is lost for good).
//!
//! Dropping the future of a call is safe: the job is cancelled in the sandbox, its processes are killed, and the
//! next call is served after that. What the job had done until then stays done.

mod driver;
mod link;
mod lost;
mod progress;
mod streams;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bzzz_actors::ports::sandbox::{CapturedOutput, CommandOutcome, CommandRequest, SandboxError};
use bzzz_actors::reasoner_actor::observation::HALF_SHOWN_BYTES;
use bzzz_actors::task::Ending;
use sandboxd::{
    FIRST_OWN_JOB, Input, Job, LONG_OUTPUT_BYTES, MAX_CAPTURE_BYTES, MAX_SCRIPT_BYTES, Output, output_file,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};

use self::driver::{Driver, JobError, Order, Work};
use self::link::Link;
pub(super) use self::progress::Report;
pub use self::streams::Streams;
use super::WORK_TREE;

/// Sandboxd puts what is not shown whole into a file.
const _: () = assert!(LONG_OUTPUT_BYTES == 2 * HALF_SHOWN_BYTES);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// How much of a command's output is kept, its head and tail together. At most 1 MiB.
    pub output_cap_bytes: u32,
    /// How often sandboxd is told that the node is there, and asked whether it is. Well below its orphan grace.
    pub heartbeat: Duration,
}

/// Reads what a job is fed, or takes what it writes.
pub(super) type Source = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Sink = Box<dyn AsyncWrite + Send + Unpin>;

/// A job of the session's own.
pub(super) struct OwnJob {
    pub(super) script: String,
    pub(super) cwd: &'static str,
    pub(super) timeout: Duration,
    pub(super) input: Option<Source>,
    /// Where standard output goes, and the most of it. Without one, both outputs are captured.
    pub(super) output: Option<(Sink, u64)>,
}

#[derive(Debug)]
pub struct Session {
    orders: mpsc::Sender<Order>,
    /// Why the session ended, once it has.
    lost: Arc<OnceLock<String>>,
    next_own_job: AtomicU32,
    /// Held for a whole call: a call may be several jobs, and no other call comes between them.
    turn: Mutex<()>,
    options: SessionOptions,
}

impl Session {
    /// Greets sandboxd. Everything it sent before its answer was meant for another session and is skipped.
    ///
    /// # Errors
    /// `Lost` when it does not answer in time, or speaks another version.
    pub async fn connect(streams: Streams, options: SessionOptions) -> Result<Self, SandboxError> {
        let options =
            SessionOptions { output_cap_bytes: options.output_cap_bytes.min(MAX_CAPTURE_BYTES), ..options };
        let no_numbers = |e| SandboxError::Unavailable(format!("no random numbers: {e}"));
        let first_own_job = getrandom::u32().map_err(no_numbers)?;
        let (link, running) = Link::open(streams).await.map_err(|lost| SandboxError::Lost(lost.0))?;

        let (orders, inbox) = mpsc::channel(1);
        let lost = Arc::new(OnceLock::new());
        let driver = Driver::new(link, inbox, options.heartbeat, running);
        tokio::spawn(driver.run(lost.clone()));
        // Sandboxd may remember jobs of the session before this one: a random start keeps clear of their numbers.
        let next_own_job = AtomicU32::new(first_own_job);
        Ok(Self { orders, lost, next_own_job, turn: Mutex::new(()), options })
    }

    /// Runs one command to its end, as [`Sandbox::run`](bzzz_actors::ports::sandbox::Sandbox::run) says.
    ///
    /// Sandboxd keeps the outcome until the next call, so a node that dies before it has recorded it can ask again.
    ///
    /// # Errors
    /// `Refused` when the command can't be started; `Lost` when nobody knows what it did.
    pub async fn run(&self, request: &CommandRequest) -> Result<CommandOutcome, SandboxError> {
        let _turn = self.turn().await;
        check(request)?;
        let job = Job {
            number: request.step,
            script: request.command.clone(),
            cwd: WORK_TREE.to_owned(),
            input: Input::Nothing,
            output: Output::Captured { cap_bytes: self.options.output_cap_bytes },
            timeout_ms: request.timeout.as_millis() as u64,
        };
        let report = self.order(Work::Run { job, input: None, output: None }).await?;
        let report =
            report.ok_or_else(|| SandboxError::Lost("sandboxd knows nothing of its own job".to_owned()))?;
        outcome_of(report, request.step, request.timeout)
    }

    /// The outcome of a command that this session or an earlier one started in this sandbox; waits for its end. `None`
    /// when sandboxd knows nothing of it: it never arrived, or its outcome was acknowledged by another call.
    ///
    /// # Errors
    /// `Lost` when it has not ended within `patience`.
    pub async fn recall(
        &self,
        step: u32,
        patience: Duration,
    ) -> Result<Option<CommandOutcome>, SandboxError> {
        let _turn = self.turn().await;
        let cap_bytes = self.options.output_cap_bytes;
        let report = self.order(Work::Recall { number: step, cap_bytes, patience }).await?;
        // Its time limit was another caller's; what it took is as near.
        let outcome = |report: Report| {
            let timeout = report.duration;
            outcome_of(report, step, timeout)
        };
        report.map(outcome).transpose()
    }

    /// The conversation has ended, whatever became of the sandbox.
    pub fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Runs a job of the session's own; the caller holds the turn.
    pub(super) async fn run_own(&self, own: OwnJob) -> Result<Report, SandboxError> {
        let number = FIRST_OWN_JOB | self.next_own_job.fetch_add(1, Ordering::Relaxed);
        let (output, sink) = match own.output {
            None => (Output::Captured { cap_bytes: self.options.output_cap_bytes }, None),
            Some((sink, max_bytes)) => (Output::Streamed { max_bytes }, Some(sink)),
        };
        let job = Job {
            number,
            script: own.script,
            cwd: own.cwd.to_owned(),
            input: if own.input.is_some() { Input::Streamed } else { Input::Nothing },
            output,
            timeout_ms: own.timeout.as_millis() as u64,
        };
        let report = self.order(Work::Run { job, input: own.input, output: sink }).await?;
        report.ok_or_else(|| SandboxError::Lost("sandboxd knows nothing of its own job".to_owned()))
    }

    async fn order(&self, work: Work) -> Result<Option<Report>, SandboxError> {
        let (reply, answer) = oneshot::channel();
        // A closed channel of either kind means that the driver has ended and has said why.
        if self.orders.send(Order { work, reply }).await.is_err() {
            return Err(self.lost());
        }
        match answer.await {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(JobError::Busy { running })) => Err(SandboxError::Unavailable(format!(
                "job {running}, which an earlier connection started, is still running in it"
            ))),
            Ok(Err(JobError::Host(problem))) => Err(SandboxError::Unavailable(problem)),
            Err(_) => Err(self.lost()),
        }
    }

    fn lost(&self) -> SandboxError {
        SandboxError::Lost(self.lost.get().map_or("the session has ended", String::as_str).to_owned())
    }
}

fn check(request: &CommandRequest) -> Result<(), SandboxError> {
    let length = request.command.len();
    if length > MAX_SCRIPT_BYTES {
        return Err(SandboxError::Refused(format!(
            "the command is {length} bytes long and at most {MAX_SCRIPT_BYTES} can be run at once: \
             write long files in several commands"
        )));
    }
    if request.command.contains('\0') {
        return Err(SandboxError::Refused(
            "the command contains a zero byte, which no shell can read".to_owned(),
        ));
    }
    if request.step >= FIRST_OWN_JOB {
        return Err(SandboxError::Refused(format!("step {} is no step of a task", request.step)));
    }
    Ok(())
}

fn outcome_of(report: Report, step: u32, timeout: Duration) -> Result<CommandOutcome, SandboxError> {
    let ending = match report.ending {
        sandboxd::Ending::Exited { code } => Ending::Exited { code },
        sandboxd::Ending::Signalled { signal } => Ending::Signalled { signal },
        sandboxd::Ending::TimedOut => Ending::TimedOut { after_ms: timeout.as_millis() as u64 },
        sandboxd::Ending::NotStarted { why } => {
            return Err(SandboxError::Refused(format!("the command could not be started: {why}")));
        }
        sandboxd::Ending::Cancelled | sandboxd::Ending::TooMuchOutput => Ending::Unknown,
    };
    Ok(CommandOutcome {
        ending,
        duration: report.duration,
        output: CapturedOutput {
            head: report.head,
            tail: report.tail,
            left_out: report.left_out,
            file: report.in_file.then(|| output_file(step)),
        },
        out_of_memory: report.oom_kills > 0,
    })
}
