//! Nodes and tasks beside one another.

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule, When};
use bzzz_actors::task::life::Task;
use bzzz_actors::task::{TaskEvent, TaskId};
use std::collections::HashMap;

use crate::replies::{FUELLED, running};
use crate::stage::on_a_hill;

#[test]
fn two_nodes_make_one_pull_request_of_each_issue() {
    on_a_hill(async |hill| {
        let repo = hill.repository("shared", &["test -s fuel"]).await;
        let tasks: Vec<TaskId> = (0..4).map(|_| hill.issue(&repo, FUELLED)).collect();
        // Lost answers on top: whose a claim is must not depend on them.
        let lost = Fault::Status { status: 502, when: When::After };
        let push = format!("/{repo}.git/git-receive-pack");
        hill.fail(StandIn::Forge, Rule::new("POST", &push, lost).skip(8).times(3));
        let one = hill.node_with("a", |settings| settings.node.max_tasks = 2).await;
        let other = hill.node_with("b", |settings| settings.node.max_tasks = 2).await;
        for task in &tasks {
            one.or(&other).until_proposed(task).await;
        }
        for task in &tasks {
            hill.assert_proposed_once(task).await;
            one.or(&other).assert_once(task, &["published", "claimed"]).await;
        }
    });
}

#[test]
fn no_more_tasks_than_places_are_under_way() {
    on_a_hill(async |hill| {
        let repo = hill.repository("many", &["test -s fuel"]).await;
        let tasks: Vec<TaskId> =
            (0..5).map(|_| hill.issue(&repo, running(&["echo full > fuel", "sleep 0.3"]))).collect();
        let node = hill.node_with("a", |settings| settings.node.max_tasks = 2).await;
        for task in &tasks {
            node.until_proposed(task).await;
        }
        let mut states: HashMap<TaskId, Task> = HashMap::new();
        let mut most = 0;
        for recorded in node.history(&tasks).await {
            let id = recorded.task;
            let before = states.remove(&id).unwrap_or_else(|| Task::new(id.clone()));
            states.insert(id, before.step(&recorded.event).0);
            let under_way = states.values().filter(|task| task.phase.takes_a_place()).count();
            assert!(under_way <= 2, "{under_way} at {}", recorded.seq.0);
            if matches!(recorded.event, TaskEvent::CommandFinished { .. }) {
                most = most.max(under_way);
            }
        }
        assert_eq!(most, 2, "both places were used");
    });
}
