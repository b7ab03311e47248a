//! A hostile repository, issue or model: everything here attacks, each case is named after its attack, and each is
//! refused or contained, after which the node goes on.
//!
//! Three levels, each case at the cheapest one where it is still the real thing: commands in real sandboxes of both
//! backends (`commands`, `work`, `proxy`; `visits` in those by bubblewrap, `direct` in Docker's), what a sandbox sends (`bundles`, `trees`, `bombs`,
//! `contents` with real git; `frames`), and whole nodes (`nodes`). `cargo test --test hostile -- --nocapture` says for each
//! command what held.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// A test's future may hold a whole node.
#![allow(clippy::large_futures)]

mod bombs;
mod bundles;
mod commands;
mod contents;
mod direct;
mod frames;
mod import;
mod nodes;
mod proxy;
mod trees;
mod visits;
mod work;

// What other test programs have of a place, a hill and a git server is wanted here too, each a part of it.
#[allow(dead_code)]
#[path = "../node/bee.rs"]
mod bee;
#[path = "../support/containers.rs"]
mod containers;
#[allow(dead_code)]
#[path = "../sandbox/door.rs"]
mod door;
#[allow(dead_code, unreachable_pub)]
#[path = "../../src/git/tests/fixture.rs"]
mod fixture;
#[allow(dead_code)]
#[path = "../node/hill.rs"]
mod hill;
#[path = "../sandbox/internet.rs"]
mod internet;
#[allow(dead_code)]
#[path = "../sandbox/place.rs"]
mod place;
#[allow(dead_code)]
#[path = "../node/replies.rs"]
mod replies;
#[path = "../node/stage.rs"]
mod stage;
#[allow(dead_code)]
#[path = "../node/story.rs"]
mod story;

/// The fixture stands in the library and names them so.
use bzzz::{git, secrets};

/// The least number of attacks that this suite is to hold.
const LEAST: usize = 40;

/// Makes a test of each of these functions, and a list of their names.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const CASES: &[&str] = &[$(stringify!($name)),+];

        mod case {
            $(#[tokio::test]
            async fn $name() {
                super::$name().await;
            })+
        }
    };
}
pub(crate) use cases;

/// Makes a test for each backend of a function that takes the place to work in.
macro_rules! on_each_backend {
    ($attacks:ident) => {
        #[tokio::test]
        async fn docker() {
            if let Some(place) = crate::place::Place::docker() {
                $attacks(&place).await;
            }
        }

        #[tokio::test]
        async fn bubblewrap() {
            if let Some(place) = crate::place::Place::bubblewrap() {
                $attacks(&place).await;
            }
        }
    };
}
pub(crate) use on_each_backend;

#[test]
fn every_attack_is_counted_and_has_a_name_of_its_own() {
    let commands = commands::names();
    let proxy = proxy::names();
    let groups: [(&str, &[&str]); 11] = [
        ("commands", &commands),
        ("work", work::NAMES),
        ("bundles", bundles::CASES),
        ("trees", trees::CASES),
        ("bombs", bombs::CASES),
        ("contents", contents::CASES),
        ("proxy", &proxy),
        ("visits", visits::CASES),
        ("direct", direct::CASES),
        ("frames", frames::CASES),
        ("nodes", nodes::CASES),
    ];
    let mut all: Vec<&str> = groups.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    for (group, names) in groups {
        println!("{group}: {} attacks: {}", names.len(), names.join(", "));
    }
    println!("{} attacks, those by commands, on the work and on the proxy against each backend", all.len());
    let count = all.len();
    assert!(count >= LEAST, "{count}");
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "a name stands for two attacks");
}
