//! How long a task has been worked on, as the times of its events tell.

use std::time::Duration;

use crate::ports::journal::Recorded;
use crate::task::{TaskEvent, TaskId};

use super::Task;

/// A longer pause between two events is a clock that jumped, or a machine that slept: renewals of the lease alone are
/// closer together. It counts as this much.
const LONGEST_SPAN: Duration = Duration::from_secs(3600);

/// The time in which the task had a place, since this node last began with it. The time in which the node was down, which
/// ends in `TakenUp`, is left out.
pub fn worked(id: &TaskId, events: &[Recorded]) -> Duration {
    let mut task = Task::new(id.clone());
    let mut worked = Duration::ZERO;
    let mut last_at_ms = 0;
    for Recorded { at_ms, event, .. } in events.iter().filter(|it| !it.event.is_of_network()) {
        let begins_anew = task.phase.is_resting() && matches!(event, TaskEvent::Found { .. });
        if begins_anew {
            worked = Duration::ZERO;
        } else if is_worked_on(&task) && *event != TaskEvent::TakenUp {
            worked += Duration::from_millis(at_ms.saturating_sub(last_at_ms)).min(LONGEST_SPAN);
        }
        task = task.step(event).0;
        last_at_ms = *at_ms;
    }
    worked
}

fn is_worked_on(task: &Task) -> bool {
    task.phase.needs_lease() && task.phase.takes_a_place()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::journal::Seq;
    use crate::task::{Base, ConnectionOutcome, Epoch, Issue, IssueState, Sha, Terms};

    fn id() -> TaskId {
        "a/b#1".parse().unwrap()
    }

    fn worked_s(events: &[(u64, TaskEvent)]) -> u64 {
        let recorded = |(at_s, event): &(u64, TaskEvent)| Recorded {
            seq: Seq(1),
            at_ms: at_s * 1000,
            task: id(),
            epoch: Epoch(1),
            event: event.clone(),
        };
        worked(&id(), &events.iter().map(recorded).collect::<Vec<_>>()).as_secs()
    }

    fn found() -> TaskEvent {
        let issue = Issue {
            number: 1,
            title: String::new(),
            body: String::new(),
            state: IssueState::Open,
            labels: vec![],
            author: String::new(),
            url: String::new(),
            updated_at: String::new(),
        };
        TaskEvent::Found { issue, branch: None, labelled_by: None, taken_over: None }
    }

    fn claimed(at_s: u64) -> Vec<(u64, TaskEvent)> {
        let lease: Sha = "a".repeat(40).parse().unwrap();
        vec![
            (at_s, found()),
            (at_s, TaskEvent::ClaimIntended { epoch: Epoch(1), lease: lease.clone() }),
            (at_s + 5, TaskEvent::Claimed { epoch: Epoch(1), lease }),
        ]
    }

    fn prepared() -> TaskEvent {
        let base = Base { branch: "main".into(), commit: "b".repeat(40).parse().unwrap() };
        TaskEvent::Prepared {
            base,
            checks: vec![],
            sandbox: "box".into(),
            hosts: vec![],
            terms: Terms::default(),
            setup: vec![],
            inherited: None,
        }
    }

    #[test]
    fn the_time_in_which_the_node_was_down_is_left_out() {
        let mut events = claimed(100);
        events.push((125, prepared()));
        events.push((2000, TaskEvent::TakenUp));
        events.push((2007, TaskEvent::SandboxLost { why: String::new() }));
        assert_eq!(worked_s(&events), 20 + 7);
    }

    #[test]
    fn what_a_sandbox_asks_of_the_network_changes_nothing() {
        let mut events = claimed(100);
        events.push((125, prepared()));
        let connected = TaskEvent::Connected {
            host: "crates.io".into(),
            port: 443,
            outcome: ConnectionOutcome::Closed,
            sent_bytes: 1,
            received_bytes: 2,
        };
        // Recorded by a node that came back, before it took the task up again.
        events.push((1990, connected));
        events.push((2000, TaskEvent::TakenUp));
        assert_eq!(worked_s(&events), 20);
    }

    #[test]
    fn a_clock_that_jumps_counts_for_little() {
        let mut events = claimed(1_000_000);
        events.push((500_000, prepared()));
        assert_eq!(worked_s(&events), 0, "backwards");
        events.push((90_000_000, TaskEvent::SandboxLost { why: String::new() }));
        assert_eq!(worked_s(&events), 3600, "forwards");
    }

    #[test]
    fn a_new_try_begins_at_nothing_and_waiting_for_a_person_is_no_work() {
        let mut events = claimed(0);
        events.push((105, prepared()));
        events.push((110, TaskEvent::GaveUp { reason: String::new() }));
        events.push((120, TaskEvent::CleanedUp { diff: None }));
        assert_eq!(worked_s(&events), 105);
        events.extend(claimed(1000));
        events.push((1009, prepared()));
        assert_eq!(worked_s(&events), 4);
    }
}
