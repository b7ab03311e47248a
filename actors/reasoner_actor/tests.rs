//! Conversations of many steps, and the window that they have to fit into.

use proptest::prelude::*;

use super::*;
use crate::ports::model::{Message, Role};
use crate::task::{
    CheckResult, Ending, Issue, IssueState, Observed, Produced, Review, Step, TaskEvent, TaskId, Terms,
};

const MODEL: &str = "coder";
const WINDOW: u32 = 16_384;
const MAX_OUTPUT: u32 = 2048;
/// What a true tokenizer makes of source code, about.
const BYTES_A_TOKEN: f64 = 3.6;

fn task() -> TaskId {
    "acme/rocket#7".parse().unwrap()
}

fn found() -> TaskEvent {
    let issue = Issue {
        number: 7,
        title: "Fix the THRUST".into(),
        body: "It falls down. ".repeat(40),
        state: IssueState::Open,
        labels: vec![],
        author: "ann".into(),
        url: String::new(),
        updated_at: String::new(),
    };
    TaskEvent::Found { issue, branch: None, labelled_by: None, taken_over: None }
}

fn prepared() -> TaskEvent {
    let base = crate::task::Base { branch: "main".into(), commit: "b".repeat(40).parse().unwrap() };
    TaskEvent::Prepared {
        base,
        checks: vec!["cargo test".into()],
        sandbox: "box".into(),
        hosts: vec![],
        terms: Terms::default(),
        setup: vec![],
        inherited: None,
    }
}

fn used(prompt_tokens: u32) -> ModelUse {
    ModelUse { model: MODEL.into(), prompt_tokens, output_tokens: 50, duration_ms: 1 }
}

fn ran(command: &str, prompt_tokens: u32) -> TaskEvent {
    let step = Step::Run { command: command.into(), timeout_s: None };
    TaskEvent::Replied { text: format!("I look.\n\n```sh\n{command}\n```"), step, usage: used(prompt_tokens) }
}

fn finished(step: u32, shown: String) -> TaskEvent {
    let ending = Ending::Exited { code: 0 };
    let outcome = Observed { ending, duration_ms: 5, shown, whole: None, out_of_memory: false };
    TaskEvent::CommandFinished { step, outcome }
}

fn produced() -> Produced {
    Produced {
        tree: "c".repeat(40).parse().unwrap(),
        files: 1,
        insertions: 1,
        deletions: 0,
        diff: crate::task::BlobRef(String::new()),
        shown: "+fixed".into(),
    }
}

fn begun() -> Conversation {
    let mut conversation = Conversation::new(task());
    let plan = "1. See it fall.\n2. Give it THE PLAN.".to_owned();
    let reviews = vec![Review { author: "bob".into(), objects: false, text: "Mind the FUEL.".into() }];
    for event in [
        found(),
        prepared(),
        TaskEvent::PlanDrafted { plan, usage: used(0) },
        TaskEvent::PlanSettled { reviews },
    ] {
        conversation.record(&event);
    }
    conversation
}

fn counted(conversation: &Conversation) -> u32 {
    (conversation.prompt_bytes() as f64 / BYTES_A_TOKEN).ceil() as u32
}

/// Each message of `before` is there, and the last may have grown.
fn begins_with(after: &[Message], before: &[Message]) -> bool {
    let Some((last, firsts)) = before.split_last() else { return true };
    after.starts_with(firsts)
        && after
            .get(firsts.len())
            .is_some_and(|it| it.role == last.role && it.content.starts_with(&last.content))
}

