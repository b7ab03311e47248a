use bzzz_actors::task::{BlobRef, Ending, TaskEvent};

use super::write;
use crate::cli::telling::Page;
use crate::cli::telling::samples::*;

fn shown(events: Vec<TaskEvent>, is_full: bool) -> String {
    let mut page = Page::new(100, false, is_full);
    let read = |_: &BlobRef| Ok(Some(b"first\n\x1b[31mmiddle\nlast\n".to_vec()));
    write(&mut page, &id(), &recorded(events), is_full.then_some(&read)).unwrap();
    page.into_text()
}

#[test]
fn a_whole_life_is_told_step_by_step() {
    let text = shown(proposed(), false);
    let expected = "\
acme/rocket#7: Fuel is missing
state     in review: https://forge.example/acme/rocket/pull/8
issue     https://forge.example/acme/rocket/issues/7 by maya, labelled by zoe
claim     epoch 1
base      main at bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
model     coder: 5600 tokens read, 280 written, in 8.4 s
steps     2

From 2026-01-01T00:00:00Z
0:00:00   found, labelled by zoe
0:00:02   claimed: epoch 1, lease aaaaaaaaaa
0:00:03   sandbox box with main at bbbbbbbbbb
          check: test -s fuel
0:00:04   plan (coder: 1.2 s, 800 tokens read, 40 written)
          1. Look.
          2. Fuel it.
0:00:05   the plan stands; no other node had advice

0:00:06   a reply that could not be used (1.2 s, 800 tokens read, 40 written): Your reply had no
          fenced block.
          Hm .

0:00:07   step 1 (1.2 s, 800 tokens read, 40 written)
          I look.
          $ sleep 1000
0:00:08   step 1: killed after 60.0 s (time limit), 0.1 s
0:00:09   the conversation came near to the model's window: what was before step 1 became a list

0:00:10   step 2 (1.2 s, 800 tokens read, 40 written)
          I look.
          $ echo full > fuel
            ls
0:00:11   step 2: exit status 0, 0.1 s
          first
          [… 9 bytes were left out here …]
          last

0:00:12   it says that it is done (1.2 s, 800 tokens read, 40 written)
          Fuel the rocket

          It had none.
0:00:13   taken out: 1 file changed, +1 −0
0:00:14   check FAILED: exit status 1, 0.1 s
          $ test -s fuel
          dry
";
    assert!(text.starts_with(expected), "{text}");
    let end = "\
0:00:20   published: bzzz/issue-7 is dddddddddd
0:00:21   pull request https://forge.example/acme/rocket/pull/8
";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn whole_outputs_come_from_the_journal_and_steer_no_terminal() {
    let text = shown(proposed(), true);
    assert!(text.contains("          first\n          middle\n          last\n"), "{text}");
    assert!(!text.contains('\x1b') && !text.contains('\u{9b}'), "{text:?}");
}

#[test]
fn trouble_questions_and_answers_are_told() {
    let mut events = begun();
    for step in 1..=8 {
        events.push(ran("make"));
        events.push(finished(step, ended(Ending::Exited { code: 2 }, "no rule\n", None)));
    }
    events.push(TaskEvent::Advised { advice: vec![] });
    events.push(TaskEvent::Escalated { question: "What now?".into(), saved: None });
    events.push(TaskEvent::HumanAnswered { by: "maya".into(), text: "Write a Makefile.".into() });
    events.push(TaskEvent::GaveUp { reason: "not done after 8 commands".into() });
    events.push(TaskEvent::CleanedUp { diff: Some(BlobRef("diff".into())) });
    let text = shown(events, false);
    for told in [
        "state     failed: not done after 8 commands\n",
        "it was told that it repeats itself\n",
        "it goes in circles; the other nodes are asked\n",
        "no other node had advice\n",
        "a person is asked\n          What now?\n",
        "maya answered\n          Write a Makefile.\n",
        "given up\n          not done after 8 commands\n",
        "what was not published is kept",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert_eq!(text.matches("it was told that it repeats itself").count(), 1, "{text}");
}

#[test]
fn each_attempt_has_its_own_heading_and_clock() {
    let lost = begun().into_iter().take(2).chain([TaskEvent::ClaimLost { holder: "other".into() }]);
    let text = shown(lost.chain(begun()).collect(), false);
    assert!(
        text.contains("\nAttempt 1 of 2, from 2026-01-01T00:00:00Z\n0:00:00   found, labelled by zoe\n"),
        "{text}"
    );
    assert!(text.contains("0:00:02   not claimed; who has it: other\n\nAttempt 2 of 2, from 2026"), "{text}");
}
