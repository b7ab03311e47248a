//! How fast nodes hear each other: `make bench`. Nodes of one process over loopback TCP, with the real network. Each
//! figure is of one run on one machine, which carries all the nodes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../node/figures.rs"]
mod figures;
mod hive;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use figures::{Figure, print_table};
use hive::Hive;

/// Over all nodes, taking turns.
const STEADY: Duration = Duration::from_millis(100);
const STEADY_COUNT: u64 = 300;
const BURST: Duration = Duration::from_millis(5);
const BURST_COUNT: u64 = 1000;

fn main() {
    // `cargo bench` passes options meant for another harness.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut figures = Vec::new();
    for count in [10, 30, 50] {
        if only.as_deref().is_none_or(|only| only == count.to_string()) {
            figures.extend(runtime.block_on(measure(count)));
        }
    }
    print_table(&figures);
}

async fn measure(count: usize) -> Vec<Figure> {
    let name = |what: &str| -> &'static str { Box::leak(format!("{count} nodes: {what}").into_boxed_str()) };
    let mut hive = Hive::start(count).await;
    let joined = hive.join().await;
    let mut figures = vec![Figure::in_ms(name("join to full state"), Some(2000.0), &[joined])];
    hive.settle().await;

    let (delays, lost) = run(&hive, STEADY_COUNT, STEADY).await;
    figures.push(Figure::in_ms(name("10/s, publish to delivered p50"), None, &[at(&delays, 0.5)]));
    figures.push(Figure::in_ms(name("10/s, publish to delivered p99"), Some(50.0), &[at(&delays, 0.99)]));
    figures.push(of(name("10/s, lost"), lost as f64, Some(0.0)));

    let (delays, lost) = run(&hive, BURST_COUNT, BURST).await;
    figures.push(Figure::in_ms(name("200/s, publish to delivered p50"), None, &[at(&delays, 0.5)]));
    figures.push(Figure::in_ms(name("200/s, publish to delivered p99"), None, &[at(&delays, 0.99)]));
    figures.push(of(name("200/s, late or lost at first"), lost as f64, None));
    let (healed, missing) = hive.healed().await;
    figures.push(Figure::in_ms(name("200/s, all have the last of each author after"), None, &[healed]));
    figures.push(of(name("200/s, last ones missing in the end"), missing as f64, Some(0.0)));
    figures
}

fn of(name: &'static str, count: f64, goal: Option<f64>) -> Figure {
    Figure { name, unit: "", goal, samples: vec![count] }
}

/// Says `count` messages, one every `pause`, and returns how long each took to each node, and how many did not come
/// within [`hive::PATIENCE`].
async fn run(hive: &Hive, count: u64, pause: Duration) -> (Vec<Duration>, usize) {
    hive.arrivals.lock().unwrap().clear();
    let mut said: HashMap<u64, Instant> = HashMap::new();
    let mut next = tokio::time::interval(pause);
    next.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    for number in 0..count {
        next.tick().await;
        let id = hive.next_id();
        said.insert(id, Instant::now());
        hive.say(number as usize, id).await;
    }
    let wanted = said.len() * (hive.count() - 1);
    hive.until_arrived(wanted).await;
    let arrivals = hive.arrivals.lock().unwrap();
    let mut delays: Vec<Duration> = arrivals
        .iter()
        .filter_map(|(id, at)| said.get(id).map(|said| at.saturating_duration_since(*said)))
        .collect();
    delays.sort_unstable();
    let lost = wanted.saturating_sub(delays.len());
    (delays, lost)
}

fn at(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}
