//! A node that works on a stream of issues while anything may fail at any moment (`make chaos`).
//!
//! In the end every issue has exactly one pull request or has failed with a reason; no command stands twice in a log;
//! nothing is left behind; the journal is what was recorded. `CHAOS_MINUTES` says how long the trouble lasts,
//! `CHAOS_SEED` which trouble it is: it is printed at the beginning. The machine's own timing is not part of the seed.

mod dice;
mod disk;
mod node;
mod trouble;
mod work;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::containers::{Containers, can_run, of_nodes};
use crate::world::World;
use dice::Dice;
use disk::Disk;
use node::Node;
use trouble::{Trouble, pass};
use work::Work;

const MINUTES: f64 = 10.0;
const ISSUES: u32 = 60;
/// The part of the time in which the issues come.
const COMING: f64 = 0.8;
/// How long the rest of the work may take once there is no more trouble.
const CALM: Duration = Duration::from_secs(300);

fn given<T: FromStr>(variable: &str, default: T) -> T {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, which is no number")),
        Err(_) => default,
    }
}

#[test]
#[ignore = "takes ten minutes: make chaos"]
fn a_node_among_random_trouble_does_every_issue_once_or_says_why_not() {
    if !can_run() {
        return;
    }
    let seed: u64 = given("CHAOS_SEED", getrandom::u64().unwrap());
    let lasts = Duration::from_secs_f64(given("CHAOS_MINUTES", MINUTES) * 60.0);
    println!("chaos: CHAOS_SEED={seed}, {ISSUES} issues, {:.1} minutes", lasts.as_secs_f64() / 60.0);
    println!("skipped: a pause of dockerd, since this test did not start it");

    // They end from the last to the first: the disk, the containers, then the files.
    let folder = tempfile::Builder::new().prefix("bzzz-chaos-").tempdir().unwrap();
    let containers = Containers { prefix: format!("chaos-{:x}", getrandom::u64().unwrap()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut world = World::new(folder.path(), containers.prefix.clone(), runtime.handle());
    let disk = Disk::mount(&world.data_dir());
    let mut work = Work::new(&mut world);
    let (troubles, ends) = trouble_and_calm(&world, &mut work, &disk, Dice::new(seed), lasts);

    let (proposed, failures) = work.judge(&world);
    assert_eq!(of_nodes(&world.node), [""; 0], "containers are left");
    assert_eq!(world.left_behind(), Vec::<std::path::PathBuf>::new(), "files are left");
    world.verify();
    println!("chaos: what went wrong: {troubles:?}; the node ended by itself, by exit status: {ends:?}");
    println!("chaos: {proposed} of {} issues have their pull request", work.issues.len());
    for (reason, times) in failures {
        println!("chaos: {times} failed: {reason}");
    }
    runtime.block_on(world.apiary.stop());
}

type Counts<T> = BTreeMap<T, usize>;

fn trouble_and_calm(
    world: &World,
    work: &mut Work,
    disk: &Disk,
    mut dice: Dice,
    lasts: Duration,
) -> (Counts<Trouble>, Counts<i32>) {
    let begun_at = Instant::now();
    let mut troubles = BTreeMap::new();
    // The issues are drawn before the trouble, so that a seed's issues stay the same.
    let mut issue_dice = Dice::new(dice.between(0, u64::MAX - 1));
    let mut node = Node::start(world);
    while begun_at.elapsed() < lasts {
        let part = begun_at.elapsed().as_secs_f64() / (lasts.as_secs_f64() * COMING);
        let due = (f64::from(ISSUES) * part).min(f64::from(ISSUES)).ceil() as usize;
        while work.issues.len() < due {
            work.open_one(world, &mut issue_dice);
        }
        let trouble = *dice.one_of(&Trouble::ALL);
        if trouble.happen(world, &mut node, disk, &mut dice) {
            *troubles.entry(trouble).or_insert(0) += 1;
        }
        pass(dice.seconds(1, 8), &mut node);
    }
    node.kill_and_start(None);
    let calm_since = Instant::now();
    while !work.is_over(world) {
        if calm_since.elapsed() > CALM {
            let unfinished = work.unfinished(world);
            panic!("not over {CALM:?} after the last trouble:\n{unfinished}\n{}", node.tail());
        }
        pass(Duration::from_secs(1), &mut node);
    }
    println!("chaos: the rest took {:.0} s after the last trouble", calm_since.elapsed().as_secs_f64());
    (troubles, node.stop())
}
