//! Other nodes' claims are looked at without the forge.

use std::sync::Arc;

use bzzz_actors::node::Node;
use bzzz_actors::ports::claims::{Claims, LeaseState};
use tokio::time::{Instant, sleep};

use crate::world::*;
use crate::{HANG, PLAN, one};

const HOUR: std::time::Duration = MINUTE.saturating_mul(60);

/// A second node, which asks the forge once a day.
fn seldom(world: &World) -> Node {
    let mut config = config("node-2");
    config.poll_interval = 24 * HOUR;
    world.start_as(config, Arc::new(MemoryJournal::default()))
}

#[test]
fn a_dead_nodes_task_is_taken_over_although_nobody_asks_the_forge() {
    in_virtual_time(async {
        let world = World::new(&[PLAN]);
        let first = world.start();
        Story::of(&first).until_kind("plan_settled").await;
        let second = seldom(&world);
        sleep(HOUR).await;
        let listings = world.forge.traps.calls("open_issues");
        first.stop().await;
        let began = Instant::now();
        Story::of(&second).until_kind("claimed").await;
        assert_eq!(world.git.record(&one()).unwrap().epoch.0, 2);
        let waited = began.elapsed();
        assert!(waited >= 12 * MINUTE && waited <= 19 * MINUTE, "{waited:?} since the last renewal or later");
        assert_eq!(world.forge.traps.calls("open_issues"), listings);
        second.stop().await;
    });
}

#[test]
fn what_a_node_gives_back_is_taken_within_a_look() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, "```sh\nhang\n```"]);
        let first = world.start();
        Story::of(&first).until_kind("plan_settled").await;
        let second = seldom(&world);
        sleep(HOUR).await;
        let began = Instant::now();
        assert_eq!(first.surrender().await, 1);
        Story::of(&second).until_kind("claimed").await;
        assert!(began.elapsed() <= 2 * MINUTE, "{:?}", began.elapsed());
        second.stop().await;
    });
}

#[test]
fn what_others_hold_costs_nothing_of_the_forges_quota() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, HANG]);
        let first = world.start();
        Story::of(&first).until_kind("plan_settled").await;
        let second = seldom(&world);
        sleep(MINUTE).await;
        first.stop().await;
        let calls = |name| world.forge.traps.calls(name);
        let before = (calls("issue"), calls("find_pull_request"), calls("label_setting"));
        let looks = world.git.traps.calls("list");
        // Somebody else renews it.
        for _ in 0..60 {
            world.git.steal(&one());
            sleep(5 * MINUTE).await;
        }
        assert_eq!((calls("issue"), calls("find_pull_request"), calls("label_setting")), before);
        assert!(world.git.traps.calls("list") - looks > 200, "it looked");
        assert!(world.git.traps.calls("read_all") <= 62, "each renewal is read once");
        second.stop().await;
    });
}

#[test]
fn a_repository_in_which_there_is_nothing_to_take_is_not_looked_at() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, HANG]);
        let node = world.start();
        Story::of(&node).until_kind("plan_settled").await;
        world.git.traps.set("list", 0..0);
        sleep(5 * HOUR).await;
        assert!(world.git.traps.calls("list") <= 6, "but for the collection of claims, once an hour");
        node.stop().await;
    });
}

#[test]
fn a_claim_that_nobody_can_read_and_a_git_server_that_fails_disturb_nothing() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, HANG]);
        world.git.put_unreadable(&one());
        world.git.traps.set("list", 1..2);
        let node = seldom(&world);
        sleep(5 * HOUR).await;
        assert!(world.git.read(&one()).await.unwrap().unwrap().record.is_none(), "it was left alone");
        node.stop().await;
        assert_ne!(world.git.record_state(&one()), Some(LeaseState::Held));
    });
}
