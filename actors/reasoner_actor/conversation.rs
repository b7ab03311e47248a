//! A task's conversation with the model: what its events say, in words. Append-only, so that each prompt begins with
//! the whole one before it, but for the rare moments when its old part becomes a list ([`TaskEvent::Compacted`]).

use crate::ports::model::{Message, Role};
use crate::task::life::{Circling, Sign};
use crate::task::{CheckResult, Inherited, ModelUse, PathPattern, Step, TaskEvent, TaskId};

use super::choice::ModelRole;
use super::digest;
use super::prompt;
use super::protocol::Protocol;

/// What a message costs beside its text, in bytes of text: its role, and the signs around it.
const MESSAGE_BYTES: usize = 16;

/// A prompt that the model has seen, and how many tokens the server counted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub model: String,
    pub prompt_bytes: usize,
    pub prompt_tokens: u32,
}

/// One contribution of one side. Several make up a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) role: Role,
    pub(super) text: String,
    pub(super) keep: Keep,
}

/// What becomes of a turn when the conversation's old part is summarised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keep {
    /// It stays as it is: the task, the plan, what people and peers said.
    Always,
    /// It goes with the command of this number, before whose end it was said.
    WithCommand(u32),
    /// The same, and a line of the list tells of it.
    AsLine(u32, String),
}

