//! A person's look inside a running sandbox: a process beside sandboxd's own, started by the daemon, as the same user.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::ListContainersOptionsBuilder;
use bzzz_actors::ports::sandbox::SandboxError;
use bzzz_actors::task::NodeId;
use futures_util::StreamExt;

use super::client::{connect, explain};
use super::container;
use crate::sandbox::{Piece, Standing, TERMINAL, Visit, VisitProcess, Visitor, WORK_TREE, common};

/// The sandboxes of a node that run now, for whoever is not that node.
pub struct DockerVisitor {
    client: Docker,
    node: NodeId,
    /// Canonical, as the labels have it.
    data_dir: PathBuf,
}

/// What the daemon runs.
struct Exec {
    client: Docker,
    id: String,
}

impl DockerVisitor {
    /// `host` and `certificates` as in [`DockerOptions`](super::DockerOptions); `data_dir` is the node's data folder, canonical.
    ///
    /// # Errors
    /// When no daemon answers; the text says what to do.
    pub async fn connect(
        host: Option<&str>,
        certificates: Option<&Path>,
        node: NodeId,
        data_dir: PathBuf,
    ) -> Result<Self, SandboxError> {
        Ok(Self { client: connect(host, certificates).await?.client, node, data_dir })
    }
}

#[async_trait]
impl Visitor for DockerVisitor {
    /// By the labels that the node gave them.
    async fn standing(&self) -> Result<Vec<Standing>, SandboxError> {
        // Without `all`: only those that run.
        let query = ListContainersOptionsBuilder::default()
            .filters(&container::label_filter(self.node.as_str(), &self.data_dir))
            .build();
        let found = self.client.list_containers(Some(query)).await;
        let found = found.map_err(|e| explain("list containers", &e))?;
        let standing = found.into_iter().filter_map(|container| {
            let spec = container::spec_of(&container.labels?, &self.data_dir)?;
            let name = common::name(&spec);
            Some(Standing { handle: name.clone(), name, spec })
        });
        Ok(standing.collect())
    }

    async fn visit(
        &self,
        standing: &Standing,
        command: Vec<String>,
        terminal: bool,
    ) -> Result<Visit, SandboxError> {
        let config = ExecConfig {
            attach_stdin: Some(terminal),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(terminal),
            // The image's own says that there is no terminal.
            env: terminal.then(|| vec![format!("TERM={TERMINAL}")]),
            user: Some(container::user()),
            working_dir: Some(WORK_TREE.to_owned()),
            cmd: Some(command),
            ..ExecConfig::default()
        };
        let created = self.client.create_exec(&standing.handle, config).await;
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
                let process = Box::new(Exec { client: self.client.clone(), id });
                Ok(Visit { input, output: Box::pin(output), process })
            }
            StartExecResults::Detached => {
                Err(SandboxError::Unavailable("Docker did not attach to the command".to_owned()))
            }
        }
    }
}

#[async_trait]
impl VisitProcess for Exec {
    async fn resize(&self, columns: u16, rows: u16) {
        let _ = self.client.resize_exec(&self.id, ResizeExecOptions { height: rows, width: columns }).await;
    }

    /// If the daemon still knows it.
    async fn status(&self) -> Option<u8> {
        u8::try_from(self.client.inspect_exec(&self.id).await.ok()?.exit_code?).ok()
    }
}
