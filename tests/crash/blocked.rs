//! A thread that never comes back.

use bzzz_actors::task::{TaskEvent, TaskId};

use crate::containers::{Containers, can_run};
use crate::replies::running;
use crate::world::World;

const CORE_GAVE_UP: i32 = 70;
/// Longer than the test: the thread that is blocked does not come back in it.
const FOR_EVER: &str = "1*sleep(600000)";

struct Stage {
    world: World,
    containers: Containers,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

fn stage(name: &str) -> Stage {
    let folder = tempfile::Builder::new().prefix("bzzz-blocked-").tempdir().unwrap();
    let containers = Containers { prefix: format!("{name}-{:x}", getrandom::u64().unwrap()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = World::new(folder.path(), containers.prefix.clone(), runtime.handle());
    Stage { world, containers, runtime, _folder: folder }
}

impl Stage {
    fn lines_of(&self, task: &TaskId) -> Vec<String> {
        self.world.log_at(&task.repo, &format!("bzzz/issue-{}", task.number))
    }

    fn end(self) {
        assert_eq!(self.containers.names(), [""; 0]);
        self.runtime.block_on(self.world.apiary.stop());
    }
}

#[test]
fn a_task_that_blocks_its_thread_goes_on_in_another_and_the_other_tasks_notice_nothing() {
    if !can_run() {
        return;
    }
    let mut stage = stage("thread");
    let repo = stage.world.repository("log");
    let commands = running(&["echo one >> log", "echo two >> log", "echo three >> log"]);
    let tasks = [(); 3].map(|()| stage.world.issue(&repo, commands.clone()));

    let blocks = format!("after run the command={FOR_EVER}->off");
    let mut program = stage.world.start(&["node.blocked_after=2s"], &[("FAILPOINTS", blocks)]);
    program.until_line("blocks the thread of its task");
    let opened = |line: &&String| line.contains("pull_request_opened");
    while program.seen.iter().filter(opened).count() < tasks.len() {
        program.until_line("pull_request_opened");
    }
    program.signal("TERM");
    assert_eq!(program.until_end(), 0, "{}", program.text());

    for task in &tasks {
        assert_eq!(stage.lines_of(task), ["one", "two", "three"], "of {task}, each command ran once");
    }
    let taken_up = |task: &&TaskId| stage.world.record(task).unwrap().events.contains(&TaskEvent::TakenUp);
    assert_eq!(tasks.iter().filter(taken_up).count(), 1, "only the one that was blocked");
    stage.end();
}

#[test]
fn a_part_of_the_node_that_blocks_the_nodes_thread_ends_the_process_and_the_next_one_goes_on() {
    if !can_run() {
        return;
    }
    let mut stage = stage("core");
    let repo = stage.world.repository("log");
    let task = stage.world.issue(&repo, running(&["echo one >> log"]));

    let blocks = format!("before push branch and lease={FOR_EVER}->off");
    let mut program = stage.world.start(&["node.blocked_after=2s"], &[("FAILPOINTS", blocks)]);
    assert_eq!(program.until_end(), CORE_GAVE_UP, "{}", program.text());

    let mut program = stage.world.start(&[], &[]);
    program.until_line("pull_request_opened");
    program.signal("TERM");
    assert_eq!(program.until_end(), 0, "{}", program.text());
    assert_eq!(stage.lines_of(&task), ["one"]);
    stage.end();
}
