//! What one reply of a model asks for.

use bzzz_actors::ports::model::Finish;
use bzzz_actors::reasoner_actor::read_step;
use bzzz_actors::task::Step;

use crate::text::assert_shown;

const MAX_COMMAND_BYTES: usize = 64 * 1024;
const MAX_TEXT_BYTES: usize = 32 * 1024;
/// What is wrong with a reply is told in a sentence or two.
const MAX_PROBLEM_BYTES: usize = 400;

pub(crate) fn hold(bytes: &[u8]) {
    let Some((cut, reply)) = bytes.split_first() else { return };
    let finish = if cut % 2 == 1 { Finish::Length } else { Finish::Stop };
    hold_of(&String::from_utf8_lossy(reply), finish);
}

pub(crate) fn hold_of(reply: &str, finish: Finish) {
    let step = read_step(reply, finish);
    assert_eq!(step, read_step(reply, finish), "the same reply was read in two ways");
    match step {
        Step::Run { command, timeout_s } => {
            assert_ne!(timeout_s, Some(0), "no time at all");
            assert!(!command.trim().is_empty() && command.len() <= MAX_COMMAND_BYTES);
            assert!(!command.contains('\0'));
            assert!(
                command.lines().all(|line| reply.contains(line)),
                "a line of the command is not in the reply"
            );
            let fence = "`".repeat(command.matches('`').count().max(2) + 1);
            let time = timeout_s.map(|seconds| format!(" timeout={seconds}")).unwrap_or_default();
            let alone = read_step(&format!("{fence}sh{time}\n{command}\n{fence}"), Finish::Stop);
            let command = command.lines().collect::<Vec<_>>().join("\n");
            assert_eq!(alone, Step::Run { command, timeout_s });
        }
        Step::Done { title, body } => {
            assert!(!title.is_empty() && !title.contains('\n'));
            assert_shown(&title, MAX_TEXT_BYTES);
            assert_shown(&body, MAX_TEXT_BYTES);
        }
        Step::Help { question } => {
            assert!(!question.is_empty());
            assert_shown(&question, MAX_TEXT_BYTES);
        }
        Step::Malformed { problem } => {
            assert!(!problem.is_empty());
            assert_shown(&problem, MAX_PROBLEM_BYTES);
        }
    }
}
