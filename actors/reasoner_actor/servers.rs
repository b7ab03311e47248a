//! The model servers of a node: which of them answers a question.
//!
//! Of the servers that have the model and are well, the least busy one is asked; calls that it has no room for wait at its
//! gate. A server that fails is left alone for a while, unless there is no other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::ports::model::{Model, ModelError};

use super::Windows;
use super::choice::{choose, missing};
use super::conversation::Seen;
use super::question::worth_waiting;

/// How long a server is left alone that failed; doubles with each failure in a row. Longer, and one that was busy for a moment
/// stays unused; always as short, and one that hangs costs a task minutes every time.
const LEFT_ALONE: Duration = Duration::from_secs(30);
const LONGEST_LEFT_ALONE: Duration = Duration::from_secs(15 * 60);
/// How long a list of models counts. Longer, and a model that was pulled meanwhile is used later; one that is gone is
/// noticed with the next question to it.
const LIST_AGE: Duration = Duration::from_secs(30);

/// A model server as a node is told of it.
#[derive(Clone)]
pub struct ModelServer {
    /// For people: its address.
    pub name: String,
    pub model: Arc<dyn Model>,
    /// More calls than these wait.
    pub calls_in_flight: usize,
}

/// All servers, from all tasks together.
#[derive(Clone)]
pub struct Servers(Arc<[Server]>);

struct Server {
    name: String,
    model: Arc<dyn Model>,
    gate: Arc<Semaphore>,
    calls_in_flight: usize,
    /// Calls under way and waiting.
    calls: Arc<AtomicUsize>,
    /// What is known of its models' windows: another server may have another one for the same model.
    windows: Windows,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    left_alone_until: Option<Instant>,
    /// Since it answered last.
    failures: u32,
    listed: Option<(Instant, Vec<String>)>,
}

/// A place in a server's queue, for one call.
pub(super) struct Place {
    pub(super) at: usize,
    /// By the name that was wanted.
    pub(super) model_name: String,
    pub(super) model: Arc<dyn Model>,
    pub(super) windows: Windows,
    gate: Arc<Semaphore>,
    _counted: Counted,
}

