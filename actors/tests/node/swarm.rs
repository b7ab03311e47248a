//! Many nodes in a simulated swarm: who tries first, who polls, and what comes of it when the swarm is bad.

use std::collections::BTreeSet;
use std::time::Duration;

use bzzz_actors::node::NodeConfig;
use bzzz_actors::ports::swarm::{
    Announcement, Availability, Capabilities, Misdeed, OpenSwarm, PeerId, Said, TasksSeen, Watched,
};
use bzzz_actors::reasoner_actor::ModelChoice;
use bzzz_actors::task::{Epoch, IssueState, RepoId, TaskId};
use tokio::time::{sleep, timeout};

use crate::world::colony::Colony;
use crate::world::*;
use crate::{DONE, LOOK, PLAN, WRITE};

/// Some minutes of work, with the minute that a test's command may take.
const WORK: [&str; 8] = [PLAN, LOOK, LOOK, WRITE, LOOK, LOOK, DONE, DONE];

#[test]
fn five_nodes_share_forty_issues_and_hardly_ever_race() {
    in_virtual_time(async {
        let mut colony = Colony::new(4, 10, &WORK);
        colony.start(5);
        let took = colony.until_all_done(40, 120 * MINUTE).await;
        colony.assert_none_twice();
        let (attempts, lost) = colony.races();
        println!(
            "40 issues, 5 nodes: {took:?}, {attempts} attempts, {lost} lost; {:?}",
            colony.count("published")
        );
        assert!(lost * 20 <= attempts, "{lost} of {attempts} attempts were lost");
        assert!(
            colony.count("published").values().all(|count| *count > 0),
            "{:?}",
            colony.count("published")
        );
        colony.stop().await;
    });
}

#[test]
fn a_swarm_that_loses_words_races_a_little_more_and_nothing_is_done_twice() {
    in_virtual_time(async {
        let mut colony = Colony::new(4, 10, &WORK);
        colony.hub.lose(30);
        colony.start(5);
        colony.until_all_done(40, 120 * MINUTE).await;
        colony.assert_none_twice();
        colony.stop().await;
    });
}

#[test]
fn without_its_network_every_node_does_as_if_it_were_alone() {
    in_virtual_time(async {
        let mut colony = Colony::new(4, 10, &WORK);
        colony.hub.down();
        colony.start(5);
        colony.until_all_done(40, 120 * MINUTE).await;
        colony.assert_none_twice();
        let (attempts, lost) = colony.races();
        println!("without a network: {attempts} attempts, {lost} lost");
        colony.stop().await;
    });
}

#[test]
fn a_network_that_keeps_dying_disturbs_no_task() {
    in_virtual_time(async {
        let mut colony = Colony::new(4, 10, &WORK);
        colony.start(5);
        let hub = colony.hub.clone();
        let killer = tokio::spawn(async move {
            for round in 0.. {
                sleep(Duration::from_secs(3)).await;
                hub.end_networks(round % 7);
            }
        });
        colony.until_all_done(40, 120 * MINUTE).await;
        killer.abort();
        colony.assert_none_twice();
        assert!(colony.hub.opened() > 20, "{}", colony.hub.opened());
        assert_eq!(colony.total("taken_up"), 0);
        for bee in colony.nodes.values_mut() {
            assert!(timeout(MINUTE, bee.node.failed()).await.is_err(), "an actor was given up");
        }
        colony.stop().await;
    });
}

#[test]
fn a_network_that_hangs_is_opened_again() {
    in_virtual_time(async {
        let mut colony = Colony::new(1, 0, &WORK);
        colony.start(3);
        sleep(MINUTE).await;
        assert_eq!(colony.hub.opened(), 3);
        colony.hub.hang();
        sleep(10 * MINUTE).await;
        assert_eq!(colony.hub.opened(), 6, "each once");
        colony.forge.forget_requests();
        sleep(60 * MINUTE).await;
        // They share again: one alone asks 12 times an hour.
        assert!(colony.forge.requests()["open_issues"] <= 21, "{:?}", colony.forge.requests());
        colony.stop().await;
    });
}

