//! What the technique leans on, in virtual time. These are conformance tests: run them before touching the pinned
//! version of actix.

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use actix::prelude::*;
use std::time::Duration;
use tokio::time::Instant;

use super::*;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const POLICY: Policy = Policy {
    restart: Restart::Transient,
    backoff_base: secs(1),
    backoff_cap: secs(8),
    max_restarts: 3,
    period: secs(60),
    probe_every: secs(5),
    probe_timeout: secs(10),
    inbox_room: 4,
};

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Panic,
    PanicInSpawned,
    PanicInActFuture,
    FreezeMailbox,
    HangRequest,
    Stop,
}

impl Message for Fault {
    type Result = ();
}

#[derive(Message)]
#[rtype(result = "u32")]
struct Count;

#[derive(Clone, Default)]
struct Deps {
    builds: Arc<AtomicU32>,
    panic_in_started: bool,
    panic_in_first_life: bool,
    panic_in_stopped: bool,
    refuses_to_stop: bool,
    panicking_builds: u32,
}

struct Worker {
    deps: Deps,
    count: u32,
}

impl Worker {
    fn new(deps: Deps) -> Self {
        let earlier_builds = deps.builds.fetch_add(1, SeqCst);
        assert!(earlier_builds == 0 || earlier_builds > deps.panicking_builds, "rebuild");
        Self { deps, count: 0 }
    }
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        assert!(!self.deps.panic_in_started, "started");
        assert!(!self.deps.panic_in_first_life || self.deps.builds.load(SeqCst) > 1, "first life");
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        if self.deps.refuses_to_stop { Running::Continue } else { Running::Stop }
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        assert!(!self.deps.panic_in_stopped, "stopped");
    }
}

crate::supervised!(Worker: Count, Fault);

impl Handler<Count> for Worker {
    type Result = u32;

    fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u32 {
        self.count += 1;
        self.count
    }
}

impl Handler<Fault> for Worker {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, fault: Fault, ctx: &mut Context<Self>) -> Self::Result {
        match fault {
            Fault::Panic => panic!("boom"),
            Fault::PanicInSpawned => {
                ctx.spawn(async { panic!("boom") }.into_actor(self));
            }
            Fault::PanicInActFuture => return Box::pin(async { panic!("boom") }.into_actor(self)),
            Fault::FreezeMailbox => ctx.wait(pending::<()>().into_actor(self)),
            Fault::HangRequest => return Box::pin(pending::<()>().into_actor(self)),
            Fault::Stop => ctx.stop(),
        }
        Box::pin(async {}.into_actor(self))
    }
}

type Log = Arc<Mutex<Vec<What>>>;

fn start(deps: &Deps, policy: Policy) -> (Child<Worker>, Log) {
    let log = Log::default();
    let written = log.clone();
    let report: Report = Arc::new(move |event| written.lock().unwrap().push(event.what));
    let deps = deps.clone();
    let supervision =
        Supervision { report, pulses: Pulses::default(), jitter: crate::jitter::no_jitter(), thread: None };
    (supervision.start("worker", policy, move |_| Worker::new(deps)), log)
}

/// Runs in a clock that jumps to the next timer whenever nobody has work.
fn in_virtual_time(test: impl Future<Output = ()>) {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(test);
}

#[test]
fn a_panic_keeps_address_and_queue_and_loses_one_message() {
    in_virtual_time(async {
        let deps = Deps::default();
        let (child, log) = start(&deps, POLICY);
        assert_eq!(child.inbox.send(Count).await, Ok(1));
        let began = Instant::now();
        let (failing, queued) = futures_util::join!(child.inbox.send(Fault::Panic), child.inbox.send(Count));
        assert_eq!(failing, Err(MailboxError::Closed));
        assert_eq!(queued, Ok(1), "answered by the fresh value");
        assert_eq!(began.elapsed(), secs(1));
        assert_eq!(deps.builds.load(SeqCst), 2);
        let panicked = Exit::Panicked("boom".into());
        let expected =
            [What::Failed { exit: panicked, restart_in: secs(1) }, What::Restarted { generation: 1 }];
        assert_eq!(*log.lock().unwrap(), expected);
    });
}

