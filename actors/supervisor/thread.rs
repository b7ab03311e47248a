//! Threads of their own for actors that must not keep others from working.
//!
//! A thread that a handler blocks can't be killed. So each task's actors have one, and when it is blocked it is abandoned: the
//! task goes on in another, and the old one ends by itself if it ever comes back. Sockets, timers and what the actors spawn
//! belong to the runtime of the node, which the thread only borrows: a connection that tasks share stands still with none of
//! them.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_rt::{Arbiter, ArbiterHandle};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::warn;

/// Starts a thread: this crate has none of its own.
pub type NewThread = Arc<dyn Fn() -> io::Result<Arbiter> + Send + Sync>;

/// Makes threads, and knows when they have ended.
#[derive(Clone)]
pub struct Threads {
    new: Option<NewThread>,
    node: Handle,
    last_number: Arc<AtomicU64>,
    /// Each thread has a clone: the receiver ends with the last.
    running: mpsc::Sender<Infallible>,
}

/// A thread that ends with the last clone.
#[derive(Clone)]
pub struct Thread {
    running: Arc<Running>,
}

struct Running {
    number: ThreadNumber,
    arbiter: ArbiterHandle,
    node: Handle,
    _running: mpsc::Sender<Infallible>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThreadNumber(pub u64);

impl Threads {
    /// To be called on the node's runtime. The receiver yields `None` once this value, its clones and all threads are gone.
    /// Without `new` all actors live where they are started.
    pub fn new(new: Option<NewThread>) -> (Self, mpsc::Receiver<Infallible>) {
        let (running, ended) = mpsc::channel(1);
        (Self { new, node: Handle::current(), last_number: Arc::default(), running }, ended)
    }

    /// A new thread. `None`: the actors live where they are started, as far apart as they can be.
    pub fn start(&self) -> Option<Thread> {
        let new = self.new.as_ref()?;
        let arbiter = match new() {
            Ok(arbiter) => arbiter.handle(),
            Err(error) => {
                warn!(%error, "no thread for a task, which shares the node's");
                return None;
            }
        };
        let number = ThreadNumber(self.last_number.fetch_add(1, Ordering::Relaxed));
        let running = Running { number, arbiter, node: self.node.clone(), _running: self.running.clone() };
        Some(Thread { running: Arc::new(running) })
    }
}

impl Thread {
    pub fn number(&self) -> ThreadNumber {
        self.running.number
    }

    /// Calls `begin` there. Nothing happens when the thread has ended.
    pub(super) fn spawn(&self, begin: impl FnOnce() + Send + 'static) {
        self.running.arbiter.spawn_fn(begin);
    }

    /// Within it, what is spawned, and each socket and timer, belong to the node's runtime.
    pub(super) fn within<T>(&self, act: impl FnOnce() -> T) -> T {
        let _within = self.running.node.enter();
        act()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.arbiter.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;
    use std::time::Duration;

    use actix::{Actor, Context, Handler, MailboxError, Message, System};

    use super::*;
    use crate::jitter::no_jitter;
    use crate::supervisor::{Child, Exit, Order, Policy, Pulses, Supervision};

    const LONG: Duration = Duration::from_secs(20);

    struct Worker {
        deps: (),
    }

    impl Worker {
        fn new(deps: ()) -> Self {
            Self { deps }
        }
    }

    impl Actor for Worker {
        type Context = Context<Self>;
    }

    crate::supervised!(Worker: WhoAreYou, Block, Panic);

    /// Answers with the thread, and with the runtime that what it opens belongs to.
    #[derive(Message)]
    #[rtype(result = "Result<(std::thread::ThreadId, tokio::runtime::Id), ()>")]
    struct WhoAreYou;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Block(blocking::Receiver<()>);

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Panic;

    impl Handler<WhoAreYou> for Worker {
        type Result = Result<(std::thread::ThreadId, tokio::runtime::Id), ()>;

        fn handle(&mut self, _: WhoAreYou, _: &mut Context<Self>) -> Self::Result {
            let () = self.deps;
            Ok((std::thread::current().id(), Handle::current().id()))
        }
    }

    impl Handler<Block> for Worker {
        type Result = ();

        fn handle(&mut self, Block(until): Block, _: &mut Context<Self>) {
            let _ = until.recv_timeout(LONG);
        }
    }

    impl Handler<Panic> for Worker {
        type Result = ();

        fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
            panic!("boom");
        }
    }

    fn a_thread() -> io::Result<Arbiter> {
        Arbiter::try_with_tokio_rt(|| tokio::runtime::Builder::new_current_thread().enable_time().build())
    }

    fn start(threads: &Threads, pulses: &Pulses) -> (Child<Worker>, ThreadNumber) {
        let thread = threads.start().unwrap();
        let number = thread.number();
        let supervision = Supervision {
            report: Arc::new(|_| {}),
            pulses: pulses.clone(),
            jitter: no_jitter(),
            thread: Some(thread),
        };
        (supervision.start("worker", Policy::TASK, |_| Worker::new(())), number)
    }

    #[test]
    fn a_blocked_thread_keeps_nobody_else_waiting_and_ends_when_it_comes_back() {
        System::new().block_on(async {
            let pulses = Pulses::default();
            let (threads, mut ended) = Threads::new(Some(Arc::new(a_thread)));
            let (blocked, number) = start(&threads, &pulses);
            let (other, _) = start(&threads, &pulses);
            let (unblock, until) = blocking::channel();
            let handled = blocked.inbox.send(Block(until));

            let (thread, runtime) = other.inbox.send(WhoAreYou).await.unwrap().unwrap();
            assert_ne!(thread, std::thread::current().id());
            assert_eq!(runtime, Handle::current().id(), "what it opens is the node's");
            let is_seen = || pulses.in_poll().iter().any(|poll| poll.thread == Some(number));
            while !is_seen() {
                tokio::task::yield_now().await;
            }

            blocked.orders.send(Order::Kill).unwrap();
            other.orders.send(Order::Stop).unwrap();
            assert_eq!(other.ended.await, Ok(Exit::Stopped));
            drop(threads);
            assert!(is_seen(), "the order has not reached it");
            unblock.send(()).unwrap();
            assert_eq!(blocked.ended.await, Ok(Exit::Killed));
            let _ = handled.await;
            assert_eq!(ended.recv().await, None, "no thread is left");
        });
    }

    #[test]
    fn an_actor_that_panics_lives_on_in_its_thread() {
        System::new().block_on(async {
            let (threads, mut ended) = Threads::new(Some(Arc::new(a_thread)));
            let (child, _) = start(&threads, &Pulses::default());
            let before = child.inbox.send(WhoAreYou).await.unwrap();
            assert_eq!(child.inbox.send(Panic).await, Err(MailboxError::Closed));
            assert_eq!(child.inbox.send(WhoAreYou).await, Ok(before));
            drop(threads);
            child.orders.send(Order::Kill).unwrap();
            assert_eq!(ended.recv().await, None);
        });
    }

    #[test]
    fn without_a_thread_to_be_had_actors_live_where_they_are_started() {
        System::new().block_on(async {
            let (threads, _) = Threads::new(Some(Arc::new(|| Err(io::Error::other("no more")))));
            assert!(threads.start().is_none());
        });
    }
}
