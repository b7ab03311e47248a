//! Randomness comes from outside, so that tests can do without.

use std::sync::Arc;
use std::time::Duration;

/// Makes a duration a little longer or shorter, so that nodes that started together don't act together.
pub type Jitter = Arc<dyn Fn(Duration) -> Duration + Send + Sync>;

/// Leaves every duration as it is.
pub fn no_jitter() -> Jitter {
    Arc::new(|duration| duration)
}
