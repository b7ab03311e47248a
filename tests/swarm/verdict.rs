//! What must hold of the work of many nodes, and the figures that are told of it.

use std::collections::{BTreeMap, BTreeSet};

use bzzz_actors::task::{Epoch, TaskId};

use crate::colony::Colony;

/// What the journals of all nodes say together.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// By the task: which nodes published it, once for each time.
    published: BTreeMap<TaskId, Vec<String>>,
    /// Who held the task in each epoch.
    owners: BTreeMap<(TaskId, Epoch), BTreeSet<String>>,
    /// How often a claim was begun, and how often another node was faster.
    attempts: usize,
    lost: usize,
}

impl Verdict {
    pub(crate) fn of(colony: &Colony, tasks: &[TaskId]) -> Self {
        let mut verdict = Self::default();
        for node in &colony.nodes {
            for task in tasks {
                for recorded in node.events_of(task) {
                    match recorded.event.kind() {
                        "published" => {
                            verdict.published.entry(task.clone()).or_default().push(node.host.clone());
                        }
                        "claimed" => {
                            let owners = verdict.owners.entry((task.clone(), recorded.epoch)).or_default();
                            owners.insert(node.host.clone());
                        }
                        "claim_intended" => verdict.attempts += 1,
                        "claim_lost" => verdict.lost += 1,
                        _ => {}
                    }
                }
            }
        }
        verdict
    }

    /// How many tasks each node published.
    pub(crate) fn by_node(&self) -> BTreeMap<String, usize> {
        let mut by_node = BTreeMap::new();
        for node in self.published.values().flatten() {
            *by_node.entry(node.clone()).or_default() += 1;
        }
        by_node
    }

    /// Every task was published, and none twice.
    pub(crate) fn assert_published_once(&self, tasks: &[TaskId]) {
        let not_once = |task: &&TaskId| self.published.get(*task).map(Vec::len) != Some(1);
        let wrong: Vec<_> = tasks.iter().filter(not_once).map(|it| (it, self.published.get(it))).collect();
        assert!(wrong.is_empty(), "not published once: {wrong:?}");
    }

    /// Every task had an owner, and in no epoch two.
    pub(crate) fn assert_one_owner_an_epoch(&self) {
        let shared: Vec<_> = self.owners.iter().filter(|(_, owners)| owners.len() != 1).collect();
        assert!(shared.is_empty(), "two owners at once: {shared:?}");
    }

    pub(crate) fn print(&self, what: &str) {
        let share = 100.0 * self.lost as f64 / self.attempts.max(1) as f64;
        println!(
            "{what}: {} claims begun, {} lost to a faster node ({share:.1} %); published: {:?}",
            self.attempts,
            self.lost,
            self.by_node()
        );
    }
}

/// On the forge each task has one pull request, of its branch as it is.
pub(crate) async fn assert_proposed_once(colony: &Colony, tasks: &[TaskId]) {
    for task in tasks {
        let pulls = colony.pull_requests(task).await;
        assert_eq!(pulls.len(), 1, "{task}: {pulls:?}");
        assert_eq!(colony.branch(task).await, Some(pulls[0].head_sha.clone()), "{task}");
    }
}
