//! The node's children in the order of their start, and their stop in the reverse order.

use std::any::Any;
use std::time::Duration;

use actix::Actor;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{Child, Exit, Order};

/// A child of any actor type.
pub struct Stoppable {
    name: String,
    /// An actor whose address nobody holds can't be restarted: this one is held until the stop.
    _inbox: Box<dyn Any>,
    orders: mpsc::UnboundedSender<Order>,
    ended: oneshot::Receiver<Exit>,
}

impl Stoppable {
    pub fn new<A: Actor>(name: &str, child: Child<A>) -> Self {
        Self {
            name: name.to_owned(),
            _inbox: Box::new(child.inbox),
            orders: child.orders,
            ended: child.ended,
        }
    }

    /// Stops the child, kills it when it has not ended within `grace`, and says how it ended.
    pub async fn stop(mut self, grace: Duration) -> Exit {
        // An order that finds nobody means that the child has ended already.
        let _ = self.orders.send(Order::Stop);
        if let Ok(exit) = timeout(grace, &mut self.ended).await {
            return exit.unwrap_or(Exit::Killed);
        }
        warn!(child = self.name, "did not stop within its grace and is killed");
        let _ = self.orders.send(Order::Kill);
        self.ended.await.unwrap_or(Exit::Killed)
    }
}

/// Children in the order in which they were started: each may rely on those before it.
#[derive(Default)]
pub struct Tree {
    children: Vec<Stoppable>,
}

impl Tree {
    pub fn push<A: Actor>(&mut self, name: &str, child: Child<A>) {
        self.children.push(Stoppable::new(name, child));
    }

    /// Stops only the last started.
    pub async fn stop_last(&mut self, grace: Duration) {
        if let Some(child) = self.children.pop() {
            child.stop(grace).await;
        }
    }

    /// Stops the last started first. Each has `grace` to end before it is killed.
    pub async fn stop(&mut self, grace: Duration) -> Vec<(String, Exit)> {
        self.stop_from(0, grace).await
    }

    /// Stops the last started first, down to and with the one named; none when it has stopped already.
    pub async fn stop_down_to(&mut self, name: &str, grace: Duration) -> Vec<(String, Exit)> {
        match self.children.iter().position(|child| child.name == name) {
            Some(position) => self.stop_from(position, grace).await,
            None => Vec::new(),
        }
    }

    async fn stop_from(&mut self, position: usize, grace: Duration) -> Vec<(String, Exit)> {
        let mut exits = Vec::new();
        while self.children.len() > position
            && let Some(child) = self.children.pop()
        {
            let name = child.name.clone();
            let exit = child.stop(grace).await;
            debug!(child = name, ?exit, "stopped");
            exits.push((name, exit));
        }
        exits
    }
}
