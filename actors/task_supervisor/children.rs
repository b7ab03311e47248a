//! One task's actors.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::reasoner_actor::{ReasonerActor, ReasonerDeps};
use crate::sandbox_actor::{SandboxActor, SandboxDeps};
use crate::supervisor::{Order, Policy, Report, supervise};
use crate::task::TaskId;
use crate::task_runner::{RunnerDeps, TaskRunner};

use super::{TaskSupervisor, TaskSupervisorDeps};

/// Kills its actors when it is dropped, however that comes about: none may outlive its supervisor's knowledge of it.
pub(super) struct Children {
    runner: Addr<TaskRunner>,
    orders: Vec<mpsc::UnboundedSender<Order>>,
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
        supervisor: Addr<TaskSupervisor>,
    ) -> Self {
        let bench = &deps.bench;
        let jitter = || {
            let jitter = deps.jitter.clone();
            move |delay: Duration| jitter(delay)
        };
        let sandbox_deps = SandboxDeps {
            node: bench.node.clone(),
            task: task.clone(),
            sandboxes: bench.sandboxes.clone(),
            max_export_bytes: bench.pace.max_export_bytes,
        };
        let reasoner_deps = ReasonerDeps {
            task: task.clone(),
            log: bench.log.clone(),
            model: bench.model.clone(),
            gate: bench.gate.clone(),
            choice: bench.choice.clone(),
        };
        let sandbox = supervise("sandbox", Policy::TASK, report.clone(), &deps.pulses, jitter(), |_| {
            SandboxActor::new(sandbox_deps)
        });
        let reasoner = supervise("reasoner", Policy::TASK, report.clone(), &deps.pulses, jitter(), |_| {
            ReasonerActor::new(reasoner_deps)
        });
        let place = Arc::new(Mutex::new(place));
        let runner_deps = RunnerDeps {
            task: task.clone(),
            bench: bench.clone(),
            sandbox: sandbox.addr,
            reasoner: reasoner.addr,
            supervisor,
            place: place.clone(),
            has_begun: Arc::new(AtomicBool::new(is_taken_up)),
        };
        let runner = supervise("runner", Policy::TASK, report, &deps.pulses, jitter(), |_| {
            TaskRunner::new(runner_deps)
        });
        Self {
            runner: runner.addr,
            orders: vec![runner.orders, reasoner.orders, sandbox.orders],
            place,
            was_given_up: false,
        }
    }

    pub(super) fn runner(&self) -> &Addr<TaskRunner> {
        &self.runner
    }

    pub(super) fn take_place(&self) -> Option<OwnedSemaphorePermit> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for orders in &self.orders {
            // One that has ended needs no order.
            let _ = orders.send(Order::Kill);
        }
    }
}
