//! The same work while cables are cut, nodes are killed, one has a wrong clock, and one sees the past.

use std::time::{Duration, Instant};

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule};
use bzzz_actors::task::TaskId;
use tokio::time::sleep;

use crate::colony::{Colony, HOSTS, REPOSITORIES, a_day_ahead};
use crate::dice::Dice;
use crate::net::can_run;
use crate::verdict::{Verdict, assert_proposed_once};

/// How long the trouble lasts. What is not done by then gets done once everything is well again.
const TROUBLE: Duration = Duration::from_secs(45);
/// Every node is well for so many seconds between two troubles, at most.
const MOST_PEACE_S: u64 = 3;
/// A cable is cut for so many seconds, at most: some calls fail, some only wait.
const MOST_CUT_S: u64 = 8;
const WRONG_CLOCK: usize = 3;
const SEES_THE_PAST: usize = 4;

/// Makes the seed of a run that failed play again.
const SEED: &str = "SWARM_SEED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_trouble_forty_issues_become_forty_pull_requests_and_none_twice() {
    if !can_run() {
        return;
    }
    let seed = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| getrandom::u64().unwrap());
    println!("{SEED}={seed}");
    let mut colony = Colony::new(1);
    for repository in REPOSITORIES {
        colony.repository(repository, &[]).await;
    }
    let tasks = colony.issues(40);
    for host in HOSTS {
        colony.add(host, 0);
    }
    colony.nodes[WRONG_CLOCK].environment = a_day_ahead();
    colony.start_all();
    Trouble { colony: &mut colony, dice: Dice::new(seed), cut: Vec::new() }.happen(&tasks).await;
    colony.until_proposed(&tasks).await;
    colony.until_at_rest(&tasks).await;
    colony.stop_all();

    assert_proposed_once(&colony, &tasks).await;
    let verdict = Verdict::of(&colony, &tasks);
    verdict.print("in trouble");
    verdict.assert_one_owner_an_epoch();
}

struct Trouble<'a> {
    colony: &'a mut Colony,
    dice: Dice,
    /// Which nodes are cut off, and until when.
    cut: Vec<(usize, Instant)>,
}

impl Trouble<'_> {
    /// Trouble for a while, or until all is done; in the end every node runs and nothing is cut any more.
    async fn happen(mut self, tasks: &[TaskId]) {
        let until = Instant::now() + TROUBLE;
        let (mut cuts, mut kills) = (0, 0);
        while Instant::now() < until && !self.colony.are_proposed(tasks).await {
            self.let_see_the_past();
            let node = self.dice.between(0, self.colony.nodes.len() as u64 - 1) as usize;
            match self.dice.between(1, 3) {
                1 => {
                    self.colony.kill(node);
                    kills += 1;
                    self.pass(1).await;
                    self.colony.start(node);
                }
                _ => {
                    self.cut(node);
                    cuts += 1;
                }
            }
            self.pass(MOST_PEACE_S).await;
        }
        self.heal_if(|_| true);
        self.colony.apiary.faults(StandIn::Forge).clear();
        println!("in trouble: {cuts} cables cut, {kills} nodes killed");
        assert!(cuts + kills > 0, "there was no trouble");
    }

    /// What the node reads of the forge stands still until this is called again.
    fn let_see_the_past(&self) {
        let faults = self.colony.apiary.faults(StandIn::Forge);
        faults.clear();
        faults.add(Rule::any(Fault::StaleReads).for_client(self.colony.seen_as(SEES_THE_PAST))).unwrap();
    }

    fn cut(&mut self, node: usize) {
        let until = Instant::now() + self.dice.seconds(1, MOST_CUT_S);
        self.colony.net.cut(&self.colony.nodes[node].host);
        self.cut.retain(|(cut, _)| *cut != node);
        self.cut.push((node, until));
    }

    fn heal_if(&mut self, is_due: impl Fn(Instant) -> bool) {
        let (net, nodes) = (&self.colony.net, &self.colony.nodes);
        self.cut.retain(|(node, until)| {
            let heals = is_due(*until);
            if heals {
                net.heal(&nodes[*node].host);
            }
            !heals
        });
    }

    async fn pass(&mut self, most_seconds: u64) {
        sleep(self.dice.seconds(0, most_seconds)).await;
        let now = Instant::now();
        self.heal_if(|until| until <= now);
    }
}