#[test]
fn four_hundred_steps_stay_within_the_window_and_only_old_steps_are_summarised() {
    let (mut conversation, windows) = (begun(), Windows::default());
    let mut summaries = Vec::new();
    for step in 1..=400_u32 {
        let room = windows.room_bytes(MODEL, WINDOW, MAX_OUTPUT);
        if let Some(summary) = conversation.compacted_before(room) {
            conversation.record(&summary);
            assert_eq!(conversation.compacted_before(room), None, "once is enough");
            summaries.push(step);
        }
        let prompt_tokens = counted(&conversation);
        assert!(prompt_tokens + MAX_OUTPUT <= WINDOW, "step {step}: {prompt_tokens} tokens");
        let before = conversation.messages().to_vec();
        let usage = ran(&format!("sed -n {step},{}p src/engine.rs", step + 40), prompt_tokens);
        conversation.record(&usage);
        windows.learn(conversation.seen().unwrap());
        // From nothing at all to the longest that is shown.
        let shown = format!("line of step {step}\n").repeat((step * 37 % 500) as usize);
        conversation.record(&finished(step, shown));
        if step == 150 {
            conversation.record(&TaskEvent::HumanAnswered { by: "ann".into(), text: "Use METHANE.".into() });
        }
        assert!(begins_with(conversation.messages(), &before), "step {step}");

        let all: String = conversation.messages().iter().map(|message| message.content.as_str()).collect();
        for kept in
            ["Fix the THRUST", "THE PLAN", "Mind the FUEL", "cargo test", "Begin with the first command."]
        {
            assert!(all.contains(kept), "step {step} lost {kept}");
        }
        assert!(step < 150 || all.contains("Use METHANE."), "step {step}");
        // The last command, word for word, and what it was asked with.
        assert!(
            all.contains(&format!("Command {step}: exit status 0"))
                && all.contains(&format!("sed -n {step},"))
        );
        let roles: Vec<_> = conversation.messages().iter().map(|message| message.role).collect();
        assert!(roles.windows(2).all(|pair| pair[0] != pair[1]) && roles.last() == Some(&Role::User));
    }
    println!("summarised before the steps {summaries:?}");
    assert!((2..=80).contains(&summaries.len()), "rarely, in big steps: {summaries:?}");
    let list = &conversation.messages()[3].content;
    assert!(list.contains("To save room, the first ") && list.contains(": exit status 0"), "{list}");
}

#[test]
fn a_summary_is_the_same_after_a_restart() {
    let mut events = vec![found(), prepared()];
    events.push(TaskEvent::PlanDrafted { plan: "plan".into(), usage: used(0) });
    events.push(TaskEvent::PlanSettled { reviews: vec![] });
    let mut conversation = Conversation::new(task());
    events.iter().for_each(|event| conversation.record(event));
    for step in 1..=60 {
        for event in [ran("cat a", 10), finished(step, "x".repeat(900))] {
            conversation.record(&event);
            events.push(event);
        }
        if let Some(summary) = conversation.compacted_before(24_000) {
            conversation.record(&summary);
            events.push(summary);
        }
    }
    let mut again = Conversation::new(task());
    events.iter().for_each(|event| again.record(event));
    assert_eq!(again, conversation);
    assert!(events.iter().filter(|it| matches!(it, TaskEvent::Compacted { .. })).count() > 1);
}

#[test]
fn what_can_not_be_summarised_is_said_to_be_so() {
    let mut conversation = begun();
    assert_eq!(conversation.compacted_after_overflow(100), None, "nothing was done yet");
    conversation.record(&ran("ls", 10));
    conversation.record(&finished(1, "x".repeat(9000)));
    assert_eq!(conversation.compacted_after_overflow(100), None, "the last command stays");
    conversation.record(&ran("ls", 10));
    conversation.record(&finished(2, "x".repeat(9000)));
    let summary = conversation.compacted_after_overflow(100).unwrap();
    assert_eq!(summary, TaskEvent::Compacted { keep_from: 2, list_from: 2, overflowed: true });
    conversation.record(&summary);
    assert_eq!(conversation.compacted_after_overflow(100), None, "and does not do it for ever");
}

#[test]
fn a_model_in_circles_is_told_once() {
    let mut conversation = begun();
    for step in 1..=4 {
        conversation.record(&ran("make", 10));
        conversation.record(&finished(step, "the same".into()));
        let last = &conversation.messages().last().unwrap().content;
        assert_eq!(last.contains("You repeat yourself"), step == 4, "step {step}");
    }
}

