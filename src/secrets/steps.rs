//! How much a search has looked at. It is counted since it must stay in proportion to the text, whatever stands there.

#[derive(Debug, Default)]
pub(super) struct Steps(u64);

impl Steps {
    /// So many bytes or forms were looked at.
    pub(super) fn add(&mut self, count: usize) {
        self.0 += count as u64;
    }

    #[allow(dead_code, reason = "what it is held to is tried by tests and by the fuzz target")]
    pub(super) fn count(&self) -> u64 {
        self.0
    }
}
