//! What holds for every sequence of events. Each number of a random sequence picks either an event that the phase
//! waits for or any event at all, so that long sensible lives and nonsense are both tried.

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::{Effect, End, Limits, Phase, Task};
use crate::task::{
    Base, CheckResult, ConnectionOutcome, Ending, Epoch, Inherited, Issue, IssueState, ModelUse, Observed,
    Produced, PullRequestRef, Sha, Step, TaskEvent, Terms,
};

fn sha(digit: u8) -> Sha {
    char::from(b'a' + digit % 3).to_string().repeat(40).parse().unwrap()
}

fn observed(code: i32) -> Observed {
    Observed {
        ending: Ending::Exited { code },
        duration_ms: 1,
        shown: String::new(),
        whole: None,
        out_of_memory: false,
    }
}

fn produced(digit: u8) -> Produced {
    Produced {
        tree: sha(digit),
        files: 1,
        insertions: 1,
        deletions: 0,
        diff: crate::task::BlobRef(String::new()),
        shown: String::new(),
    }
}

fn replied(step: Step) -> TaskEvent {
    TaskEvent::Replied { text: String::new(), step, usage: ModelUse::default() }
}

/// One of every event, with contents from a small pool, so that they often match and often don't.
fn any_event(seed: u8, task: &Task) -> TaskEvent {
    let (pick, digit) = (seed % 31, seed / 31);
    let text = || "x".to_owned();
    match pick {
        0 => TaskEvent::Found {
            issue: Issue {
                number: 1,
                title: text(),
                body: text(),
                state: IssueState::Open,
                labels: vec![],
                author: text(),
                url: text(),
                updated_at: text(),
            },
            branch: None,
            labelled_by: Some(text()),
            taken_over: (digit == 1).then(|| "n".parse().unwrap()),
        },
        1 => TaskEvent::ClaimIntended { epoch: task.epoch.next(), lease: sha(digit) },
        2 => TaskEvent::Claimed { epoch: task.epoch, lease: sha(digit) },
        3 => TaskEvent::ClaimLost { holder: text() },
        4 => TaskEvent::LeaseRenewed { lease: sha(digit) },
        5 => TaskEvent::LeaseLost { why: text() },
        6 | 7 => TaskEvent::Prepared {
            base: Base { branch: text(), commit: sha(0) },
            checks: vec![text()],
            sandbox: text(),
            hosts: vec![],
            terms: Terms::default(),
            setup: vec![],
            inherited: match digit {
                0 | 1 => Some(Box::new(Inherited::Taken { commit: sha(2), produced: produced(digit + 1) })),
                2 => Some(Box::new(Inherited::Left { commit: sha(2), why: text() })),
                _ => None,
            },
        },
        8 => TaskEvent::SandboxLost { why: text() },
        9 => TaskEvent::PlanDrafted { plan: text(), usage: ModelUse::default() },
        10 => TaskEvent::PlanSettled { reviews: vec![] },
        11 => replied(Step::Run { command: text(), timeout_s: None }),
        12 => replied(Step::Done { title: text(), body: text() }),
        13 => replied(Step::Help { question: text() }),
        14 => replied(Step::Malformed { problem: text() }),
        15 => TaskEvent::CommandFinished { step: task.steps, outcome: observed(0) },
        16 => TaskEvent::WorkProduced { produced: produced(digit) },
        17 => TaskEvent::WorkRefused { problem: text() },
        18 | 19 => TaskEvent::ChecksFinished {
            tree: sha(digit),
            results: vec![CheckResult { command: text(), outcome: observed(i32::from(pick - 18)) }],
            hosts: vec![],
            setup: vec![],
        },
        20 => TaskEvent::LeaseIntended { lease: sha(digit), commit: None },
        21 => TaskEvent::Published { commit: sha(digit), at: None },
        22 => TaskEvent::PullRequestOpened { pull_request: PullRequestRef { number: 2, url: text() } },
        23 => TaskEvent::PullRequestMerged,
        24 => TaskEvent::Advised { advice: vec![] },
        25 => TaskEvent::Escalated { question: text(), saved: None },
        26 => TaskEvent::HumanAnswered { by: text(), text: text() },
        27 => TaskEvent::Cancelled { why: text() },
        28 => TaskEvent::Checkpointed { produced: produced(digit) },
        29 if digit % 2 == 0 => TaskEvent::TakenUp,
        29 => TaskEvent::ConnectionsOmitted { after: 1, allowed: false },
        _ => [
            TaskEvent::GaveUp { reason: text() },
            TaskEvent::CiFinished { commit: sha(digit), failed: vec![text()] },
            TaskEvent::CleanedUp { diff: None },
            TaskEvent::Stalled { what: text(), problem: text() },
            TaskEvent::PullRequestClosed,
            TaskEvent::Compacted { keep_from: 2, list_from: 1, overflowed: false },
        ][usize::from(digit % 6)]
        .clone(),
    }
}

