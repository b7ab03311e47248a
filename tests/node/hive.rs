//! What Hive is told, and that nothing waits for it.

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule, When};
use bzzz_actors::task::TaskId;

use crate::hill::Hill;
use crate::replies::{FUELLED, PLAN};
use crate::stage::on_a_hill;

/// What Hive was told of a task, in order.
fn statuses(hill: &Hill, project: &str, task: &TaskId) -> Vec<String> {
    let of_task = hill.apiary.hive().statuses().into_iter();
    of_task
        .filter(|it| it.project_id == project && it.task_number == task.number)
        .map(|it| it.status)
        .collect()
}

#[test]
fn hive_names_the_repository_and_hears_of_claim_progress_and_end() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let repo = hill.repository("hived", &["test -s fuel"]).await;
        let (good, bad) = (hill.issue(&repo, FUELLED), hill.issue(&repo, [PLAN, "", "", ""]));
        hill.apiary.hive().add_project("p-7", &repo, None).unwrap();
        let hive_url = hill.apiary.hive_url();
        let node = hill
            .node_with("a", |settings| {
                settings.hive.url = Some(hive_url.parse().unwrap());
                // The other repository is known from Hive alone.
                settings.forge.repositories = vec![well.repo.clone()];
            })
            .await;
        node.until_proposed(&good).await;
        node.until_over(&bad).await;
        hill.until("the good end is told", |hill| {
            statuses(hill, "p-7", &good) == ["in_progress", "completed"]
        })
        .await;
        hill.until("the bad end is told", |hill| statuses(hill, "p-7", &bad) == ["in_progress", "failed"])
            .await;
        let mut claims: Vec<_> = hill
            .apiary
            .hive()
            .claims()
            .into_iter()
            .map(|it| (it.project_id, it.task_number, it.agent_id))
            .collect();
        claims.sort();
        assert_eq!(claims, [1, 2].map(|number| ("p-7".to_owned(), number, node.name.to_string())));
        let completed =
            hill.apiary.hive().statuses().into_iter().find(|it| it.status == "completed").unwrap();
        let url = format!("{}/{repo}/pull/", hill.apiary.forge_url());
        assert!(completed.metadata["pull_request_url"].as_str().unwrap().starts_with(&url), "{completed:?}");
        // None of Hive's: it is worked on, and Hive is not told.
        node.until_proposed(&well).await;
        assert_eq!(hill.apiary.hive().claims().len(), 2);
    });
}

#[test]
fn hive_may_be_away_all_the_time_and_hears_of_it_later() {
    on_a_hill(async |hill| {
        let repo = hill.repository("alone", &["test -s fuel"]).await;
        let task = hill.issue(&repo, FUELLED);
        hill.apiary.hive().add_project(3, &repo, None).unwrap();
        hill.fail(StandIn::Hive, Rule::any(Fault::Drop { when: When::Before }));
        let hive_url = hill.apiary.hive_url();
        let node = hill.node_with("a", |settings| settings.hive.url = Some(hive_url.parse().unwrap())).await;
        let story = node.until_proposed(&task).await;
        assert!(!story.has("stalled"), "{story}");
        assert_eq!(hill.apiary.hive().claims(), []);
        hill.apiary.faults(StandIn::Hive).clear();
        hill.until("it is told", |hill| statuses(hill, "3", &task) == ["in_progress", "completed"]).await;
        assert_eq!(hill.apiary.hive().claims().len(), 1);
    });
}