#[test]
fn a_swarm_that_falls_apart_and_comes_together_does_nothing_twice() {
    in_virtual_time(async {
        let mut colony = Colony::new(4, 10, &WORK);
        colony.start(5);
        let hub = colony.hub.clone();
        let divider = tokio::spawn(async move {
            for round in 0u32.. {
                sleep(Duration::from_secs(20)).await;
                let part_of =
                    |peer: &PeerId| (u32::from(peer.as_str().as_bytes()[1]) + round) % (1 + round % 3);
                hub.divide(part_of);
            }
        });
        colony.until_all_done(40, 120 * MINUTE).await;
        divider.abort();
        colony.assert_none_twice();
        colony.stop().await;
    });
}

fn peer(name: &str) -> PeerId {
    name.parse().unwrap()
}

/// A peer that says what it likes. It hears, but does not listen.
pub(crate) async fn liar(colony: &Colony, name: &str, node: &str) -> OpenSwarm {
    let open = colony.hub.entrance(name).open().await.unwrap();
    let watched = |repo: &RepoId| Watched { repo: repo.clone(), elsewhere: None };
    let capabilities = Capabilities {
        node: node.parse().unwrap(),
        version: "1".into(),
        labels: vec![],
        languages: vec![],
        models: vec!["coder".into()],
        max_tasks: u32::MAX,
        repositories: colony.repositories.iter().map(watched).collect(),
    };
    let _ = open.voice.say(Said::Capabilities(capabilities)).await;
    let availability = Availability { free_slots: u32::MAX, tasks: vec![] };
    let _ = open.voice.say(Said::Availability(availability)).await;
    open
}

fn seen(task: &TaskId, free: Vec<u64>) -> Said {
    Said::TasksSeen(TasksSeen {
        repo: task.repo.clone(),
        free,
        called: vec![],
        other: vec![],
        next_in_s: u64::MAX,
        labels: Default::default(),
        language: None,
    })
}

/// It says that it is there, has claimed everything and works on everything, again and again, and names issues that do not exist.
async fn lie(open: OpenSwarm, repositories: Vec<RepoId>) {
    for round in 0u64.. {
        let tasks: Vec<TaskId> = repositories
            .iter()
            .flat_map(|repo| (1..=10).map(|number| TaskId::new(repo.clone(), number)))
            .collect();
        for task in &tasks {
            let claimed = Announcement::Claimed { task: task.clone(), epoch: Epoch(100) };
            let _ = open.voice.say(Said::Task(claimed)).await;
            let bogus = (1000 + 100 * round..1100 + 100 * round).collect();
            let _ = open.voice.say(seen(task, bogus)).await;
        }
        let _ = open.voice.say(Said::Availability(Availability { free_slots: u32::MAX, tasks })).await;
        sleep(Duration::from_secs(10)).await;
    }
}

#[test]
fn liars_delay_the_work_and_do_not_stop_it() {
    in_virtual_time(async {
        let mut colony = Colony::new(4, 10, &WORK);
        let mut liars = Vec::new();
        for number in 1..=3 {
            let open = liar(&colony, &format!("liar{number}"), &format!("liar-{number}")).await;
            liars.push(tokio::spawn(lie(open, colony.repositories.clone())));
        }
        colony.start(3);
        let took = colony.until_all_done(40, 240 * MINUTE).await;
        colony.assert_none_twice();
        let blamed: BTreeSet<(PeerId, &str)> = colony
            .hub
            .blamed()
            .into_iter()
            .map(|(_, whom, what)| (whom, if what == Misdeed::FalseClaim { "claim" } else { "task" }))
            .collect();
        println!("with 3 liars of 6: {took:?}; {blamed:?}; {:?}", colony.forge.requests());
        for number in 1..=3 {
            assert!(blamed.contains(&(peer(&format!("liar{number}")), "claim")), "{blamed:?}");
        }
        assert!(blamed.iter().any(|(_, what)| *what == "task"), "{blamed:?}");
        assert!(blamed.iter().all(|(whom, _)| whom.as_str().starts_with("liar")), "{blamed:?}");
        liars.iter().for_each(|liar| liar.abort());
        colony.stop().await;
    });
}

