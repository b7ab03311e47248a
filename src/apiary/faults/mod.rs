//! Failing on request: a list of rules for each stand-in, and what a request meets of them.
//!
//! Rules are looked at in the order in which they were added. Latency, headers and stale reads of all matching rules
//! come together; of the other faults the first matching rule's counts. A rule that was met `times` times is gone.

mod apply;
mod rule;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use apply::{Socket, StreamFault, answer};
pub(crate) use rule::Asked;
pub use rule::{Fault, Rule, When};

use super::forge::{Forge, Snapshot};

/// Rules at once. More is a test that forgot to clear.
const MAX_RULES: usize = 100;

#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    #[error("a rule can't have the status {0}: use 200 to 599")]
    Status(u16),
    #[error("a rule for 0 requests does nothing: leave `times` out, or give a number above 0")]
    Never,
    #[error("only the forge can answer from the past")]
    NoSnapshots,
    #[error("the state can't be copied for stale reads: {0}")]
    Snapshot(#[from] std::io::Error),
    #[error("there are {MAX_RULES} rules already: clear them first")]
    TooMany,
}

/// The rules of one stand-in.
pub struct Faults {
    rules: Mutex<Vec<Active>>,
    forge: Option<Arc<Forge>>,
}

struct Active {
    rule: Rule,
    /// The state when the rule was added, for stale reads.
    snapshot: Option<Arc<Snapshot>>,
}

/// What one request meets.
#[derive(Default)]
pub(crate) struct Met {
    pub(crate) latency: Duration,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    pub(crate) fault: Option<Fault>,
    names: Vec<&'static str>,
}

impl Met {
    /// The faults met, for the log.
    pub(crate) fn name(&self) -> Option<String> {
        (!self.names.is_empty()).then(|| self.names.join("+"))
    }

    /// Takes the rule's fault unless it is one too many; says whether it did.
    fn take(&mut self, active: &Active) -> bool {
        match &active.rule.fault {
            Fault::Latency { ms } => self.latency += Duration::from_millis(*ms),
            Fault::Headers { headers } => self.headers.extend(headers.clone()),
            Fault::StaleReads => {
                if self.snapshot.is_some() {
                    return false;
                }
                self.snapshot.clone_from(&active.snapshot);
            }
            fault => {
                if self.fault.is_some() {
                    return false;
                }
                self.fault = Some(fault.clone());
            }
        }
        self.names.push(active.rule.fault.name());
        true
    }
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self { rules: Mutex::default(), forge: None }
    }

    /// The forge's, which alone has a state that can be read as it was.
    pub(crate) fn with_snapshots(forge: Arc<Forge>) -> Self {
        Self { rules: Mutex::default(), forge: Some(forge) }
    }

    /// Adds a rule; it counts from the next request on.
    pub fn add(&self, rule: Rule) -> Result<(), FaultError> {
        rule.validate()?;
        let snapshot = match (&rule.fault, &self.forge) {
            (Fault::StaleReads, Some(forge)) => Some(Arc::new(forge.snapshot()?)),
            (Fault::StaleReads, None) => return Err(FaultError::NoSnapshots),
            _ => None,
        };
        let mut rules = self.lock();
        if rules.len() == MAX_RULES {
            return Err(FaultError::TooMany);
        }
        rules.push(Active { rule, snapshot });
        Ok(())
    }

    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The rules that are left, with what is left of their counts.
    pub fn rules(&self) -> Vec<Rule> {
        self.lock().iter().map(|a| a.rule.clone()).collect()
    }

    /// Whether a rule asks what is in a body.
    pub(crate) fn look_into_bodies(&self) -> bool {
        self.lock().iter().any(|active| active.rule.body.is_some())
    }

    /// What a request meets, counted.
    pub(crate) fn meet(&self, asked: &Asked<'_>) -> Met {
        let mut met = Met::default();
        self.lock().retain_mut(|active| {
            if !active.rule.matches(asked) {
                return true;
            }
            if active.rule.skip > 0 {
                active.rule.skip -= 1;
                return true;
            }
            if !met.take(active) {
                return true;
            }
            if let Some(left) = &mut active.rule.times {
                *left -= 1;
            }
            active.rule.times != Some(0)
        });
        met
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Active>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn asked<'a>(client: Option<IpAddr>, method: &'a str, path: &'a str) -> Asked<'a> {
        Asked { client, method, path, body: b"0011command=fetch0000" }
    }

    #[test]
    fn a_rule_may_ask_for_a_body() {
        let faults = Faults::new();
        assert!(!faults.look_into_bodies());
        faults.add(Rule::any(Fault::HalfBody).with_body("command=ls-refs")).unwrap();
        assert!(faults.look_into_bodies());
        assert_eq!(faults.meet(&asked(None, "POST", "/a")).fault, None);
        faults.add(Rule::any(Fault::EmptyBody).with_body("command=fetch")).unwrap();
        assert_eq!(faults.meet(&asked(None, "POST", "/a")).fault, Some(Fault::EmptyBody));
    }

    #[test]
    fn a_rule_lets_some_pass_then_counts_down_and_is_gone() {
        let faults = Faults::new();
        let unavailable = Fault::Status { status: 503, when: When::Before };
        faults.add(Rule::new("GET", "/a", unavailable.clone()).skip(1).times(2)).unwrap();
        let met = || faults.meet(&asked(None, "GET", "/a/b")).fault;
        assert_eq!(faults.meet(&asked(None, "POST", "/a")).fault, None);
        assert_eq!(faults.meet(&asked(None, "GET", "/b")).fault, None);
        assert_eq!([met(), met(), met(), met()], [None, Some(unavailable.clone()), Some(unavailable), None]);
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn a_rule_for_one_client_lets_the_others_pass() {
        let faults = Faults::new();
        let [one, other] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        faults.add(Rule::any(Fault::HalfBody).for_client(one)).unwrap();
        assert_eq!(faults.meet(&asked(Some(other), "GET", "/")).fault, None);
        assert_eq!(faults.meet(&asked(None, "GET", "/")).fault, None);
        assert_eq!(faults.meet(&asked(Some(one), "GET", "/")).fault, Some(Fault::HalfBody));
    }

    #[test]
    fn latency_comes_with_the_first_other_fault_and_the_second_waits() {
        let faults = Faults::new();
        faults.add(Rule::any(Fault::Latency { ms: 5 })).unwrap();
        faults.add(Rule::any(Fault::HalfBody).times(1)).unwrap();
        faults.add(Rule::any(Fault::EmptyBody).times(1)).unwrap();
        let first = faults.meet(&asked(None, "GET", "/"));
        assert_eq!((first.latency.as_millis(), first.fault.clone()), (5, Some(Fault::HalfBody)));
        assert_eq!(first.name().as_deref(), Some("latency+half_body"));
        assert_eq!(faults.meet(&asked(None, "GET", "/")).fault, Some(Fault::EmptyBody));
        assert_eq!(faults.meet(&asked(None, "GET", "/")).fault, None);
    }

    #[test]
    fn a_rule_that_can_not_work_is_refused() {
        let faults = Faults::new();
        assert!(faults.add(Rule::any(Fault::StaleReads)).is_err());
        assert!(faults.add(Rule::any(Fault::Html { status: 42 })).is_err());
        assert!(faults.add(Rule::any(Fault::HalfBody).times(0)).is_err());
    }
}
