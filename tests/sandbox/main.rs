//! Sandboxes of each backend: what they have in common is tried on all of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bubblewrap;
mod cases;
mod code;
mod commands;
#[path = "../support/containers.rs"]
mod containers;
mod docker;
#[path = "../support/dockerd.rs"]
mod dockerd;
mod door;
mod gvisor;
mod internet;
mod isolation;
mod lives;
mod network;
mod place;
mod podman;
mod remote;
mod visits;

/// Makes a test for each backend of each function, which takes the [`place::Place`] to work in.
macro_rules! on_each_backend {
    ($($test:ident),+ $(,)?) => {
        mod docker {
            $(#[tokio::test]
            async fn $test() {
                if let Some(place) = crate::place::Place::docker() {
                    super::$test(&place).await;
                }
            })+
        }

        mod bubblewrap {
            $(#[tokio::test]
            async fn $test() {
                if let Some(place) = crate::place::Place::bubblewrap() {
                    super::$test(&place).await;
                }
            })+
        }
    };
}
pub(crate) use on_each_backend;
