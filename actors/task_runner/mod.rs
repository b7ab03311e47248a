//! `TaskRunner`: one for each task.
//!
//! Owns: that task's life, the state machine of [`crate::task::life`]. Told: `Happened`, and the outcomes of its own
//! effects. Tells: the task's sandbox and reasoner what to do; the supervisor of tasks when the task rests. Holds
//! true: an event is durable before the state changes by it, and the state changes before its effect begins; one
//! effect is under way at a time, and a change of phase from outside ends it; a command is begun once. On a restart:
//! the journal is folded; that the task is taken up again is recorded, so that no fault can repeat itself for ever; the
//! sandbox that stands is taken over, and the effect that is due is begun again; of a command that was begun, the
//! outcome is asked for.

mod bench;
mod deadline;
mod effects;
mod stall;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::{AbortHandle, abortable};
use tokio::time::Instant;
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use crate::audit_logger::RecordError;
use crate::ports::journal::{JournalError, Recorded};
use crate::ports::swarm::Progress;
use crate::reasoner_actor::ReasonerActor;
use crate::sandbox_actor::SandboxActor;
use crate::supervisor::Inbox;
use crate::swarm_actor::Working;
use crate::task::life::{Effect, Task, out_of_time};
use crate::task::{TaskEvent, TaskId};
use crate::task_supervisor::{Place, TaskOver, TaskSupervisor};

pub use bench::{Pace, Workbench};
use effects::{Ended, Tools};
use stall::Stalls;

/// The pause before a journal that can't be written or read is tried again. The task stands still meanwhile.
const JOURNAL_PAUSE: Duration = Duration::from_secs(2);
/// How often the wall time is looked at.
const CLOCK_TICK: Duration = Duration::from_secs(5);

/// Something happened to the task outside its runner.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Happened(pub TaskEvent);

#[derive(Clone)]
pub struct RunnerDeps {
    pub task: TaskId,
    pub bench: Workbench,
    /// Its own: told of what happens beside an effect's end.
    pub runner: Inbox<TaskRunner>,
    pub sandbox: Inbox<SandboxActor>,
    pub reasoner: Inbox<ReasonerActor>,
    pub supervisor: Inbox<TaskSupervisor>,
    pub place: Place,
    /// Set once a life of the runner has begun: each later one is recorded.
    pub has_begun: Arc<AtomicBool>,
}

pub struct TaskRunner {
    deps: RunnerDeps,
    /// `None` until the journal is read.
    task: Option<Task>,
    /// Events not yet recorded, in the order in which they happened.
    happened: VecDeque<TaskEvent>,
    is_recording: bool,
    effect: Option<AbortHandle>,
    stalls: Stalls,
    /// Everything that is logged of the task stands in it.
    span: Span,
    /// How long the task has had a place.
    worked: Duration,
    /// That the task is taken up again is still to be recorded, before anything is done for it.
    is_taken_up: bool,
    last_tick: Instant,
}

impl TaskRunner {
    pub fn new(deps: RunnerDeps) -> Self {
        let stalls = Stalls::new(deps.bench.pace.retry_min, deps.bench.pace.retry_max);
        let span = info_span!("task", id = %deps.task);
        Self {
            deps,
            span,
            task: None,
            happened: VecDeque::new(),
            is_recording: false,
            effect: None,
            stalls,
            worked: Duration::ZERO,
            is_taken_up: false,
            last_tick: Instant::now(),
        }
    }

    fn recover(&mut self, ctx: &mut Context<Self>) {
        let (bench, id) = (self.deps.bench.clone(), self.deps.task.clone());
        let read = async move { bench.read(&id).await };
        ctx.spawn(read.into_actor(self).map(|read, runner, ctx| match read {
            Ok((task, worked)) => {
                info!(parent: &runner.span, epoch = %task.epoch, phase = task.phase.name(), "runs");
                runner.worked = runner.worked.max(worked);
                let (due, has_runner) = (task.phase.due_again(), task.phase.has_runner());
                runner.task = Some(task);
                runner.tell_progress();
                match std::mem::take(&mut runner.is_taken_up) && has_runner {
                    // What is due begins when that is recorded.
                    true => runner.happened.push_front(TaskEvent::TakenUp),
                    false => runner.carry_on(due, ctx),
                }
                runner.record_next(ctx);
            }
            Err(error) => {
                error!(parent: &runner.span, %error, "journal not read");
                ctx.run_later(JOURNAL_PAUSE, Self::recover);
            }
        }));
    }

