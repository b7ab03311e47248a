//! The stream of issues, and what must have become of each in the end.

use std::collections::BTreeMap;

use bzzz_actors::task::life::Phase;
use bzzz_actors::task::{RepoId, TaskId};

use super::dice::Dice;
use crate::record::Record;
use crate::replies::{DONE, running};
use crate::world::World;

/// After its commands the model says as often as it is asked that it is done: a sandbox that is lost then is one more
/// question.
const DONE_AGAIN: usize = 20;

pub(super) struct Work {
    repositories: Vec<RepoId>,
    /// Each with the number of its commands.
    pub(super) issues: Vec<(TaskId, usize)>,
}

fn line(number: usize) -> String {
    format!("line {number}")
}

impl Work {
    pub(super) fn new(world: &mut World) -> Self {
        let repositories = ["clover", "heather", "lime"].map(|name| world.repository(name)).to_vec();
        Self { repositories, issues: Vec::new() }
    }

    /// One more issue: two to four commands, each of which takes a while and appends its numbered line.
    pub(super) fn open_one(&mut self, world: &World, dice: &mut Dice) {
        let repo = dice.one_of(&self.repositories).clone();
        let commands = dice.between(2, 4) as usize;
        let pause = dice.between(0, 15);
        let command = |it| format!("sleep {}.{}; echo {} >> log", pause / 10, pause % 10, line(it));
        let said: Vec<String> = (1..=commands).map(command).collect();
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        let mut replies = running(&said);
        replies.extend(std::iter::repeat_n(DONE.to_owned(), DONE_AGAIN));
        self.issues.push((world.issue(&repo, replies), commands));
    }

    /// Whether every issue has come to its pull request or has failed, and all of it is told.
    pub(super) fn is_over(&self, world: &World) -> bool {
        let is_over = |record: &Record| {
            !record.is_to_be_told && (record.task.phase == Phase::InReview || record.failure().is_some())
        };
        self.issues.iter().all(|(task, _)| world.record(task).as_ref().is_some_and(is_over))
    }

    /// The issues that are not over, each in words.
    pub(super) fn unfinished(&self, world: &World) -> String {
        let told = |(task, _): &(TaskId, usize)| match world.record(task) {
            Some(record) if record.task.phase == Phase::InReview || record.failure().is_some() => None,
            Some(record) => Some(record.to_string()),
            None => Some(format!("{task}: no record")),
        };
        self.issues.iter().filter_map(told).collect::<Vec<_>>().join("\n")
    }

    /// Judges every issue. Returns how many came to a pull request, and why the others failed, each with a count.
    pub(super) fn judge(&self, world: &World) -> (usize, BTreeMap<String, usize>) {
        let (mut proposed, mut failures) = (0, BTreeMap::new());
        for (task, commands) in &self.issues {
            let record = world.record(task).unwrap();
            let pulls = world.wait(world.apiary.forge().pull_requests(&task.repo)).unwrap();
            let of_task: Vec<_> = pulls.iter().filter(|pull| pull.head_ref == task.branch()).collect();
            match record.failure() {
                Some(reason) => {
                    assert!(of_task.is_empty(), "{task} has failed and has a pull request: {record}");
                    assert!(!reason.trim().is_empty(), "{record}");
                    println!("chaos: what became of {task}: {}", record.in_short());
                    *failures.entry(reason.to_owned()).or_insert(0) += 1;
                }
                None => {
                    assert_eq!(of_task.len(), 1, "{of_task:?}\n{record}");
                    judge_log(&world.log_at(&task.repo, &of_task[0].head_sha), *commands, &record);
                    proposed += 1;
                }
            }
            let mut known = record.commands_known();
            known.sort_unstable();
            known.dedup();
            assert_eq!(known.len(), record.commands_known().len(), "an outcome is recorded twice: {record}");
        }
        (proposed, failures)
    }
}

/// Each line at most once, in order, and none that nobody asked for.
fn judge_log(lines: &[String], commands: usize, record: &Record) {
    let mut expected = (1..=commands).map(line);
    for found in lines {
        assert!(expected.any(|it| it == *found), "twice, or out of order: {lines:?}\n{record}");
    }
}
