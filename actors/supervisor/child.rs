//! One supervised actor: contained, probed, restarted.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix::WeakAddr;
use actix::dev::ContextFut;
use actix::prelude::*;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::pulse::Pulse;
use super::{Failures, Policy, Pulses, Verdict};

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
    pub addr: Addr<A>,
    pub orders: mpsc::UnboundedSender<Order>,
    /// Resolves when the child has ended for good.
    pub ended: oneshot::Receiver<Exit>,
}

/// Starts an actor under `policy` on this thread's arbiter. `jitter` is applied to each restart delay.
pub fn supervise<A>(
    name: &str,
    policy: Policy,
    report: Report,
    pulses: &Pulses,
    jitter: impl Fn(Duration) -> Duration + 'static,
    build: impl FnOnce(&mut Context<A>) -> A,
) -> Child<A>
where
    A: Actor<Context = Context<A>> + Supervised + Handler<Probe>,
{
    let mut context = Context::new();
    let actor = build(&mut context);
    let addr = context.address();
    let (orders, ordered) = mpsc::unbounded_channel();
    let (ended_tx, ended) = oneshot::channel();
    let mut keeper = Keeper {
        name: name.to_owned(),
        policy,
        report,
        weak: addr.downgrade(),
        life: context.into_future(actor),
        pulse: pulses.of(name),
        ordered,
        was_ordered: false,
    };
    actix::spawn(async move {
        let last = keeper.keep(jitter).await;
        // Dropped here and not while unwinding, so that a panic in `stopped` or in a `Drop` is contained as well.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(keeper)));
        let _ = ended_tx.send(last);
    });
    Child { addr, orders, ended }
}

struct Keeper<A: Actor<Context = Context<A>>> {
    name: String,
    policy: Policy,
    report: Report,
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
    async fn keep(&mut self, jitter: impl Fn(Duration) -> Duration) -> Exit {
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
                    let restart_in = jitter(delay);
                    self.tell(What::Failed { exit: exit.clone(), restart_in });
                    // The mailbox stays open meanwhile; an order still ends the child.
                    let was_ordered = tokio::select! { biased; order = self.ordered.recv() => order.is_some(), () = sleep(restart_in) => false };
                    if was_ordered {
                        return self.end(Exit::Stopped);
                    }
                }
            }
            exit = match catch_unwind(AssertUnwindSafe(|| self.life.restart())) {
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
        let pulse = &self.pulse;
        let contained = poll_fn(|cx| {
            while let Poll::Ready(Some(order)) = ordered.poll_recv(cx) {
                *was_ordered = true;
                match order {
                    Order::Kill => return Poll::Ready(Exit::Killed),
                    Order::Stop => life.ctx().stop(),
                }
            }
            let polled = pulse.around(|| catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *life).poll(cx))));
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
        (self.report)(ChildEvent { child: self.name.clone(), what });
    }
}

/// Resolves when the actor leaves a probe unanswered for `timeout`; never when nobody holds its address.
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
