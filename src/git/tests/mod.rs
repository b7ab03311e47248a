//! The adapter with the real git program, against bare repositories in a folder and against canned HTTP answers.

mod claims;
mod code;
mod collect;
mod fixture;
mod forks;
mod inherit;
mod killed;
mod namespaces;
mod racing;
mod secrets;
mod server;
