//! What each entry says, and who it was.

use std::borrow::Cow;
use std::fmt;

use bzzz_actors::ports::journal::NodeEvent;
use bzzz_actors::reasoner_actor::words_of;
use bzzz_actors::task::life::Task;
use bzzz_actors::task::{
    Base, CheckResult, Inherited, ModelUse, Observed, Produced, Review, Step, TaskEvent, Terms,
};

use super::network::Connections;
use super::page::Tone;

/// What tells it from the rest of a hash.
const SHORT_HASH: usize = 10;

/// A part of what an event says. What comes from outside is printed by the page alone, which makes it printable.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) enum Line<'e> {
    Blank,
    /// What happened. The first of an event's says it all in short.
    Said(Tone, String),
    /// Somebody's sentences.
    Prose(Cow<'e, str>),
    /// A command, and what stands before it.
    Command(&'static str, &'e str),
    Output {
        of: &'e Observed,
        /// Nothing is wrong that it could explain.
        is_dispensable: bool,
    },
}

/// Whose decision or word an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Who {
    Person(String),
    Model(String),
    Node,
    Peers,
    Sandbox,
    Forge,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => write!(f, "person {name}"),
            Self::Model(name) => write!(f, "model {name}"),
            Self::Node => f.write_str("node"),
            Self::Peers => f.write_str("peers"),
            Self::Sandbox => f.write_str("sandbox"),
            Self::Forge => f.write_str("forge"),
        }
    }
}

impl Who {
    pub(in crate::cli) fn of(event: &TaskEvent) -> Self {
        use TaskEvent as E;
        match event {
            E::Found { labelled_by: Some(by), .. } | E::HumanAnswered { by, .. } => Self::Person(by.clone()),
            E::PlanDrafted { usage, .. } | E::Replied { usage, .. } => Self::Model(usage.model.clone()),
            E::PlanSettled { reviews: said } | E::Advised { advice: said } if !said.is_empty() => Self::Peers,
            E::ClaimLost { .. } => Self::Peers,
            E::CommandFinished { .. } | E::ChecksFinished { .. } => Self::Sandbox,
            E::Connected { .. } | E::ConnectionsOmitted { .. } => Self::Sandbox,
            E::CiFinished { .. } | E::PullRequestMerged | E::PullRequestClosed | E::Cancelled { .. } => {
                Self::Forge
            }
            E::Found { .. }
            | E::ClaimIntended { .. }
            | E::Claimed { .. }
            | E::LeaseIntended { .. }
            | E::LeaseRenewed { .. }
            | E::LeaseLost { .. }
            | E::Prepared { .. }
            | E::SandboxLost { .. }
            | E::PlanSettled { .. }
            | E::Compacted { .. }
            | E::Checkpointed { .. }
            | E::WorkProduced { .. }
            | E::WorkRefused { .. }
            | E::Published { .. }
            | E::PullRequestOpened { .. }
            | E::Advised { .. }
            | E::Escalated { .. }
            | E::TakenUp
            | E::Stalled { .. }
            | E::GaveUp { .. }
            | E::CleanedUp { .. } => Self::Node,
        }
    }
}

/// The words for one task's events, in their order.
#[derive(Debug, Default)]
pub(in crate::cli) struct Words {
    /// The last that was named.
    model: String,
}

impl Words {
    /// What an event says of the task, as it is after it.
    pub(in crate::cli) fn of<'e>(&mut self, event: &'e TaskEvent, task: &Task) -> Vec<Line<'e>> {
        let mut telling = Telling { model: &mut self.model, lines: Vec::new() };
        telling.event(event, task);
        telling.lines
    }
}

struct Telling<'w, 'e> {
    model: &'w mut String,
    lines: Vec<Line<'e>>,
}

