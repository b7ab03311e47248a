//! When a conversation's old part has to be summarised, and how much of it.

use std::collections::BTreeMap;

use crate::task::TaskEvent;

use super::conversation::{Conversation, Keep};

/// The conversation is summarised when it takes this part of its room, down to about the other part. Rarely and much at
/// once: the server reads the whole prompt anew after it.
const FULL: f64 = 0.8;
const SUMMARISED: f64 = 0.45;

/// The part of that which the list of old commands may take.
const LIST: f64 = 0.25;

impl Conversation {
    /// What summarises it when its prompt has come near to `room_bytes`; `None` while it has not.
    pub fn compacted_before(&self, room_bytes: usize) -> Option<TaskEvent> {
        let is_full = self.prompt_bytes() as f64 > room_bytes as f64 * FULL;
        is_full.then(|| self.compacted_to((room_bytes as f64 * SUMMARISED) as usize, false)).flatten()
    }

    /// The same of one that turned out to be too long.
    pub fn compacted_after_overflow(&self, room_bytes: usize) -> Option<TaskEvent> {
        self.compacted_to((self.prompt_bytes().min(room_bytes) as f64 * SUMMARISED) as usize, true)
    }

    /// As many of the last commands as fit stay whole, the very last in any case. `None` when nothing would go.
    fn compacted_to(&self, max_bytes: usize, overflowed: bool) -> Option<TaskEvent> {
        let always = self.turns().iter().filter(|turn| turn.keep == Keep::Always);
        let always: usize = always.map(|turn| turn.text.len()).sum();
        let max_list = (max_bytes as f64 * LIST) as usize;
        let mut of_command = BTreeMap::<u32, usize>::new();
        for turn in self.turns() {
            if let Some(number) = turn.keep.command() {
                *of_command.entry(number).or_default() += turn.text.len();
            }
        }
        let mut left = max_bytes.saturating_sub(always + max_list);
        let mut keep_from = self.last_command().max(1);
        for (number, bytes) in of_command.into_iter().rev() {
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None if number >= keep_from => left = 0,
                None => break,
            }
            keep_from = keep_from.min(number);
        }
        if keep_from <= self.kept_from() {
            return None;
        }
        let list_from = self.list_from(keep_from, max_list);
        Some(TaskEvent::Compacted { keep_from, list_from, overflowed })
    }

    /// The first command that the list has room for.
    fn list_from(&self, keep_from: u32, max_bytes: usize) -> u32 {
        let new = self.turns().iter().filter_map(|turn| match &turn.keep {
            Keep::AsLine(number, line) if *number < keep_from => Some((*number, line)),
            _ => None,
        });
        let all: Vec<_> = self.lines().iter().map(|(number, line)| (*number, line)).chain(new).collect();
        let mut left = max_bytes;
        let mut first = keep_from;
        for (number, line) in all.into_iter().rev() {
            match left.checked_sub(line.len() + 1) {
                Some(rest) => (left, first) = (rest, number),
                // All lines of a command, or none.
                None => return first.max(number + 1),
            }
        }
        1
    }
}
