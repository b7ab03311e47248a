//! x
pub(crate) const CASES: &[&str] = &[]; pub(crate) const NAMES: &[&str] = &[]; pub(crate) fn names() -> Vec<&'static str> { Vec::new() }
