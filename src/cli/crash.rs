//! The crash points of a test's node, from its environment.
//!
//! `BZZZ_KILL_AT=<point>[@<n>]`: the process is killed (SIGKILL) when it comes to the point for the `n`-th time, first
//! by default. `FAILPOINTS=<point>=<action>;…`: what the crate `fail` can do: `panic`, `sleep(ms)`, `5%panic`, ….

use std::sync::atomic::{AtomicU32, Ordering};

use fail::FailScenario;
use rustix::process::{Signal, getpid, kill_process};

pub(crate) fn arm() -> anyhow::Result<FailScenario<'static>> {
    let scenario = FailScenario::setup();
    if let Ok(at) = std::env::var("BZZZ_KILL_AT") {
        let (point, count) = at.split_once('@').unwrap_or((&at, "1"));
        let count: u32 = count.parse()?;
        let reached = AtomicU32::new(0);
        let die = move || {
            if reached.fetch_add(1, Ordering::Relaxed) + 1 == count {
                let _ = kill_process(getpid(), Signal::KILL);
            }
        };
        fail::cfg_callback(point, die).map_err(anyhow::Error::msg)?;
    }
    Ok(scenario)
}