impl Place {
    /// Waits until the server has room for the call.
    pub(super) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        // The gate is never closed; were it, asking without it would still be right.
        self.gate.clone().acquire_owned().await.ok()
    }
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Servers {
    pub fn new(servers: Vec<ModelServer>) -> Self {
        let server = |it: ModelServer| Server {
            gate: Arc::new(Semaphore::new(it.calls_in_flight.max(1))),
            calls_in_flight: it.calls_in_flight.max(1),
            name: it.name,
            model: it.model,
            calls: Arc::default(),
            windows: Windows::default(),
            state: Mutex::default(),
        };
        Self(servers.into_iter().map(server).collect())
    }

    /// A server for the most wanted model that any has, apart from those that were `tried`; `last` is the one that
    /// knows the conversation's beginning.
    pub(super) async fn place(
        &self,
        wanted: &[String],
        last: Option<usize>,
        tried: &[usize],
    ) -> Result<Place, ModelError> {
        let untried = (0..self.0.len()).filter(|at| !tried.contains(at));
        let (well, left_alone): (Vec<usize>, Vec<usize>) = untried.partition(|at| self.0[*at].is_well());
        let mut problem = None;
        // Those that failed lately are asked only if no other has a model: they may have it, and be well again.
        for group in [well, left_alone] {
            let listed = join_all(group.iter().map(|at| self.0[*at].listed())).await;
            let mut there = Vec::new();
            for (at, models) in group.into_iter().zip(listed) {
                match models {
                    Ok(models) => there.push((at, models)),
                    Err(error) => {
                        self.failed(at, &error);
                        problem = Some(worth_waiting(problem, error));
                    }
                }
            }
            if let Some(place) = self.place_among(&there, wanted, last) {
                return Ok(place);
            }
        }
        // One that does not answer may have it.
        Err(problem.unwrap_or_else(|| self.missing(wanted)))
    }

    fn place_among(
        &self,
        there: &[(usize, Vec<String>)],
        wanted: &[String],
        last: Option<usize>,
    ) -> Option<Place> {
        let present: Vec<String> = there.iter().flat_map(|(_, models)| models.iter().cloned()).collect();
        let model_name = choose(wanted, &present)?;
        let wanted = std::slice::from_ref(&model_name);
        let having = there.iter().filter(|(_, models)| choose(wanted, models).is_some());
        let loads = having.map(|(at, _)| (*at, self.0[*at].load()));
        let at = least_busy(loads, last)?;
        Some(self.0[at].queue(at, model_name))
    }

    fn missing(&self, wanted: &[String]) -> ModelError {
        let nobody = || ModelError::Unavailable("there is none".to_owned());
        self.0.first().map_or_else(nobody, |server| missing(&*server.model, wanted))
    }

    /// It is left alone for a while.
    pub(super) fn failed(&self, at: usize, error: &ModelError) {
        let server = &self.0[at];
        let mut state = server.lock();
        if self.0.len() > 1 && state.left_alone_until.is_none() {
            warn!(server = server.name, %error, "the model server failed: others are asked while there are any");
        }
        let pause = LEFT_ALONE.saturating_mul(1 << state.failures.min(16)).min(LONGEST_LEFT_ALONE);
        state.failures += 1;
        state.left_alone_until = Some(Instant::now() + pause);
        state.listed = None;
    }

    /// It answered.
    pub(super) fn is_back(&self, at: usize) {
        let server = &self.0[at];
        let mut state = server.lock();
        state.failures = 0;
        if state.left_alone_until.take().is_some() && self.0.len() > 1 {
            info!(server = server.name, "the model server answers again");
        }
    }

    /// It is to be left alone for now.
    pub(super) fn has_failed(&self, at: usize) -> bool {
        !self.0[at].is_well()
    }

    /// It does not have what its list named.
    pub(super) fn forget_list(&self, at: usize) {
        self.0[at].lock().listed = None;
    }

    /// Those of the `names` that some server has, as far as the servers answer.
    pub(crate) async fn present(&self, names: &[String]) -> Vec<String> {
        let listed = join_all(self.0.iter().filter(|server| server.is_well()).map(Server::listed)).await;
        let present: Vec<String> = listed.into_iter().filter_map(Result::ok).flatten().collect();
        let is_there = |name: &&String| choose(std::slice::from_ref(*name), &present).is_some();
        names.iter().filter(is_there).cloned().collect()
    }

    /// How many bytes make a token of each model, as it was learned.
    pub fn bytes_a_token(&self) -> BTreeMap<String, f64> {
        self.0.first().map(|server| server.windows.bytes_a_token()).unwrap_or_default()
    }

    /// The same from an earlier life of the node.
    pub fn remember(&self, bytes_a_token: &BTreeMap<String, f64>) {
        for server in self.0.iter() {
            server.windows.remember(bytes_a_token);
        }
    }

    /// How many bytes make a token of the model is the same on all servers.
    pub(super) fn learn(&self, seen: &Seen) {
        for server in self.0.iter() {
            server.windows.learn(seen);
        }
    }
}

impl Server {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_well(&self) -> bool {
        self.lock().left_alone_until.is_none_or(|until| until <= Instant::now())
    }

    async fn listed(&self) -> Result<Vec<String>, ModelError> {
        let known = self.lock().listed.clone().filter(|(at, _)| at.elapsed() < LIST_AGE);
        if let Some((_, models)) = known {
            return Ok(models);
        }
        let models = self.model.models().await?;
        self.lock().listed = Some((Instant::now(), models.clone()));
        Ok(models)
    }

    fn load(&self) -> Load {
        Load { calls: self.calls.load(Ordering::Relaxed), room: self.calls_in_flight }
    }

