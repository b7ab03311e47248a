//! A task's events as a journal has them, for the tests.

use bzzz_actors::ports::journal::{Recorded, Seq};
use bzzz_actors::task::{
    Base, BlobRef, CheckResult, Ending, Epoch, Issue, IssueState, ModelUse, Observed, Produced,
    PullRequestRef, Sha, Step, TaskEvent, TaskId, Terms,
};

/// Midnight of the first day of 2026.
const BEGAN_MS: u64 = 1_767_225_600_000;

pub(in crate::cli) fn id() -> TaskId {
    "acme/rocket#7".parse().unwrap()
}

pub(in crate::cli) fn sha(digit: char) -> Sha {
    digit.to_string().repeat(40).parse().unwrap()
}

pub(in crate::cli) fn issue() -> Issue {
    Issue {
        number: 7,
        title: "Fuel is \x1b[2Jmissing".into(),
        body: "Please put some in.".into(),
        state: IssueState::Open,
        labels: vec!["bzzz-task".into()],
        author: "maya".into(),
        url: "https://forge.example/acme/rocket/issues/7".into(),
        updated_at: "2026-01-01T00:00:00Z".into(),
    }
}

/// A second apart.
pub(in crate::cli) fn recorded(events: Vec<TaskEvent>) -> Vec<Recorded> {
    let recorded = |(at, event)| Recorded {
        seq: Seq(at + 1),
        at_ms: BEGAN_MS + at * 1000,
        task: id(),
        epoch: Epoch(1),
        event,
    };
    (0_u64..).zip(events).map(recorded).collect()
}

pub(in crate::cli) fn replied(text: &str, step: Step) -> TaskEvent {
    TaskEvent::Replied { text: text.into(), step, usage: usage() }
}

pub(in crate::cli) fn ran(command: &str) -> TaskEvent {
    let step = Step::Run { command: command.into(), timeout_s: None };
    replied(&format!("I \u{9b}31mlook.\n\n```sh\n{command}\n```"), step)
}

pub(in crate::cli) fn done() -> TaskEvent {
    let step = Step::Done { title: "Fuel the rocket".into(), body: "It had none.".into() };
    replied("```done\nFuel the rocket\n\nIt had none.\n```", step)
}

pub(in crate::cli) fn usage() -> ModelUse {
    ModelUse { model: "coder".into(), prompt_tokens: 800, output_tokens: 40, duration_ms: 1200 }
}

pub(in crate::cli) fn ended(ending: Ending, shown: &str, whole: Option<&str>) -> Observed {
    let whole = whole.map(|name| BlobRef(name.into()));
    Observed { ending, duration_ms: 100, shown: shown.into(), whole, out_of_memory: false }
}

pub(in crate::cli) fn finished(step: u32, outcome: Observed) -> TaskEvent {
    TaskEvent::CommandFinished { step, outcome }
}

pub(in crate::cli) fn produced(diff: &str) -> Produced {
    Produced {
        tree: sha('c'),
        files: 1,
        insertions: 1,
        deletions: 0,
        diff: BlobRef(diff.into()),
        shown: "+full".into(),
    }
}

pub(in crate::cli) fn checked(code: i32) -> TaskEvent {
    let outcome = ended(Ending::Exited { code }, "dry\n", None);
    let results = vec![CheckResult { command: "test -s fuel".into(), outcome }];
    TaskEvent::ChecksFinished { tree: sha('c'), results, hosts: vec![], setup: vec![] }
}

/// Found, claimed, prepared and planned.
pub(in crate::cli) fn begun() -> Vec<TaskEvent> {
    let lease = sha('a');
    vec![
        TaskEvent::Found { issue: issue(), branch: None, labelled_by: Some("zoe".into()), taken_over: None },
        TaskEvent::ClaimIntended { epoch: Epoch(1), lease: lease.clone() },
        TaskEvent::Claimed { epoch: Epoch(1), lease },
        TaskEvent::Prepared {
            base: Base { branch: "main".into(), commit: sha('b') },
            terms: Terms::default(),
            setup: vec![],
            checks: vec!["test -s fuel".into()],
            sandbox: "box".into(),
            hosts: vec![],
            inherited: None,
        },
        TaskEvent::PlanDrafted { plan: "1. Look.\n2. Fuel it.".into(), usage: usage() },
        TaskEvent::PlanSettled { reviews: vec![] },
    ]
}

/// A whole life up to the pull request, with a reply that could not be used, a command that was killed, a summary, and
/// checks that failed once.
pub(in crate::cli) fn proposed() -> Vec<TaskEvent> {
    let mut events = begun();
    events
        .push(replied("Hm \x1b[1m.", Step::Malformed { problem: "Your reply had no fenced block.".into() }));
    let killed = Ending::TimedOut { after_ms: 60_000 };
    events.extend([ran("sleep 1000"), finished(1, ended(killed, "", None))]);
    events.push(TaskEvent::Compacted { keep_from: 1, list_from: 1, overflowed: false });
    let long =
        ended(Ending::Exited { code: 0 }, "first\n[… 9 bytes were left out here …]\nlast\n", Some("whole"));
    events.extend([ran("echo full > fuel\nls"), finished(2, long)]);
    for code in [1, 0] {
        events.extend([done(), TaskEvent::WorkProduced { produced: produced("diff") }, checked(code)]);
    }
    events.extend([done(), TaskEvent::WorkProduced { produced: produced("diff") }]);
    events.push(TaskEvent::Published { commit: sha('d'), at: None });
    let url = "https://forge.example/acme/rocket/pull/8".to_owned();
    events.push(TaskEvent::PullRequestOpened { pull_request: PullRequestRef { number: 8, url } });
    events
}
