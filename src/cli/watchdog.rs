//! A thread that sees when an actor blocks its own.
//!
//! All actors share one thread: one that blocks it stops every other, the probes, and the signals' handling. Nobody on that
//! thread can do anything about it, and a thread can't be killed; only a new process helps.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle, park_timeout};
use std::time::Duration;

use bzzz_actors::supervisor::{InPoll, Pulses};
use tracing::error;

use super::exit::Exit;

/// The pause between looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A poll that is seen this often is blocked. Too low: a machine that swaps restarts its node. Too high: leases run out
/// first. Looks are counted and not time, so that a process that was stopped for a while is not taken for blocked.
const LOOKS: u32 = 60;

/// Ends its thread when it is dropped.
pub(super) struct Watchdog {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Ends the process with the status for a core that failed when an actor is blocked.
    pub(super) fn start(pulses: Pulses) -> io::Result<Self> {
        Self::start_with(pulses, LOOK_EVERY, LOOKS, |actor| {
            error!(actor, looks = LOOKS, "an actor blocks its thread, the process ends");
            end_process();
        })
    }

    fn start_with(
        pulses: Pulses,
        look_every: Duration,
        looks: u32,
        on_blocked: impl FnOnce(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = is_over.clone();
        let thread = Builder::new().name("bzzz-watchdog".to_owned()).spawn(move || {
            let mut seen = Seen::default();
            loop {
                park_timeout(look_every);
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(actor) = seen.look(pulses.in_poll(), looks) {
                    return on_blocked(&actor);
                }
            }
        })?;
        Ok(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say; had it panicked, that is logged.
            let _ = thread.join();
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the thread that would return from main is the one that is blocked"
)]
fn end_process() {
    std::process::exit(Exit::CoreGaveUp as i32);
}

/// How often each poll under way was seen.
#[derive(Default)]
struct Seen {
    polls: HashMap<(String, u64), u32>,
}

impl Seen {
    /// The actor that was now seen for the `looks`th time in the same poll.
    fn look(&mut self, in_poll: Vec<InPoll>, looks: u32) -> Option<String> {
        let seen = |InPoll { actor, poll }| {
            let times = self.polls.get(&(actor.clone(), poll)).copied().unwrap_or_default() + 1;
            ((actor, poll), times)
        };
        self.polls = in_poll.into_iter().map(seen).collect();
        let blocked = self.polls.iter().find(|(_, times)| **times >= looks);
        blocked.map(|((actor, _), _)| actor.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use actix::prelude::*;
    use bzzz_actors::supervisor::{Policy, supervise};

    use super::*;

    struct Sleeper {
        deps: (),
    }

    impl Sleeper {
        fn new((): ()) -> Self {
            Self { deps: () }
        }
    }

    impl Actor for Sleeper {
        type Context = Context<Self>;
    }

    bzzz_actors::supervised!(Sleeper);

    /// Blocks its thread until the other side says or drops something.
    #[derive(Message)]
    #[rtype(result = "()")]
    struct Block(mpsc::Receiver<()>);

    impl Handler<Block> for Sleeper {
        type Result = ();

        fn handle(&mut self, Block(until): Block, _: &mut Context<Self>) {
            let () = self.deps;
            let _ = until.recv_timeout(Duration::from_secs(30));
        }
    }

    #[test]
    fn an_actor_that_blocks_its_thread_is_seen_from_another_one() {
        System::new().block_on(async {
            let pulses = Pulses::default();
            let report = Arc::new(|_| {});
            let child =
                supervise("sleeper", Policy::CORE, report, &pulses, |delay| delay, |_| Sleeper::new(()));
            let (unblock, until) = mpsc::channel();
            let (seen, was_seen) = mpsc::channel();
            let _watchdog = Watchdog::start_with(pulses, Duration::from_millis(10), 5, move |actor: &str| {
                seen.send(actor.to_owned()).unwrap();
                unblock.send(()).unwrap();
            })
            .unwrap();
            // It works on and is idle for longer than the limit, and nobody minds.
            for _ in 0..20 {
                child.addr.send(bzzz_actors::supervisor::Probe).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(was_seen.try_recv().is_err());
            child.addr.send(Block(until)).await.unwrap();
            assert_eq!(was_seen.try_recv().as_deref(), Ok("sleeper"));
        });
    }

    #[test]
    fn only_the_same_poll_counts() {
        let in_poll = |poll| vec![InPoll { actor: "a".into(), poll }];
        let mut seen = Seen::default();
        assert_eq!([1, 3, 5, 7].map(|poll| seen.look(in_poll(poll), 2)), [const { None }; 4]);
        assert_eq!(seen.look(vec![], 2), None);
        assert_eq!(seen.look(in_poll(7), 2), None, "it was away in between");
        assert_eq!(seen.look(in_poll(7), 2), Some("a".into()));
    }
}
