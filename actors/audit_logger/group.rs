//! Group commit: one batch is under way, the rest gathers for the next.

/// The longest batch. More would make the first of them wait for the last's bytes; a sync is paid back long before.
const MAX_BATCH: usize = 256;

pub(super) struct Group<T> {
    gathered: Vec<T>,
    is_writing: bool,
}

impl<T> Default for Group<T> {
    fn default() -> Self {
        Self { gathered: Vec::new(), is_writing: false }
    }
}

impl<T> Group<T> {
    pub(super) fn push(&mut self, item: T) {
        self.gathered.push(item);
    }

    /// The next batch, in order, when there is one and none is under way.
    pub(super) fn begin(&mut self) -> Option<Vec<T>> {
        if self.is_writing || self.gathered.is_empty() {
            return None;
        }
        self.is_writing = true;
        let count = self.gathered.len().min(MAX_BATCH);
        Some(self.gathered.drain(..count).collect())
    }

    pub(super) fn end(&mut self) {
        self.is_writing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_during_a_write_shares_the_next_one() {
        let mut group = Group::default();
        group.push(1);
        assert_eq!(group.begin(), Some(vec![1]));
        group.push(2);
        group.push(3);
        assert_eq!(group.begin(), None);
        group.end();
        assert_eq!(group.begin(), Some(vec![2, 3]));
        group.end();
        assert_eq!(group.begin(), None);
    }

    #[test]
    fn a_batch_is_bounded() {
        let mut group = Group::default();
        (0..MAX_BATCH + 1).for_each(|n| group.push(n));
        assert_eq!(group.begin().map(|batch| batch.len()), Some(MAX_BATCH));
        group.end();
        assert_eq!(group.begin(), Some(vec![MAX_BATCH]));
    }
}
