//! The Bzzz node.

pub mod apiary;
pub mod bubblewrap;
pub mod cli;
pub mod demo;
pub mod docker;
pub mod eval;
mod folder;
pub mod git;
pub mod github;
pub mod hive;
pub mod http;
pub mod journal;
pub mod model_server;
pub mod n8n;
pub mod network;
pub mod node;
pub mod ollama;
pub mod openai;
pub mod sandbox;
pub mod secrets;
pub mod settings;
mod socket;
pub mod swarm;
pub mod telemetry;
