//! Many nodes go for the same task in the same moment, again and again.

use bzzz_actors::ports::claims::{Claims, Swap};
use bzzz_actors::task::{Sha, TaskId};
use futures_util::future::join_all;

use super::fixture::{Fixture, git, record, repo};
use crate::git::Git;

const RACERS: usize = 24;
const RACES: u64 = 100;
/// Adapters of their own that the racers share.
const NODES: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_24_racers_one_wins_each_of_100_times() {
    let fixture = Fixture::new();
    let nodes = join_all((0..NODES).map(|n| {
        let fixture = &fixture;
        async move { fixture.node(&format!("n{n}")).await }
    }));
    let nodes: Vec<Git> = nodes.await;
    // What counts is that no two leases are the same commit.
    let mut leases: Vec<Sha> = Vec::new();
    for racer in 0..RACERS {
        let record = record(&format!("racer-{racer}"), 1, racer as u64);
        leases.push(nodes[racer % NODES].draft(None, &record).await.unwrap());
    }
    for race in 1..=RACES {
        let task = TaskId::new(repo(), race);
        let tries = leases.iter().enumerate().map(|(racer, lease)| {
            let (node, task) = (&nodes[racer % NODES], &task);
            async move { (lease, node.swap(task, None, lease, None).await.unwrap()) }
        });
        let outcomes = join_all(tries).await;
        let winners: Vec<&Sha> =
            outcomes.iter().filter(|(_, swap)| *swap == Swap::Done).map(|(lease, _)| *lease).collect();
        let there = git(&fixture.server("rocket"), &["rev-parse", &format!("refs/bzzz/claims/{race}")]);
        assert_eq!(winners.iter().map(|it| it.as_str()).collect::<Vec<_>>(), [there], "race {race}");
    }
}
