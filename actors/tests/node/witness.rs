//! Audit trails that others witness: who rolls back or rewrites its journal is caught, by the others and by itself.

use std::sync::Arc;
use std::time::Duration;

use bzzz_actors::ports::journal::{Journal, NodeEvent};
use bzzz_actors::ports::swarm::{Contradiction, PeerId, Said};
use bzzz_actors::swarm_actor::History;
use bzzz_actors::task::TaskId;
use bzzz_actors::trail::{Bytes, Mark, TrailHead};
use tokio::time::sleep;

use crate::swarm::liar;
use crate::world::colony::Colony;
use crate::world::*;
use crate::{DONE, LOOK, PLAN, WRITE};

const WORK: [&str; 5] = [PLAN, LOOK, WRITE, DONE, DONE];

fn peer(name: &str) -> PeerId {
    name.parse().unwrap()
}

/// `count` nodes that have done some work and have seen each other's trails.
async fn colony(count: usize) -> Colony {
    let mut colony = Colony::new(2, 3, &WORK);
    colony.start(count);
    colony.until_all_done(6, 120 * MINUTE).await;
    sleep(5 * MINUTE).await;
    for bee in colony.nodes.values() {
        assert_eq!(bee.journal.notes(), []);
        assert_eq!(bee.journal.seen().len(), count - 1);
    }
    colony
}

fn history(colony: &Colony, of: &str, seen_by: &str) -> Option<History> {
    let roster = colony.nodes[seen_by].node.swarm.roster();
    roster.members.get(&peer(of)).map(|member| member.history)
}

/// By the node that saw it: whose history is contradicted.
fn contradicted(colony: &Colony, seen_by: &str) -> Vec<PeerId> {
    let notes = colony.nodes[seen_by].journal.notes();
    let whose = notes.into_iter().filter_map(|note| match note {
        NodeEvent::PeerContradicted { peer, .. } => Some(peer),
        _ => None,
    });
    whose.collect()
}

fn open_issue(colony: &Colony, number: u64) {
    colony.forge.open(TaskId::new(colony.repositories[0].clone(), number));
}

/// The node knows that its history is lost, works on nothing new, and others do.
async fn assert_takes_nothing(colony: &Colony, name: &str) {
    let bee = &colony.nodes[name];
    assert!(bee.node.swarm.roster().lost.is_some());
    let claimed = bee.journal.claimed().len();
    let done = colony.forge.pull_requests().len();
    for number in [101, 102, 103] {
        open_issue(colony, number);
    }
    colony.until_all_done(done + 3, 60 * MINUTE).await;
    assert_eq!(bee.journal.claimed().len(), claimed);
}

#[test]
fn honest_nodes_that_come_and_go_are_never_accused() {
    in_virtual_time(async {
        let mut colony = Colony::new(4, 6, &WORK);
        colony.hub.lose(20);
        colony.start(3);
        for round in 0..24 {
            sleep(Duration::from_secs(70)).await;
            colony.restart(&format!("n{}", 1 + round % 3), |journal| journal).await;
        }
        colony.until_all_done(24, 240 * MINUTE).await;
        sleep(5 * MINUTE).await;
        for (name, bee) in &colony.nodes {
            assert_eq!(bee.journal.notes(), [], "{name}");
            let head = bee.journal.trail_head().await.unwrap();
            for (other, witness) in colony.nodes.iter().filter(|(other, _)| *other != name) {
                let seen = witness.journal.seen();
                let of_node = seen.iter().find(|it| it.peer == peer(name)).unwrap();
                assert_eq!(
                    (of_node.head, of_node.contradicted_by),
                    (head, None),
                    "{name} as {other} sees it"
                );
                assert_eq!(history(&colony, name, other), Some(History::Proven));
            }
        }
        colony.stop().await;
    });
}

#[test]
fn a_node_that_was_rolled_back_is_caught_and_takes_no_more_tasks() {
    for others_remember in [true, false] {
        in_virtual_time(async move {
            let mut colony = colony(2).await;
            if !others_remember {
                colony.hub.forget_the_dead();
            }
            colony.restart("n1", |journal| journal.prefix(journal.events().len() - 5).into()).await;
            sleep(5 * MINUTE).await;
            let seen = contradicted(&colony, "n2");
            // Twice, if it has gone on before it knew.
            assert!((1..=2).contains(&seen.len()) && seen.iter().all(|it| *it == peer("n1")), "{seen:?}");
            assert_eq!(history(&colony, "n1", "n2"), Some(History::Contradicted));
            assert_eq!(history(&colony, "n2", "n1"), Some(History::Proven));
            let notes = colony.nodes["n1"].journal.notes();
            assert!(matches!(notes[..], [NodeEvent::OwnHistoryLost { .. }]), "{notes:?}");
            assert_takes_nothing(&colony, "n1").await;
            colony.stop().await;
        });
    }
}

