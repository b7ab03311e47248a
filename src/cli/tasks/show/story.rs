//! What each event says to a person. Of some nothing is said: the renewals of a lease are many, and tell nothing of the work.

use bzzz_actors::ports::journal::JournalError;
use bzzz_actors::reasoner_actor::{Transcript, words_of};
use bzzz_actors::task::life::{Phase, Task};
use bzzz_actors::task::{
    Base, CheckResult, ModelUse, Observed, Produced, Review, Step, TaskEvent, TaskId, Terms,
};

use super::super::attempts::Attempt;
use super::Read;
use super::network::Connections;
use super::page::{Page, Tone};

/// What tells it from the rest of a hash.
const SHORT_HASH: usize = 10;

pub(super) struct Story<'a> {
    page: &'a mut Page,
    /// Reads the outputs that are shown whole, if any are.
    whole: Option<Read<'a>>,
    after_ms: u64,
    model: String,
    /// Those since the last thing that was told.
    connections: Connections,
}

impl<'a> Story<'a> {
    pub(super) fn new(page: &'a mut Page, whole: Option<Read<'a>>) -> Self {
        Self { page, whole, after_ms: 0, model: String::new(), connections: Connections::default() }
    }

    pub(super) fn tell(&mut self, id: &TaskId, attempt: &Attempt<'_>) -> Result<(), JournalError> {
        let nudged_by = Transcript::of(id, attempt.events(), &[]).nudged_by;
        let mut task = Task::new(id.clone());
        for (at, recorded) in attempt.recorded.iter().enumerate() {
            let was_asking = matches!(task.phase, Phase::AskingPeers { .. });
            task = task.step(&recorded.event).0;
            if self.connections.note(&recorded.event) {
                continue;
            }
            self.tell_connections();
            self.after_ms = recorded.at_ms.saturating_sub(attempt.began_ms());
            self.event(&recorded.event, &task)?;
            if nudged_by.contains(&at) {
                self.say(Tone::Plain, "it was told that it repeats itself");
            }
            match &task.phase {
                Phase::AskingPeers { question }
                    if !was_asking && !matches!(recorded.event, TaskEvent::Replied { .. }) =>
                {
                    self.say(Tone::Bad, "it goes in circles; the other nodes are asked");
                    self.page.prose(question);
                }
                _ => {}
            }
        }
        self.tell_connections();
        Ok(())
    }

    fn say(&mut self, tone: Tone, text: &str) {
        self.page.entry(self.after_ms, tone, text);
    }

    fn tell_connections(&mut self) {
        for (tone, text) in std::mem::take(&mut self.connections).lines() {
            self.say(tone, &text);
        }
    }