#[test]
fn a_transcript_is_the_whole_conversation_and_says_what_each_message_tells_of() {
    let plan = TaskEvent::PlanDrafted { plan: "plan".into(), usage: used(0) };
    let refused = Step::Malformed { problem: "No block.".into() };
    let mut events = vec![found(), prepared(), plan, TaskEvent::PlanSettled { reviews: vec![] }];
    events.push(TaskEvent::Replied { text: "hm".into(), step: refused, usage: used(7) });
    for step in 1..=4 {
        if step == 4 {
            events.push(TaskEvent::Compacted { keep_from: 3, list_from: 1, overflowed: false });
        }
        events.extend([ran("make", 10), finished(step, "the same".into())]);
    }
    let mut whole = Conversation::new(task());
    let is_summary = |event: &TaskEvent| matches!(event, TaskEvent::Compacted { .. });
    events.iter().filter(|event| !is_summary(event)).for_each(|event| whole.record(event));

    let transcript = Transcript::of(&task(), &events, &[]);
    let messages: Vec<_> = transcript.told.iter().map(|told| told.message.clone()).collect();
    assert_eq!(messages, whole.messages());
    let told_of: Vec<_> = transcript.told.iter().map(|told| told.events.as_slice()).collect();
    let expected: [&[usize]; 14] =
        [&[0], &[1], &[2], &[3], &[4], &[4], &[5], &[6], &[7], &[8], &[9], &[10], &[11, 12], &[13]];
    assert_eq!(told_of, expected);
    assert_eq!(transcript.nudged_by, [13]);

    // A task that is begun anew has another conversation.
    events.push(found());
    assert_eq!(
        Transcript::of(&task(), &events, &[]),
        Transcript::of(&task(), &events[14..], &[]).moved_by(14)
    );
}

#[test]
fn bytes_become_tokens_by_what_the_server_counted() {
    let windows = Windows::default();
    assert_eq!(windows.estimate(MODEL, 3000), 1000);
    windows.learn(&Seen { model: MODEL.into(), prompt_bytes: 40_000, prompt_tokens: 10_000 });
    assert_eq!((windows.estimate(MODEL, 3000), windows.estimate("other", 3000)), (750, 1000));
    assert_eq!(windows.room_bytes(MODEL, 16_000, 4000), 48_000);
    // What no tokenizer counts is not believed.
    windows.learn(&Seen { model: MODEL.into(), prompt_bytes: 40_000, prompt_tokens: 12 });
    assert_eq!(windows.estimate(MODEL, 3000), 750);
    // The server has a smaller window than it was asked for.
    let kept = windows.bytes_a_token();
    assert_eq!(kept.iter().collect::<Vec<_>>(), [(&MODEL.to_owned(), &4.0)]);
    let later = Windows::default();
    later.remember(&kept.into_iter().chain([("odd".to_owned(), 900.0)]).collect());
    assert_eq!((later.estimate(MODEL, 3000), later.estimate("odd", 3000)), (750, 1000));
    windows.learn_window(MODEL, Some(8000));
    assert_eq!(windows.room_bytes(MODEL, 16_000, 4000), 16_000);
    windows.learn_window(MODEL, None);
    assert_eq!(windows.room_bytes(MODEL, 16_000, 4000), 48_000);
}

