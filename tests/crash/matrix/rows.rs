//! The rows of the matrix: which kill in which story.

use bzzz_actors::crash_points::ACTS;

use crate::scenario::{Kill, Scenario};
use crate::story::Story;

const SIDES: [&str; 2] = ["before", "after"];
/// Writes of the straight story's events: the issue and the claim (1 to 3), the plan (5), a command (8), the work taken
/// out (12), a reply to its checks (15), the publication (17). The others lie between the points of two effects.
const EVENT_WRITES: [u32; 8] = [1, 2, 3, 5, 8, 12, 15, 17];
/// The same for the first and the last settlement of its ten notices.
const SETTLEMENTS: [u32; 2] = [1, 10];

pub(super) fn all() -> Vec<Scenario> {
    let mut rows = Vec::new();
    for act in ACTS {
        for side in SIDES {
            rows.extend(of(side, act));
        }
    }
    // Two deaths in one task's life, at what a returning node does first and at what it does last.
    for then in [kill("after", "push branch and lease", 1), kill("before", "open the pull request", 1)] {
        rows.push(Scenario { story: Story::Straight, kills: vec![kill("after", "claim", 1), then] });
    }
    // The longest first, so that the last threads do not wait for them.
    rows.sort_by_key(|row| std::cmp::Reverse((row.lives(), row.story == Story::Helped)));
    rows
}

fn of(side: &'static str, act: &'static str) -> Vec<Scenario> {
    let once = |story, count| Scenario { story, kills: vec![kill(side, act, count)] };
    let in_next_life = |first| Scenario { story: Story::Straight, kills: vec![first, kill(side, act, 1)] };
    match act {
        "record events" => EVENT_WRITES.map(|count| once(Story::Straight, count)).to_vec(),
        "settle a notice" => SETTLEMENTS.map(|count| once(Story::Straight, count)).to_vec(),
        // What only a node does that comes back.
        "recall the command" => SIDES.map(|first| in_next_life(kill(first, "run the command", 1))).to_vec(),
        "renew the lease" => vec![in_next_life(kill("after", "claim", 1))],
        "run the command" => vec![once(Story::Straight, 1), once(Story::Straight, 2)],
        // The second: after the model has looked at its diff.
        "take the work out" | "ask the model" => vec![once(Story::Straight, 1), once(Story::Straight, 2)],
        "label the issue" => vec![once(Story::Straight, 1), once(Story::Straight, 2), once(Story::Failed, 2)],
        "tell Hive of the status" => vec![once(Story::Straight, 1), once(Story::Straight, 2)],
        "comment on the issue" => {
            vec![once(Story::Straight, 1), once(Story::Helped, 2), once(Story::Failed, 2)]
        }
        "ask the peers" | "escalate" | "wait for an answer" | "call the webhook" => {
            vec![once(Story::Helped, 1)]
        }
        "watch the pull request" => vec![once(Story::Merged, 1)],
        "clean up" => vec![once(Story::Merged, 1), once(Story::Failed, 1)],
        "release the lease" => vec![once(Story::Failed, 1)],
        _ => vec![once(Story::Straight, 1)],
    }
}

fn kill(side: &'static str, act: &'static str, count: u32) -> Kill {
    Kill { side, act, count }
}
