//! One row of the matrix: a story, the places where its node is killed, and the lives of the node.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::program::Program;
use crate::story::Story;
use crate::verdict;
use crate::world::World;

/// How long one life may take. Far more than it needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at the journal.
const LOOK: Duration = Duration::from_millis(100);
/// How long after the end of the story a death may still be seen that happened before it.
const DEATH_IS_SEEN: Duration = Duration::from_secs(3);
const SIGKILL: i32 = 9;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kill {
    /// `before` or `after`.
    pub(crate) side: &'static str,
    pub(crate) act: &'static str,
    /// The how-manieth time in that life, from 1.
    pub(crate) count: u32,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}@{}", self.side, self.act, self.count)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) story: Story,
    /// One for each life but the last.
    pub(crate) kills: Vec<Kill>,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kills: Vec<String> = self.kills.iter().map(ToString::to_string).collect();
        write!(f, "{:?}: {}", self.story, kills.join(", "))
    }
}

impl Scenario {
    pub(crate) fn lives(&self) -> usize {
        self.kills.len() + 1
    }

    /// Whether a command that was asked for may never have run: the node does not run one that may have.
    pub(crate) fn may_lose_a_command(&self) -> bool {
        let is_between = |kill: &Kill| {
            matches!((kill.side, kill.act), ("before", "run the command") | ("after", "record events"))
        };
        self.kills.iter().any(is_between)
    }

    /// Plays it. Panics with what was wrong.
    pub(crate) fn play(&self, folder: &Path, node: String, runtime: &Handle) {
        let mut world = World::new(folder, node, runtime);
        let repo = world.repository("log");
        let task = world.issue(&repo, self.story.replies());
        let mut has_acted = false;
        let mut live = |program: &mut Program, is_to_die: bool| {
            let deadline = Instant::now() + PATIENCE;
            let mut was_over_at = None;
            loop {
                if let Some(status) = program.ended() {
                    assert!(is_to_die, "it ended by itself, {status}:\n{}", program.text());
                    assert_eq!(status.signal(), Some(SIGKILL), "{status}:\n{}", program.text());
                    return;
                }
                let record = world.record(&task);
                if let Some(record) = &record {
                    self.story.let_people_act(&world, record, &mut has_acted);
                    if self.story.is_over(record) {
                        if !is_to_die {
                            return;
                        }
                        let over_at = *was_over_at.get_or_insert_with(Instant::now);
                        assert!(
                            over_at.elapsed() < DEATH_IS_SEEN,
                            "the crash point was not reached\n{record}"
                        );
                    }
                }
                if Instant::now() > deadline || record.as_ref().is_some_and(|it| self.story.is_spoilt(it)) {
                    let record = record.map(|record| record.to_string()).unwrap_or_default();
                    panic!("not over, or not as it should be:\n{record}\n{}", program.tail());
                }
                runtime.block_on(async { tokio::time::sleep(LOOK).await });
            }
        };
        for kill in &self.kills {
            let mut program = world.start(&[], &[("BZZZ_KILL_AT", kill.to_string())]);
            live(&mut program, true);
        }
        let mut program = world.start(&[], &[]);
        program.until_line("watches its repositories");
        live(&mut program, false);
        program.signal("TERM");
        assert_eq!(program.until_end(), 0, "{}", program.text());
        verdict::judge(&world, self, &task);
        runtime.block_on(world.apiary.stop());
    }
}