#[test]
fn a_prompt_that_was_not_seen_whole_is_noticed() {
    let seen = |prompt_bytes, prompt_tokens| Seen { model: MODEL.into(), prompt_bytes, prompt_tokens };
    let windows = Windows::default();
    assert_eq!(windows.shortfall(&seen(30_000, 9000), None), None);
    // An old server with a window of 4096 that dropped the rest.
    assert_eq!(windows.shortfall(&seen(30_000, 4000), None), Some(10_000));
    assert_eq!(windows.room_bytes(MODEL, 16_000, 1000), 9000, "no more than it saw");
    assert_eq!(windows.shortfall(&seen(30_000, 0), None), None, "it does not count");
    assert_eq!(windows.shortfall(&seen(5000, 500), None), None, "no window is so small");
    // It grew, and was counted lower.
    let before = seen(30_000, 9000);
    assert_eq!(windows.shortfall(&seen(33_000, 8000), Some(&before)), Some(11_000));
    assert_eq!(windows.shortfall(&seen(33_000, 9900), Some(&before)), None);
    // As much was dropped as came to it.
    assert_eq!(windows.shortfall(&seen(36_000, 9000), Some(&before)), Some(12_000));
    windows.learn(&seen(33_000, 9900));
    // One that has the room drops nothing: it counts what it had not seen before.
    windows.learn_window(MODEL, Some(16_384));
    assert_eq!(windows.shortfall(&seen(36_000, 900), Some(&before)), None);
    // One that counts so always, and does not say its window, is not believed for long.
    windows.learn_window(MODEL, None);
    let noticed = (0..10).filter(|_| windows.shortfall(&seen(36_000, 900), Some(&before)).is_some()).count();
    assert_eq!(noticed, 3);
    assert_eq!(windows.room_bytes(MODEL, 10_000, 1000), 30_000, "and neither is what it saw");
}

impl Transcript {
    fn moved_by(mut self, events: usize) -> Self {
        let places = self.told.iter_mut().flat_map(|told| &mut told.events).chain(&mut self.nudged_by);
        places.for_each(|at| *at += events);
        self
    }
}

/// What follows a plan, by numbers.
fn any_event(kind: u8, step: u32, length: u16) -> Vec<TaskEvent> {
    let text = "word ".repeat(usize::from(length));
    let reply = |step| TaskEvent::Replied { text: text.clone(), step, usage: used(7) };
    match kind {
        0 => vec![reply(Step::Malformed { problem: "no block".into() })],
        1 => vec![
            reply(Step::Done { title: "t".into(), body: "b".into() }),
            TaskEvent::WorkRefused { problem: text },
        ],
        2 => {
            let Some(TaskEvent::CommandFinished { outcome, .. }) = Some(finished(step, text.clone())) else {
                return vec![];
            };
            let outcome = Observed { ending: Ending::Exited { code: i32::from(length % 2) }, ..outcome };
            let results = vec![CheckResult { command: "cargo test".into(), outcome }];
            let checked =
                TaskEvent::ChecksFinished { tree: produced().tree, results, hosts: vec![], setup: vec![] };
            let done = reply(Step::Done { title: "t".into(), body: "b".into() });
            vec![done, TaskEvent::WorkProduced { produced: produced() }, checked]
        }
        3 => vec![TaskEvent::SandboxLost { why: text }, prepared()],
        4 => {
            let advice = vec![Review { author: "bob".into(), objects: true, text: "no".into() }];
            vec![reply(Step::Help { question: "?".into() }), TaskEvent::Advised { advice }]
        }
        _ => vec![ran(&text, 7), finished(step, text.clone())],
    }
}

proptest! {
    #[test]
    fn each_prompt_begins_with_the_one_before_until_it_is_summarised(
        kinds in prop::collection::vec((0..12_u8, 0..900_u16), 1..60),
        room in 6_000..40_000_usize,
    ) {
        let mut conversation = begun();
        let mut step = 0;
        for (kind, length) in kinds {
            step += u32::from(kind > 4);
            for event in any_event(kind, step, length) {
                let before = conversation.messages().to_vec();
                conversation.record(&event);
                prop_assert!(begins_with(conversation.messages(), &before));
            }
            let before = conversation.prompt_bytes();
            if let Some(summary) = conversation.compacted_before(room) {
                conversation.record(&summary);
                // The list has a few hundred bytes of its own.
                prop_assert!(conversation.prompt_bytes() < before + 600);
                let all: String = conversation.messages().iter().map(|it| it.content.as_str()).collect();
                prop_assert!(all.contains("THE PLAN") && all.contains("Mind the FUEL"));
                let has_last = all.contains(&format!("Command {step}: "));
                prop_assert!(step == 0 || has_last, "step {}", step);
            }
            let roles: Vec<_> = conversation.messages().iter().map(|it| it.role).collect();
            prop_assert!(roles.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }
}
