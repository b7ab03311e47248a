//! One container and the session with the sandboxd in it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
};
use bzzz_actors::ports::sandbox::SandboxError;
use futures_util::StreamExt;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::client::{explain, is_conflict, is_missing};
use super::direct::DirectSocket;
use crate::network::Network;
use crate::sandbox::{EnclosedSandbox, Enclosure, SessionOptions, Streams};

/// How long a removal that the daemon has begun may take.
pub(super) const REMOVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is asked whether it is done. Only when a removal was under way already.
const REMOVAL_POLL: Duration = Duration::from_millis(50);

/// How much of what sandboxd says on its standard error is kept. It says nothing unless it fails to start.
const MAX_LAST_WORDS_BYTES: usize = 1000;

type LastWords = Arc<Mutex<String>>;

pub struct Container {
    client: Docker,
    name: String,
    last_words: LastWords,
    direct: Option<DirectSocket>,
}

pub type DockerSandbox = EnclosedSandbox<Container>;

/// The streams of a container, which may not be started yet.
pub(super) async fn attach(
    client: &Docker,
    name: &str,
) -> Result<AttachContainerResults, bollard::errors::Error> {
    let options =
        AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true).build();
    client.attach_container(name, Some(options)).await
}

/// Greets the sandboxd of a running container.
pub(super) async fn open(
    client: Docker,
    name: String,
    attached: AttachContainerResults,
    direct: Option<DirectSocket>,
    options: SessionOptions,
    temp_dir: PathBuf,
    network: Option<Network>,
) -> Result<DockerSandbox, SandboxError> {
    let last_words = LastWords::default();
    let reader = stdout_of(attached.output, last_words.clone());
    let listener = direct.as_ref().and_then(DirectSocket::listen);
    let streams = Streams::new(reader, attached.input).with_direct(listener);
    let container = Container { client, name, last_words, direct };
    let sandbox = EnclosedSandbox::open(container, streams, options, temp_dir, network).await?;
    // Nobody listens there any more.
    sandbox.enclosure.direct.iter().for_each(DirectSocket::close);
    Ok(sandbox)
}

#[async_trait]
impl Enclosure for Container {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn obituary(&self) -> String {
        let state = match self.client.inspect_container(&self.name, None::<InspectContainerOptions>).await {
            Ok(found) => match found.state {
                Some(state) if state.running == Some(true) => "the container is running".to_owned(),
                Some(state) => format!(
                    "the container ended with status {}{}",
                    state.exit_code.unwrap_or(-1),
                    if state.oom_killed == Some(true) { ", out of memory" } else { "" }
                ),
                None => "the container's state is unknown".to_owned(),
            },
            Err(error) if is_missing(&error) => "the container is gone".to_owned(),
            Err(_) => "the Docker daemon does not say more".to_owned(),
        };
        let words = self.last_words.lock().map(|words| words.trim().to_owned()).unwrap_or_default();
        if words.is_empty() { state } else { format!("{state}; its last words: {words}") }
    }

    async fn destroy(&self) -> Result<(), SandboxError> {
        remove(&self.client, &self.name).await?;
        self.direct.iter().for_each(DirectSocket::remove);
        Ok(())
    }
}

/// Removes a container, running or not, and returns when it is gone.
pub(super) async fn remove(client: &Docker, name: &str) -> Result<(), SandboxError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match client.remove_container(name, Some(options)).await {
        Ok(()) => Ok(()),
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) if is_conflict(&error) => until_gone(client, name).await,
        Err(error) => Err(explain(&format!("remove the container {name}"), &error)),
    }
}

async fn until_gone(client: &Docker, name: &str) -> Result<(), SandboxError> {
    let gone = async {
        while client.inspect_container(name, None::<InspectContainerOptions>).await.is_ok() {
            tokio::time::sleep(REMOVAL_POLL).await;
        }
    };
    tokio::time::timeout(REMOVAL_TIMEOUT, gone).await.map_err(|_| {
        SandboxError::Unavailable(format!(
            "Docker has been removing the container {name} for {REMOVAL_TIMEOUT:?}"
        ))
    })
}

/// Standard output as a stream of bytes; standard error goes to `last_words`.
fn stdout_of(
    output: impl futures_util::Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send + 'static,
    last_words: LastWords,
) -> impl AsyncRead + Send + Unpin + 'static {
    let bytes = output.filter_map(move |piece| {
        std::future::ready(match piece {
            Ok(LogOutput::StdOut { message }) => Some(Ok(message)),
            Ok(LogOutput::StdErr { message }) => {
                if let Ok(mut words) = last_words.lock() {
                    words.push_str(&bzzz_actors::task::printable(&String::from_utf8_lossy(&message)));
                    let end = words.floor_char_boundary(MAX_LAST_WORDS_BYTES);
                    words.truncate(end);
                }
                None
            }
            Ok(LogOutput::StdIn { .. } | LogOutput::Console { .. }) => None,
            Err(problem) => Some(Err(std::io::Error::other(problem))),
        })
    });
    StreamReader::new(Box::pin(bytes))
}
