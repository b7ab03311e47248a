//! The chance of the world, which the actors are given.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of a nonce: enough that no two ever meet.
const NONCE_BYTES: usize = 16;

/// A duration within a tenth of the one asked for.
pub(super) fn jitter(duration: Duration) -> Duration {
    // Without randomness everyone acts at once, which is only less polite.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    duration.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX))
}

/// A random text, never the same twice. Without the system's randomness, time and process make it so.
pub(super) fn nonce() -> String {
    let mut bytes = [0; NONCE_BYTES];
    if getrandom::fill(&mut bytes).is_err() {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        return format!("{}-{}", since_epoch.as_nanos(), std::process::id());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth() {
        for _ in 0..1000 {
            let jittered = jitter(Duration::from_secs(100));
            assert!((90..=110).contains(&jittered.as_secs()), "{jittered:?}");
        }
    }

    #[test]
    fn nonces_differ() {
        assert_ne!(nonce(), nonce());
        assert_eq!(nonce().len(), 2 * NONCE_BYTES);
    }
}
