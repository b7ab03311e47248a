//! The jobs that ended and that the host has not acknowledged.

use std::collections::VecDeque;

use sandboxd::{Ending, MAX_DATA_BYTES, MAX_KEPT_OUTCOMES, Part, SandboxFrame};
use serde_bytes::ByteBuf;

use super::capture::Captured;

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) job: u32,
    pub(crate) ending: Ending,
    pub(crate) duration_us: u64,
    pub(crate) captured: Captured,
    pub(crate) oom_kills: u32,
    pub(crate) in_file: bool,
}

impl Outcome {
    /// The frames that tell the host, in order.
    pub(crate) fn frames(&self) -> impl Iterator<Item = SandboxFrame> + '_ {
        let pieces = |part: Part, bytes: &'_ [u8]| {
            bytes.chunks(MAX_DATA_BYTES).map(move |piece| (part, ByteBuf::from(piece))).collect::<Vec<_>>()
        };
        let head = pieces(Part::Head, &self.captured.head);
        let tail = pieces(Part::Tail, &self.captured.tail);
        let kept = head.into_iter().chain(tail);
        let finished = SandboxFrame::Finished {
            job: self.job,
            ending: self.ending.clone(),
            duration_us: self.duration_us,
            left_out: self.captured.left_out,
            oom_kills: self.oom_kills,
            in_file: self.in_file,
        };
        kept.map(|(part, data)| SandboxFrame::Kept { job: self.job, part, data }).chain([finished])
    }
}

/// Oldest first, at most [`MAX_KEPT_OUTCOMES`].
#[derive(Debug, Default)]
pub(crate) struct Outcomes(VecDeque<Outcome>);

impl Outcomes {
    pub(crate) fn keep(&mut self, outcome: Outcome) {
        if self.0.len() == MAX_KEPT_OUTCOMES {
            self.0.pop_front();
        }
        self.0.push_back(outcome);
    }

    pub(crate) fn get(&self, job: u32) -> Option<&Outcome> {
        self.0.iter().find(|outcome| outcome.job == job)
    }

    pub(crate) fn forget(&mut self, job: u32) {
        self.0.retain(|outcome| outcome.job != job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(job: u32, head: usize) -> Outcome {
        let captured = Captured { head: vec![1; head], tail: vec![2; 3], left_out: 9 };
        Outcome { job, ending: Ending::TimedOut, duration_us: 5, captured, oom_kills: 0, in_file: false }
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut outcomes = Outcomes::default();
        for job in 0..=MAX_KEPT_OUTCOMES as u32 {
            outcomes.keep(outcome(job, 0));
        }
        assert!(outcomes.get(0).is_none());
        assert!(outcomes.get(1).is_some());
        outcomes.forget(1);
        assert!(outcomes.get(1).is_none());
    }

    #[test]
    fn a_long_head_is_sent_in_pieces_and_the_end_comes_last() {
        let frames: Vec<_> = outcome(7, MAX_DATA_BYTES + 1).frames().collect();
        let lengths: Vec<_> = frames
            .iter()
            .filter_map(|frame| match frame {
                SandboxFrame::Kept { job: 7, part, data } => Some((*part, data.len())),
                _ => None,
            })
            .collect();
        assert_eq!(lengths, [(Part::Head, MAX_DATA_BYTES), (Part::Head, 1), (Part::Tail, 3)]);
        assert!(matches!(frames.last(), Some(SandboxFrame::Finished { job: 7, left_out: 9, .. })));
    }
}
