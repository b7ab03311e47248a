//! The Docker daemon ends while a command runs, in each way that it can, and comes back: the node lives on. An end that the
//! containers share costs the one command; one that they outlive costs nothing.

use std::time::{Duration, Instant};

use bzzz_actors::task::TaskId;
use bzzz_actors::task::life::Phase;

use crate::containers::can_run;
use crate::dockerd::{Containers, Dockerd};
use crate::program::Program;
use crate::record::Record;
use crate::replies::running;
use crate::world::World;

/// How long anything may take that is waited for. Far more than it needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

type End = fn(&mut Dockerd);

/// For each task how the daemon ends while its commands run. What becomes of the containers is the daemon's mode,
/// whichever of its lives asks for it.
const ENDS: [(Containers, [End; 2]); 2] = [
    (Containers::EndToo, [Dockerd::kill, Dockerd::stop]),
    (Containers::GoOn, [Dockerd::stop, Dockerd::kill]),
];

#[test]
fn a_docker_daemon_that_ends_while_a_command_runs_costs_that_command_at_most() {
    if !can_run() {
        return;
    }
    let folder = tempfile::Builder::new().prefix("bzzz-dockerd-").tempdir().unwrap();
    let mut dockerd = match Dockerd::start(&folder.path().join("dockerd"), ENDS[0].0) {
        Ok(dockerd) => dockerd,
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{why}");
            return println!("skipped: {why}");
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut world = World::new(folder.path(), "node".to_owned(), runtime.handle());
    world.docker = dockerd.client();
    let repo = world.repository("log");
    let mut program = world.start(&[], &[]);

    for (index, (containers, ends)) in ENDS.iter().enumerate() {
        // A short one before, between and after those that are cut off.
        let commands: Vec<String> = (1..=2 * ends.len() + 1).map(|step| command(step, *containers)).collect();
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        let task = world.issue(&repo, running(&commands));
        for (end, step) in ends.iter().zip((2..).step_by(2)) {
            until(|| runs(&world, &wait(step, *containers)).then_some(())).unwrap_or_else(|| {
                panic!("command {step} does not run:\n{}", told(&world, &task, &mut program))
            });
            end(&mut dockerd);
            // In the mode of the next one's end.
            let is_last = step == 2 * ends.len();
            let next = ENDS.get(index + usize::from(is_last)).map_or(*containers, |next| next.0);
            dockerd.start_again(next);
        }
        let is_over = |it: &Record| it.task.phase == Phase::InReview && !it.is_to_be_told;
        let record = until(|| world.record(&task).filter(is_over))
            .unwrap_or_else(|| panic!("it is not over:\n{}", told(&world, &task, &mut program)));
        judge(&world, &record, commands.len(), *containers);
    }
    program.signal("TERM");
    assert_eq!(program.until_end(), 0, "{}", program.text());
    assert_eq!(world.containers(), [""; 0], "containers are left");
    assert_eq!(world.left_behind(), Vec::<std::path::PathBuf>::new(), "files are left");
    world.verify();
    runtime.block_on(world.apiary.stop());
}

/// Each command was asked for once. Those that are known stand in the one pull request, and of the others nothing is left:
/// they are the short ones. Where the containers go on all are known, but for Docker 20.10, which nevertheless removes those
/// that are to be removed at their end.
fn judge(world: &World, record: &Record, commands: usize, containers: Containers) {
    let task = &record.task.id;
    let (all, short): (Vec<u32>, Vec<u32>) =
        ((1..=commands as u32).collect(), (1..=commands as u32).step_by(2).collect());
    let known = record.commands_known();
    let went_on = containers == Containers::GoOn && known == all;
    assert!(known == short || went_on, "{known:?} of {commands}: {record}");
    assert_eq!(record.commands_asked_for(), commands, "{record}");
    let mut pulls = world.wait(world.apiary.forge().pull_requests(&task.repo)).unwrap();
    pulls.retain(|pull| pull.head_ref == task.branch());
    assert_eq!(pulls.len(), 1, "{pulls:?}\n{record}");
    let lines: Vec<String> = known.iter().map(|step| format!("line {step}")).collect();
    assert_eq!(world.log_at(&task.repo, &pulls[0].head_sha), lines, "{record}");
}

/// Each second one is under way when the daemon ends.
fn command(step: usize, containers: Containers) -> String {
    let line = format!("echo line {step} >> log");
    if step % 2 == 1 { line } else { format!("{line}; {}", wait(step, containers)) }
}

/// Longer than the daemon is away; and for ever, where it is cut off.
fn wait(step: usize, containers: Containers) -> String {
    match containers {
        Containers::EndToo => format!("sleep {}", 1000 + step),
        Containers::GoOn => format!("sleep 8.00{step}"),
    }
}

fn runs(world: &World, command: &str) -> bool {
    let processes = |name: &String| world.docker.run(&["top", name]).unwrap_or_default();
    world.containers().iter().any(|name| processes(name).contains(command))
}

/// What the look finds, if it finds it in time.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::park_timeout(LOOK);
    }
}

fn told(world: &World, task: &TaskId, program: &mut Program) -> String {
    let record = world.record(task).map(|record| record.to_string()).unwrap_or_default();
    format!("{record}\n{}", program.tail())
}
