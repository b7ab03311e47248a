//! The work of five nodes together.

use std::time::Instant;

use crate::colony::{Colony, HOSTS, REPOSITORIES};
use crate::net::can_run;
use crate::verdict::{Verdict, assert_proposed_once};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_forty_issues_five_nodes_make_forty_pull_requests() {
    if !can_run() {
        return;
    }
    let mut colony = Colony::new(1);
    for repository in REPOSITORIES {
        colony.repository(repository, &["test -s fuel"]).await;
    }
    let tasks = colony.issues(40);
    for host in HOSTS {
        colony.add(host, 0);
    }
    let begun = Instant::now();
    colony.start_all();
    colony.until_proposed(&tasks).await;
    println!("40 pull requests after {:.1} s", begun.elapsed().as_secs_f64());
    colony.stop_all();

    assert_proposed_once(&colony, &tasks).await;
    let verdict = Verdict::of(&colony, &tasks);
    verdict.print("healthy");
    verdict.assert_published_once(&tasks);
    assert_eq!(verdict.by_node().len(), HOSTS.len(), "some did nothing: {:?}", verdict.by_node());
}
