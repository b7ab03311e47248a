//! What came of it: each task's pull request as the forge has it, whose work it is, and the journals.

use bzzz_actors::task::TaskId;
use bzzz_actors::task::life::Task;

use super::board::{BoardEntry, Life};
use super::{Board, DemoError, Stage};

pub struct Report {
    pub tasks: Vec<TaskReport>,
    /// The first produced diff, and whose it is.
    pub diff: Option<(TaskId, String)>,
    /// Entries of all journals, every one of them verified.
    pub journal_entries: u64,
    /// How the nodes found each other; `None` for one by itself.
    pub swarm: Option<String>,
}

pub struct TaskReport {
    pub id: TaskId,
    /// From 1; the node that claimed it last.
    pub node: Option<usize>,
    pub state: String,
    pub steps: u32,
    pub took_ms: Option<u64>,
    pub checks: String,
    /// As the forge has it, not as the node says.
    pub pull_request: Option<String>,
    pub has_succeeded: bool,
}

impl Report {
    pub async fn of(stage: &mut Stage, board: &Board) -> Result<Self, DemoError> {
        let mut tasks = Vec::new();
        let mut diff = None;
        for entry in board.entries() {
            tasks.push(TaskReport::of(stage, entry).await?);
            if let Some((node, life)) = entry.holder().filter(|_| diff.is_none()) {
                diff = diff_of(stage, node, &life.task)?;
            }
        }
        let mut journal_entries = 0;
        for worker in stage.workers() {
            if let Some(journal) = worker.journal() {
                journal_entries += journal.verify()?.entries;
            }
        }
        Ok(Self { tasks, diff, journal_entries, swarm: stage.gathering.in_words() })
    }

    pub fn all_succeeded(&self) -> bool {
        self.tasks.iter().all(|task| task.has_succeeded)
    }
}

impl TaskReport {
    async fn of(stage: &Stage, entry: &BoardEntry) -> Result<Self, DemoError> {
        let id = entry.id.clone();
        let on_forge = stage.apiary().forge().pull_requests(&id.repo).await?;
        let is_there = on_forge.iter().any(|pull| pull.head_ref == id.branch());
        let life = entry.holder().map(|(_, life)| life);
        let task = life.map(|life| &life.task);
        let proposed = task.and_then(|task| task.pull_request.as_ref()).filter(|_| is_there);
        let url = proposed.map(|it| it.url.clone());
        Ok(Self {
            node: entry.holder().map(|(node, _)| node + 1),
            state: task.map_or("not claimed", |task| task.phase.name()).to_owned(),
            steps: task.map_or(0, |task| task.steps),
            took_ms: life.and_then(Life::took_ms),
            checks: task.map_or_else(|| "not run".to_owned(), checks_of),
            has_succeeded: life.is_some_and(Life::has_succeeded) && url.is_some(),
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

fn diff_of(stage: &mut Stage, node: usize, task: &Task) -> Result<Option<(TaskId, String)>, DemoError> {
    let Some(produced) = &task.produced else { return Ok(None) };
    let Some(journal) = stage.workers()[node].journal() else { return Ok(None) };
    let bytes = journal.blob(&produced.diff)?;
    Ok(bytes.map(|bytes| (task.id.clone(), String::from_utf8_lossy(&bytes).into_owned())))
}
