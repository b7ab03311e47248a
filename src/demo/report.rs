//! What came of it: each task's pull request as the forge has it, and the journal.

use bzzz_actors::ports::journal::Journal;
use bzzz_actors::task::TaskId;
use bzzz_actors::task::life::Task;

use super::board::BoardEntry;
use super::{Board, DemoError, Stage};

pub struct Report {
    pub tasks: Vec<TaskReport>,
    /// The first produced diff, and whose it is.
    pub diff: Option<(TaskId, String)>,
    /// Entries of the journal, every one of them verified.
    pub journal_entries: u64,
}

pub struct TaskReport {
    pub id: TaskId,
    pub state: String,
    pub steps: u32,
    pub took_ms: Option<u64>,
    pub checks: String,
    /// As the forge has it, not as the node says.
    pub pull_request: Option<String>,
    pub has_succeeded: bool,
}

impl Report {
    pub async fn of(stage: &Stage, board: &Board) -> Result<Self, DemoError> {
        let mut tasks = Vec::new();
        let mut diff = None;
        for entry in board.entries() {
            tasks.push(TaskReport::of(stage, entry).await?);
            if diff.is_none() {
                diff = diff_of(stage, &entry.task).await?;
            }
        }
        let verified = stage.journal().verify().await?;
        Ok(Self { tasks, diff, journal_entries: verified.entries })
    }

    pub fn all_succeeded(&self) -> bool {
        self.tasks.iter().all(|task| task.has_succeeded)
    }
}

impl TaskReport {
    async fn of(stage: &Stage, entry: &BoardEntry) -> Result<Self, DemoError> {
        let id = entry.task.id.clone();
        let on_forge = stage.apiary().forge().pull_requests(&id.repo).await?;
        let is_there = on_forge.iter().any(|pull| pull.head_ref == id.branch());
        let url = entry.task.pull_request.as_ref().map(|it| it.url.clone()).filter(|_| is_there);
        Ok(Self {
            state: entry.task.phase.name().to_owned(),
            steps: entry.task.steps,
            took_ms: entry.took_ms(),
            checks: checks_of(&entry.task),
            has_succeeded: entry.has_succeeded() && url.is_some(),
            pull_request: url,
            id,
        })
    }
}

fn checks_of(task: &Task) -> String {
    match &task.checked {
        None => "not run".to_owned(),
        Some(checked) if checked.results.is_empty() => "none named".to_owned(),
        Some(checked) => {
            let passed = checked.results.iter().filter(|result| result.passed()).count();
            format!("{passed} of {} passed", checked.results.len())
        }
    }
}

async fn diff_of(stage: &Stage, task: &Task) -> Result<Option<(TaskId, String)>, DemoError> {
    let Some(produced) = &task.produced else { return Ok(None) };
    let bytes = stage.journal().blob(&produced.diff).await?;
    Ok(bytes.map(|bytes| (task.id.clone(), String::from_utf8_lossy(&bytes).into_owned())))
}
