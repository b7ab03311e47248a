//! Containers that are on their way to be what they are made for.

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerCreateResponse};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::sandbox;

/// Removes a container that did not come to be what it was made for, also when the caller has gone away: one that was
/// created and never started has no grace that would end it. By its id: its name may be another's by then.
pub(super) struct Unfinished {
    client: Docker,
    /// The daemon goes on with a creation whose asker is gone, so its answer is waited for.
    creating: Option<JoinHandle<Result<ContainerCreateResponse, Error>>>,
    id: Option<String>,
    removals: TaskTracker,
}

impl Unfinished {
    pub(super) fn new(client: &Docker, removals: &TaskTracker) -> Self {
        Self { client: client.clone(), creating: None, id: None, removals: removals.clone() }
    }

    /// Creates the one container.
    pub(super) async fn create(&mut self, name: &str, body: ContainerCreateBody) -> Result<(), Error> {
        let query = CreateContainerOptionsBuilder::default().name(name).build();
        let client = self.client.clone();
        let creating = async move { client.create_container(Some(query), body).await };
        let created = self.creating.insert(tokio::spawn(creating)).await;
        self.creating = None;
        self.id = Some(created.map_err(std::io::Error::other)??.id);
        Ok(())
    }

    pub(super) fn finished(mut self) {
        self.id = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let (creating, id) = (self.creating.take(), self.id.take());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if creating.is_none() && id.is_none() {
            return;
        }
        let client = self.client.clone();
        let removal = async move {
            let created = match creating {
                Some(creating) => creating.await.ok().and_then(Result::ok).map(|created| created.id),
                None => id,
            };
            let Some(id) = created else { return };
            if let Err(error) = sandbox::remove(&client, &id).await {
                tracing::warn!(%id, %error, "a container that did not start could not be removed");
            }
        };
        self.removals.spawn_on(removal, &runtime);
    }
}
