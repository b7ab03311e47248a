//! Named places where a test lets the node die, panic or stand still: the boundaries of every effect on the outside
//! world. `before` it is durable that the effect is wanted; `after` it has happened, and that is not yet durable.
//!
//! They are there with the feature `crash-points` only, which no release has.

/// What a node does to the outside world. A point's name is `before` or `after`, a blank, and one of these.
pub const ACTS: [&str; 29] = [
    // The effects of a task, as `Effect::name` says them.
    "prepare the sandbox",
    "draft the plan",
    "discuss the plan",
    "ask the model",
    "run the command",
    "recall the command",
    "take the work out",
    "run the checks",
    "publish the branch",
    "open the pull request",
    "watch the pull request",
    "ask the peers",
    "escalate",
    "wait for an answer",
    "clean up",
    // Writes of the claim reference.
    "claim",
    "renew the lease",
    "push branch and lease",
    "release the lease",
    // Notices from the outbox.
    "label the issue",
    "assign the issue",
    "assign the pull request",
    "comment on the issue",
    "tell Hive of the claim",
    "tell Hive of the status",
    "announce",
    "call the webhook",
    // The journal's own.
    "record events",
    "settle a notice",
];

pub fn before(act: &str) {
    reach("before", act);
}

pub fn after(act: &str) {
    reach("after", act);
}

#[cfg(not(feature = "crash-points"))]
fn reach(_: &str, _: &str) {}

#[cfg(feature = "crash-points")]
fn reach(side: &str, act: &str) {
    debug_assert!(ACTS.contains(&act), "{act} is in no list, so no test crashes there");
    fail::fail_point!(&format!("{side} {act}"));
}
