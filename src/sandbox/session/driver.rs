//! The task that owns a session's streams.

use std::collections::HashSet;
use std::future::pending;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sandboxd::{ByteBuf, FIRST_OWN_JOB, HostFrame, Job, MAX_DATA_BYTES, SandboxFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::link::Link;
use super::lost::Lost;
use super::progress::{Next, Progress, Report, job_of};
use super::{Sink, Source};

/// How long after a job's deadline its end must have arrived. Killing and reaping take milliseconds, but a machine
/// whose every core is taken may let them wait.
const FINISH_MARGIN: Duration = Duration::from_secs(15);

/// So many heartbeats in a row without a word from sandboxd, and it counts as dead.
const MAX_UNANSWERED: u32 = 3;

/// What is asked of the driver.
pub(super) enum Work {
    Run { job: Job, input: Option<Source>, output: Option<Sink> },
    Recall { number: u32, cap_bytes: u32, patience: Duration },
}

/// A call's answer: `None` when a recalled job is not known.
pub(super) type Answer = Result<Option<Report>, JobError>;

/// The caller that goes away cancels the work by dropping the other end of `reply`.
pub(super) struct Order {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// Why a job could not be done, while the session goes on.
#[derive(Debug)]
pub(super) enum JobError {
    /// A job of an earlier session is running.
    Busy { running: u32 },
    /// This machine could not read what the job was to be fed, or write what it said.
    Host(String),
}

pub(super) struct Driver {
    link: Link,
    inbox: mpsc::Receiver<Order>,
    heartbeat: Interval,
    beats: u64,
    /// The last heartbeat that was answered. Each is, once, in order.
    answered: u64,
    /// Heartbeats since the last word from sandboxd.
    unanswered: u32,
    /// Outcomes that sandboxd keeps until the next order shows that the caller has got them.
    unacknowledged: Vec<u32>,
    /// Jobs of earlier sessions whose frames may still come, wanted or not.
    foreign: HashSet<u32>,
    /// The foreign job that is running, if it is to be ended: one of a session's own has nobody to wait for it.
    to_cancel: Option<u32>,
}

impl Driver {
    pub(super) fn new(
        link: Link,
        inbox: mpsc::Receiver<Order>,
        heartbeat: Duration,
        running: Option<u32>,
    ) -> Self {
        let mut heartbeat = tokio::time::interval_at(Instant::now() + heartbeat, heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            link,
            inbox,
            heartbeat,
            beats: 0,
            answered: 0,
            unanswered: 0,
            unacknowledged: Vec::new(),
            foreign: running.into_iter().collect(),
            to_cancel: running.filter(|number| *number >= FIRST_OWN_JOB),
        }
    }

    /// Serves orders until the session is dropped or lost; a loss is written into `lost` before any caller sees it.
    pub(super) async fn run(mut self, lost: Arc<OnceLock<String>>) {
        if let Err(Lost(why)) = self.serve_orders().await {
            tracing::debug!(%why, "the session with a sandbox is lost");
            let _ = lost.set(why);
        }
    }

    async fn serve_orders(&mut self) -> Result<(), Lost> {
        if let Some(number) = self.to_cancel.take() {
            self.end_foreign(number).await?;
        }
        loop {
            tokio::select! {
                order = self.inbox.recv() => match order {
                    Some(order) => self.serve(order).await?,
                    None => return Ok(()),
                },
                frame = self.link.receive() => self.set_aside(frame?)?,
                _ = self.heartbeat.tick() => self.beat().await?,
            }
        }
    }

    /// Ends a job that an earlier session started; nobody wants its outcome.
    async fn end_foreign(&mut self, number: u32) -> Result<(), Lost> {
        self.link.send(&HostFrame::Cancel { job: number }).await?;
        let finished = async {
            loop {
                let frame = self.link.receive().await?;
                let is_last = matches!(frame, SandboxFrame::Finished { job, .. } if job == number);
                self.set_aside(frame)?;
                if is_last {
                    return Ok(());
                }
            }
        };
        let too_late = |_| Lost(format!("job {number} of an earlier connection does not end"));
        tokio::time::timeout(FINISH_MARGIN, finished).await.map_err(too_late)??;
        self.unacknowledged.push(number);
        Ok(())
    }

    async fn serve(&mut self, mut order: Order) -> Result<(), Lost> {
        // Asking once more for an outcome says that it did not arrive where it was wanted.
        let recalled = match order.work {
            Work::Recall { number, .. } => Some(number),
            Work::Run { .. } => None,
        };
        let arrived = self.unacknowledged.extract_if(.., |job| recalled != Some(*job));
        let mut frames: Vec<_> = arrived.map(|job| HostFrame::Ack { job }).collect();
        let answer = match order.work {
            Work::Recall { number, cap_bytes, patience } => {
                // Its outcome may cross the question, and come twice then.
                self.foreign.insert(number);
                frames.push(HostFrame::Recall { job: number });
                self.link.send_all(&frames).await?;
                let mut progress = Progress::of_recall(number, cap_bytes);
                self.attend(&mut progress, &mut None, &mut None, &mut order.reply, patience).await
            }
            Work::Run { job, mut input, mut output } => {
                let deadline = Duration::from_millis(job.timeout_ms) + FINISH_MARGIN;
                let mut progress = Progress::of_run(job.number, job.output);
                frames.push(HostFrame::Run(job));
                let started = Instant::now();
                self.link.send_all(&frames).await?;
                let mut answer =
                    self.attend(&mut progress, &mut input, &mut output, &mut order.reply, deadline).await?;
                if let Ok(Some(report)) = &mut answer {
                    // Whatever sandboxd says.
                    report.duration = report.duration.min(started.elapsed());
                }
                Ok(answer)
            }
        }?;
        // A caller that went away wants no answer.
        let _ = order.reply.send(answer);
        Ok(())
    }

    /// Feeds a job and takes what it says until it has ended.
    async fn attend(
        &mut self,
        progress: &mut Progress,
        input: &mut Option<Source>,
        output: &mut Option<Sink>,
        reply: &mut oneshot::Sender<Answer>,
        patience: Duration,
    ) -> Result<Answer, Lost> {
        let job = progress.number();
        let give_up = tokio::time::sleep(patience);
        tokio::pin!(give_up);
        let mut piece = vec![0; if input.is_some() { MAX_DATA_BYTES } else { 0 }];
        let mut host_problem = None;
        let mut is_cancelled = false;
        loop {
            let room = progress.input_room().min(piece.len());
            let problem = tokio::select! {
                frame = self.link.receive() => {
                    let frame = frame?;
                    if job_of(&frame) != Some(job) {
                        self.set_aside(frame)?;
                        continue;
                    }
                    self.unanswered = 0;
                    match progress.accept(frame)? {
                        Next::Wait => None,
                        Next::Write(data) => write(output, &data).await.err(),
                        Next::Finished(report) => {
                            self.unacknowledged.push(job);
                            let flushed = flush(output).await;
                            return Ok(match host_problem.or(flushed.err()) {
                                Some(problem) => Err(JobError::Host(problem)),
                                None => Ok(Some(report)),
                            });
                        }
                        Next::Busy { running } => return Ok(Err(JobError::Busy { running })),
                        Next::Unknown => return Ok(Ok(None)),
                    }
                }
                read = read(input, &mut piece[..room]), if room > 0 && input.is_some() => match read {
                    Ok(0) => {
                        *input = None;
                        self.link.send(&HostFrame::InputEnd { job }).await?;
                        None
                    }
                    Ok(read) => {
                        progress.input_sent(read);
                        let data = ByteBuf::from(&piece[..read]);
                        self.link.send(&HostFrame::Input { job, data }).await?;
                        None
                    }
                    Err(problem) => Some(format!("what was to be put into the sandbox can't be read: {problem}")),
                },
                () = reply.closed(), if !is_cancelled => Some("the caller went away".to_owned()),
                _ = self.heartbeat.tick() => {
                    self.beat().await?;
                    None
                }
                () = &mut give_up => {
                    return Err(Lost(format!("job {job} did not come to its end within {patience:.1?}")));
                }
            };
            if let Some(problem) = problem {
                (*input, *output) = (None, None);
                if !is_cancelled {
                    is_cancelled = true;
                    self.link.send(&HostFrame::Cancel { job }).await?;
                }
                host_problem.get_or_insert(problem);
            }
        }
    }

    /// A frame that belongs to no order.
    fn set_aside(&mut self, frame: SandboxFrame) -> Result<(), Lost> {
        self.unanswered = 0;
        match (job_of(&frame), &frame) {
            (_, SandboxFrame::Pong { nonce }) if *nonce == self.answered + 1 && *nonce <= self.beats => {
                self.answered = *nonce;
                Ok(())
            }
            (Some(job), _) if self.foreign.contains(&job) => Ok(()),
            (Some(job), _) => {
                Err(Lost::broke_protocol(format!("it speaks of job {job}, which nobody ordered")))
            }
            (None, _) => Err(Lost::broke_protocol("an answer that nothing had asked for")),
        }
    }

    async fn beat(&mut self) -> Result<(), Lost> {
        if self.unanswered >= MAX_UNANSWERED {
            return Err(Lost(format!("it has not answered {MAX_UNANSWERED} heartbeats")));
        }
        self.unanswered += 1;
        self.beats += 1;
        self.link.send(&HostFrame::Ping { nonce: self.beats }).await
    }
}

async fn read(input: &mut Option<Source>, piece: &mut [u8]) -> std::io::Result<usize> {
    match input {
        Some(source) => source.read(piece).await,
        None => pending().await,
    }
}

async fn write(output: &mut Option<Sink>, data: &[u8]) -> Result<(), String> {
    match output {
        Some(sink) => sink.write_all(data).await.map_err(|e| format!("its output can't be written: {e}")),
        None => Ok(()),
    }
}

async fn flush(output: &mut Option<Sink>) -> Result<(), String> {
    match output {
        Some(sink) => sink.flush().await.map_err(|e| format!("its output can't be written: {e}")),
        None => Ok(()),
    }
}