impl<'e> Telling<'_, 'e> {
    fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.lines.push(Line::Said(tone, text.into()));
    }

    fn plain(&mut self, text: impl Into<String>) {
        self.say(Tone::Plain, text);
    }

    fn prose(&mut self, text: impl Into<Cow<'e, str>>) {
        self.lines.push(Line::Prose(text.into()));
    }

    fn event(&mut self, event: &'e TaskEvent, task: &Task) {
        use TaskEvent as E;
        match event {
            E::Found { branch, labelled_by, taken_over, .. } => {
                let by = labelled_by.as_ref().map(|it| format!(", labelled by {it}"));
                let from = branch.as_ref().map(|it| format!("; the work is to begin at the branch {it}"));
                let over = taken_over.as_ref().map(|it| format!("; the lease of {it} ran out"));
                let more = [by, from, over].map(Option::unwrap_or_default).concat();
                self.plain(format!("found{more}"));
            }
            E::ClaimIntended { epoch, lease } => {
                self.plain(format!(
                    "is about to claim it: epoch {}, lease {}",
                    epoch.0,
                    short(lease.as_str())
                ));
            }
            E::Claimed { epoch, lease } => {
                self.plain(format!("claimed: epoch {}, lease {}", epoch.0, short(lease.as_str())));
            }
            E::ClaimLost { holder } => self.plain(format!("not claimed; who has it: {holder}")),
            E::LeaseIntended { lease, commit } => {
                let with = commit.as_ref().map(|it| format!(", and the branch to {}", short(it.as_str())));
                let lease = short(lease.as_str());
                self.plain(format!("is about to move the lease to {lease}{}", with.unwrap_or_default()));
            }
            E::LeaseRenewed { lease } => self.plain(format!("moved the lease to {}", short(lease.as_str()))),
            E::LeaseLost { why } => self.say(Tone::Bad, format!("the lease was lost: {why}")),
            E::Prepared { base, checks, sandbox, hosts, terms, setup, inherited } => {
                self.inherited(inherited.as_deref());
                self.prepared(base, sandbox, hosts);
                self.terms(terms, checks);
                self.results("setup", setup);
            }
            E::SandboxLost { why } => self.say(Tone::Bad, format!("the sandbox was lost: {why}")),
            E::Connected { .. } | E::ConnectionsOmitted { .. } => {
                let mut connections = Connections::default();
                connections.note(event);
                self.lines.extend(connections.lines().map(|(tone, text)| Line::Said(tone, text)));
            }
            E::PlanDrafted { plan, usage } => {
                let cost = self.cost(usage);
                self.plain(format!("plan{cost}"));
                self.prose(plan);
            }
            E::PlanSettled { reviews } => match reviews.is_empty() {
                true => self.plain("the plan stands; no other node had advice"),
                false => self.reviews("the plan was read by others", reviews),
            },
            E::Replied { text, step, usage } => self.replied(text, step, usage, task.steps),
            E::CommandFinished { step, outcome } => {
                let tone = if outcome.ending.is_success() { Tone::Good } else { Tone::Bad };
                self.say(tone, format!("step {step}: {}", ending(outcome)));
                self.lines.push(Line::Output { of: outcome, is_dispensable: false });
            }
            E::Compacted { keep_from, overflowed, .. } => {
                let why = if *overflowed { "did not fit into" } else { "came near to" };
                self.plain(format!(
                    "the conversation {why} the model's window: what was before step {keep_from} became a list"
                ));
            }
            E::Checkpointed { produced } => self.plain(format!("saved: {}", size(produced))),
            E::WorkProduced { produced } => self.plain(format!("taken out: {}", size(produced))),
            E::WorkRefused { problem } => {
                self.say(Tone::Bad, "the work was refused");
                self.prose(problem);
            }
            E::ChecksFinished { results, setup, .. } => {
                self.results("setup", setup);
                if setup.iter().all(CheckResult::passed) {
                    self.checks(results);
                }
            }
            E::Published { commit, .. } => {
                let (branch, commit) = (task.id.branch(), short(commit.as_str()));
                self.say(Tone::Good, format!("published: {branch} is {commit}"));
            }
            E::PullRequestOpened { pull_request } => {
                self.say(Tone::Good, format!("pull request {}", pull_request.url));
            }
            E::CiFinished { failed, .. } => match failed.is_empty() {
                true => self.say(Tone::Good, "continuous integration: nothing failed"),
                false => self.say(Tone::Bad, format!("continuous integration: {} failed", failed.join(", "))),
            },
            E::PullRequestMerged => self.say(Tone::Good, "the pull request was merged"),
            E::PullRequestClosed => self.say(Tone::Bad, "the pull request was closed without being merged"),
            E::Advised { advice } => match advice.is_empty() {
                true => self.plain("no other node had advice"),
                false => self.reviews("other nodes answered", advice),
            },
            E::Escalated { question, saved } => {
                let saved = saved.as_ref().map(|it| format!("; saved: {}", size(it))).unwrap_or_default();
                self.say(Tone::Bad, format!("a person is asked{saved}"));
                self.prose(question);
            }
            E::HumanAnswered { by, text } => {
                self.plain(format!("{by} answered"));
                self.prose(text);
            }
            E::TakenUp => self.plain("taken up again: the node, or what it runs for the task, had gone down"),
            E::Stalled { what, problem } => {
                self.say(Tone::Bad, format!("could not {what}, to be tried again: {problem}"));
            }
            E::Cancelled { why } => self.say(Tone::Bad, format!("cancelled: {why}")),
            E::GaveUp { reason } => {
                self.say(Tone::Bad, "given up");
                self.prose(reason);
            }
            E::CleanedUp { diff } => {
                let kept =
                    diff.as_ref().map(|_| "; what was not published is kept: `bzzz tasks diff` shows it");
                self.plain(format!("the end{}", kept.unwrap_or_default()));
            }
        }
    }

    fn inherited(&mut self, inherited: Option<&'e Inherited>) {
        match inherited {
            Some(Inherited::Taken { commit, produced }) => {
                let (commit, size) = (short(commit.as_str()), size(produced));
                self.plain(format!("goes on from {commit}, pushed by the last owner: {size}"));
            }
            Some(Inherited::Left { commit, why }) => {
                let commit = short(commit.as_str());
                self.plain(format!("begins anew: {commit}, pushed by the last owner, can't be used"));
                self.prose(why);
            }
            None => {}
        }
    }

    fn prepared(&mut self, base: &Base, sandbox: &str, hosts: &[String]) {
        let (branch, commit) = (&base.branch, short(base.commit.as_str()));
        self.plain(format!("sandbox {sandbox} with {branch} at {commit}"));
        if !hosts.is_empty() {
            self.prose(format!("hosts that it can reach: {}", hosts.join(", ")));
        }
    }

    /// What the repository asks for, as far as it counts.
    fn terms(&mut self, terms: &Terms, checks: &'e [String]) {
        if let Some(image) = &terms.image {
            self.prose(format!("its image: {image}"));
        }
        if !terms.paths.is_empty() {
            let paths: Vec<_> = terms.paths.iter().map(ToString::to_string).collect();
            self.prose(format!("what may be changed: {}", paths.join(", ")));
        }
        self.lines.extend(checks.iter().map(|check| Line::Command("check: ", check)));
        if !terms.instructions.is_empty() {
            self.prose(format!("the repository's instructions:\n\n{}", terms.instructions));
        }
    }

    fn replied(&mut self, text: &'e str, step: &'e Step, usage: &ModelUse, number: u32) {
        let cost = self.cost(usage);
        let words = words_of(text);
        self.lines.push(Line::Blank);
        match step {
            Step::Run { command, timeout_s } => {
                let more_time = timeout_s.map(|it| format!(", may take {it} s")).unwrap_or_default();
                self.plain(format!("step {number}{more_time}{cost}"));
                self.prose(words);
                self.lines.push(Line::Command("$ ", command));
            }
            Step::Done { title, body } => {
                self.plain(format!("it says that it is done{cost}"));
                self.prose(words);
                self.prose(format!("{title}\n\n{body}"));
            }
            Step::Help { question } => {
                self.plain(format!("it asks for help{cost}"));
                self.prose(words);
                self.prose(question);
            }
            Step::Malformed { problem } => {
                self.say(Tone::Bad, format!("a reply that could not be used{cost}: {problem}"));
                self.prose(text);
            }
        }
    }

    /// The model is named when it is another one than before.
    fn cost(&mut self, usage: &ModelUse) -> String {
        let ModelUse { model, prompt_tokens, output_tokens, duration_ms } = usage;
        let name = if model == self.model { String::new() } else { format!("{model}: ") };
        self.model.clone_from(model);
        let seconds = *duration_ms as f64 / 1e3;
        format!(" ({name}{seconds:.1} s, {prompt_tokens} tokens read, {output_tokens} written)")
    }

    fn reviews(&mut self, title: &str, reviews: &[Review]) {
        self.plain(title);
        for Review { author, objects, text } in reviews {
            let objects = if *objects { " (objects)" } else { "" };
            self.prose(format!("{author}{objects}: {text}"));
        }
    }

    fn checks(&mut self, results: &'e [CheckResult]) {
        if results.is_empty() {
            self.plain("the repository names no checks, so none ran");
        }
        self.results("check", results);
    }

    fn results(&mut self, what: &str, results: &'e [CheckResult]) {
        for result in results {
            let (tone, verdict) =
                if result.passed() { (Tone::Good, "passed") } else { (Tone::Bad, "FAILED") };
            self.say(tone, format!("{what} {verdict}: {}", ending(&result.outcome)));
            self.lines.push(Line::Command("$ ", &result.command));
            self.lines.push(Line::Output { of: &result.outcome, is_dispensable: result.passed() });
        }
    }
}

