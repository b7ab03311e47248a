//! Nodes that are lost in the middle of their work.

use bzzz_actors::ports::journal::Recorded;
use bzzz_actors::task::TaskId;

use crate::colony::Colony;
use crate::containers::docker;
use crate::net::can_run;
use crate::replies::{DONE, FUEL, PLAN, sh};
use crate::verdict::assert_proposed_once;

/// As short as settings allow.
const SHORT_LEASES: [&str; 3] =
    ["claims.ttl = \"1m\"", "claims.renew_every = \"10s\"", "claims.grace = \"5s\""];
/// Ends when the test says so.
const HOLD: &str = "while [ ! -e /tmp/go ]; do sleep 0.2; done";

/// Both at once, since a lease takes its time to run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_node_takes_over_from_one_that_was_killed_and_from_one_that_is_cut_off() {
    if !can_run() {
        return;
    }
    let mut colony = Colony::new(1);
    colony.settings.extend(SHORT_LEASES.map(str::to_owned));
    let repo = colony.repository("rocket", &["test -s fuel"]).await;
    let [killed, cut, third] = ["killed", "cut", "third"].map(|host| colony.add(host, 0));
    // While it has the second, the first one's lease runs out.
    colony.nodes[cut].settings.push("node.max_tasks = 1".to_owned());
    let replies = [PLAN, FUEL, &sh(HOLD), DONE, DONE].map(str::to_owned);

    // Each is the only node there when its issue comes.
    let first = colony.issue(&repo, &replies);
    colony.start(killed);
    until_held(&colony, killed, &first).await;
    colony.kill(killed);
    let second = colony.issue(&repo, &replies);
    colony.start(cut);
    until_held(&colony, cut, &second).await;
    colony.net.cut("cut");
    colony.start(third);

    for task in [&first, &second] {
        until_held(&colony, third, task).await;
        let sandbox = format!("bzzz-{}-{}-e2-work", colony.nodes[third].name, task.slug());
        docker(&["exec", &sandbox, "touch", "/tmp/go"]).unwrap_or_else(|| panic!("{sandbox}: not released"));
    }
    let tasks = [first, second];
    colony.until_proposed(&tasks).await;
    let [_, second] = &tasks;
    let (lost, taken) = (at(&colony, cut, second, "lease_lost"), at(&colony, third, second, "claimed"));
    assert!(lost < taken, "the node that was cut off stopped at {lost}, the other one began at {taken}");
    println!("the node that was cut off had stopped {} ms before its lease was taken", taken - lost);

    colony.net.heal("cut");
    colony.start(killed);
    colony.until_at_rest(&tasks).await;
    colony.stop_all();
    assert_proposed_once(&colony, &tasks).await;
    for lost in [killed, cut] {
        assert!(!tasks.iter().any(|task| colony.nodes[lost].has(task, "published")), "{lost} published");
    }
}

/// Waits until the task's second command runs.
async fn until_held(colony: &Colony, node: usize, task: &TaskId) {
    let runs = |recorded: &&Recorded| recorded.event.kind() == "replied";
    // A plan, and two commands.
    let held = async |colony: &Colony| colony.nodes[node].events_of(task).iter().filter(runs).count() == 2;
    colony.until(&format!("{} works on {task}", colony.nodes[node].name), held).await;
}

/// When the node recorded such an event of the task last, by the machine's clock.
fn at(colony: &Colony, node: usize, task: &TaskId, kind: &str) -> u64 {
    let events = colony.nodes[node].events_of(task);
    let found = events.iter().rev().find(|recorded| recorded.event.kind() == kind);
    found.unwrap_or_else(|| panic!("{}: no {kind} of {task}", colony.nodes[node].name)).at_ms
}