#[test]
fn a_history_that_was_written_anew_is_caught() {
    in_virtual_time(async {
        let mut colony = colony(3).await;
        colony.restart("n1", |journal| journal.rewritten().into()).await;
        sleep(5 * MINUTE).await;
        for name in ["n2", "n3"] {
            assert_eq!(contradicted(&colony, name), [peer("n1")]);
        }
        assert_takes_nothing(&colony, "n1").await;
        colony.stop().await;
    });
}

#[test]
fn a_history_that_was_written_anew_and_went_on_is_caught() {
    in_virtual_time(async {
        let mut colony = colony(2).await;
        let Some(bee) = colony.nodes.remove("n1") else { return };
        bee.node.stop().await;
        // It works where nobody sees it.
        let elsewhere = bee.journal.rewritten();
        colony.start_from(colony.config("n1"), None, Arc::new(elsewhere));
        open_issue(&colony, 50);
        open_issue(&colony, 51);
        colony.until_all_done(8, 60 * MINUTE).await;
        let grown = colony.nodes["n1"].journal.events().len();
        assert!(grown > bee.journal.events().len(), "it has done one of them");
        colony.hub.forget_the_dead();
        colony.restart("n1", |journal| journal).await;
        sleep(30 * MINUTE).await;
        assert_eq!(contradicted(&colony, "n2"), [peer("n1")]);
        assert!(colony.nodes["n1"].node.swarm.roster().lost.is_some());
        colony.stop().await;
    });
}

#[test]
fn what_was_found_outlives_both_nodes() {
    in_virtual_time(async {
        let mut colony = colony(2).await;
        colony.restart("n1", |journal| journal.rewritten().into()).await;
        sleep(5 * MINUTE).await;
        colony.restart("n2", |journal| journal).await;
        sleep(5 * MINUTE).await;
        assert_eq!(contradicted(&colony, "n2"), [peer("n1")], "it is not noted again");
        assert_eq!(history(&colony, "n1", "n2"), Some(History::Contradicted));
        // Nobody is there to tell it.
        colony.nodes.remove("n2").unwrap().node.stop().await;
        colony.hub.end_networks(0);
        colony.restart("n1", |journal| journal).await;
        sleep(MINUTE).await;
        assert!(colony.nodes["n1"].node.swarm.roster().lost.is_some());
        assert_eq!(colony.nodes["n1"].journal.notes().len(), 1);
        colony.stop().await;
    });
}

#[test]
fn a_node_whose_newer_data_came_back_is_trusted_again() {
    in_virtual_time(async {
        let mut colony = colony(2).await;
        let newer = colony.nodes["n1"].journal.clone();
        colony.restart("n1", |journal| journal.prefix(journal.events().len() - 5).into()).await;
        sleep(5 * MINUTE).await;
        assert_eq!(history(&colony, "n1", "n2"), Some(History::Contradicted));
        colony.restart("n1", |_| newer).await;
        sleep(5 * MINUTE).await;
        assert_eq!(history(&colony, "n1", "n2"), Some(History::Proven));
        assert_eq!(colony.nodes["n1"].node.swarm.roster().lost, None);
        colony.stop().await;
    });
}

#[test]
fn nobody_talks_a_node_out_of_its_work() {
    in_virtual_time(async {
        let colony = colony(1).await;
        let own = colony.nodes["n1"].journal.trail_head().await.unwrap();
        let liar = liar(&colony, "liar", "liar").await;
        let (strange, root) = (Bytes([9; 32]), Bytes([8; 32]));
        let made_up = [
            // With a key of its own that it calls that of a segment.
            TrailHead { segment_key: strange, mark: Mark { segment: 7, length: 1, root }, ..own },
            TrailHead { segment_key: strange, mark: Mark { length: 1 << 20, root, ..own.mark }, ..own },
            TrailHead { key: strange, segment_key: strange, mark: Mark { root, ..own.mark }, ..own },
            // What is true helps it no more.
            own,
        ];
        for witnessed in made_up {
            let _ = liar.voice.say(Said::Contradiction(Contradiction { of: peer("n1"), witnessed })).await;
            sleep(MINUTE).await;
        }
        assert_eq!(colony.nodes["n1"].node.swarm.roster().lost, None);
        open_issue(&colony, 101);
        colony.until_all_done(7, 60 * MINUTE).await;
        assert_eq!(colony.nodes["n1"].journal.notes(), []);
        colony.stop().await;
    });
}