    fn happen(&mut self, event: TaskEvent, ctx: &mut Context<Self>) {
        self.happened.push_back(event);
        self.record_next(ctx);
    }

    /// Records the oldest event that waits, if it has a place in the task's life.
    fn record_next(&mut self, ctx: &mut Context<Self>) {
        let Some(task) = self.task.as_ref().filter(|_| !self.is_recording) else { return };
        let Some(event) = self.happened.pop_front() else { return };
        let (entry, after) = self.deps.bench.entry(task, event.clone());
        if after == *task && !matches!(event, TaskEvent::Stalled { .. }) {
            debug!(parent: &self.span, kind = event.kind(), phase = task.phase.name(), "event has no place here");
            return self.record_next(ctx);
        }
        self.is_recording = true;
        let log = self.deps.bench.log.clone();
        let recorded = async move { log.record(entry).await };
        ctx.spawn(recorded.into_actor(self).map(move |recorded, runner, ctx| {
            runner.is_recording = false;
            runner.after_recording(event, recorded, ctx);
        }));
    }

    fn after_recording(
        &mut self,
        event: TaskEvent,
        recorded: Result<Recorded, RecordError>,
        ctx: &mut Context<Self>,
    ) {
        match recorded {
            Ok(_) => {
                let Some(task) = self.task.take() else { return };
                let (task, due) = task.step(&event);
                let has_moved = due.is_some() || task.phase.is_resting();
                info!(parent: &self.span, event = event.kind(), phase = task.phase.name());
                self.task = Some(task);
                self.tell_progress();
                if has_moved {
                    self.carry_on(due, ctx);
                }
                self.record_next(ctx);
            }
            Err(RecordError::Refused(error @ JournalError::Unavailable(_))) => {
                error!(parent: &self.span, %error, "event not recorded, the task waits");
                self.happened.push_front(event);
                ctx.run_later(JOURNAL_PAUSE, |runner, ctx| runner.record_next(ctx));
            }
            // Only the journal knows what it holds: read it again.
            Err(error) => {
                error!(parent: &self.span, %error, "event perhaps not recorded, the journal is read again");
                self.task = None;
                self.stop_effect();
                ctx.run_later(JOURNAL_PAUSE, Self::recover);
            }
        }
    }

    /// For the other nodes' people. One that is lost is followed by the next.
    fn tell_progress(&self) {
        if let Some(Task { id, epoch, phase, steps, .. }) = &self.task {
            let phase = phase.name().to_owned();
            let progress = Progress { task: id.clone(), epoch: *epoch, phase, steps: *steps };
            self.deps.bench.swarm.offer(Working(progress));
        }
    }

    /// Ends the effect under way, which belongs to the phase before, and begins what is due now.
    fn carry_on(&mut self, due: Option<Effect>, ctx: &mut Context<Self>) {
        self.stop_effect();
        let Some(task) = &self.task else { return };
        if !task.phase.takes_a_place() {
            self.give_place_back();
        }
        if let Some(reason) = task.reached(&self.deps.bench.limits) {
            return self.happen(TaskEvent::GaveUp { reason }, ctx);
        }
        if let Some(effect) = due {
            self.stalls.begin();
            return self.begin(effect, Duration::ZERO, ctx);
        }
        if task.phase.is_resting() {
            let over = self.deps.supervisor.send(TaskOver { task: self.deps.task.clone() });
            ctx.spawn(over.into_actor(self).map(|_, _, _| ()));
        }
    }