/// The first event from `seed` on that moves the task, if any does: what a life without accidents is made of.
fn fitting_event(seed: u8, task: &Task) -> TaskEvent {
    (0..=255u8)
        .map(|offset| any_event(seed.wrapping_add(offset), task))
        .find(|event| {
            let is_accident = matches!(
                event,
                TaskEvent::Cancelled { .. }
                    | TaskEvent::GaveUp { .. }
                    | TaskEvent::LeaseLost { .. }
                    | TaskEvent::ClaimLost { .. }
                    | TaskEvent::SandboxLost { .. }
                    | TaskEvent::TakenUp
            ) || matches!(
                (event, &task.phase),
                (TaskEvent::ClaimIntended { .. }, Phase::Claiming { .. })
            );
            !is_accident && task.clone().step(event).1.is_some()
        })
        .unwrap_or_else(|| any_event(0, task))
}

/// A random life: every event, with the task before it.
fn life(choices: &[(u8, bool)]) -> (Vec<TaskEvent>, Vec<Task>) {
    let mut task = Task::new("a/b#1".parse().unwrap());
    let mut states = vec![task.clone()];
    let mut events = Vec::new();
    for (seed, sensible) in choices {
        let event = if *sensible { fitting_event(*seed, &task) } else { any_event(*seed, &task) };
        task = task.step(&event).0;
        events.push(event);
        states.push(task.clone());
    }
    (events, states)
}