#[test]
fn who_announces_what_does_not_exist_costs_few_requests() {
    in_virtual_time(async {
        let mut colony = Colony::new(1, 0, &WORK);
        let liar = liar(&colony, "liar", "liar").await;
        let lying = tokio::spawn(lie(liar, colony.repositories.clone()));
        colony.start(1);
        sleep(180 * MINUTE).await;
        let requests = colony.forge.requests();
        let issues = requests.get("issue").copied().unwrap_or_default();
        assert!((1..=60).contains(&issues), "{requests:?}");
        lying.abort();
        colony.stop().await;
    });
}

#[test]
fn one_node_polls_for_all_and_another_one_when_it_is_gone() {
    in_virtual_time(async {
        let mut colony = Colony::new(1, 0, &WORK);
        colony.start(3);
        sleep(60 * MINUTE).await;
        let polls = |colony: &Colony| colony.forge.requests()["open_issues"];
        let of_three = polls(&colony);
        // One alone: 15. Three that did not share: 45.
        assert!((12..=21).contains(&of_three), "{of_three}");
        // Whoever it is that polls: each in its turn.
        for name in ["n1", "n2"] {
            colony.nodes.remove(name).unwrap().node.stop().await;
            colony.forge.forget_requests();
            sleep(60 * MINUTE).await;
            assert!((11..=21).contains(&polls(&colony)), "{:?}", colony.forge.requests());
        }
        let task = TaskId::new(colony.repositories[0].clone(), 1);
        colony.forge.open(task);
        colony.until_all_done(1, 10 * MINUTE).await;
        colony.stop().await;
    });
}

#[test]
fn an_issue_that_another_node_sees_closed_ends_its_task() {
    in_virtual_time(async {
        let mut colony = Colony::new(6, 1, &[PLAN, LOOK]);
        colony.start(2);
        sleep(3 * MINUTE).await;
        assert_eq!(colony.total("claimed"), 6, "{:?}", colony.count("claimed"));
        for repo in &colony.repositories {
            colony.forge.change(&TaskId::new(repo.clone(), 1), |issue| issue.state = IssueState::Closed);
        }
        sleep(15 * MINUTE).await;
        assert_eq!(colony.total("cancelled"), 6);
        colony.stop().await;
    });
}

#[test]
fn labels_choose_the_node() {
    in_virtual_time(async {
        let mut colony = Colony::new(1, 20, &WORK);
        for number in 1..=10 {
            let task = TaskId::new(colony.repositories[0].clone(), number);
            colony.forge.change(&task, |issue| issue.labels.push("Docs".into()));
        }
        for (name, labels) in [("n1", vec!["docs".to_owned()]), ("n2", vec![]), ("n3", vec![])] {
            let config = NodeConfig { labels, max_tasks: 20, ..colony.config(name) };
            colony.start_with(config, Some(colony.hub.entrance(name)));
        }
        colony.until_all_done(20, 60 * MINUTE).await;
        let of_first = colony.nodes["n1"].journal.claimed();
        let docs = of_first.iter().filter(|number| **number <= 10).count();
        assert!(docs >= 6 && of_first.len() - docs <= 3, "{of_first:?}");
        colony.stop().await;
    });
}

#[test]
fn two_nodes_of_one_name_are_noticed_and_the_work_is_done() {
    in_virtual_time(async {
        let mut colony = Colony::new(1, 3, &WORK);
        let twin = liar(&colony, "twin", "n2").await;
        colony.start(3);
        colony.until_all_done(3, 60 * MINUTE).await;
        assert!(colony.hub.blamed().iter().any(|(_, _, what)| *what == Misdeed::StolenName));
        drop(twin);
        colony.stop().await;
    });
}

#[test]
fn a_node_whose_models_are_gone_leaves_the_work_to_others() {
    in_virtual_time(async {
        let mut colony = Colony::new(1, 6, &WORK);
        let without = NodeConfig {
            choice: ModelChoice { names: vec!["unknown".into()], ..colony.config("n1").choice },
            ..colony.config("n1")
        };
        colony.start_with(without, Some(colony.hub.entrance("n1")));
        colony.start_with(colony.config("n2"), Some(colony.hub.entrance("n2")));
        colony.until_all_done(6, 60 * MINUTE).await;
        assert_eq!(colony.count("claimed"), [("n1".to_owned(), 0), ("n2".to_owned(), 6)].into());
        colony.stop().await;
    });
}