/// What an event of no task says.
pub(in crate::cli) fn of_node(event: &NodeEvent) -> (Tone, String) {
    let text = match event {
        NodeEvent::TrailRebuilt { segment, why } => {
            format!(
                "segment {segment} of the trail was damaged, and was written anew from the journal: {why}"
            )
        }
        NodeEvent::PeerContradicted { peer, witnessed, shown, why } => format!(
            "the trail of {peer} was changed or cut: it showed {} and then {}: {why}",
            witnessed.mark, shown.mark
        ),
        NodeEvent::OwnHistoryLost { witnessed, own } => format!(
            "peers hold {} of this node's trail, to which its journal, at {}, does not lead",
            witnessed.mark, own.mark
        ),
    };
    (Tone::Bad, text)
}

fn ending(outcome: &Observed) -> String {
    let memory = if outcome.out_of_memory { ", out of memory" } else { "" };
    format!("{}, {:.1} s{memory}", outcome.ending, outcome.duration_ms as f64 / 1e3)
}

fn size(produced: &Produced) -> String {
    let Produced { files, insertions, deletions, .. } = produced;
    let s = if *files == 1 { "" } else { "s" };
    format!("{files} file{s} changed, +{insertions} −{deletions}")
}

/// As much of a hash as a person compares.
pub(in crate::cli) fn short(hash: &str) -> &str {
    hash.get(..SHORT_HASH).unwrap_or(hash)
}
