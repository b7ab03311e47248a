//! What a job has sent so far, and whether sandboxd may send what it sends next. Pure: it holds no stream.

use std::time::Duration;

use sandboxd::{Ending, INPUT_WINDOW_BYTES, Output, Part, Refusal, SandboxFrame};

use super::lost::Lost;

/// The highest signal number of Linux.
const MAX_SIGNAL: i32 = 64;

/// The longest reason that is shown of why no shell could be started.
const MAX_REASON_BYTES: usize = 300;

/// How sandboxd caps what it captures of a streamed job's standard error. More than it does today, so that it may
/// keep a little more tomorrow.
const MAX_STDERR_BYTES: u64 = 64 * 1024;

/// A job's end, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) struct Report {
    pub(in crate::sandbox) ending: Ending,
    pub(in crate::sandbox) duration: Duration,
    pub(in crate::sandbox) head: Vec<u8>,
    pub(in crate::sandbox) tail: Vec<u8>,
    pub(in crate::sandbox) left_out: u64,
    pub(in crate::sandbox) oom_kills: u32,
    pub(in crate::sandbox) in_file: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Wait,
    Write(Vec<u8>),
    Finished(Report),
    Busy {
        running: u32,
    },
    /// Only when it was recalled.
    Unknown,
}

/// One job as seen from here.
#[derive(Debug)]
pub(super) struct Progress {
    number: u32,
    is_recalled: bool,
    captured_left_bytes: u64,
    streamed_left_bytes: u64,
    untaken_input_bytes: usize,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Progress {
    pub(super) fn of_run(number: u32, output: Output) -> Self {
        let (captured, streamed) = match output {
            Output::Captured { cap_bytes } => (u64::from(cap_bytes), 0),
            Output::Streamed { max_bytes } => (MAX_STDERR_BYTES, max_bytes),
        };
        Self::new(number, false, captured, streamed)
    }

    pub(super) fn of_recall(number: u32, cap_bytes: u32) -> Self {
        Self::new(number, true, u64::from(cap_bytes), 0)
    }

    fn new(number: u32, is_recalled: bool, captured_left_bytes: u64, streamed_left_bytes: u64) -> Self {
        Self {
            number,
            is_recalled,
            captured_left_bytes,
            streamed_left_bytes,
            untaken_input_bytes: 0,
            head: Vec::new(),
            tail: Vec::new(),
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// How many bytes of input may be sent now.
    pub(super) fn input_room(&self) -> usize {
        INPUT_WINDOW_BYTES - self.untaken_input_bytes
    }

    pub(super) fn input_sent(&mut self, bytes: usize) {
        self.untaken_input_bytes += bytes;
    }

    /// A frame of this job. Frames that belong to no job or another one are the caller's.
    pub(super) fn accept(&mut self, frame: SandboxFrame) -> Result<Next, Lost> {
        match frame {
            SandboxFrame::InputTaken { bytes, .. } => {
                let left = self.untaken_input_bytes.checked_sub(bytes as usize);
                self.untaken_input_bytes =
                    left.ok_or_else(|| Lost::broke_protocol("it took more input than was sent"))?;
                Ok(Next::Wait)
            }
            SandboxFrame::Stdout { data, .. } => {
                let left = self.streamed_left_bytes.checked_sub(data.len() as u64);
                self.streamed_left_bytes =
                    left.ok_or_else(|| Lost::broke_protocol("it sent more output than was asked for"))?;
                Ok(Next::Write(data.into_vec()))
            }
            SandboxFrame::Kept { part, data, .. } => {
                let left = self.captured_left_bytes.checked_sub(data.len() as u64);
                self.captured_left_bytes =
                    left.ok_or_else(|| Lost::broke_protocol("it kept more output than was asked for"))?;
                match part {
                    Part::Head if !self.tail.is_empty() => {
                        return Err(Lost::broke_protocol("an output's head follows its tail"));
                    }
                    Part::Head => self.head.extend_from_slice(&data),
                    Part::Tail => self.tail.extend_from_slice(&data),
                }
                Ok(Next::Wait)
            }
            SandboxFrame::Finished { ending, duration_us, left_out, oom_kills, in_file, .. } => {
                Ok(Next::Finished(Report {
                    ending: checked(ending)?,
                    duration: Duration::from_micros(duration_us),
                    head: std::mem::take(&mut self.head),
                    tail: std::mem::take(&mut self.tail),
                    left_out,
                    oom_kills,
                    in_file,
                }))
            }
            SandboxFrame::Running { .. } if self.is_recalled => Ok(Next::Wait),
            SandboxFrame::Unknown { .. } if self.is_recalled => Ok(Next::Unknown),
            SandboxFrame::Refused { why: Refusal::Busy { running }, .. } => Ok(Next::Busy { running }),
            SandboxFrame::Refused { why: Refusal::TooBig, .. } => {
                Err(Lost::broke_protocol("it refused a job that is within the limits"))
            }
            SandboxFrame::Running { .. }
            | SandboxFrame::Unknown { .. }
            | SandboxFrame::Greeting { .. }
            | SandboxFrame::Pong { .. } => Err(Lost::broke_protocol("an answer that nothing had asked for")),
        }
    }
}

/// The job that a frame belongs to.
pub(super) fn job_of(frame: &SandboxFrame) -> Option<u32> {
    match frame {
        SandboxFrame::InputTaken { job, .. }
        | SandboxFrame::Stdout { job, .. }
        | SandboxFrame::Kept { job, .. }
        | SandboxFrame::Finished { job, .. }
        | SandboxFrame::Running { job }
        | SandboxFrame::Unknown { job }
        | SandboxFrame::Refused { job, .. } => Some(*job),
        SandboxFrame::Greeting { .. } | SandboxFrame::Pong { .. } => None,
    }
}

fn checked(ending: Ending) -> Result<Ending, Lost> {
    match ending {
        Ending::Exited { code } if !(0..=255).contains(&code) => {
            Err(Lost::broke_protocol(format!("{code} is no exit status")))
        }
        Ending::Signalled { signal } if !(1..=MAX_SIGNAL).contains(&signal) => {
            Err(Lost::broke_protocol(format!("{signal} is no signal")))
        }
        Ending::NotStarted { mut why } => {
            why.retain(|c| !c.is_control());
            why.truncate(why.floor_char_boundary(MAX_REASON_BYTES));
            Ok(Ending::NotStarted { why })
        }
        fine => Ok(fine),
    }
}

#[cfg(test)]
mod tests {
    use sandboxd::ByteBuf;

    use super::*;

    fn progress() -> Progress {
        Progress::of_run(1, Output::Captured { cap_bytes: 10 })
    }

    fn kept(part: Part, data: &[u8]) -> SandboxFrame {
        SandboxFrame::Kept { job: 1, part, data: ByteBuf::from(data) }
    }

    fn finished(ending: Ending) -> SandboxFrame {
        SandboxFrame::Finished { job: 1, ending, duration_us: 7, left_out: 3, oom_kills: 0, in_file: false }
    }

    #[test]
    fn an_output_in_pieces_is_put_together() {
        let mut progress = progress();
        for frame in [kept(Part::Head, b"ab"), kept(Part::Head, b"c"), kept(Part::Tail, b"xyz")] {
            assert_eq!(progress.accept(frame), Ok(Next::Wait));
        }
        let Ok(Next::Finished(report)) = progress.accept(finished(Ending::Exited { code: 0 })) else {
            panic!()
        };
        assert_eq!((report.head, report.tail, report.left_out), (b"abc".to_vec(), b"xyz".to_vec(), 3));
        assert_eq!(report.duration, Duration::from_micros(7));
    }

    #[test]
    fn more_than_was_asked_for_loses_the_session() {
        assert!(progress().accept(kept(Part::Head, &[0; 11])).is_err());
        let stdout = SandboxFrame::Stdout { job: 1, data: ByteBuf::from([0]) };
        assert!(progress().accept(stdout).is_err());
        assert!(progress().accept(SandboxFrame::InputTaken { job: 1, bytes: 1 }).is_err());
    }

    #[test]
    fn what_cannot_be_loses_the_session() {
        let mut shuffled = progress();
        assert!(shuffled.accept(kept(Part::Tail, b"x")).is_ok());
        assert!(shuffled.accept(kept(Part::Head, b"x")).is_err());
        for ending in
            [Ending::Exited { code: 256 }, Ending::Exited { code: -1 }, Ending::Signalled { signal: 0 }]
        {
            assert!(progress().accept(finished(ending)).is_err());
        }
        assert!(progress().accept(SandboxFrame::Unknown { job: 1 }).is_err());
        assert!(progress().accept(SandboxFrame::Pong { nonce: 1 }).is_err());
    }

    #[test]
    fn a_reason_is_short_and_printable() {
        let why = "\x1b[2J".to_owned() + &"é".repeat(1000);
        let Ok(Next::Finished(report)) = progress().accept(finished(Ending::NotStarted { why })) else {
            panic!()
        };
        let Ending::NotStarted { why } = report.ending else { panic!() };
        assert!(why.starts_with("[2J") && why.len() <= MAX_REASON_BYTES);
    }
}
