//! Every crash point × SIGKILL × restart: one pull request, no command twice, no container left.

mod rows;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bzzz_actors::crash_points::ACTS;

use crate::containers::{Containers, can_run};
use crate::scenario::Scenario;

/// Scenarios at once; they mostly wait.
const AT_ONCE: usize = 6;
/// For a person who looks for a fault: only the scenarios whose line in the table holds this.
const ONLY: &str = "BZZZ_CRASH_ONLY";

#[test]
fn every_act_is_killed_on_both_sides() {
    let rows = rows::all();
    for act in ACTS {
        for side in ["before", "after"] {
            let is_here =
                rows.iter().any(|row| row.kills.iter().any(|kill| kill.act == act && kill.side == side));
            assert!(is_here, "no scenario kills the node {side} {act:?}");
        }
    }
}

struct Played {
    scenario: Scenario,
    took: Duration,
    /// What was wrong.
    problem: Option<String>,
}

#[test]
fn a_node_that_is_killed_anywhere_goes_on_where_it_stood() {
    if !can_run() {
        return;
    }
    let only = std::env::var(ONLY).unwrap_or_default();
    let rows: Vec<Scenario> = rows::all().into_iter().filter(|row| row.to_string().contains(&only)).collect();
    assert!(!rows.is_empty(), "no scenario holds {only:?}");
    let begun_at = Instant::now();
    let played = play_all(&rows);
    let failed: Vec<&Played> = played.iter().filter(|it| it.problem.is_some()).collect();
    for Played { scenario, took, problem } in &played {
        let verdict = if problem.is_some() { "FAILED" } else { "ok" };
        println!("{verdict:6} {:5.1} s  {} lives  {scenario}", took.as_secs_f64(), scenario.lives());
    }
    for Played { scenario, problem, .. } in &failed {
        println!("\n=== {scenario}\n{}", problem.as_deref().unwrap_or_default());
    }
    let lives: usize = rows.iter().map(Scenario::lives).sum();
    let result = format!(
        "matrix: {} crash points × SIGKILL × restart: {} scenarios, {lives} lives, {} passed, {} failed, {:.0} s",
        rows.iter().map(|row| row.kills.len()).sum::<usize>(),
        rows.len(),
        rows.len() - failed.len(),
        failed.len(),
        begun_at.elapsed().as_secs_f64(),
    );
    // Past the capture of a test that passes: everyone is to see it.
    writeln!(std::io::stderr(), "{result}").unwrap();
    assert!(failed.is_empty(), "{} of {} scenarios failed, see above", failed.len(), rows.len());
}

/// Plays the scenarios, some at once, and returns them in their order.
fn play_all(rows: &[Scenario]) -> Vec<Played> {
    // In the order of their end: the stand-ins, the containers, the files.
    let folder = tempfile::Builder::new().prefix("bzzz-crash-").tempdir().unwrap();
    let containers = Containers { prefix: format!("crash-{:x}-", getrandom::u64().unwrap()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (next, played) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(scenario) = rows.get(index) else { return };
            // As long as each other: none is the beginning of another.
            let node = format!("{}{index:03}", containers.prefix);
            let own_folder = folder.path().join(index.to_string());
            std::fs::create_dir(&own_folder).unwrap();
            let begun_at = Instant::now();
            let ended = catch_unwind(AssertUnwindSafe(|| scenario.play(&own_folder, node, runtime.handle())));
            let problem = ended.err().map(|panic| said(&*panic));
            let played_one = Played { scenario: scenario.clone(), took: begun_at.elapsed(), problem };
            played.lock().unwrap().push((index, played_one));
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(work);
        }
    });
    let mut played = played.into_inner().unwrap();
    played.sort_by_key(|(index, _)| *index);
    played.into_iter().map(|(_, played)| played).collect()
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
