//! One task's actors.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::audit_logger::Author;
use crate::reasoner_actor::{ReasonerActor, ReasonerDeps};
use crate::sandbox_actor::{SandboxActor, SandboxDeps};
use crate::supervisor::{Inbox, Order, Policy, Report, Supervision, Thread, ThreadNumber};
use crate::task::TaskId;
use crate::task_runner::{RunnerDeps, TaskRunner, Workbench};

use super::TaskSupervisorDeps;

/// Kills its actors when it is dropped, however that comes about: none may outlive its supervisor's knowledge of it. One
/// whose thread is blocked ends when that comes back, and records nothing until then.
pub(super) struct Children {
    runner: Inbox<TaskRunner>,
    orders: Vec<mpsc::UnboundedSender<Order>>,
    thread: Option<ThreadNumber>,
    author: Author,
    place: Place,
    pub(super) was_given_up: bool,
}

/// The task's place among those that the node works on at once; given back while it waits for a person.
pub(crate) type Place = Arc<Mutex<Option<OwnedSemaphorePermit>>>;

impl Children {
    /// `is_taken_up`: the task had actors before, in this life of the node, and that it gets new ones is not recorded yet.
    pub(super) fn start(
        deps: &TaskSupervisorDeps,
        task: &TaskId,
        (place, is_taken_up): (Option<OwnedSemaphorePermit>, bool),
        report: Report,
    ) -> Self {
        let author = Author::default();
        let bench = Workbench { log: deps.bench.log.under(author.clone()), ..deps.bench.clone() };
        let thread = deps.threads.start();
        let number = thread.as_ref().map(Thread::number);
        let (pulses, jitter) = (deps.pulses.clone(), deps.jitter.clone());
        let supervision = Supervision { report, pulses, jitter, thread };
        let sandbox_deps = SandboxDeps {
            node: bench.node.clone(),
            task: task.clone(),
            sandboxes: bench.sandboxes.clone(),
            max_export_bytes: bench.pace.max_export_bytes,
        };
        let reasoner_deps = ReasonerDeps {
            task: task.clone(),
            log: bench.log.clone(),
            servers: bench.servers.clone(),
            choice: bench.choice.clone(),
            selection: bench.selection.clone(),
        };
        let sandbox = supervision.start("sandbox", Policy::TASK, |_| SandboxActor::new(sandbox_deps));
        let reasoner = supervision.start("reasoner", Policy::TASK, |_| ReasonerActor::new(reasoner_deps));
        let place = Arc::new(Mutex::new(place));
        let (task, supervisor) = (task.clone(), deps.supervisor.clone());
        let runner_place = place.clone();
        let runner = supervision.start("runner", Policy::TASK, move |runner| {
            TaskRunner::new(RunnerDeps {
                task,
                bench,
                runner,
                sandbox: sandbox.inbox,
                reasoner: reasoner.inbox,
                supervisor,
                place: runner_place,
                has_begun: Arc::new(AtomicBool::new(is_taken_up)),
            })
        });
        Self {
            runner: runner.inbox,
            orders: vec![runner.orders, reasoner.orders, sandbox.orders],
            thread: number,
            author,
            place,
            was_given_up: false,
        }
    }

    pub(super) fn runner(&self) -> &Inbox<TaskRunner> {
        &self.runner
    }

    pub(super) fn live_on(&self, thread: ThreadNumber) -> bool {
        self.thread == Some(thread)
    }

    pub(super) fn take_place(&self) -> Option<OwnedSemaphorePermit> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.author.revoke();
        for orders in &self.orders {
            // One that has ended needs no order.
            let _ = orders.send(Order::Kill);
        }
    }
}
