//! The configuration of a node: typed, with its units, and checked whole before anything starts.
//!
//! A value is taken from the last place that gives it: `config/default.toml` (built in), the file, the environment,
//! `--set`. What holds after [`Settings::load`]: every value is of its type and in its range, values that depend on
//! each other fit, and secrets that stand in files have been read. Everything that is wrong is told at once, each with
//! its key, its place, and what is allowed. A key that is not known is an error: misspelt, it would do nothing.

mod address;
mod check;
mod known;
mod layers;
mod load;
mod problem;
mod resolve;
mod secret;
mod sections;
mod show;
mod units;

pub use address::HttpUrl;
pub use load::{Loaded, Sources};
pub use problem::{Origin, Problem, SettingsErrors};
pub use secret::Secret;
pub use sections::{
    Audit, Claims, Escalation, FollowedTrail, Forge, Hive, Log, LogFormat, LogLevel, Model, ModelRole,
    ModelRoute, ModelServer, Node, Outbox, Provider, RepositorySandbox, Sandbox, SandboxBackend, Settings,
    Swarm, Task,
};
pub use show::starter_file;
pub use units::{HumanDuration, HumanSize};

#[cfg(test)]
mod tests;