    fn event(&mut self, event: &TaskEvent, task: &Task) -> Result<(), JournalError> {
        use TaskEvent as E;
        match event {
            E::Found { branch, .. } => {
                let from = branch.as_ref().map(|it| format!("; the work is to begin at the branch {it}"));
                self.say(Tone::Plain, &format!("found{}", from.unwrap_or_default()));
            }
            E::Claimed { epoch, lease } => {
                self.say(
                    Tone::Plain,
                    &format!("claimed: epoch {}, lease {}", epoch.0, short(lease.as_str())),
                );
            }
            E::ClaimLost { holder } => self.say(Tone::Plain, &format!("not claimed; who has it: {holder}")),
            E::LeaseLost { why } => self.say(Tone::Bad, &format!("the lease was lost: {why}")),
            E::Prepared { base, checks, sandbox, hosts, terms, setup } => {
                self.prepared(base, sandbox, hosts);
                self.terms(terms, checks);
                self.results("setup", setup)?;
            }
            E::SandboxLost { why } => self.say(Tone::Bad, &format!("the sandbox was lost: {why}")),
            E::PlanDrafted { plan, usage } => {
                let cost = self.cost(usage);
                self.say(Tone::Plain, &format!("plan{cost}"));
                self.page.prose(plan);
            }
            E::PlanSettled { reviews } => match reviews.is_empty() {
                true => self.say(Tone::Plain, "the plan stands; no other node had advice"),
                false => self.reviews("the plan was read by others", reviews),
            },
            E::Replied { text, step, usage } => self.replied(text, step, usage, task.steps),
            E::CommandFinished { step, outcome } => {
                let tone = if outcome.ending.is_success() { Tone::Good } else { Tone::Bad };
                self.say(tone, &format!("step {step}: {}", ending(outcome)));
                self.output(outcome)?;
            }
            E::Compacted { keep_from, overflowed, .. } => {
                let why = if *overflowed { "did not fit into" } else { "came near to" };
                let text = format!(
                    "the conversation {why} the model's window: what was before step {keep_from} became a list"
                );
                self.say(Tone::Plain, &text);
            }
            E::Checkpointed { produced } => self.say(Tone::Plain, &format!("saved: {}", size(produced))),
            E::WorkProduced { produced } => self.say(Tone::Plain, &format!("taken out: {}", size(produced))),
            E::WorkRefused { problem } => {
                self.say(Tone::Bad, "the work was refused");
                self.page.prose(problem);
            }
            E::ChecksFinished { results, setup, .. } => {
                self.results("setup", setup)?;
                if setup.iter().all(CheckResult::passed) {
                    self.checks(results)?;
                }
            }
            E::Published { commit, .. } => {
                let (branch, commit) = (task.id.branch(), short(commit.as_str()));
                self.say(Tone::Good, &format!("published: {branch} is {commit}"));
            }
            E::PullRequestOpened { pull_request } => {
                self.say(Tone::Good, &format!("pull request {}", pull_request.url));
            }
            E::CiFinished { failed, .. } => match failed.is_empty() {
                true => self.say(Tone::Good, "continuous integration: nothing failed"),
                false => {
                    self.say(Tone::Bad, &format!("continuous integration: {} failed", failed.join(", ")));
                }
            },
            E::PullRequestMerged => self.say(Tone::Good, "the pull request was merged"),
            E::PullRequestClosed => self.say(Tone::Bad, "the pull request was closed without being merged"),
            E::Advised { advice } => match advice.is_empty() {
                true => self.say(Tone::Plain, "no other node had advice"),
                false => self.reviews("other nodes answered", advice),
            },
            E::Escalated { question, saved } => {
                let saved = saved.as_ref().map(|it| format!("; saved: {}", size(it))).unwrap_or_default();
                self.say(Tone::Bad, &format!("a person is asked{saved}"));
                self.page.prose(question);
            }
            E::HumanAnswered { by, text } => {
                self.say(Tone::Plain, &format!("{by} answered"));
                self.page.prose(text);
            }
            E::TakenUp => {
                self.say(
                    Tone::Plain,
                    "taken up again: the node, or what it runs for the task, had gone down",
                );
            }
            E::Stalled { what, problem } => {
                self.say(Tone::Bad, &format!("could not {what}, to be tried again: {problem}"));
            }
            E::Cancelled { why } => self.say(Tone::Bad, &format!("cancelled: {why}")),
            E::GaveUp { reason } => {
                self.say(Tone::Bad, "given up");
                self.page.prose(reason);
            }
            E::CleanedUp { diff } => {
                let kept =
                    diff.as_ref().map(|_| "; what was not published is kept: `bzzz tasks diff` shows it");
                self.say(Tone::Plain, &format!("the end{}", kept.unwrap_or_default()));
            }
            E::ClaimIntended { .. }
            | E::LeaseIntended { .. }
            | E::LeaseRenewed { .. }
            | E::Connected { .. }
            | E::ConnectionsOmitted { .. } => {}
        }
        Ok(())
    }

    fn prepared(&mut self, base: &Base, sandbox: &str, hosts: &[String]) {
        let (branch, commit) = (&base.branch, short(base.commit.as_str()));
        self.say(Tone::Plain, &format!("sandbox {sandbox} with {branch} at {commit}"));
        if !hosts.is_empty() {
            self.page.prose(&format!("hosts that it can reach: {}", hosts.join(", ")));
        }
    }

