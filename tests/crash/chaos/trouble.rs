//! What goes wrong in a chaos run.

use std::time::{Duration, Instant};

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule, When};

use super::dice::Dice;
use super::disk::Disk;
use super::node::Node;
use crate::dockerd::{Containers, Dockerd};
use crate::world::World;

/// Between two looks whether the node has ended by itself.
const LOOK: Duration = Duration::from_millis(100);

/// Where an actor panics or stands still: in a task's runner, at a claim, in the outbox.
const PLACES: [&str; 12] = [
    "before prepare the sandbox",
    "after prepare the sandbox",
    "before ask the model",
    "after ask the model",
    "before run the command",
    "after run the command",
    "after take the work out",
    "after run the checks",
    "before open the pull request",
    "after claim",
    "after push branch and lease",
    "before comment on the issue",
];
/// Where the journal's thread stands still for a while, as on a slow disk.
const SLOW_WRITES: [&str; 2] = ["before record events", "after settle a notice"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    NodeKilled,
    ContainerKilled,
    ActorPanics,
    ActorFreezes,
    WritesAreSlow,
    ForgeAway,
    ModelAway,
    HiveAway,
    WebhookAway,
    DiskFull,
    DockerStandsStill,
    DockerKilled,
    DockerRestarted,
}

impl Trouble {
    /// Each with how often it is among one deck.
    pub(super) const WEIGHTS: [(Self, usize); 13] = [
        (Self::NodeKilled, 2),
        (Self::ContainerKilled, 3),
        (Self::ActorPanics, 2),
        (Self::ActorFreezes, 1),
        (Self::WritesAreSlow, 1),
        (Self::ForgeAway, 1),
        (Self::ModelAway, 1),
        (Self::HiveAway, 1),
        (Self::WebhookAway, 1),
        (Self::DiskFull, 1),
        (Self::DockerStandsStill, 1),
        (Self::DockerKilled, 1),
        (Self::DockerRestarted, 1),
    ];
}

/// Troubles in a random order, of which none stays out for long: like cards, they are dealt until none is left.
#[derive(Default)]
pub(super) struct Deck {
    left: Vec<Trouble>,
}

impl Deck {
    pub(super) fn draw(&mut self, dice: &mut Dice) -> Trouble {
        if self.left.is_empty() {
            let cards =
                Trouble::WEIGHTS.iter().flat_map(|(trouble, weight)| std::iter::repeat_n(*trouble, *weight));
            self.left = cards.collect();
        }
        let drawn = dice.between(0, self.left.len() as u64 - 1);
        self.left.swap_remove(drawn as usize)
    }
}

/// What troubles happen to.
pub(super) struct Stage<'run> {
    pub(super) world: &'run World,
    pub(super) node: Node<'run>,
    pub(super) disk: &'run Disk,
    /// `None`: the sandboxes are on the machine's daemon, which is left alone.
    pub(super) dockerd: Option<&'run mut Dockerd>,
    pub(super) dice: Dice,
}

impl Stage<'_> {
    /// Whether this machine lets it happen at all.
    pub(super) fn can_have(&self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::DiskFull => self.disk.can_be_filled(),
            Trouble::DockerStandsStill | Trouble::DockerKilled | Trouble::DockerRestarted => {
                self.dockerd.is_some()
            }
            _ => true,
        }
    }

    /// Lets it happen, and returns when it has passed; false when there was nothing to do it to.
    pub(super) fn happen(&mut self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::NodeKilled => self.node.kill_and_start(None),
            Trouble::ContainerKilled => return self.kill_a_container(),
            Trouble::ActorPanics => {
                let points = [(); 2].map(|()| format!("{}=30%2*panic", self.dice.one_of(&PLACES)));
                self.node.kill_and_start(Some(points.join(";")));
            }
            Trouble::ActorFreezes => {
                let millis = self.dice.between(500, 8000);
                let point = format!("{}=50%2*sleep({millis})", self.dice.one_of(&PLACES));
                self.node.kill_and_start(Some(point));
            }
            Trouble::WritesAreSlow => {
                let millis = self.dice.between(200, 3000);
                let point = format!("{}=10%sleep({millis})", self.dice.one_of(&SLOW_WRITES));
                self.node.kill_and_start(Some(point));
            }
            Trouble::ForgeAway => self.away(StandIn::Forge),
            Trouble::ModelAway => self.away(StandIn::Ollama),
            Trouble::HiveAway => self.away(StandIn::Hive),
            Trouble::WebhookAway => self.away(StandIn::N8n),
            Trouble::DiskFull => {
                self.disk.fill();
                let time = self.dice.seconds(1, 5);
                self.pass(time);
                self.disk.empty();
            }
            Trouble::DockerStandsStill => {
                self.dockerd().pause();
                self.last(8);
                self.dockerd().resume();
            }
            Trouble::DockerKilled => {
                self.dockerd().kill();
                self.last(4);
                self.start_dockerd();
            }
            Trouble::DockerRestarted => {
                self.dockerd().stop();
                self.last(4);
                self.start_dockerd();
            }
        }
        true
    }

    /// One that is there within a few seconds.
    fn kill_a_container(&mut self) -> bool {
        const LOOKS: u32 = 50;
        for _ in 0..LOOKS {
            let names = self.world.containers();
            if !names.is_empty()
                && self.world.docker.run(&["kill", self.dice.one_of::<String>(&names)]).is_some()
            {
                return true;
            }
            self.pass(LOOK);
        }
        false
    }

    /// Every request to it fails for a while.
    fn away(&mut self, stand_in: StandIn) {
        let faults = [
            Fault::Status { status: 503, when: When::Before },
            Fault::Status { status: 502, when: When::After },
            Fault::Drop { when: When::Before },
            Fault::Drop { when: When::After },
        ];
        let fault = self.dice.one_of(&faults).clone();
        self.world.apiary.faults(stand_in).add(Rule::any(fault)).unwrap();
        self.last(4);
        self.world.apiary.faults(stand_in).clear();
    }

    fn dockerd(&mut self) -> &mut Dockerd {
        self.dockerd.as_deref_mut().expect("no other daemon is troubled")
    }

    /// What becomes of its containers when it ends next is another time another.
    fn start_dockerd(&mut self) {
        let containers = *self.dice.one_of(&Containers::ALL);
        self.dockerd().start_again(containers);
    }

    /// Lets a trouble last; now and then the node is killed meanwhile.
    fn last(&mut self, most_seconds: u64) {
        let time = self.dice.seconds(1, most_seconds);
        self.pass(time);
        if self.dice.between(1, 3) == 1 {
            self.node.kill_and_start(None);
            let time = self.dice.seconds(1, 3);
            self.pass(time);
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.node.look_after();
            std::thread::park_timeout(LOOK);
        }
    }

    /// Lets some time pass before the next trouble.
    pub(super) fn breathe(&mut self) {
        let time = self.dice.seconds(1, 6);
        self.pass(time);
    }
}
