//! A model that goes in circles: noticed by its last commands and what came of them.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::task::{Step, TaskEvent};

/// The same command with the same output, so often in a row.
const SAME: usize = 4;
/// The same failure, whatever the command.
const SAME_FAILURE: usize = 3;
/// Two commands by turns, each with the same output as before.
const ALTERNATING: usize = 6;
/// Replies that ask for no command: `done`, and `done` again.
const WITHOUT_COMMAND: u32 = 3;

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The first time: the model is told.
    Nudge,
    /// It went on: others are asked.
    Stuck,
}

/// Of one command: as much as it takes to know it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    command: u64,
    said: u64,
    failed: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circling {
    recent: VecDeque<Outcome>,
    /// The command that is under way.
    command: u64,
    without_command: u32,
    was_nudged: bool,
}

impl Circling {
    /// To be told all of a task's events, in order.
    pub fn record(&mut self, event: &TaskEvent) -> Option<Sign> {
        match event {
            TaskEvent::Replied { step, .. } => {
                match step {
                    Step::Run { command, .. } => {
                        self.command = hash(command);
                        self.without_command = 0;
                    }
                    Step::Done { .. } | Step::Help { .. } => self.without_command += 1,
                    // These are counted by themselves.
                    Step::Malformed { .. } => {}
                }
                None
            }
            TaskEvent::CommandFinished { outcome, .. } => {
                self.recent.truncate(ALTERNATING - 1);
                self.recent.push_front(Outcome {
                    command: self.command,
                    said: hash(&(outcome.ending.to_string(), &outcome.shown)),
                    failed: !outcome.ending.is_success(),
                });
                self.goes_in_circles().then(|| self.sign())
            }
            TaskEvent::WorkRefused { .. } | TaskEvent::ChecksFinished { .. } => {
                (self.without_command >= WITHOUT_COMMAND).then(|| self.sign())
            }
            _ => None,
        }
    }

    fn goes_in_circles(&self) -> bool {
        let last = |count: usize| self.recent.iter().take(count).copied().collect::<Vec<_>>();
        let are_same = |outcomes: &[Outcome]| outcomes.windows(2).all(|pair| pair[0] == pair[1]);
        let same = last(SAME);
        let failures = last(SAME_FAILURE);
        let turns = last(ALTERNATING);
        same.len() == SAME && are_same(&same)
            || failures.len() == SAME_FAILURE
                && failures.iter().all(|it| it.failed && it.said == failures[0].said)
            || turns.len() == ALTERNATING
                && turns[0] != turns[1]
                && turns.windows(3).all(|three| three[0] == three[2])
    }

    /// It is counted anew from here.
    fn sign(&mut self) -> Sign {
        self.recent.clear();
        self.without_command = 0;
        self.was_nudged = !self.was_nudged;
        if self.was_nudged { Sign::Nudge } else { Sign::Stuck }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Ending, ModelUse, Observed};

    /// What comes of commands, each with its exit status and output.
    fn signs(commands: &[(&str, i32, &str)]) -> Vec<(usize, Sign)> {
        let mut circling = Circling::default();
        let mut signs = Vec::new();
        for (at, (command, code, shown)) in commands.iter().enumerate() {
            let step = Step::Run { command: (*command).to_owned(), timeout_s: None };
            let replied = TaskEvent::Replied { text: String::new(), step, usage: ModelUse::default() };
            assert_eq!(circling.record(&replied), None);
            let outcome = Observed {
                ending: Ending::Exited { code: *code },
                // Never the same.
                duration_ms: at as u64,
                shown: (*shown).to_owned(),
                whole: None,
                out_of_memory: false,
            };
            let finished = TaskEvent::CommandFinished { step: at as u32 + 1, outcome };
            signs.extend(circling.record(&finished).map(|sign| (at + 1, sign)));
        }
        signs
    }

    #[test]
    fn the_same_four_times_is_a_nudge_and_once_more_is_stuck() {
        assert_eq!(signs(&[("ls", 0, "a"); 3]), []);
        assert_eq!(signs(&[("ls", 0, "a"); 9]), [(4, Sign::Nudge), (8, Sign::Stuck)]);
        let moving =
            [("cat a", 0, "1"), ("cat a", 0, "2"), ("cat a", 0, "3"), ("cat a", 0, "4"), ("cat a", 0, "5")];
        assert_eq!(signs(&moving), []);
    }

    #[test]
    fn the_same_failure_three_times_whatever_the_command() {
        let failing = [("make", 2, "no rule"), ("make -k", 2, "no rule"), ("make all", 2, "no rule")];
        assert_eq!(signs(&failing), [(3, Sign::Nudge)]);
        let passing = [("a", 0, ""), ("b", 0, ""), ("c", 0, ""), ("d", 0, "")];
        assert_eq!(signs(&passing), []);
    }

    #[test]
    fn two_by_turns() {
        let turns: Vec<_> = (0..6).map(|n| if n % 2 == 0 { ("a", 0, "x") } else { ("b", 0, "y") }).collect();
        assert_eq!(signs(&turns), [(6, Sign::Nudge)]);
        assert_eq!(signs(&turns[..5]), []);
    }

    #[test]
    fn done_again_and_again_without_a_command() {
        let mut circling = Circling::default();
        let step = Step::Done { title: "t".into(), body: String::new() };
        let done = TaskEvent::Replied { text: String::new(), step, usage: ModelUse::default() };
        let refused = TaskEvent::WorkRefused { problem: "no".into() };
        let signs: Vec<_> = (0..6)
            .map(|_| {
                circling.record(&done);
                circling.record(&refused)
            })
            .collect();
        let expected = [None, None, Some(Sign::Nudge), None, None, Some(Sign::Stuck)];
        assert_eq!(signs, expected);
    }
}
