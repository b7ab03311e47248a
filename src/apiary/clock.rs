//! The wall clock as the stand-ins show it: UTC, whole seconds, as GitHub does.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, as `2026-01-31T12:00:00Z`. Such texts sort by time.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// A time with nanoseconds, as Ollama writes it.
pub(crate) fn now_precise() -> String {
    humantime::format_rfc3339_nanos(SystemTime::now()).to_string()
}

pub(crate) fn after(duration: Duration) -> String {
    humantime::format_rfc3339_seconds(SystemTime::now() + duration).to_string()
}

/// Seconds since 1970.
pub(crate) fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or_default()
}

/// Seconds since 1970 as [`now`] writes them; times before 1970 become 1970.
pub(crate) fn from_unix(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

/// A client's time in UTC whole seconds, for comparison with ours; `None` when it is not RFC 3339.
pub(crate) fn normalized(text: &str) -> Option<String> {
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    Some(humantime::format_rfc3339_seconds(time).to_string())
}