fn choices() -> impl Strategy<Value = Vec<(u8, bool)>> {
    proptest::collection::vec((any::<u8>(), proptest::bool::weighted(0.95)), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_pushed_without_a_lease_and_checks_passed_on_that_tree(choices in choices()) {
        let (events, states) = life(&choices);
        for (before, event) in states.iter().zip(&events) {
            let (after, effect) = before.clone().step(event);
            if let Some(Effect::Publish { tree }) = &effect {
                prop_assert!(after.has_passed(tree) && after.holds_lease && after.looked_at_diff);
            }
        }
        // A node that comes back to a life decides by what the fold says.
        for task in &states {
            if let Some(Effect::Publish { tree }) = task.phase.due_again() {
                prop_assert!(task.has_passed(&tree) && task.holds_lease);
            }
        }
    }

    #[test]
    fn a_pull_request_is_proposed_only_for_a_published_commit(choices in choices()) {
        for task in life(&choices).1 {
            if matches!(task.phase, Phase::Proposing | Phase::InReview) {
                prop_assert!(task.published.is_some());
            }
        }
    }

    #[test]
    fn every_state_has_something_due_or_rests(choices in choices()) {
        for task in life(&choices).1 {
            prop_assert_eq!(task.phase.due_again().is_none(), task.phase.is_resting());
            prop_assert!(!matches!(task.phase.due_again(), Some(Effect::Run { .. })), "a command would run again");
        }
    }

    /// One that is found may be half prepared, or broken.
    #[test]
    fn a_sandbox_is_taken_over_only_after_it_was_prepared_and_not_lost_since(choices in choices()) {
        let (events, states) = life(&choices);
        for (count, task) in states.iter().enumerate() {
            if task.wants_its_sandbox() {
                let decisive = |event: &&TaskEvent| {
                    matches!(event, TaskEvent::Prepared { .. } | TaskEvent::SandboxLost { .. } | TaskEvent::Escalated { .. })
                };
                let accepted = |at: &usize| states[*at] != states[at + 1];
                let last = (0..count).rev().filter(accepted).map(|at| &events[at]).find(decisive);
                prop_assert!(matches!(last, Some(TaskEvent::Prepared { .. })), "{last:?} in {:?}", task.phase);
            }
        }
    }

    #[test]
    fn saving_the_work_disturbs_nothing(choices in choices()) {
        for task in life(&choices).1 {
            let (after, due) = task.clone().step(&TaskEvent::Checkpointed { produced: produced(1) });
            prop_assert!(due.is_none() && after.phase == task.phase && after.produced == task.produced);
            prop_assert!(after == task || after.saved == Some(produced(1)) && !after.has_unsaved);
        }
    }

    /// A later sandbox is made from the task's own work, and nothing is pushed that the checks have not passed on.
    #[test]
    fn only_what_a_task_begins_with_is_inherited(choices in choices()) {
        let (events, states) = life(&choices);
        for (before, event) in states.iter().zip(&events) {
            let TaskEvent::Prepared { inherited, .. } = event else { continue };
            let after = before.clone().step(event).0;
            let is_first = before.phase == Phase::Preparing && before.base.is_none();
            let expected = match inherited.as_deref() {
                Some(Inherited::Taken { produced, .. }) if is_first => Some(produced),
                _ => before.saved.as_ref(),
            };
            prop_assert_eq!(after.saved.as_ref(), expected);
            prop_assert!(after.checked == before.checked && after.produced == before.produced);
        }
    }

    #[test]
    fn every_state_has_a_way_out(choices in choices()) {
        for task in life(&choices).1 {
            let exits = [
                TaskEvent::ClaimLost { holder: String::new() },
                TaskEvent::GaveUp { reason: String::new() },
                TaskEvent::CleanedUp { diff: None },
            ];
            let out = exits.iter().fold(task, |task, event| task.step(event).0);
            prop_assert!(out.phase.is_resting(), "stuck in {:?}", out.phase);
        }
    }

    #[test]
    fn folding_any_prefix_gives_the_state_that_stepping_gave(choices in choices()) {
        let (events, states) = life(&choices);
        for (count, state) in states.iter().enumerate() {
            let folded = Task::fold(state.id.clone(), &events[..count]);
            prop_assert_eq!(&folded, state);
        }
    }

    #[test]
    fn a_lost_lease_or_a_closed_issue_stops_the_work_at_once(choices in choices(), lost: bool) {
        let event = match lost {
            true => TaskEvent::LeaseLost { why: String::new() },
            false => TaskEvent::Cancelled { why: String::new() },
        };
        for task in life(&choices).1 {
            if task.phase.needs_lease() {
                let (task, effect) = task.step(&event);
                prop_assert!(matches!(effect, Some(Effect::CleanUp { .. })), "{:?}", task.phase);
            }
        }
    }

    #[test]
    fn taking_a_task_up_again_changes_nothing_but_its_count_and_begins_what_is_due(choices in choices()) {
        for task in life(&choices).1 {
            let (taken_up, effect) = task.clone().step(&TaskEvent::TakenUp);
            match task.phase.has_runner() {
                true => {
                    prop_assert_eq!(effect, task.phase.due_again());
                    prop_assert_eq!(taken_up, Task { taken_up: task.taken_up + 1, ..task });
                }
                false => prop_assert_eq!((taken_up, effect), (task, None)),
            }
        }
    }

    /// Whatever else a crash does to it: a task that only ever comes back is not taken up for ever.
    #[test]
    fn a_task_that_never_gets_on_is_not_taken_up_for_ever(choices in choices(), loses_sandbox: bool) {
        let limits = Limits { max_sandbox_losses: u32::MAX, ..Limits::default() };
        for mut task in life(&choices).1 {
            if !task.phase.needs_lease() || matches!(task.phase, Phase::Parked { .. }) || task.base.is_none() {
                continue;
            }
            for _ in 0..=limits.max_taken_up {
                task = task.step(&TaskEvent::TakenUp).0;
                if loses_sandbox {
                    task = task.step(&TaskEvent::SandboxLost { why: String::new() }).0;
                    let base = Base { branch: String::new(), commit: sha(0) };
                    let (checks, hosts, setup, terms, inherited) = Default::default();
                    let sandbox = String::new();
                    let again = TaskEvent::Prepared { base, checks, sandbox, hosts, terms, setup, inherited };
                    task = task.step(&again).0;
                }
            }
            let reason = task.reached(&limits);
            prop_assert!(reason.is_some(), "{:?} goes on", task.phase);
        }
    }

    /// A runner that asks before each effect never does more than the limits say.
    #[test]
    fn limits_hold_for_who_asks_first(choices in choices()) {
        let limits = Limits { max_steps: 4, max_check_rounds: 2, ..Limits::default() };
        for task in life(&choices).1 {
            let goes_on = task.reached(&limits).is_none();
            if let Some(Effect::Run { step, .. }) = task.phase.due() {
                prop_assert!(!goes_on || step <= 4);
            }
            if task.phase == Phase::Thinking {
                prop_assert!(!goes_on || (task.check_rounds < 2 && task.malformed_in_row < 3));
            }
            let (gave_up, _) = task.clone().step(&TaskEvent::GaveUp { reason: String::new() });
            prop_assert!(goes_on || gave_up.reached(&limits).is_none(), "giving up is the end of it");
        }
    }
}

/// A guard on the generator itself: were no random life to reach a push, the properties above would say nothing.
#[test]
fn random_lives_reach_the_end() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reached_review = 0;
    for _ in 0..500 {
        let choices = choices().new_tree(&mut runner).unwrap().current();
        let states = life(&choices).1;
        reached_review += usize::from(states.iter().any(|task| task.phase == Phase::InReview));
    }
    assert!(reached_review > 25, "only {reached_review} of 500 lives reached a pull request");
}

