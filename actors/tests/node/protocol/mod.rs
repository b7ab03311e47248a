//! Several whole nodes, clocks that are fast or slow, and a git server that is seen through every kind of trouble: whatever
//! happens, nobody acts on a task that another may have, and in the end every task is done.

mod server;

use std::sync::Arc;
use std::time::Duration;

use bzzz_actors::claim_manager::Timing;
use bzzz_actors::node::{Node, NodeConfig};
use bzzz_actors::ports::forge::ForgeError;
use futures_util::future::{join, join_all};
use proptest::prelude::*;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::world::*;
use crate::{DONE, PLAN};
use server::{Server, Trouble, What};

const NODES: usize = 3;
const MAX_TASKS: u64 = 3;
/// Longer than a lease, so that it has to be renewed.
const SLOW: &str = "```sh\nslow write\n```";
/// Of a clock that keeps the time.
const TTL_S: f64 = 60.0;
const GRACE_S: f64 = 10.0;
/// Percent: more than clocks differ, and as much as the grace allows for.
const SLOWEST: i8 = 5;
/// When all is well again. Several leases run out before.
const HEALED_S: u64 = 500;

#[derive(Debug, Clone)]
struct Story {
    troubles: Vec<Trouble>,
    /// When each node starts.
    starts_s: [u64; NODES],
    /// By how many percent each node's clock is slow.
    slow: [i8; NODES],
    tasks: u64,
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        3 => Just(What::Cut),
        2 => (0..40u8, 0..40u8).prop_map(|(there_s, back_s)| What::Late { there_s, back_s }),
        3 => (10..25u8).prop_map(|back_s| What::LateThenCut { back_s }),
        1 => Just(What::LosesAnswers),
        1 => Just(What::RefusesWhatIsDone),
        1 => Just(What::Refuses),
        2 => (1..120u8).prop_map(|by_s| What::Stale { by_s }),
        2 => Just(What::Down),
    ]
}

fn story() -> impl Strategy<Value = Story> {
    let trouble = (0..NODES, 0..HEALED_S, 1..180u64, what()).prop_map(|(node, from_s, for_s, what)| {
        Trouble { node, from_s, for_s: for_s.min(HEALED_S - from_s), what }
    });
    let troubles = proptest::collection::vec(trouble, 0..16);
    let slow = || prop_oneof![Just(-SLOWEST), Just(0), Just(SLOWEST)];
    let (slow, starts_s) = ([slow(), slow(), slow()], [0..20u64, 0..20, 0..20]);
    (troubles, starts_s, slow, 1..=MAX_TASKS).prop_map(|(troubles, starts_s, slow, tasks)| Story {
        troubles,
        starts_s,
        slow,
        tasks,
    })
}

/// As a clock that is `slow` by so many percent has it.
fn timing(slow: i8) -> Timing {
    let seconds = |s: f64| Duration::from_secs_f64(s * (1.0 + f64::from(slow) / 100.0));
    Timing { ttl: seconds(TTL_S), renew_every: seconds(TTL_S / 3.0), grace: seconds(GRACE_S) }
}

struct Place {
    number: usize,
    start_s: u64,
    config: NodeConfig,
    journal: Arc<MemoryJournal>,
}

impl Place {
    fn new(number: usize, start_s: u64, slow: i8) -> Self {
        let config = NodeConfig { timing: timing(slow), max_tasks: 2, ..config(&format!("node-{number}")) };
        Self { number, start_s, config, journal: Arc::default() }
    }

    fn start(&self, world: &World, server: &Arc<Server>) -> Node {
        let claims = server.link(self.number, self.config.timing);
        let node = world.start_with(self.config.clone(), self.journal.clone(), claims);
        server.came_up(&self.config.node);
        let (mut news, server, name) = (node.log.subscribe(), server.clone(), self.config.node.clone());
        actix::spawn(async move {
            while let Ok(recorded) = news.recv().await {
                server.recorded(&name, &recorded.task, &recorded.event);
            }
        });
        node
    }

    /// Lives until all is over, with interruptions.
    async fn live(&self, world: &World, server: &Arc<Server>, mut over: watch::Receiver<bool>) {
        server.until(self.start_s).await;
        let mut node = Some(self.start(world, server));
        for Trouble { from_s, for_s, .. } in server.downs(self.number) {
            server.until(from_s).await;
            if let Some(node) = node.take() {
                server.went_down(&self.config.node);
                node.stop().await;
            }
            server.until(from_s + for_s).await;
            node = Some(self.start(world, server));
        }
        over.wait_for(|over| *over).await.unwrap();
        if let Some(node) = node {
            node.stop().await;
        }
    }
}

fn live(Story { troubles, starts_s, slow, tasks }: Story) {
    in_virtual_time(async move {
        let world = World::new(&[PLAN, SLOW, SLOW, DONE, DONE]);
        world.forge.have_issues(tasks);
        // All issues share their labels here.
        let no_labels =
            ForgeError::Forbidden { call: String::new(), permission: String::new(), message: String::new() };
        world.forge.fail_labels(Some(no_labels));
        let server = Server::new(world.git.clone(), troubles);
        let places: Vec<Place> = (0..NODES).map(|it| Place::new(it, starts_s[it], slow[it])).collect();
        let (end, over) = watch::channel(false);
        let lives = join_all(places.iter().map(|place| place.live(&world, &server, over.clone())));
        let watched = async {
            let done = async {
                while (world.forge.pull_requests().len() as u64) < tasks {
                    sleep(Duration::from_secs(5)).await;
                }
            };
            let is_done = timeout(120 * MINUTE, done).await.is_ok();
            // What is still under way may yet do harm.
            sleep(5 * MINUTE).await;
            end.send_replace(true);
            is_done
        };
        let (_, is_done) = join(lives, watched).await;
        let told = || {
            let kinds = places.iter().map(|place| format!("{:?}\n", place.journal.kinds()));
            kinds.collect::<String>()
        };
        assert_eq!(server.breaches(), [""; 0], "{}", told());
        assert!(is_done, "not every task was done: {}", told());
        assert_eq!(world.forge.pull_requests().len() as u64, tasks, "{}", told());
        assert!(server.published() as u64 >= tasks);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn nobody_acts_on_what_another_may_have_and_everything_is_done(story in story()) {
        live(story);
    }
}

/// The first node has a slow clock and the task, and then this trouble; the clocks of the others are fast.
fn live_with(what: What, from_s: u64, others_start_s: u64) {
    let troubles = vec![Trouble { node: 0, from_s, for_s: 200, what }];
    let starts_s = [0, others_start_s, others_start_s + 7];
    live(Story { troubles, starts_s, slow: [SLOWEST, -SLOWEST, -SLOWEST], tasks: 1 });
}

/// Its time is counted from before it sent.
#[test]
fn a_holder_whose_answers_were_late_stops_before_its_task_is_taken() {
    for from_s in (40..=60).step_by(5) {
        for back_s in [12, 20, 24] {
            live_with(What::LateThenCut { back_s }, from_s, 5 + from_s % 15);
        }
    }
}

/// Others wait for the grace on top of its time.
#[test]
fn a_holder_that_is_cut_off_stops_before_its_task_is_taken() {
    for others_start_s in 5..20 {
        live_with(What::Cut, 45, others_start_s);
    }
}
