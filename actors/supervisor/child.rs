//! One supervised actor: contained, probed, restarted.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix::WeakAddr;
use actix::dev::{ContextFut, channel};
use actix::prelude::*;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::jitter::Jitter;

use super::pulse::Pulse;
use super::{Failures, Inbox, Policy, Pulses, Thread, Verdict};

/// How one life of an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Stopped,
    Panicked(String),
    /// The mailbox did not move for the probe's time-out.
    Hung,
    Killed,
}

impl Exit {
    pub fn is_failure(&self) -> bool {
        *self != Self::Stopped
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildEvent {
    pub child: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// One life ended; the next begins after the delay.
    Failed {
        exit: Exit,
        restart_in: Duration,
    },
    Restarted {
        generation: u32,
    },
    /// It failed too often: it is not started again.
    GaveUp {
        last: Exit,
    },
    Ended(Exit),
}

/// Where a child's events go. Called on the child's own thread; must not block.
pub type Report = Arc<dyn Fn(ChildEvent) + Send + Sync>;

/// Sent through the child's own mailbox: an answer proves that the mailbox still moves.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Probe;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// End in an orderly way: what is queued is dropped, `stopping` and `stopped` are called.
    Stop,
    /// End at the next poll.
    Kill,
}

/// The handle on a supervised actor.
pub struct Child<A: Actor> {
    pub inbox: Inbox<A>,
    pub orders: mpsc::UnboundedSender<Order>,
    /// Resolves when the child has ended for good.
    pub ended: oneshot::Receiver<Exit>,
}

/// What the children of one parent have in common.
#[derive(Clone)]
pub struct Supervision {
    pub report: Report,
    pub pulses: Pulses,
    /// Applied to each restart delay.
    pub jitter: Jitter,
    /// Where they live; without one, where they are started.
    pub thread: Option<Thread>,
}

impl Supervision {
    /// Starts an actor under `policy`. `build` is given the way to the actor itself.
    pub fn start<A>(
        &self,
        name: &str,
        policy: Policy,
        build: impl FnOnce(Inbox<A>) -> A + Send + 'static,
    ) -> Child<A>
    where
        A: Actor<Context = Context<A>> + Supervised + Handler<Probe>,
    {
        // A bound that nothing meets: the inbox has its own.
        let (sender, receiver) = channel::channel(policy.inbox_room);
        let addr = Addr::new(sender);
        let inbox = Inbox::new(addr.clone(), policy.inbox_room);
        let (orders, ordered) = mpsc::unbounded_channel();
        let (ended_tx, ended) = oneshot::channel();
        let (supervision, name, own_inbox) = (self.clone(), name.to_owned(), inbox.clone());
        let begin = move || {
            let context = Context::with_receiver(receiver);
            let actor = match catch_unwind(AssertUnwindSafe(|| build(own_inbox))) {
                Ok(actor) => actor,
                Err(payload) => return supervision.never_lived(name, message_of(payload), ended_tx),
            };
            let pulse = supervision.pulses.of(&name, supervision.thread.as_ref().map(Thread::number));
            let (weak, life) = (addr.downgrade(), context.into_future(actor));
            drop(addr);
            let mut keeper =
                Keeper { name, policy, supervision, weak, life, pulse, ordered, was_ordered: false };
            actix::spawn(async move {
                let last = keeper.keep().await;
                // Dropped here and not while unwinding, so that a panic in `stopped` or in a `Drop` is contained as well.
                let thread = keeper.supervision.thread.clone();
                let _ = catch_unwind(AssertUnwindSafe(move || within(thread.as_ref(), move || drop(keeper))));
                let _ = ended_tx.send(last);
            });
        };
        match &self.thread {
            Some(thread) => thread.spawn(begin),
            None => begin(),
        }
        Child { inbox, orders, ended }
    }

