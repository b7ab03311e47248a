//! What the tests of this folder share.

use std::time::Duration;

use super::Timing;

/// The defaults of the settings.
pub(super) const TIMING: Timing = Timing {
    ttl: Duration::from_secs(900),
    renew_every: Duration::from_secs(300),
    grace: Duration::from_secs(120),
};
