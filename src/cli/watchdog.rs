//! A thread that sees when an actor blocks its own.
//!
//! The actors of a task share a thread of their own: when one of them blocks it, the thread is abandoned and the task goes on
//! in another. All other actors share the node's thread: one that blocks it stops every other, the probes, and the signals'
//! handling. Nobody on that thread can do anything about it, and a thread can't be killed; only a new process helps.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle, park_timeout};
use std::time::Duration;

use bzzz_actors::supervisor::{InPoll, Pulses, ThreadNumber};
use tracing::error;

use super::exit::Exit;

/// A poll that is seen this often is blocked. Looks are counted and not time, so that a process that was stopped for a while
/// is not taken for blocked.
const LOOKS: u32 = 60;
/// With more threads abandoned than this the process ends: each keeps its memory.
const MAX_ABANDONED: usize = 16;

/// Ends its thread when it is dropped.
pub(super) struct Watchdog {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// The process must end.
    End { actor: String, why: &'static str },
    /// These threads are to be abandoned.
    Abandon(Vec<(String, ThreadNumber)>),
}

impl Watchdog {
    /// `blocked_after`: how long one poll may take. Ends the process with the status for a core that failed when it is the
    /// node's thread that is blocked; tells `abandon` of a task's.
    pub(super) fn start(
        pulses: Pulses,
        blocked_after: Duration,
        abandon: impl Fn(ThreadNumber) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_with(pulses, blocked_after / LOOKS, LOOKS, abandon, move |actor, why| {
            error!(actor, ?blocked_after, "{why}, the process ends");
            end_process();
        })
    }

    fn start_with(
        pulses: Pulses,
        look_every: Duration,
        looks: u32,
        abandon: impl Fn(ThreadNumber) -> bool + Send + 'static,
        end: impl FnOnce(&str, &str) + Send + 'static,
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
                match seen.look(pulses.in_poll(), looks) {
                    Verdict::End { actor, why } => return end(&actor, why),
                    Verdict::Abandon(blocked) => {
                        for (actor, thread) in blocked {
                            let heard = abandon(thread);
                            error!(
                                actor,
                                heard, "an actor blocks the thread of its task, which is abandoned"
                            );
                        }
                    }
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
    std::process::exit(Exit::CoreGaveUp.status().into());
}

/// How often each poll under way was seen.
#[derive(Default)]
struct Seen {
    polls: HashMap<InPoll, u32>,
}

impl Seen {
    /// A task's thread is named each time that it was seen for `looks` times more: it may not have been heard.
    fn look(&mut self, in_poll: Vec<InPoll>, looks: u32) -> Verdict {
        let seen = |poll: InPoll| {
            let times = self.polls.get(&poll).copied().unwrap_or_default() + 1;
            (poll, times)
        };
        self.polls = in_poll.into_iter().map(seen).collect();
        let blocked = || self.polls.iter().filter(|(_, times)| **times >= looks);
        if let Some((poll, _)) = blocked().find(|(poll, _)| poll.thread.is_none()) {
            return Verdict::End { actor: poll.actor.clone(), why: "an actor blocks the node's thread" };
        }
        if let Some((poll, _)) = blocked().nth(MAX_ABANDONED) {
            return Verdict::End { actor: poll.actor.clone(), why: "too many threads are abandoned" };
        }
        let due = blocked().filter(|(_, times)| **times % looks == 0);
        Verdict::Abandon(due.filter_map(|(poll, _)| Some((poll.actor.clone(), poll.thread?))).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use actix::prelude::*;
    use bzzz_actors::jitter::no_jitter;
    use bzzz_actors::supervisor::{Policy, Supervision};

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

    bzzz_actors::supervised!(Sleeper: Block, Nudge);

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

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Nudge;

    impl Handler<Nudge> for Sleeper {
        type Result = ();

        fn handle(&mut self, _: Nudge, _: &mut Context<Self>) {}
    }

    #[test]
    fn an_actor_that_blocks_its_thread_is_seen_from_another_one() {
        System::new().block_on(async {
            let pulses = Pulses::default();
            let supervision = Supervision {
                report: Arc::new(|_| {}),
                pulses: pulses.clone(),
                jitter: no_jitter(),
                thread: None,
            };
            let child = supervision.start("sleeper", Policy::CORE, |_| Sleeper::new(()));
            let (unblock, until) = mpsc::channel();
            let (seen, was_seen) = mpsc::channel();
            let end = move |actor: &str, _: &str| {
                seen.send(actor.to_owned()).unwrap();
                unblock.send(()).unwrap();
            };
            let _watchdog =
                Watchdog::start_with(pulses, Duration::from_millis(10), 5, |_| false, end).unwrap();
            // It works on and is idle for longer than the limit, and nobody minds.
            for _ in 0..20 {
                child.inbox.send(Nudge).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(was_seen.try_recv().is_err());
            child.inbox.send(Block(until)).await.unwrap();
            assert_eq!(was_seen.try_recv().as_deref(), Ok("sleeper"));
        });
    }

    fn on(thread: u64, poll: u64) -> InPoll {
        InPoll { actor: "runner".into(), thread: Some(ThreadNumber(thread)), poll }
    }

    #[test]
    fn only_the_same_poll_counts() {
        let in_poll = |poll| vec![InPoll { actor: "a".into(), thread: None, poll }];
        let nothing = || Verdict::Abandon(vec![]);
        let mut seen = Seen::default();
        for poll in [1, 3, 5, 7] {
            assert_eq!(seen.look(in_poll(poll), 2), nothing());
        }
        assert_eq!(seen.look(vec![], 2), nothing());
        assert_eq!(seen.look(in_poll(7), 2), nothing(), "it was away in between");
        let end = Verdict::End { actor: "a".into(), why: "an actor blocks the node's thread" };
        assert_eq!(seen.look(in_poll(7), 2), end);
    }

    #[test]
    fn a_tasks_thread_is_abandoned_and_named_again_only_after_as_long_again() {
        let mut seen = Seen::default();
        let abandon = Verdict::Abandon(vec![("runner".into(), ThreadNumber(4))]);
        let verdicts: Vec<_> = (0..6).map(|_| seen.look(vec![on(4, 1)], 2) == abandon).collect();
        assert_eq!(verdicts, [false, true, false, true, false, true]);
    }

    #[test]
    fn actors_of_the_same_name_on_other_threads_are_others() {
        let mut seen = Seen::default();
        let _ = seen.look(vec![on(1, 1)], 2);
        assert_eq!(seen.look(vec![on(2, 1)], 2), Verdict::Abandon(vec![]));
    }

    #[test]
    fn with_too_many_threads_abandoned_the_process_ends() {
        let blocked: Vec<_> = (0..=MAX_ABANDONED as u64).map(|thread| on(thread, 1)).collect();
        let mut seen = Seen::default();
        let _ = seen.look(blocked.clone(), 2);
        assert!(matches!(seen.look(blocked, 2), Verdict::End { .. }));
    }
}