proptest! {
    #[test]
    fn what_a_sandbox_asks_of_the_network_changes_no_task(seeds in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut task = Task::new("a/b#1".parse().unwrap());
        for seed in seeds {
            let event = fitting_event(seed, &task);
            task = task.step(&event).0;
            let noted = TaskEvent::Connected {
                host: "crates.io".into(),
                port: 443,
                outcome: ConnectionOutcome::Closed,
                sent_bytes: 1,
                received_bytes: 1,
            };
            prop_assert_eq!(task.clone().step(&noted), (task.clone(), None));
        }
    }
}

#[test]
fn the_straight_way() {
    let events = [
        TaskEvent::ClaimIntended { epoch: Epoch::FIRST, lease: sha(0) },
        TaskEvent::Claimed { epoch: Epoch::FIRST, lease: sha(0) },
        TaskEvent::Prepared {
            base: Base { branch: "main".into(), commit: sha(1) },
            checks: vec!["make test".into()],
            sandbox: "box".into(),
            hosts: vec![],
            terms: Terms::default(),
            setup: vec![],
            inherited: None,
        },
        TaskEvent::PlanDrafted { plan: "1. fix it".into(), usage: ModelUse::default() },
        TaskEvent::PlanSettled { reviews: vec![] },
        replied(Step::Run { command: "ls".into(), timeout_s: None }),
        TaskEvent::CommandFinished { step: 1, outcome: observed(0) },
        replied(Step::Done { title: "t".into(), body: "b".into() }),
        TaskEvent::WorkProduced { produced: produced(2) },
        TaskEvent::ChecksFinished { tree: sha(2), results: vec![], hosts: vec![], setup: vec![] },
        replied(Step::Done { title: "t".into(), body: "b".into() }),
        TaskEvent::WorkProduced { produced: produced(2) },
        TaskEvent::Published { commit: sha(0), at: None },
        TaskEvent::PullRequestOpened { pull_request: PullRequestRef { number: 2, url: "u".into() } },
        TaskEvent::PullRequestMerged,
        TaskEvent::CleanedUp { diff: None },
    ];
    let mut task = Task::new("a/b#1".parse().unwrap());
    let mut phases = vec![];
    for event in &events {
        task = task.step(event).0;
        phases.push(task.phase.name());
    }
    assert_eq!(
        phases,
        [
            "claiming",
            "preparing",
            "planning",
            "discussing",
            "thinking",
            "running",
            "thinking",
            "exporting",
            "checking",
            "thinking",
            "exporting",
            "publishing",
            "proposing",
            "in review",
            "cleaning up",
            "done",
        ]
    );
    assert_eq!(task.phase, Phase::Ended(End::Done));
}
