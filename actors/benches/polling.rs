//! What a swarm asks of the forge in an hour, by the number of its nodes: counted in virtual time, so it is the same on any
//! machine. The goal is 1.2 times what one node asks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/node/world/mod.rs"]
mod world;

use world::colony::Colony;
use world::in_virtual_time;

fn main() {
    println!("requests to the forge in the first hour, 10 repositories");
    for tasks in [0, 6] {
        let mut of_one = None;
        for nodes in [1, 5, 20] {
            in_virtual_time(async {
                let requests = Colony::requests_an_hour(nodes, tasks).await;
                let ratio = f64::from(requests) / f64::from(*of_one.get_or_insert(requests));
                println!("{tasks} tasks, {nodes:2} nodes: {requests:4}, {ratio:.2} of one's");
            });
        }
    }
}
