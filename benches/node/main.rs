//! What the node's own speed is: `make bench`. Each figure is the median of its samples, in one run on one machine;
//! needs Docker, the sandbox image and bubblewrap.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod figures;
mod idle;
mod past;
mod prompt;
mod sandbox;
mod task;

use figures::{Figure, print_table};

fn main() {
    // `cargo bench` passes options meant for another harness.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wants = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
    let mut figures: Vec<Figure> = Vec::new();
    if wants("sandbox") {
        figures.extend(sandbox::measure());
    }
    if wants("task") {
        figures.extend(task::measure());
    }
    if wants("prompt") {
        figures.extend(prompt::measure());
    }
    if wants("idle") {
        figures.extend(idle::measure());
    }
    print_table(&figures);
}
