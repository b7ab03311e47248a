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
use bzzz_actors::ports::code::CodeIn;
use bzzz_actors::ports::sandbox::{CommandOutcome, CommandRequest, Sandbox, SandboxError, WorkBundle};
use bzzz_actors::task::Sha;
use futures_util::StreamExt;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::client::{explain, is_conflict, is_missing};
use crate::network::Network;
use crate::sandbox::{Session, SessionOptions};

/// How long a removal that the daemon has begun may take.
pub(super) const REMOVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is asked whether it is done. Only when a removal was under way already.
const REMOVAL_POLL: Duration = Duration::from_millis(50);

/// How much of what sandboxd says on its standard error is kept. It says nothing unless it fails to start.
const MAX_LAST_WORDS_BYTES: usize = 1000;

type LastWords = Arc<Mutex<String>>;

pub struct DockerSandbox {
    client: Docker,
    name: String,
    session: Session,
    last_words: LastWords,
    temp_dir: PathBuf,
    /// Its proxy, which ends with this.
    network: Option<Network>,
}

/// The streams of a container, which may not be started yet.
pub(super) async fn attach(
    client: &Docker,
    name: &str,
) -> Result<AttachContainerResults, bollard::errors::Error> {
    let options =
        AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true).build();
    client.attach_container(name, Some(options)).await
}

impl DockerSandbox {
    /// Greets the sandboxd of a running container.
    pub(super) async fn open(
        client: Docker,
        name: String,
        streams: AttachContainerResults,
        options: SessionOptions,
        temp_dir: PathBuf,
        network: Option<Network>,
    ) -> Result<Self, SandboxError> {
        let last_words = LastWords::default();
        let reader = stdout_of(streams.output, last_words.clone());
        let session = Session::connect(reader, streams.input, options).await;
        match session {
            Ok(session) => Ok(Self { client, name, session, last_words, temp_dir, network }),
            Err(error) => Err(explain_loss(&client, &name, &last_words, error).await),
        }
    }

    async fn explained<T>(&self, result: Result<T, SandboxError>) -> Result<T, SandboxError> {
        match result {
            Err(error) => Err(explain_loss(&self.client, &self.name, &self.last_words, error).await),
            done => done,
        }
    }
}

#[async_trait]
impl Sandbox for DockerSandbox {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn is_lost(&self) -> bool {
        self.session.is_lost()
    }

    fn allowed_hosts(&self) -> Vec<String> {
        self.network.as_ref().map(|network| network.allowed.clone()).unwrap_or_default()
    }

    async fn import(&self, code: &CodeIn) -> Result<(), SandboxError> {
        self.explained(self.session.import(code).await).await
    }

    async fn run(&self, request: &CommandRequest) -> Result<CommandOutcome, SandboxError> {
        self.explained(self.session.run(request).await).await
    }

    async fn recall(&self, step: u32, patience: Duration) -> Result<Option<CommandOutcome>, SandboxError> {
        self.explained(self.session.recall(step, patience).await).await
    }

    async fn export_changes(
        &self,
        base: &Sha,
        known: Option<&Sha>,
        max_bytes: u64,
    ) -> Result<Option<WorkBundle>, SandboxError> {
        self.explained(self.session.export_changes(base, known, max_bytes, &self.temp_dir).await).await
    }

    async fn destroy(&self) -> Result<(), SandboxError> {
        remove(&self.client, &self.name).await?;
        if let Some(network) = &self.network {
            network.remove();
        }
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

/// A lost session, with what the daemon knows of the container.
async fn explain_loss(
    client: &Docker,
    name: &str,
    last_words: &LastWords,
    error: SandboxError,
) -> SandboxError {
    let SandboxError::Lost(why) = error else { return error };
    let state = match client.inspect_container(name, None::<InspectContainerOptions>).await {
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
    let words = last_words.lock().map(|words| words.trim().to_owned()).unwrap_or_default();
    let said = if words.is_empty() { String::new() } else { format!("; its last words: {words}") };
    SandboxError::Lost(format!("{why}: {state}{said}"))
}
