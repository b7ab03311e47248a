//! What a swarm asks of the forge: not much more than one node. For more nodes: `cargo bench -p bzzz-actors`.

use crate::world::colony::Colony;
use crate::world::*;

#[test]
fn five_nodes_ask_the_forge_for_little_more_than_one() {
    in_virtual_time(async {
        for tasks in [0, 6] {
            let of_one = Colony::requests_an_hour(1, tasks).await;
            let of_five = Colony::requests_an_hour(5, tasks).await;
            assert!(of_five * 5 <= of_one * 6, "{tasks} tasks: one {of_one}, five {of_five}");
        }
    });
}