    fn queue(&self, at: usize, model_name: String) -> Place {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Place {
            at,
            model_name,
            model: self.model.clone(),
            windows: self.windows.clone(),
            gate: self.gate.clone(),
            _counted: Counted(self.calls.clone()),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Load {
    calls: usize,
    room: usize,
}

impl Load {
    /// How busy the server would be with one call more, in thousandths of its room.
    fn with_one_more(self) -> usize {
        (self.calls + 1).saturating_mul(1000) / self.room
    }
}

/// Of those that would have room left or none alike: the one that was asked `last`, whose cache holds the prompt's
/// beginning, or else the first.
fn least_busy(loads: impl Iterator<Item = (usize, Load)>, last: Option<usize>) -> Option<usize> {
    let by_load = |(at, load): &(usize, Load)| {
        // A server with room is as good as any other with room: moving would cost the cache.
        let queue = load.with_one_more().saturating_sub(1000);
        let is_kept = Some(*at) == last;
        let tie = if is_kept && queue == 0 { 0 } else { load.with_one_more() };
        (queue, tie, !is_kept, *at)
    };
    loads.min_by_key(by_load).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::ports::model::{ChatRequest, Completion};

    /// Has one model, and is never asked.
    struct Listed;

    #[async_trait]
    impl Model for Listed {
        async fn models(&self) -> Result<Vec<String>, ModelError> {
            Ok(vec!["coder".to_owned()])
        }

        async fn window(&self, _: &str) -> Result<Option<u32>, ModelError> {
            Ok(None)
        }

        fn remedy(&self, model: &str) -> String {
            format!("get {model}")
        }

        async fn chat(&self, _: &ChatRequest) -> Result<Completion, ModelError> {
            Err(ModelError::Refused("nobody asks here".to_owned()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_more_than_a_server_has_room_for_waits_for_the_end_of_another() {
        let server = ModelServer { name: "one".into(), model: Arc::new(Listed), calls_in_flight: 2 };
        let servers = Servers::new(vec![server]);
        let wanted = ["coder".to_owned()];
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(servers.place(&wanted, None, &[]).await.unwrap_or_else(|error| panic!("{error}")));
        }
        let (first, _second) = (places[0].enter().await, places[1].enter().await);
        let third = tokio::time::timeout(Duration::from_secs(60), places[2].enter()).await;
        assert!(third.is_err(), "there is no room");
        drop(first);
        assert!(tokio::time::timeout(Duration::from_secs(60), places[2].enter()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_keeps_failing_is_left_alone_for_longer_until_it_answers() {
        let server =
            |name: &str| ModelServer { name: name.into(), model: Arc::new(Listed), calls_in_flight: 1 };
        let servers = Servers::new(vec![server("one"), server("two")]);
        let wanted = ["coder".to_owned()];
        let gone = ModelError::Unavailable("it is gone".to_owned());
        let chosen = async || servers.place(&wanted, None, &[]).await.map(|place| place.at);
        assert_eq!(chosen().await, Ok(0));
        for pause_s in [30, 60, 120] {
            servers.failed(0, &gone);
            tokio::time::advance(Duration::from_secs(pause_s - 1)).await;
            assert_eq!((servers.has_failed(0), chosen().await), (true, Ok(1)), "{pause_s} s");
            tokio::time::advance(Duration::from_secs(2)).await;
            assert_eq!((servers.has_failed(0), chosen().await), (false, Ok(0)), "{pause_s} s");
        }
        servers.is_back(0);
        servers.failed(0, &gone);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(chosen().await, Ok(0), "as after the first failure");
    }

    fn least(loads: &[(usize, usize)], last: Option<usize>) -> Option<usize> {
        let loads = loads.iter().enumerate();
        least_busy(loads.map(|(at, (calls, room))| (at, Load { calls: *calls, room: *room })), last)
    }

    #[test]
    fn the_least_busy_server_is_asked_and_of_equals_the_one_that_knows_the_prompt() {
        assert_eq!(least(&[], None), None);
        assert_eq!(least(&[(0, 1), (0, 1)], None), Some(0));
        assert_eq!(least(&[(0, 1), (0, 1)], Some(1)), Some(1));
        assert_eq!(least(&[(1, 1), (0, 1)], Some(0)), Some(1), "waiting costs more than a cache");
        assert_eq!(least(&[(1, 4), (1, 2)], None), Some(0), "a larger one takes more");
        assert_eq!(least(&[(1, 4), (1, 2)], Some(1)), Some(1), "it has room");
        assert_eq!(least(&[(3, 1), (2, 1)], None), Some(1), "the shorter queue");
    }
}
