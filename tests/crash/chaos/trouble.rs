//! What goes wrong in a chaos run.

use std::time::{Duration, Instant};

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule, When};

use super::dice::Dice;
use super::disk::Disk;
use super::node::Node;
use crate::containers::{docker, of_nodes};
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
}

impl Trouble {
    pub(super) const ALL: [Self; 10] = [
        Self::NodeKilled,
        Self::ContainerKilled,
        Self::ActorPanics,
        Self::ActorFreezes,
        Self::WritesAreSlow,
        Self::ForgeAway,
        Self::ModelAway,
        Self::HiveAway,
        Self::WebhookAway,
        Self::DiskFull,
    ];

    /// Lets it happen, and returns when it has passed; false when there was nothing to do it to.
    pub(super) fn happen(self, world: &World, node: &mut Node<'_>, disk: &Disk, dice: &mut Dice) -> bool {
        match self {
            Self::NodeKilled => node.kill_and_start(None),
            Self::ContainerKilled => return kill_a_container(world, node, dice),
            Self::ActorPanics => {
                let points = [(); 2].map(|()| format!("{}=10%panic", dice.one_of(&PLACES)));
                node.kill_and_start(Some(points.join(";")));
            }
            Self::ActorFreezes => {
                let millis = dice.between(500, 8000);
                node.kill_and_start(Some(format!("{}=20%2*sleep({millis})", dice.one_of(&PLACES))));
            }
            Self::WritesAreSlow => {
                let millis = dice.between(200, 3000);
                node.kill_and_start(Some(format!("{}=10%sleep({millis})", dice.one_of(&SLOW_WRITES))));
            }
            Self::ForgeAway => away(StandIn::Forge, world, node, dice),
            Self::ModelAway => away(StandIn::Ollama, world, node, dice),
            Self::HiveAway => away(StandIn::Hive, world, node, dice),
            Self::WebhookAway => away(StandIn::N8n, world, node, dice),
            Self::DiskFull => {
                if !disk.can_be_filled() {
                    return false;
                }
                disk.fill();
                pass(dice.seconds(1, 5), node);
                disk.empty();
            }
        }
        true
    }
}

/// One that is there within a few seconds.
fn kill_a_container(world: &World, node: &mut Node<'_>, dice: &mut Dice) -> bool {
    const LOOKS: u32 = 50;
    for _ in 0..LOOKS {
        let names = of_nodes(&world.node);
        if !names.is_empty() && docker(&["kill", dice.one_of::<String>(&names)]).is_some() {
            return true;
        }
        pass(LOOK, node);
    }
    false
}

/// Every request to it fails for a while; now and then the node is killed meanwhile.
fn away(stand_in: StandIn, world: &World, node: &mut Node<'_>, dice: &mut Dice) {
    let faults = [
        Fault::Status { status: 503, when: When::Before },
        Fault::Status { status: 502, when: When::After },
        Fault::Drop { when: When::Before },
        Fault::Drop { when: When::After },
    ];
    world.apiary.faults(stand_in).add(Rule::any(dice.one_of(&faults).clone())).unwrap();
    pass(dice.seconds(1, 4), node);
    if dice.between(1, 3) == 1 {
        node.kill_and_start(None);
        pass(dice.seconds(1, 3), node);
    }
    world.apiary.faults(stand_in).clear();
}

/// Lets time pass.
pub(super) fn pass(time: Duration, node: &mut Node<'_>) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        node.look_after();
        std::thread::park_timeout(LOOK);
    }
}
