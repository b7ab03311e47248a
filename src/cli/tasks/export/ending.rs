//! How a trajectory ended, in the words that its readers know where one of them fits.

use bzzz_actors::task::life::{End, Exhausted, Phase};

/// Empty while the task is under way.
pub(super) fn exit_status(phase: &Phase) -> &'static str {
    match phase {
        Phase::Proposing | Phase::InReview => "Submitted",
        Phase::CleaningUp(end) | Phase::Ended(end) => match end {
            End::Done | End::Declined => "Submitted",
            End::Failed { reason } => of_failure(reason),
            End::Cancelled { .. } => "Cancelled",
            End::LeaseLost { .. } => "LeaseLost",
        },
        Phase::Unclaimed
        | Phase::Claiming { .. }
        | Phase::Preparing
        | Phase::Planning
        | Phase::Discussing
        | Phase::Thinking
        | Phase::Running { .. }
        | Phase::Exporting
        | Phase::Checking { .. }
        | Phase::Publishing { .. }
        | Phase::AskingPeers { .. }
        | Phase::Escalating { .. }
        | Phase::Parked { .. } => "",
    }
}

fn of_failure(reason: &str) -> &'static str {
    match Exhausted::of_reason(reason) {
        Some(Exhausted::Steps | Exhausted::Tokens) => "LimitsExceeded",
        Some(Exhausted::Time) => "TimeExceeded",
        Some(Exhausted::Malformed) => "RepeatedFormatError",
        None => "Failed",
    }
}

/// Why a task ended in another way than by its pull request.
pub(super) fn reason(phase: &Phase) -> Option<String> {
    let (Phase::CleaningUp(end) | Phase::Ended(end)) = phase else { return None };
    match end {
        End::Done | End::Declined => None,
        End::Failed { reason: why } | End::Cancelled { why } | End::LeaseLost { why } => Some(why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_that_others_know_are_called_as_they_call_them() {
        let failed = |reason: &str| exit_status(&Phase::Ended(End::Failed { reason: reason.into() }));
        assert_eq!(failed("not done after 100 commands"), "LimitsExceeded");
        assert_eq!(failed("3 replies in a row were not usable"), "RepeatedFormatError");
        assert_eq!(failed("the time limit of 60 minutes was reached while thinking"), "TimeExceeded");
        assert_eq!(failed("the sandbox was lost 4 times"), "Failed");
        assert_eq!(exit_status(&Phase::InReview), "Submitted");
        assert_eq!(exit_status(&Phase::Thinking), "");
        let cancelled = Phase::CleaningUp(End::Cancelled { why: "it was closed".into() });
        assert_eq!(
            (exit_status(&cancelled), reason(&cancelled)),
            ("Cancelled", Some("it was closed".into()))
        );
    }
}
