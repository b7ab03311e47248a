//! A panic where no actor contains it.

use crate::containers::{Containers, can_run};
use crate::replies::running;
use crate::world::World;

const CORE_GAVE_UP: i32 = 70;

#[test]
fn a_panic_of_the_journals_thread_ends_the_node_and_the_next_one_goes_on() {
    if !can_run() {
        return;
    }
    let folder = tempfile::Builder::new().prefix("bzzz-panic-").tempdir().unwrap();
    let containers = Containers { prefix: format!("panic-{:x}", getrandom::u64().unwrap()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut world = World::new(folder.path(), containers.prefix.clone(), runtime.handle());
    let repo = world.repository("log");
    let _ = world.issue(&repo, running(&["echo one >> log"]));

    let panics = "after record events=5*off->1*panic->off".to_owned();
    let mut program = world.start(&[], &[("FAILPOINTS", panics)]);
    assert_eq!(program.until_end(), CORE_GAVE_UP, "{}", program.text());
    assert_eq!(containers.names(), [""; 0]);

    let mut program = world.start(&[], &[]);
    program.until_line("pull_request_opened");
    program.signal("TERM");
    assert_eq!(program.until_end(), 0, "{}", program.text());
    let pulls = world.wait(world.apiary.forge().pull_requests(&repo)).unwrap();
    assert_eq!(pulls.len(), 1);
    runtime.block_on(world.apiary.stop());
}
