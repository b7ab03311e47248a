//! What a command costs above a shell on this machine. Run by hand:
//! `cargo test --release --test docker latency -- --ignored --nocapture`

use std::process::Command;
use std::time::{Duration, Instant};

use crate::daemon::{Docker, run};

/// Above the host's own, in the median, on a machine that does nothing else.
const MAX_OVERHEAD: Duration = Duration::from_micros(1500);

const ROUNDS: usize = 400;

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}

#[tokio::test]
#[ignore = "a measurement: only a quiet machine says something"]
async fn a_command_costs_little_more_than_a_shell() {
    let Some(docker) = Docker::new() else { return };
    let started = Instant::now();
    let sandbox = docker.start().await;
    println!("start of a sandbox: {:?}", started.elapsed());

    let (mut there, mut inside, mut here) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..ROUNDS as u32 {
        let started = Instant::now();
        let outcome = run(&*sandbox, step, "true").await.unwrap();
        there.push(started.elapsed());
        inside.push(outcome.duration);

        let started = Instant::now();
        Command::new("bash").args(["-c", "true"]).status().unwrap();
        here.push(started.elapsed());
    }
    let (there, inside, here) = (median(there), median(inside), median(here));
    println!("`true`, median of {ROUNDS}: sandbox {there:?} (in it {inside:?}), host {here:?}");
    assert!(there < here + MAX_OVERHEAD);
}
