//! Jobs that hear whatever sandboxd may say.

use sandboxd::{Ending, INPUT_WINDOW_BYTES, Output, SandboxFrame};

use super::progress::{Next, Progress};
use crate::text::assert_shown;

const CAP_BYTES: usize = 600;
/// What is kept of a streamed job's standard error.
const MAX_STDERR_BYTES: usize = 64 * 1024;
const SENT_BYTES: usize = 500;

pub(crate) fn hold(heard: &[SandboxFrame]) {
    let captured = Output::Captured { cap_bytes: CAP_BYTES as u32 };
    let streamed = Output::Streamed { max_bytes: CAP_BYTES as u64 };
    hear(Progress::of_run(1, captured), CAP_BYTES, 0, heard);
    hear(Progress::of_run(1, streamed), MAX_STDERR_BYTES, CAP_BYTES, heard);
    hear(Progress::of_recall(1, CAP_BYTES as u32), CAP_BYTES, 0, heard);
}

fn hear(mut job: Progress, max_kept: usize, max_written: usize, heard: &[SandboxFrame]) {
    job.input_sent(SENT_BYTES);
    let mut written = 0;
    for frame in heard {
        let next = job.accept(frame.clone());
        assert!((INPUT_WINDOW_BYTES - SENT_BYTES..=INPUT_WINDOW_BYTES).contains(&job.input_room()));
        match next {
            Ok(Next::Wait) => {}
            Ok(Next::Write(data)) => {
                written += data.len();
                assert!(written <= max_written);
            }
            Ok(Next::Finished(report)) => {
                assert!(report.head.len() + report.tail.len() <= max_kept);
                match report.ending {
                    Ending::Exited { code } => assert!((0..=255).contains(&code)),
                    Ending::Signalled { signal } => assert!((1..=64).contains(&signal)),
                    Ending::NotStarted { why } => assert_shown(&why, 300),
                    Ending::TimedOut | Ending::Cancelled | Ending::TooMuchOutput => {}
                }
                return;
            }
            Ok(Next::Busy { .. } | Next::Unknown) | Err(_) => return,
        }
    }
}
