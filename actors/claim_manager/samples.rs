//! What the tests of this folder share.

use std::time::Duration;

use super::Timing;
use crate::ports::swarm::PeerId;
use crate::task::TaskId;

/// The defaults of the settings.
pub(super) const TIMING: Timing = Timing {
    ttl: Duration::from_secs(900),
    renew_every: Duration::from_secs(300),
    grace: Duration::from_secs(120),
};

pub(super) fn task(number: u64) -> TaskId {
    TaskId::new("a/b".parse().unwrap(), number)
}

pub(super) fn peer(name: &str) -> PeerId {
    name.parse().unwrap()
}
