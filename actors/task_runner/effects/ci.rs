//! When continuous integration is asked about a pull request's head, and what its answer amounts to. Pure.

use crate::ports::forge::{CiCheck, CiState};
use crate::task::Sha;

/// Looks at one head. A repository without continuous integration would be asked for ever; one that takes longer is a
/// person's to look at.
const MAX_LOOKS: u32 = 120;

pub(super) struct CiWatch {
    /// The head that was asked about last.
    head: Option<Sha>,
    looks_left: u32,
}

impl CiWatch {
    /// `settled`: a head whose verdict is known.
    pub(super) fn new(settled: Option<Sha>) -> Self {
        Self { head: settled, looks_left: 0 }
    }

    pub(super) fn is_to_be_asked(&mut self, head: &Sha) -> bool {
        if self.head.as_ref() != Some(head) {
            (self.head, self.looks_left) = (Some(head.clone()), MAX_LOOKS);
        }
        let asks = self.looks_left > 0;
        self.looks_left = self.looks_left.saturating_sub(1);
        asks
    }

    /// What failed, once all have come to an end; the head is not asked about again then.
    pub(super) fn verdict(&mut self, checks: &[CiCheck]) -> Option<Vec<String>> {
        if checks.is_empty() || checks.iter().any(|check| check.state == CiState::Pending) {
            return None;
        }
        self.looks_left = 0;
        let failed = checks.iter().filter(|check| check.state == CiState::Failed);
        Some(failed.map(|check| check.name.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_asked_about_until_its_verdict_and_the_next_one_anew() {
        let sha = |digit: char| digit.to_string().repeat(40).parse::<Sha>().unwrap();
        let check = |name: &str, state| CiCheck { name: name.to_owned(), state };
        let mut watch = CiWatch::new(Some(sha('a')));
        assert!(!watch.is_to_be_asked(&sha('a')), "known already");
        assert!(watch.is_to_be_asked(&sha('b')));
        assert_eq!(watch.verdict(&[]), None);
        let running = [check("lint", CiState::Failed), check("test", CiState::Pending)];
        assert_eq!(watch.verdict(&running), None);
        assert!(watch.is_to_be_asked(&sha('b')));
        let ended = [check("lint", CiState::Failed), check("test", CiState::Passed)];
        assert_eq!(watch.verdict(&ended), Some(vec!["lint".to_owned()]));
        assert!(!watch.is_to_be_asked(&sha('b')));
        assert!(watch.is_to_be_asked(&sha('c')));
        assert_eq!(watch.verdict(&ended[1..]), Some(vec![]));
    }

    #[test]
    fn silence_is_not_asked_for_ever() {
        let head = "a".repeat(40).parse::<Sha>().unwrap();
        let mut watch = CiWatch::new(None);
        assert_eq!((0..1000).filter(|_| watch.is_to_be_asked(&head)).count(), MAX_LOOKS as usize);
    }
}
