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

use crate::containers::{self, can_run};
use crate::dockerd::{self, Dockerd};
use crate::world::World;
use dice::Dice;
use disk::Disk;
use node::{Lives, Node};
use trouble::{Deck, Stage, Trouble};
use work::Work;

const MINUTES: f64 = 10.0;
const ISSUES: u32 = 60;
/// The part of the time in which the issues come.
const COMING: f64 = 0.8;
/// How long the rest of the work may take once there is no more trouble.
const CALM: Duration = Duration::from_secs(300);
/// How often each trouble happens at least in a run as long as usual.
const AT_LEAST: usize = 3;

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
    let minutes: f64 = given("CHAOS_MINUTES", MINUTES);
    println!("chaos: CHAOS_SEED={seed}, {ISSUES} issues, {minutes:.1} minutes");
    let mut dice = Dice::new(seed);

    // They end from the last to the first: the daemon, the disk, the containers on the machine's daemon, the files.
    let folder = tempfile::Builder::new().prefix("bzzz-chaos-").tempdir().unwrap();
    let on_machine = containers::Containers { prefix: format!("chaos-{:x}", getrandom::u64().unwrap()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut world = World::new(folder.path(), on_machine.prefix.clone(), runtime.handle());
    let disk = Disk::mount(&world.data_dir());
    let dockerd = Dockerd::start(&folder.path().join("dockerd"), *dice.one_of(&dockerd::Containers::ALL));
    let mut dockerd = dockerd.inspect_err(|why| println!("skipped: trouble with dockerd: {why}")).ok();
    world.docker = dockerd.as_ref().map(Dockerd::client).unwrap_or_default();
    let mut work = Work::new(&mut world);
    // The issues are drawn before the trouble, so that a seed's issues stay the same.
    let issue_dice = Dice::new(dice.between(0, u64::MAX - 1));
    let node = Node::start(&world);
    let stage = Stage { world: &world, node, disk: &disk, dockerd: dockerd.as_mut(), dice };
    let (troubles, lives) = trouble_and_calm(stage, &mut work, issue_dice, minutes);

    let (proposed, failures) = work.judge(&world);
    assert_eq!(world.containers(), [""; 0], "containers are left");
    assert_eq!(world.left_behind(), Vec::<std::path::PathBuf>::new(), "files are left");
    world.verify();
    println!("chaos: what went wrong: {troubles:?}");
    println!(
        "chaos: how the node's lives ended: {:?}; its parts panicked {} times; {} threads were abandoned",
        lives.ends, lives.panics, lives.abandoned
    );
    println!("chaos: {proposed} of {} issues have their pull request", work.issues.len());
    for (reason, times) in failures {
        println!("chaos: {times} failed: {reason}");
    }
    runtime.block_on(world.apiary.stop());
    let rare: Vec<_> = troubles.iter().filter(|(_, times)| **times < AT_LEAST).collect();
    let is_enough = rare.is_empty() && lives.panics >= AT_LEAST;
    assert!(is_enough || minutes < MINUTES, "too seldom to say anything: {rare:?}, {} panics", lives.panics);
}

fn trouble_and_calm(
    mut stage: Stage<'_>,
    work: &mut Work,
    mut issue_dice: Dice,
    minutes: f64,
) -> (BTreeMap<Trouble, usize>, Lives) {
    let possible = Trouble::WEIGHTS.map(|(trouble, _)| trouble).into_iter().filter(|it| stage.can_have(*it));
    let mut troubles: BTreeMap<Trouble, usize> = possible.map(|trouble| (trouble, 0)).collect();
    let (begun_at, lasts) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0));
    let mut deck = Deck::default();
    while begun_at.elapsed() < lasts {
        let part = begun_at.elapsed().as_secs_f64() / (lasts.as_secs_f64() * COMING);
        let due = (f64::from(ISSUES) * part).min(f64::from(ISSUES)).ceil() as usize;
        while work.issues.len() < due {
            work.open_one(stage.world, &mut issue_dice);
        }
        let trouble = deck.draw(&mut stage.dice);
        if let Some(times) = troubles.get_mut(&trouble)
            && stage.happen(trouble)
        {
            *times += 1;
        }
        stage.breathe();
    }
    stage.node.kill_and_start(None);
    let calm_since = Instant::now();
    while !work.is_over(stage.world) {
        if calm_since.elapsed() > CALM {
            let unfinished = work.unfinished(stage.world);
            panic!("not over {CALM:?} after the last trouble:\n{unfinished}\n{}", stage.node.tail());
        }
        stage.pass(Duration::from_secs(1));
    }
    println!("chaos: the rest took {:.0} s after the last trouble", calm_since.elapsed().as_secs_f64());
    (troubles, stage.node.stop())
}
