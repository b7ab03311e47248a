//! The adapter with the real git program, against bare repositories in a folder and against canned HTTP answers.

mod claims;
mod code;
mod fixture;
mod hostile;
mod secrets;
mod server;