    /// What the repository asks for, as far as it counts.
    fn terms(&mut self, terms: &Terms, checks: &[String]) {
        if let Some(image) = &terms.image {
            self.page.prose(&format!("its image: {image}"));
        }
        if !terms.paths.is_empty() {
            let paths: Vec<_> = terms.paths.iter().map(ToString::to_string).collect();
            self.page.prose(&format!("what may be changed: {}", paths.join(", ")));
        }
        for check in checks {
            self.page.command("check: ", check);
        }
        if !terms.instructions.is_empty() {
            self.page.prose(&format!("the repository's instructions:\n\n{}", terms.instructions));
        }
    }

    fn replied(&mut self, text: &str, step: &Step, usage: &ModelUse, number: u32) {
        let cost = self.cost(usage);
        let words = words_of(text);
        self.page.blank();
        match step {
            Step::Run { command, timeout_s } => {
                let more_time = timeout_s.map(|it| format!(", may take {it} s")).unwrap_or_default();
                self.say(Tone::Plain, &format!("step {number}{more_time}{cost}"));
                self.page.prose(&words);
                self.page.command("$ ", command);
            }
            Step::Done { title, body } => {
                self.say(Tone::Plain, &format!("it says that it is done{cost}"));
                self.page.prose(&words);
                self.page.prose(&format!("{title}\n\n{body}"));
            }
            Step::Help { question } => {
                self.say(Tone::Plain, &format!("it asks for help{cost}"));
                self.page.prose(&words);
                self.page.prose(question);
            }
            Step::Malformed { problem } => {
                self.say(Tone::Bad, &format!("a reply that could not be used{cost}: {problem}"));
                self.page.prose(text);
            }
        }
    }

    /// The model is named when it is another one than before.
    fn cost(&mut self, usage: &ModelUse) -> String {
        let ModelUse { model, prompt_tokens, output_tokens, duration_ms } = usage;
        let name = if *model == self.model { String::new() } else { format!("{model}: ") };
        self.model.clone_from(model);
        let seconds = *duration_ms as f64 / 1e3;
        format!(" ({name}{seconds:.1} s, {prompt_tokens} tokens read, {output_tokens} written)")
    }

    fn reviews(&mut self, title: &str, reviews: &[Review]) {
        self.say(Tone::Plain, title);
        for Review { author, objects, text } in reviews {
            let objects = if *objects { " (objects)" } else { "" };
            self.page.prose(&format!("{author}{objects}: {text}"));
        }
    }

    fn checks(&mut self, results: &[CheckResult]) -> Result<(), JournalError> {
        if results.is_empty() {
            self.say(Tone::Plain, "the repository names no checks, so none ran");
        }
        self.results("check", results)
    }

    fn results(&mut self, what: &str, results: &[CheckResult]) -> Result<(), JournalError> {
        for result in results {
            let (tone, verdict) =
                if result.passed() { (Tone::Good, "passed") } else { (Tone::Bad, "FAILED") };
            self.say(tone, &format!("{what} {verdict}: {}", ending(&result.outcome)));
            self.page.command("$ ", &result.command);
            if !result.passed() || self.whole.is_some() {
                self.output(&result.outcome)?;
            }
        }
        Ok(())
    }

    fn output(&mut self, outcome: &Observed) -> Result<(), JournalError> {
        let whole = match (self.whole, &outcome.whole) {
            (Some(read), Some(blob)) => Some(read(blob)?),
            _ => None,
        };
        match whole {
            Some(Some(bytes)) => self.page.output(&String::from_utf8_lossy(&bytes)),
            Some(None) => {
                self.page.output(&outcome.shown);
                self.page.prose("[the whole output is missing from the data folder]");
            }
            None => self.page.output(&outcome.shown),
        }
        Ok(())
    }
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

fn short(hash: &str) -> &str {
    hash.get(..SHORT_HASH).unwrap_or(hash)
}
