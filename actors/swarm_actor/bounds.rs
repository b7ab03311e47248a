//! What is kept of what a peer says of itself: bounded, whatever it says. Pure.

use crate::ports::swarm::{Availability, Capabilities};
use crate::task::text::one_line;

/// Of each list that a peer says of itself.
pub(super) const MAX_NAMES: usize = 64;
pub(super) const MAX_REPOSITORIES: usize = 1000;
pub(super) const MAX_TASKS: usize = 300;
pub(super) const MAX_NAME_BYTES: usize = 100;
/// No node has more, by the settings' check.
pub(super) const MAX_SLOTS: u32 = 64;

/// As much of it as a node would say.
pub(super) fn bounded(capabilities: Capabilities) -> Capabilities {
    let Capabilities { node, version, labels, languages, models, max_tasks, mut repositories } = capabilities;
    repositories.truncate(MAX_REPOSITORIES);
    let names = |names: Vec<String>| names.into_iter().take(MAX_NAMES).map(|name| short(&name)).collect();
    Capabilities {
        node,
        version: short(&version),
        labels: names(labels),
        languages: names(languages),
        models: names(models),
        max_tasks: max_tasks.min(MAX_SLOTS),
        repositories,
    }
}

/// `max_tasks`: what its author has room for, if it has said so.
pub(super) fn sized(mut availability: Availability, max_tasks: Option<u32>) -> Availability {
    availability.free_slots = availability.free_slots.min(max_tasks.unwrap_or(MAX_SLOTS));
    availability.tasks.truncate(MAX_TASKS);
    availability
}

pub(super) fn short(name: &str) -> String {
    let mut name = one_line(name);
    name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
    name
}