    fn begin(&mut self, effect: Effect, after: Duration, ctx: &mut Context<Self>) {
        let Some(task) = self.task.clone() else { return };
        debug!(parent: &self.span, ?effect, "begins");
        let limit = {
            let Workbench { pace, rules, .. } = &self.deps.bench;
            deadline::deadline(&effect, &task, pace, rules.max_setup)
        };
        let place = self.deps.place.clone();
        let has_place = move || place.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let tools = Tools { deps: self.deps.clone(), task };
        let carried_out = {
            let effect = effect.clone();
            async move {
                tokio::time::sleep(after).await;
                let overdue = deadline::overdue(&effect, limit, has_place);
                tokio::select! {
                    biased;
                    ended = tools.carry_out(effect.clone()) => ended,
                    ended = overdue => ended,
                }
            }
        };
        let (carried_out, handle) = abortable(Box::pin(carried_out.instrument(self.span.clone())));
        self.effect = Some(handle);
        ctx.spawn(carried_out.into_actor(self).map(|ended, runner, ctx| {
            if let Ok(ended) = ended {
                runner.after_effect(effect, ended, ctx);
            }
        }));
    }

    fn after_effect(&mut self, effect: Effect, ended: Ended, ctx: &mut Context<Self>) {
        match ended {
            Ended::With(event) if self.has_place(&event) => self.happen(*event, ctx),
            Ended::GivenUp(reason) if self.has_place(&TaskEvent::GaveUp { reason: String::new() }) => {
                self.happen(TaskEvent::GaveUp { reason }, ctx);
            }
            // What can't be said here may be different the next time; there is no other way out of the phase.
            Ended::With(event) => {
                let problem = match *event {
                    TaskEvent::SandboxLost { why } => format!("the sandbox was lost: {why}"),
                    event => format!("it ended with {}, which has no place here", event.kind()),
                };
                self.after_effect(effect, Ended::Stalled { problem, retry_after: None }, ctx);
            }
            Ended::GivenUp(problem) => {
                self.after_effect(effect, Ended::Stalled { problem, retry_after: None }, ctx);
            }
            Ended::Stalled { problem, retry_after } => {
                let what = effect.name();
                let pause = self.stalls.pause(retry_after);
                warn!(parent: &self.span, what, problem, ?pause, "stalled");
                if self.stalls.is_news() {
                    self.happen(TaskEvent::Stalled { what: what.to_owned(), problem }, ctx);
                }
                self.begin(effect.begun_again(), pause, ctx);
            }
        }
    }

    /// Whether the event changes anything in the task's life as it is now.
    fn has_place(&self, event: &TaskEvent) -> bool {
        self.task.as_ref().is_none_or(|task| task.clone().step(event).0 != *task)
    }

    fn stop_effect(&mut self) {
        if let Some(effect) = self.effect.take() {
            effect.abort();
        }
    }

    fn give_place_back(&self) {
        drop(self.deps.place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn clock_tick(&mut self, ctx: &mut Context<Self>) {
        let passed = self.last_tick.elapsed();
        self.last_tick = Instant::now();
        let has_place = self.deps.place.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let Some(task) = self.task.as_ref().filter(|task| has_place && task.phase.needs_lease()) else {
            return;
        };
        self.worked += passed;
        if self.worked >= self.deps.bench.pace.wall_time {
            let reason = out_of_time(self.deps.bench.pace.wall_time, &task.phase);
            self.happen(TaskEvent::GaveUp { reason }, ctx);
        }
    }
}

impl Actor for TaskRunner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.is_taken_up = self.deps.has_begun.swap(true, Ordering::Relaxed);
        self.recover(ctx);
        ctx.run_interval(CLOCK_TICK, Self::clock_tick);
    }
}

crate::supervised!(TaskRunner: Happened);

impl Handler<Happened> for TaskRunner {
    type Result = ();

    fn handle(&mut self, Happened(event): Happened, ctx: &mut Context<Self>) {
        self.happen(event, ctx);
    }
}