#[test]
fn a_panic_is_contained_wherever_it_happens_and_ends_the_requests_in_flight() {
    in_virtual_time(async {
        for fault in [Fault::Panic, Fault::PanicInSpawned, Fault::PanicInActFuture] {
            let (child, _) = start(&Deps::default(), POLICY);
            let in_flight = actix::spawn(child.inbox.send(Fault::HangRequest));
            tokio::task::yield_now().await;
            let _ = child.inbox.send(fault).await;
            assert_eq!(child.inbox.send(Count).await, Ok(1));
            assert_eq!(in_flight.await.unwrap(), Err(MailboxError::Closed));
        }
    });
}

#[test]
fn a_frozen_mailbox_is_found_by_the_probe() {
    in_virtual_time(async {
        let (child, log) = start(&Deps::default(), POLICY);
        let began = Instant::now();
        let (_, counted) =
            futures_util::join!(child.inbox.send(Fault::FreezeMailbox), child.inbox.send(Count));
        assert_eq!(counted, Ok(1));
        assert_eq!(began.elapsed(), secs(5 + 10 + 1));
        assert_eq!(log.lock().unwrap()[0], What::Failed { exit: Exit::Hung, restart_in: secs(1) });
    });
}

#[test]
fn the_delay_doubles_and_then_the_child_is_given_up() {
    in_virtual_time(async {
        let deps = Deps { panic_in_started: true, ..Deps::default() };
        let (child, log) = start(&deps, POLICY);
        let began = Instant::now();
        assert_eq!(child.inbox.send(Count).await, Err(MailboxError::Closed));
        assert_eq!(began.elapsed(), secs(1 + 2 + 4));
        let gave_up = What::GaveUp { last: Exit::Panicked("started".into()) };
        assert_eq!(log.lock().unwrap().last(), Some(&gave_up));
        assert_eq!(child.ended.await, Ok(Exit::Panicked("started".into())));
    });
}

#[test]
fn a_panic_while_rebuilding_is_one_more_failure() {
    in_virtual_time(async {
        let (child, _) = start(&Deps { panicking_builds: 2, ..Deps::default() }, POLICY);
        let began = Instant::now();
        let (failing, queued) = futures_util::join!(child.inbox.send(Fault::Panic), child.inbox.send(Count));
        assert_eq!((failing, queued), (Err(MailboxError::Closed), Ok(1)));
        assert_eq!(began.elapsed(), secs(1 + 2 + 4));
    });
}

#[test]
fn failures_far_apart_never_add_up() {
    in_virtual_time(async {
        let (child, _) = start(&Deps::default(), POLICY);
        for _ in 0..20 {
            let _ = child.inbox.send(Fault::Panic).await;
            tokio::time::sleep(secs(61)).await;
        }
        assert_eq!(child.inbox.send(Count).await, Ok(1));
    });
}

#[test]
fn a_panic_in_stopped_is_contained() {
    in_virtual_time(async {
        let deps = Deps { panic_in_stopped: true, ..Deps::default() };
        let (child, _) = start(&deps, Policy { restart: Restart::Temporary, ..POLICY });
        assert_eq!(child.inbox.send(Fault::Panic).await, Err(MailboxError::Closed));
        assert_eq!(child.ended.await, Ok(Exit::Panicked("boom".into())));
    });
}

#[test]
fn stopping_itself_is_a_failure_only_for_a_permanent_child() {
    in_virtual_time(async {
        let (child, _) = start(&Deps::default(), POLICY);
        let _ = child.inbox.send(Fault::Stop).await;
        assert_eq!(child.ended.await, Ok(Exit::Stopped));
        let (child, _) = start(&Deps::default(), Policy { restart: Restart::Permanent, ..POLICY });
        let _ = child.inbox.send(Fault::Stop).await;
        assert_eq!(child.inbox.send(Count).await, Ok(1));
    });
}

#[test]
fn a_permanent_child_that_is_ordered_to_stop_does_not_come_back() {
    in_virtual_time(async {
        let deps = Deps::default();
        let (child, log) = start(&deps, Policy { restart: Restart::Permanent, ..POLICY });
        assert_eq!(child.inbox.send(Count).await, Ok(1));
        child.orders.send(Order::Stop).unwrap();
        assert_eq!(child.ended.await, Ok(Exit::Stopped));
        assert_eq!(*log.lock().unwrap(), [What::Ended(Exit::Stopped)]);
        assert_eq!(deps.builds.load(SeqCst), 1);
    });
}