    fn never_lived(&self, child: String, message: String, ended: oneshot::Sender<Exit>) {
        let last = Exit::Panicked(message);
        (self.report)(ChildEvent { child, what: What::GaveUp { last: last.clone() } });
        let _ = ended.send(last);
    }
}

fn within<T>(thread: Option<&Thread>, act: impl FnOnce() -> T) -> T {
    match thread {
        Some(thread) => thread.within(act),
        None => act(),
    }
}

struct Keeper<A: Actor<Context = Context<A>>> {
    name: String,
    policy: Policy,
    supervision: Supervision,
    weak: WeakAddr<A>,
    life: ContextFut<A, Context<A>>,
    pulse: Pulse,
    ordered: mpsc::UnboundedReceiver<Order>,
    /// It was ordered to end: whatever its policy, it does not come back.
    was_ordered: bool,
}

impl<A> Keeper<A>
where
    A: Actor<Context = Context<A>> + Supervised + Handler<Probe>,
{
    async fn keep(&mut self) -> Exit {
        let mut failures = Failures::default();
        let mut generation = 0;
        let mut exit = self.live().await;
        loop {
            if self.was_ordered {
                return self.end(exit);
            }
            match failures.judge(&self.policy, &exit, Instant::now()) {
                Verdict::LetEnd => return self.end(exit),
                Verdict::GiveUp => {
                    self.tell(What::GaveUp { last: exit.clone() });
                    return exit;
                }
                Verdict::RestartAfter(delay) => {
                    let restart_in = (self.supervision.jitter)(delay);
                    self.tell(What::Failed { exit: exit.clone(), restart_in });
                    // The mailbox stays open meanwhile; an order still ends the child.
                    let was_ordered = tokio::select! { biased; order = self.ordered.recv() => order.is_some(), () = sleep(restart_in) => false };
                    if was_ordered {
                        return self.end(Exit::Stopped);
                    }
                }
            }
            let (life, thread) = (&mut self.life, self.supervision.thread.as_ref());
            exit = match catch_unwind(AssertUnwindSafe(|| within(thread, || life.restart()))) {
                Ok(true) => {
                    generation += 1;
                    self.tell(What::Restarted { generation });
                    self.live().await
                }
                // Nobody holds an address any more.
                Ok(false) => return self.end(exit),
                // Rebuilding the actor failed: one more failure.
                Err(payload) => Exit::Panicked(message_of(payload)),
            };
        }
    }

    /// Polls the actor until it ends, panics, stops answering, or is ordered to end.
    async fn live(&mut self) -> Exit {
        let (life, ordered, was_ordered) = (&mut self.life, &mut self.ordered, &mut self.was_ordered);
        let (pulse, thread) = (&self.pulse, self.supervision.thread.as_ref());
        let contained = poll_fn(|cx| {
            while let Poll::Ready(Some(order)) = ordered.poll_recv(cx) {
                *was_ordered = true;
                match order {
                    Order::Kill => return Poll::Ready(Exit::Killed),
                    Order::Stop => life.ctx().stop(),
                }
            }
            let poll = || within(thread, || Pin::new(&mut *life).poll(cx));
            let polled = pulse.around(|| catch_unwind(AssertUnwindSafe(poll)));
            match polled {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(())) => Poll::Ready(Exit::Stopped),
                Err(payload) => Poll::Ready(Exit::Panicked(message_of(payload))),
            }
        });
        let frozen = until_frozen(&self.weak, self.policy.probe_every, self.policy.probe_timeout);
        tokio::select! { biased; exit = contained => exit, () = frozen => Exit::Hung }
    }

    fn end(&self, exit: Exit) -> Exit {
        self.tell(What::Ended(exit.clone()));
        exit
    }

    fn tell(&self, what: What) {
        (self.supervision.report)(ChildEvent { child: self.name.clone(), what });
    }
}

/// Resolves when the actor leaves a probe unanswered for `timeout`; never when nobody holds its address.
#[allow(
    clippy::disallowed_methods,
    reason = "one probe is under way at a time, and a full inbox must not keep it waiting"
)]
async fn until_frozen<A>(weak: &WeakAddr<A>, every: Duration, timeout: Duration)
where
    A: Actor<Context = Context<A>> + Handler<Probe>,
{
    loop {
        sleep(every).await;
        let Some(addr) = weak.upgrade() else { return std::future::pending().await };
        if let Err(MailboxError::Timeout) = addr.send(Probe).timeout(timeout).await {
            return;
        }
    }
}

fn message_of(payload: Box<dyn Any + Send>) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic whose payload is not text".to_owned())
}
