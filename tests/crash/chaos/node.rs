//! The node under trouble: killed, started again, and started again when it ended by itself.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::program::Program;
use crate::world::World;

/// What a service manager would wait before it starts a node again that ended by itself.
const START_AGAIN: Duration = Duration::from_secs(1);
/// How a node may end by itself: what it needs is missing for now (a full disk among it), or a part of it failed too
/// often. Anything else is a fault of the program.
const HONEST_ENDS: [i32; 3] = [1, 69, 70];

/// So much of what it says of its end is shown.
const WHY_CHARS: usize = 200;
/// What a panic at a fail point says (the crate `fail`).
const PANICKED: [&str; 2] = ["failpoint ", " panic"];

/// What the watchdog says of a task's thread.
const ABANDONED: &str = "blocks the thread of its task";
/// Some of the freezes last longer: their thread is abandoned, or the node's process ends.
const BLOCKED_AFTER: &str = "node.blocked_after=4s";

/// What became of the lives of a node.
#[derive(Default)]
pub(super) struct Lives {
    /// How each ended.
    pub(super) ends: BTreeMap<String, usize>,
    /// Panics of its parts.
    pub(super) panics: usize,
    /// Threads of tasks that were abandoned.
    pub(super) abandoned: usize,
}

impl Lives {
    fn ended(&mut self, how: String, program: &Program) {
        *self.ends.entry(how).or_insert(0) += 1;
        let has_panicked = |line: &&String| PANICKED.iter().all(|part| line.contains(part));
        self.panics += program.seen.iter().filter(has_panicked).count();
        self.abandoned += program.seen.iter().filter(|line| line.contains(ABANDONED)).count();
    }
}

pub(super) struct Node<'world> {
    world: &'world World,
    program: Option<Program>,
    ended_at: Instant,
    lives: Lives,
}

impl<'world> Node<'world> {
    pub(super) fn start(world: &'world World) -> Self {
        let mut node = Self { world, program: None, ended_at: Instant::now(), lives: Lives::default() };
        node.begin(None);
        node
    }

    fn begin(&mut self, fail_points: Option<String>) {
        let environment: Vec<(&str, String)> = fail_points.map(|it| ("FAILPOINTS", it)).into_iter().collect();
        self.program = Some(
            self.world.start(&["task.wall_time=15m", "task.check_timeout=1m", BLOCKED_AFTER], &environment),
        );
    }

    /// Kills it, whatever it does, and starts it again, with these fail points.
    pub(super) fn kill_and_start(&mut self, fail_points: Option<String>) {
        if let Some(mut program) = self.program.take() {
            match program.ended() {
                Some(status) => self.ended_by_itself(status, &program),
                None => {
                    program.kill();
                    self.lives.ended("killed".to_owned(), &program);
                }
            }
        }
        self.begin(fail_points);
    }

    /// Starts it again if it has ended by itself, after a pause.
    pub(super) fn look_after(&mut self) {
        if let Some(status) = self.program.as_mut().and_then(Program::ended) {
            if let Some(program) = self.program.take() {
                self.ended_by_itself(status, &program);
            }
            self.ended_at = Instant::now();
        }
        if self.program.is_none() && self.ended_at.elapsed() > START_AGAIN {
            self.begin(None);
        }
    }

    fn ended_by_itself(&mut self, status: ExitStatus, program: &Program) {
        match status.code().filter(|code| HONEST_ENDS.contains(code)) {
            Some(code) => {
                let last: String =
                    program.seen.last().into_iter().flat_map(|it| it.chars()).take(WHY_CHARS).collect();
                println!("chaos: the node ended with {code}: {last}");
                self.lives.ended(format!("status {code}"), program);
            }
            None => panic!("the node ended with {status}:\n{}", program.text()),
        }
    }

    pub(super) fn tail(&mut self) -> String {
        self.program.as_mut().map(Program::tail).unwrap_or_default()
    }

    /// Stops it in order.
    pub(super) fn stop(mut self) -> Lives {
        let mut program = self.program.take().expect("it runs");
        program.signal("TERM");
        assert_eq!(program.until_end(), 0, "{}", program.text());
        self.lives.ended("status 0, as it was told".to_owned(), &program);
        self.lives
    }
}