impl Keep {
    pub(super) fn command(&self) -> Option<u32> {
        match self {
            Self::Always => None,
            Self::WithCommand(number) | Self::AsLine(number, _) => Some(*number),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    task: TaskId,
    /// The models that are asked for JSON.
    json: Vec<String>,
    /// The rules and the task for them; for all others they are the first message.
    json_rules: String,
    /// The issue's.
    labels: Vec<String>,
    /// Its title and text.
    issue: String,
    turns: Vec<Turn>,
    messages: Vec<Message>,
    checks: Vec<String>,
    /// Those that the sandbox can reach.
    hosts: Vec<String>,
    /// What may be changed, if not everything may.
    paths: Vec<PathPattern>,
    /// The diff that the checks under way are about.
    diff: String,
    has_seen_diff: bool,
    /// What the next question is for.
    role: ModelRole,
    was_asked_for_plan: bool,
    has_begun: bool,
    /// The last command that ended, and the one that was asked for last.
    step: u32,
    command: String,
    /// The last command that had ended when the work was saved last.
    saved_after: Option<u32>,
    circling: Circling,
    /// Where the list of old commands stands among the turns.
    list_at: usize,
    /// The lines of commands that are only in the list.
    lines: Vec<(u32, String)>,
    /// The model's replies that are gone with them.
    replies_gone: usize,
    /// The first command that is still told whole.
    kept_from: u32,
    /// The last prompt that was counted since the conversation was summarised.
    seen: Option<Seen>,
}

impl Conversation {
    pub fn new(task: TaskId) -> Self {
        Self {
            task,
            json: Vec::new(),
            json_rules: String::new(),
            labels: Vec::new(),
            issue: String::new(),
            turns: Vec::new(),
            messages: Vec::new(),
            checks: Vec::new(),
            hosts: Vec::new(),
            paths: Vec::new(),
            diff: String::new(),
            has_seen_diff: false,
            role: ModelRole::Plan,
            was_asked_for_plan: false,
            has_begun: false,
            step: 0,
            command: String::new(),
            saved_after: None,
            circling: Circling::default(),
            list_at: 0,
            lines: Vec::new(),
            replies_gone: 0,
            kept_from: 1,
            seen: None,
        }
    }

    /// With these models asked for JSON.
    pub fn with_json(self, json: Vec<String>) -> Self {
        Self { json, ..self }
    }

    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The messages as a model is sent them that replies in this form.
    pub fn prompt(&self, protocol: Protocol) -> Vec<Message> {
        let mut messages = self.messages.clone();
        if let (Protocol::Json, Some(first)) = (protocol, messages.first_mut()) {
            first.content.clone_from(&self.json_rules);
        }
        messages
    }

    /// The form in which a model is asked to reply.
    pub(super) fn protocol_of(&self, model: &str) -> Protocol {
        Protocol::of(model, &self.json)
    }

    /// What the next question is for.
    pub fn role(&self) -> ModelRole {
        self.role
    }

    /// The issue's labels.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What the issue asks for, in its own words.
    pub fn issue(&self) -> &str {
        &self.issue
    }

    /// How long the prompt is, as far as it costs the model's window.
    pub fn prompt_bytes(&self) -> usize {
        self.messages.iter().map(|message| message.content.len() + MESSAGE_BYTES).sum()
    }

    /// The last prompt that was counted; this one begins with it.
    pub fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    pub(super) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    pub(super) fn lines(&self) -> &[(u32, String)] {
        &self.lines
    }

    pub(super) fn kept_from(&self) -> u32 {
        self.kept_from
    }

    /// The last command that ended.
    pub(super) fn last_command(&self) -> u32 {
        self.step
    }

    /// Adds what `event` means to the model; many events mean nothing to it.
    pub fn record(&mut self, event: &TaskEvent) {
        match event {
            TaskEvent::Found { issue, .. } => {
                *self = Self::new(self.task.clone()).with_json(std::mem::take(&mut self.json));
                self.labels.clone_from(&issue.labels);
                self.issue = format!("{}\n\n{}", issue.title, issue.body);
                self.json_rules = prompt::system(&self.task, issue, Protocol::Json);
                self.always(Role::System, prompt::system(&self.task, issue, Protocol::Fenced));
            }
            TaskEvent::Prepared { checks, hosts, terms, setup, inherited, .. } => {
                self.checks.clone_from(checks);
                self.hosts.clone_from(hosts);
                self.paths.clone_from(&terms.paths);
                self.prepared(&terms.instructions, setup, inherited.as_deref());
            }
            TaskEvent::PlanDrafted { plan, usage } => {
                self.count(usage);
                self.always(Role::Assistant, plan.clone());
            }
            TaskEvent::PlanSettled { reviews } => {
                self.always(
                    Role::User,
                    prompt::plan_is_settled(reviews, &self.checks, &self.hosts, &self.paths),
                );
                self.list_at = self.turns.len();
                self.role = ModelRole::Work;
            }
            TaskEvent::Replied { text, step, usage } => {
                self.circling.record(event);
                self.count(usage);
                self.role = ModelRole::Work;
                self.replied(text, step, self.protocol_of(&usage.model));
            }
            TaskEvent::CommandFinished { step, outcome } => {
                self.step = *step;
                let line = digest::command(*step, &self.command, outcome);
                self.say(Role::User, prompt::observation(*step, outcome), Keep::AsLine(*step, line));
                self.nudge_by(event);
            }
            // Before the plan stands there is nothing to lose, and the plan's question must stay the last word.
            TaskEvent::SandboxLost { why } if self.has_begun => {
                let line = digest::SANDBOX_LOST.to_owned();
                self.until_next(prompt::sandbox_lost(why, self.saved_after), line);
            }
            TaskEvent::Checkpointed { .. } | TaskEvent::Escalated { saved: Some(_), .. } => {
                self.saved_after = Some(self.step);
            }
            TaskEvent::WorkProduced { produced } => {
                self.diff.clone_from(&produced.shown);
                self.saved_after = Some(self.step);
            }
            TaskEvent::WorkRefused { problem } => {
                self.until_next(prompt::refused(problem), digest::refused(problem));
                self.nudge_by(event);
            }
            TaskEvent::ChecksFinished { results, setup, .. } => self.checked(setup, results, event),
            TaskEvent::Advised { advice } if !advice.is_empty() => {
                self.always(Role::User, prompt::advised(advice));
            }
            TaskEvent::HumanAnswered { text, .. } => {
                self.always(Role::User, prompt::human_answered(text));
            }
            TaskEvent::Compacted { keep_from, list_from, .. } => self.compact(*keep_from, *list_from),
            _ => {}
        }
    }

    fn replied(&mut self, text: &str, step: &Step, protocol: Protocol) {
        self.has_begun = true;
        let keep = Keep::WithCommand(self.step + 1);
        self.say(Role::Assistant, text.to_owned(), keep.clone());
        match step {
            Step::Run { command, .. } => self.command.clone_from(command),
            Step::Malformed { problem } => self.say(Role::User, prompt::malformed(problem, protocol), keep),
            Step::Done { .. } | Step::Help { .. } => {}
        }
    }

    /// The first sandbox stands before the plan is asked for; a later one has been set up anew.
    fn prepared(&mut self, instructions: &str, setup: &[CheckResult], inherited: Option<&Inherited>) {
        if self.has_begun {
            if let Some(text) = prompt::set_up(setup) {
                self.until_next(text, digest::set_up(setup));
            }
            return;
        }
        if self.was_asked_for_plan {
            return;
        }
        self.was_asked_for_plan = true;
        let begun = inherited.and_then(prompt::inherited);
        let before = [prompt::instructions(instructions), begun, prompt::set_up(setup)];
        for text in before.into_iter().flatten() {
            self.always(Role::User, text);
        }
        self.always(Role::User, prompt::ASK_FOR_PLAN.to_owned());
    }

    fn checked(&mut self, setup: &[CheckResult], results: &[CheckResult], event: &TaskEvent) {
        if !setup.iter().all(CheckResult::passed) {
            self.until_next(prompt::setup_of_checks_failed(setup), digest::setup_of_checks_failed(setup));
            return self.nudge_by(event);
        }
        if !results.iter().all(CheckResult::passed) {
            self.until_next(prompt::checks_failed(results), digest::checks_failed(results));
            return self.nudge_by(event);
        }
        if !self.has_seen_diff {
            self.has_seen_diff = true;
            self.role = ModelRole::Review;
            let line = digest::CHECKS_PASSED.to_owned();
            self.until_next(prompt::look_at_diff(&self.diff, !results.is_empty()), line);
        }
    }

    /// The first sign of going in circles is told to the model; at the next, others are asked.
    fn nudge_by(&mut self, event: &TaskEvent) {
        if self.circling.record(event) == Some(Sign::Nudge) {
            let keep = Keep::WithCommand(self.step + 1);
            self.say(Role::User, prompt::NUDGE.to_owned(), keep);
        }
    }

    /// The part before the command `keep_from` becomes a list of what was done, of the commands from `list_from` on.
    fn compact(&mut self, keep_from: u32, list_from: u32) {
        self.kept_from = keep_from;
        self.seen = None;
        let turns = std::mem::take(&mut self.turns);
        let (old, kept): (Vec<_>, Vec<_>) =
            turns.into_iter().partition(|turn| turn.keep.command().is_some_and(|it| it < keep_from));
        self.replies_gone += old.iter().filter(|turn| turn.role == Role::Assistant).count();
        self.lines.extend(old.into_iter().filter_map(|turn| match turn.keep {
            Keep::AsLine(number, line) => Some((number, line)),
            Keep::Always | Keep::WithCommand(_) => None,
        }));
        self.messages.clear();
        let list = digest::list(&self.lines, list_from, keep_from, self.replies_gone);
        for (at, turn) in kept.iter().enumerate() {
            if at == self.list_at {
                self.add(Role::User, &list);
            }
            self.add(turn.role, &turn.text);
        }
        self.turns = kept;
    }

    /// What the server counted in the prompt that is there now.
    fn count(&mut self, usage: &ModelUse) {
        if usage.prompt_tokens > 0 {
            let (model, prompt_tokens) = (usage.model.clone(), usage.prompt_tokens);
            self.seen = Some(Seen { model, prompt_bytes: self.prompt_bytes(), prompt_tokens });
        }
    }

    fn always(&mut self, role: Role, text: String) {
        self.say(role, text, Keep::Always);
    }

    /// Said after the last command, and summarised with the next one.
    fn until_next(&mut self, text: String, line: String) {
        self.say(Role::User, text, Keep::AsLine(self.step + 1, line));
    }

    fn say(&mut self, role: Role, text: String, keep: Keep) {
        self.add(role, &text);
        self.turns.push(Turn { role, text, keep });
    }

    /// Two turns of one side become one: many models' templates know no other order than question, answer.
    fn add(&mut self, role: Role, text: &str) {
        match self.messages.last_mut() {
            Some(last) if last.role == role => {
                last.content += "\n\n";
                last.content += text;
            }
            _ => self.messages.push(Message { role, content: text.to_owned() }),
        }
    }
}