#[test]
fn a_stop_during_the_delay_ends_the_child() {
    in_virtual_time(async {
        let (child, log) = start(&Deps::default(), POLICY);
        let _ = child.inbox.send(Fault::Panic).await;
        child.orders.send(Order::Stop).unwrap();
        assert_eq!(child.ended.await, Ok(Exit::Stopped));
        assert_eq!(log.lock().unwrap().last(), Some(&What::Ended(Exit::Stopped)));
    });
}

#[test]
fn a_child_of_the_tree_is_restarted_though_nobody_else_knows_its_address() {
    in_virtual_time(async {
        let deps = Deps { panic_in_first_life: true, ..Deps::default() };
        let (child, log) = start(&deps, POLICY);
        let mut tree = Tree::default();
        tree.push("lonely", child);
        tokio::time::sleep(secs(2)).await;
        assert_eq!(deps.builds.load(SeqCst), 2);
        assert_eq!(log.lock().unwrap().last(), Some(&What::Restarted { generation: 1 }));
        tree.stop(secs(1)).await;
    });
}

#[test]
fn the_tree_stops_in_reverse_order_and_kills_who_refuses() {
    in_virtual_time(async {
        let mut tree = Tree::default();
        for (name, refuses_to_stop) in [("first", false), ("stubborn", true), ("last", false)] {
            tree.push(name, start(&Deps { refuses_to_stop, ..Deps::default() }, POLICY).0);
        }
        tokio::task::yield_now().await;
        let began = Instant::now();
        let exits = tree.stop(secs(2)).await;
        let expected = [("last", Exit::Stopped), ("stubborn", Exit::Killed), ("first", Exit::Stopped)];
        assert_eq!(exits, expected.map(|(name, exit)| (name.to_owned(), exit)));
        assert_eq!(began.elapsed(), secs(2), "only the stubborn one was waited for");
    });
}

#[test]
fn a_full_inbox_lets_its_senders_wait_whichever_clone_they_hold() {
    in_virtual_time(async {
        let (child, _) = start(&Deps::default(), POLICY);
        let clones = [(); POLICY.inbox_room + 2].map(|()| child.inbox.clone());
        // Nobody has polled the actor yet.
        let sent: Vec<_> = clones.iter().map(|inbox| inbox.send(Count)).collect();
        assert!(!child.inbox.offer(Count), "it is full");
        let counted = futures_util::future::join_all(sent).await;
        let expected: Vec<_> = (1..=POLICY.inbox_room as u32 + 2).map(Ok).collect();
        assert_eq!(counted, expected, "all in the order in which they were sent");
        assert!(child.inbox.offer(Count));
        assert_eq!(child.inbox.send(Count).await, Ok(POLICY.inbox_room as u32 + 4));
    });
}

#[test]
fn who_takes_a_message_back_gives_its_place_to_the_next() {
    in_virtual_time(async {
        let (child, _) = start(&Deps::default(), POLICY);
        let sent: Vec<_> = (0..POLICY.inbox_room).map(|_| child.inbox.send(Count)).collect();
        drop(sent);
        assert_eq!(child.inbox.send(Count).await, Ok(1), "what was taken back is not handled");
    });
}

#[test]
fn who_waits_for_room_at_an_actor_that_is_given_up_is_told() {
    in_virtual_time(async {
        let (child, _) = start(&Deps { panic_in_started: true, ..Deps::default() }, POLICY);
        let sent: Vec<_> = (0..=POLICY.inbox_room).map(|_| child.inbox.send(Count)).collect();
        let answers = futures_util::future::join_all(sent).await;
        assert_eq!(answers, vec![Err(MailboxError::Closed); POLICY.inbox_room + 1]);
        assert!(!child.inbox.offer(Count));
    });
}

#[test]
fn an_actor_that_can_not_be_built_is_given_up() {
    in_virtual_time(async {
        let log = Log::default();
        let written = log.clone();
        let report: Report = Arc::new(move |event| written.lock().unwrap().push(event.what));
        let jitter = crate::jitter::no_jitter();
        let supervision = Supervision { report, pulses: Pulses::default(), jitter, thread: None };
        let child = supervision.start::<Worker>("worker", POLICY, |_| panic!("no"));
        assert_eq!(child.inbox.send(Count).await, Err(MailboxError::Closed));
        assert_eq!(*log.lock().unwrap(), [What::GaveUp { last: Exit::Panicked("no".into()) }]);
    });
}
