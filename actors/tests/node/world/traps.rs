use std::collections::HashMap;
use std::sync::Mutex;

/// Calls of a port that panic, as an adapter with a bug does.
#[derive(Default)]
pub struct Traps {
    state: Mutex<HashMap<&'static str, Trap>>,
}

#[derive(Default)]
struct Trap {
    calls: usize,
    panicking: std::ops::Range<usize>,
}

impl Traps {
    /// From now on the calls of `name` with these numbers panic; the next call is number 0. The name `*` is any call.
    pub fn set(&self, name: &'static str, panicking: std::ops::Range<usize>) {
        self.state.lock().unwrap().insert(name, Trap { calls: 0, panicking });
    }

    /// How often `name` was called since its trap was set.
    pub fn calls(&self, name: &'static str) -> usize {
        self.state.lock().unwrap().get(name).map_or(0, |trap| trap.calls)
    }

    pub fn step_on(&self, name: &'static str) {
        let is_sprung = ["*", name].map(|name| self.count(name));
        assert!(is_sprung == [false, false], "the adapter panics in {name}");
    }

    fn count(&self, name: &'static str) -> bool {
        let mut state = self.state.lock().unwrap();
        let trap = state.entry(name).or_default();
        trap.calls += 1;
        trap.panicking.contains(&(trap.calls - 1))
    }
}
