//! What people are told of that no node can mend.

use crate::colony::{Colony, a_day_ahead};
use crate::net::can_run;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_a_day_off_is_told_of_by_both() {
    if !can_run() {
        return;
    }
    let mut colony = Colony::new(1);
    colony.repository("rocket", &[]).await;
    let (right, wrong) = (colony.add("ada", 0), colony.add("ben", 0));
    colony.nodes[wrong].environment = a_day_ahead();
    colony.start_all();
    for index in [right, wrong] {
        let line = colony.nodes[index].until_line("this node's clock and a peer's differ");
        let skew_s = line.split("skew_s=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let skew_s: u64 = skew_s.unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        assert!((86_000..87_000).contains(&skew_s), "{line}");
    }
    colony.stop_all();
}
