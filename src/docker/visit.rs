//! A person's look inside a running sandbox: a process beside sandboxd's own, started by the daemon, as the same user.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::ListContainersOptionsBuilder;
use bzzz_actors::ports::sandbox::{SandboxError, SandboxSpec};
use bzzz_actors::task::NodeId;
use futures_util::{Stream, StreamExt};
use std::path::Path;
use std::pin::Pin;
use tokio::io::AsyncWrite;

use super::client::{connect, explain};
use super::container;
use crate::sandbox::{WORK_TREE, common};

/// The sandboxes of a node that run now, for whoever is not that node.
pub struct Visitor {
    client: Docker,
}

/// A sandbox that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub name: String,
    pub spec: SandboxSpec,
}

/// A piece of what a process writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Out(Vec<u8>),
    Err(Vec<u8>),
}

/// A process in a sandbox. With a terminal, both its outputs come as [`Piece::Out`].
pub struct Visit {
    client: Docker,
    id: String,
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    pub output: Pin<Box<dyn Stream<Item = Result<Piece, SandboxError>> + Send>>,
}

impl Visitor {
    /// `host` and `certificates` as in [`DockerOptions`](super::DockerOptions).
    ///
    /// # Errors
    /// When no daemon answers; the text says what to do.
    pub async fn connect(host: Option<&str>, certificates: Option<&Path>) -> Result<Self, SandboxError> {
        Ok(Self { client: connect(host, certificates).await?.client })
    }

    /// Those of this node, by the labels that it gave them. `data_dir` is its data folder, canonical.
    pub async fn standing(&self, node: &NodeId, data_dir: &Path) -> Result<Vec<Standing>, SandboxError> {
        // Without `all`: only those that run.
        let query = ListContainersOptionsBuilder::default()
            .filters(&container::label_filter(node.as_str(), data_dir))
            .build();
        let found = self.client.list_containers(Some(query)).await;
        let found = found.map_err(|e| explain("list containers", &e))?;
        let standing = found.into_iter().filter_map(|container| {
            let spec = container::spec_of(&container.labels?, data_dir)?;
            Some(Standing { name: common::name(&spec), spec })
        });
        Ok(standing.collect())
    }

    /// Starts `command` in the work tree. With `terminal` it has one of its own, else none and no input.
    pub async fn visit(
        &self,
        name: &str,
        command: Vec<String>,
        terminal: bool,
    ) -> Result<Visit, SandboxError> {
        let config = ExecConfig {
            attach_stdin: Some(terminal),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(terminal),
            // The image's own says that there is no terminal.
            env: terminal.then(|| vec!["TERM=xterm-256color".to_owned()]),
            user: Some(container::user()),
            working_dir: Some(WORK_TREE.to_owned()),
            cmd: Some(command),
            ..ExecConfig::default()
        };
        let created = self.client.create_exec(name, config).await;
        let id = created.map_err(|e| explain("prepare a command in the sandbox", &e))?.id;
        let options = StartExecOptions { detach: false, tty: terminal, output_capacity: None };
        let started = self.client.start_exec(&id, Some(options)).await;
        match started.map_err(|e| explain("start a command in the sandbox", &e))? {
            StartExecResults::Attached { output, input } => {
                let output = output.map(|piece| match piece {
                    Ok(LogOutput::StdErr { message }) => Ok(Piece::Err(message.to_vec())),
                    Ok(other) => Ok(Piece::Out(other.into_bytes().to_vec())),
                    Err(error) => Err(explain("pass the command's output on", &error)),
                });
                Ok(Visit { client: self.client.clone(), id, input, output: Box::pin(output) })
            }
            StartExecResults::Detached => {
                Err(SandboxError::Unavailable("Docker did not attach to the command".to_owned()))
            }
        }
    }
}

impl Visit {
    /// Of its terminal. One that has ended has no size, which is no matter.
    pub async fn resize(&self, columns: u16, rows: u16) {
        let _ = self.client.resize_exec(&self.id, ResizeExecOptions { height: rows, width: columns }).await;
    }

    /// Once its output has ended: its exit status, if the daemon still knows it. A sandbox that ended with it is gone.
    pub async fn status(&self) -> Option<i64> {
        self.client.inspect_exec(&self.id).await.ok()?.exit_code
    }
}
