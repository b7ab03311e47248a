//! A task's attempt as a trajectory. The messages are those of the node's own conversation, never summarised.

use bzzz_actors::ports::journal::{JournalError, Recorded};
use bzzz_actors::reasoner_actor::{Told, Transcript};
use bzzz_actors::task::life::Task;
use bzzz_actors::task::{BlobRef, CheckResult, Ending, ModelUse, Observed, Step, TaskEvent};

use super::super::attempts::Attempt;
use super::super::diff_of;
use super::ending::{exit_status, reason};
use super::shape::{
    Action, Asked, Check, Config, Empty, Exit, FORMAT, Info, Message, ModelName, ModelStats, OfMessage,
    OfTask, Output, Response, Speaker, Trajectory, Usage,
};

/// Names this program where the format names another one's classes and version.
const AGENT: &str = "bzzz";
/// As shells say that a signal ended a command.
const SIGNALLED: i32 = 128;

/// Reads what an event names: whole outputs, and the diff.
pub(super) type Blobs<'a> = &'a dyn Fn(&BlobRef) -> Result<Option<Vec<u8>>, JournalError>;

/// The models named `json` were asked for JSON.
pub(super) fn trajectory(
    attempt: &Attempt<'_>,
    task: Task,
    json: &[String],
    blobs: Blobs<'_>,
) -> Result<Trajectory, JournalError> {
    let submission = match attempt.events().rev().find_map(diff_of) {
        Some(diff) => text_of(diff, blobs)?.unwrap_or_default(),
        None => String::new(),
    };
    let exit_status = exit_status(&task.phase);
    let transcript = Transcript::of(&task.id, attempt.events(), json);
    let mut steps = Steps { events: attempt.recorded, blobs, step: 0 };
    let mut messages =
        transcript.told.into_iter().map(|told| steps.message(told)).collect::<Result<Vec<_>, _>>()?;
    if !exit_status.is_empty() {
        messages.push(exit(attempt, &task, exit_status, &submission));
    }
    let api_calls = attempt.events().filter(|event| usage_of(event).is_some()).count();
    Ok(Trajectory {
        info: Info {
            model_stats: ModelStats { instance_cost: 0.0, api_calls },
            config: config(&task),
            mini_version: format!("{AGENT} {}", env!("CARGO_PKG_VERSION")),
            exit_status,
            submission,
        },
        messages,
        trajectory_format: FORMAT,
        instance_id: format!("{}__{}-{}", task.id.repo.owner(), task.id.repo.name(), task.id.number),
        extra: of_task(task),
    })
}

fn config(task: &Task) -> Config {
    Config {
        agent: Empty {},
        agent_type: AGENT,
        model: ModelName { model_name: task.usage.model.clone() },
        model_type: AGENT,
        environment: Empty {},
        environment_type: AGENT,
    }
}

fn of_task(task: Task) -> OfTask {
    OfTask {
        task: task.id.to_string(),
        state: task.phase.name(),
        reason: reason(&task.phase),
        epoch: task.epoch.0,
        issue: task.issue,
        labelled_by: task.labelled_by,
        base: task.base,
        plan: task.plan,
        reviews: task.reviews,
        steps: task.steps,
        checks: task.checked.map(|checked| [checked.setup, checked.results].concat()),
        pull_request: task.pull_request,
        usage: usage(&task.usage),
    }
}

fn exit(attempt: &Attempt<'_>, task: &Task, exit_status: &'static str, submission: &str) -> Message {
    let content = reason(&task.phase).unwrap_or_else(|| submission.to_owned());
    let last = attempt.recorded.iter().rfind(|recorded| !recorded.event.is_of_network());
    let extra = OfMessage {
        timestamp: last.map_or(0.0, seconds),
        exit: Some(Exit { exit_status, submission: submission.to_owned() }),
        ..OfMessage::default()
    };
    Message { role: Speaker::Exit, content, extra }
}

/// Goes through the messages and counts the commands.
struct Steps<'a> {
    events: &'a [Recorded],
    blobs: Blobs<'a>,
    step: u32,
}

impl Steps<'_> {
    fn message(&mut self, told: Told) -> Result<Message, JournalError> {
        let role = Speaker::from(told.message.role);
        let mut extra = OfMessage::default();
        for recorded in told.events.iter().filter_map(|at| self.events.get(*at)) {
            extra.timestamp = seconds(recorded);
            extra.events.push(recorded.event.kind());
            match role {
                Speaker::Assistant => self.said(&recorded.event, &mut extra),
                _ => self.heard(&recorded.event, &mut extra)?,
            }
        }
        Ok(Message { role, content: told.message.content, extra })
    }

    fn said(&mut self, event: &TaskEvent, extra: &mut OfMessage) {
        if let TaskEvent::Compacted { keep_from, .. } = event {
            extra.summarised_before = Some(*keep_from);
        }
        let Some(used) = usage_of(event) else { return };
        let mut actions = Vec::new();
        if let TaskEvent::Replied { step: Step::Run { command, timeout_s }, .. } = event {
            self.step += 1;
            extra.step = Some(self.step);
            actions.push(Action { command: command.clone(), timeout_s: *timeout_s });
        }
        let response =
            Response { model: used.model.clone(), usage: usage(used), duration_s: in_s(used.duration_ms) };
        extra.asked = Some(Asked { actions, response, cost: 0.0 });
    }

    fn heard(&self, event: &TaskEvent, extra: &mut OfMessage) -> Result<(), JournalError> {
        match event {
            TaskEvent::CommandFinished { step, outcome } => {
                extra.step = Some(*step);
                extra.observed = Some(self.output(outcome)?);
            }
            TaskEvent::ChecksFinished { results, setup, .. } => {
                extra.checks =
                    setup.iter().chain(results).map(|it| self.check(it)).collect::<Result<_, _>>()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self, result: &CheckResult) -> Result<Check, JournalError> {
        let output = self.output(&result.outcome)?;
        Ok(Check { command: result.command.clone(), passed: result.passed(), output })
    }

    fn output(&self, outcome: &Observed) -> Result<Output, JournalError> {
        let whole = match &outcome.whole {
            Some(blob) => text_of(blob, self.blobs)?,
            None => None,
        };
        let (returncode, exception_info) = match outcome.ending {
            Ending::Exited { code } => (code, String::new()),
            Ending::Signalled { signal } => (SIGNALLED + signal, String::new()),
            Ending::TimedOut { .. } | Ending::Unknown => (-1, outcome.ending.to_string()),
        };
        Ok(Output {
            raw_output: whole.unwrap_or_else(|| outcome.shown.clone()),
            returncode,
            exception_info,
            duration_s: in_s(outcome.duration_ms),
            out_of_memory: outcome.out_of_memory,
        })
    }
}

fn text_of(blob: &BlobRef, blobs: Blobs<'_>) -> Result<Option<String>, JournalError> {
    Ok(blobs(blob)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Of the events that an answer of the model brought.
fn usage_of(event: &TaskEvent) -> Option<&ModelUse> {
    match event {
        TaskEvent::PlanDrafted { usage, .. } | TaskEvent::Replied { usage, .. } => Some(usage),
        _ => None,
    }
}

fn usage(used: &ModelUse) -> Usage {
    Usage {
        prompt_tokens: used.prompt_tokens,
        completion_tokens: used.output_tokens,
        total_tokens: used.prompt_tokens.saturating_add(used.output_tokens),
    }
}

fn seconds(recorded: &Recorded) -> f64 {
    in_s(recorded.at_ms)
}

fn in_s(ms: u64) -> f64 {
    ms as f64 / 1e3
}
