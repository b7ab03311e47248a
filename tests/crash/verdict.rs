//! What must hold at the end of a scenario, whatever was killed where.

use bzzz::apiary::forge::IssueState;
use bzzz_actors::ports::forge::comment_marker;
use bzzz_actors::task::TaskId;

use crate::record::Record;
use crate::scenario::Scenario;
use crate::story::{LINES, Story};
use crate::world::{LOGIN, World};

pub(crate) fn judge(world: &World, scenario: &Scenario, task: &TaskId) {
    assert_eq!(world.containers(), [""; 0], "containers are left");
    assert_eq!(world.left_behind(), Vec::<std::path::PathBuf>::new(), "files are left");
    world.verify();
    let record = world.record(task).expect("the journal can be read");
    assert!(scenario.story.is_over(&record), "{record}");
    judge_work(world, scenario, &record);
    judge_issue(world, scenario.story, task);
    judge_tellings(world, scenario, task);
}

/// One pull request of the branch, and no command twice in it.
fn judge_work(world: &World, scenario: &Scenario, record: &Record) {
    let task = &record.task.id;
    let pulls = world.wait(world.apiary.forge().pull_requests(&task.repo)).unwrap();
    let branch = format!("refs/heads/{}", task.branch());
    let branch = world.wait(world.apiary.forge().read_ref(&task.repo, &branch)).unwrap();
    if !scenario.story.has_pull_request() {
        assert_eq!((pulls.len(), branch), (0, None), "{pulls:?}\n{record}");
        return;
    }
    assert_eq!(pulls.len(), 1, "{pulls:?}\n{record}");
    assert_eq!(pulls[0].head_ref, task.branch());
    assert_eq!(branch.as_ref(), Some(&pulls[0].head_sha), "{record}");
    assert_eq!(record.commands_asked_for(), LINES.len(), "{record}");
    let known = record.commands_known();
    let mut lines = world.log_at(&task.repo, &pulls[0].head_sha);
    if !scenario.may_lose_a_command() {
        assert_eq!(
            (known.as_slice(), lines.as_slice()),
            ([1, 2].as_slice(), LINES.map(str::to_owned).as_slice()),
            "{record}"
        );
        return;
    }
    assert!(known.iter().all(|step| known.iter().filter(|it| *it == step).count() == 1), "{record}");
    assert!(
        known.len() + scenario.kills.len() >= LINES.len(),
        "each death costs one outcome at most: {record}"
    );
    // What is known to have run stands there; what is not known, at most once; each in its place.
    let unknown_lines = |line: &str| {
        let step = LINES.iter().position(|it| *it == line).map(|index| index as u32 + 1);
        step.is_some_and(|step| !known.contains(&step))
    };
    let expected: Vec<&str> =
        LINES.into_iter().filter(|line| !unknown_lines(line) || lines.iter().any(|it| it == line)).collect();
    lines.retain(|line| !line.is_empty());
    assert_eq!(lines, expected, "{record}");
}

/// The issue's page says what became of the task, and says it once.
fn judge_issue(world: &World, story: Story, task: &TaskId) {
    let issue = world.apiary.forge().issue(task).unwrap();
    let mut labels: Vec<&str> = issue.labels.iter().map(String::as_str).collect();
    let mut expected = story.labels().to_vec();
    labels.sort_unstable();
    expected.sort_unstable();
    assert_eq!(labels, expected);
    assert_eq!(issue.assignees, [LOGIN]);
    assert_eq!(issue.state == IssueState::Closed, story == Story::Merged, "{issue:?}");
    let comments = world.apiary.forge().comments(task);
    let of_node: Vec<&str> =
        comments.iter().map(|it| it.body.as_str()).filter(|body| body.contains("<!-- bzzz:")).collect();
    let expected = story.comments();
    assert_eq!(of_node.len(), expected.len(), "{of_node:?}");
    for (body, marker) in of_node.iter().zip(expected) {
        assert!(body.contains(&comment_marker(marker)), "{of_node:?}");
    }
}

/// Hive and the webhook hear everything, in its order. Each death may repeat what was told and not yet noted as
/// told; several systems are told at the same time, so any death may.
fn judge_tellings(world: &World, scenario: &Scenario, task: &TaskId) {
    let at_most = scenario.lives();
    let hive = world.apiary.hive();
    let statuses: Vec<String> = hive.statuses().into_iter().map(|report| report.status).collect();
    let mut distinct = statuses.clone();
    distinct.dedup();
    assert_eq!(distinct, scenario.story.statuses(), "{statuses:?}");
    for status in &distinct {
        let times = statuses.iter().filter(|it| *it == status).count();
        assert!(times <= at_most, "{statuses:?}");
    }
    let claims = hive.claims();
    assert!((1..=at_most).contains(&claims.len()), "{claims:?}");
    assert!(claims.iter().all(|it| it.agent_id == world.node && it.task_number == task.number), "{claims:?}");
    let counts = world.apiary.n8n().counts();
    assert_eq!(counts.keys().cloned().collect::<Vec<_>>(), scenario.story.questions(task));
    assert!(counts.values().all(|times| *times <= at_most), "{counts:?}");
}
