//! The apiary: stand-ins for the forge, Hive, N8N and Ollama on this machine, over real HTTP and real git.
//!
//! ```text
//!   Apiary ── one thread ── four HTTP servers, one worker each
//!     ├─ forge   REST as GitHub's, git by `git http-backend`, pages for a browser
//!     ├─ hive    the projects it wants watched, what it was told
//!     ├─ n8n     webhooks: what came, and how often for each idempotency key
//!     └─ ollama  a model that reads its replies from a script, and says so by its name
//! ```
//!
//! What holds true:
//! - A client that talks to the real systems can't tell the difference in what it uses of them; where a stand-in is
//!   simpler than the original, its module says so.
//! - State is written to `state_dir` before the answer leaves, so an apiary that was stopped goes on where it was.
//! - Nothing outlives the handle: [`Apiary::stop`] ends the servers and every git process; dropping does the same
//!   without waiting, so who starts another apiary on the same folder stops the first.
//! - Each stand-in fails on request, see [`faults`].

mod clock;
mod error;
pub mod examples;
pub mod faults;
pub mod forge;
mod gate;
mod git;
pub mod hive;
pub mod n8n;
pub mod ollama;
mod options;
mod server;
mod store;

use std::net::SocketAddr;
use std::sync::Arc;

pub use error::ApiaryError;
pub use gate::{LoggedRequest, MAX_LOGGED, StandIn};
pub use options::ApiaryOptions;

use faults::Faults;
use forge::Forge;
use gate::Gate;
use git::Git;
use hive::Hive;
use n8n::N8n;
use ollama::Ollama;
use server::Servers;

use crate::file_lock::LockedFile;

/// What the servers share with the handle.
pub(crate) struct Stand {
    pub(crate) forge: Arc<Forge>,
    pub(crate) hive: Arc<Hive>,
    pub(crate) n8n: Arc<N8n>,
    pub(crate) ollama: Arc<Ollama>,
    pub(crate) gates: [Arc<Gate>; 4],
}

/// A running apiary.
pub struct Apiary {
    stand: Arc<Stand>,
    addresses: [SocketAddr; 4],
    git: Arc<Git>,
    servers: Option<Servers>,
    /// Held while the apiary runs: a second one on the same folder would overwrite this one's state.
    lock: LockedFile,
}

impl Apiary {
    /// Starts the four servers. Returns once all of them listen; may be called inside or outside of an async runtime.
    ///
    /// # Errors
    /// When a port is taken, `state_dir` can't be used or is in use, git or its `http-backend` is missing.
    pub fn start(options: ApiaryOptions) -> Result<Self, ApiaryError> {
        let lock = options::take_state_dir(&options.state_dir)?;
        let git = Git::locate(&options.state_dir)?;
        let listeners = server::listen(&options)?;
        let addresses = server::addresses(&listeners)?;
        let base = |stand_in: StandIn| format!("http://{}", addresses[stand_in as usize]);

        let forge = Arc::new(Forge::open(&options, Arc::clone(&git), base(StandIn::Forge))?);
        let hive = Arc::new(Hive::open(&options, Arc::clone(&forge))?);
        let stand = Arc::new(Stand {
            gates: [
                Arc::new(Gate::new(StandIn::Forge, Faults::with_snapshots(Arc::clone(&forge)))),
                Arc::new(Gate::new(StandIn::Hive, Faults::new())),
                Arc::new(Gate::new(StandIn::N8n, Faults::new())),
                Arc::new(Gate::new(StandIn::Ollama, Faults::new())),
            ],
            forge,
            hive,
            n8n: Arc::new(N8n::new()),
            ollama: Arc::new(Ollama::new(options.model_script, options.model_key)),
        });
        let servers = Servers::start(listeners, Arc::clone(&stand))?;
        Ok(Self { stand, addresses, git, servers: Some(servers), lock })
    }

    pub fn forge(&self) -> &Forge {
        &self.stand.forge
    }

    pub fn hive(&self) -> &Hive {
        &self.stand.hive
    }

    pub fn n8n(&self) -> &N8n {
        &self.stand.n8n
    }

    pub fn ollama(&self) -> &Ollama {
        &self.stand.ollama
    }

    pub fn address(&self, stand_in: StandIn) -> SocketAddr {
        self.addresses[stand_in as usize]
    }

    /// The root of a stand-in, `http://127.0.0.1:<port>`, without a slash at its end.
    pub fn url(&self, stand_in: StandIn) -> String {
        format!("http://{}", self.address(stand_in))
    }

    pub fn forge_url(&self) -> String {
        self.url(StandIn::Forge)
    }

    pub fn hive_url(&self) -> String {
        self.url(StandIn::Hive)
    }

    pub fn n8n_url(&self) -> String {
        self.url(StandIn::N8n)
    }

    pub fn ollama_url(&self) -> String {
        self.url(StandIn::Ollama)
    }

    /// The faults of one stand-in: add a rule and the next matching request meets it.
    pub fn faults(&self, stand_in: StandIn) -> &Faults {
        self.gate(stand_in).faults()
    }

    /// The requests that a stand-in answered, oldest first; the oldest are forgotten past [`MAX_LOGGED`].
    pub fn requests(&self, stand_in: StandIn) -> Vec<LoggedRequest> {
        self.gate(stand_in).requests()
    }

    /// Waits until a stand-in's requests satisfy `wanted`, looking at each new one as it is logged.
    pub async fn wait_for_requests(
        &self,
        stand_in: StandIn,
        wanted: impl Fn(&[LoggedRequest]) -> bool,
    ) -> Vec<LoggedRequest> {
        self.gate(stand_in).wait_for(wanted).await
    }

    fn gate(&self, stand_in: StandIn) -> &Gate {
        &self.stand.gates[stand_in as usize]
    }

    /// Ends the servers and every git process, and returns when they are gone.
    pub async fn stop(mut self) {
        self.git.begin_to_stop();
        if let Some(servers) = self.servers.take() {
            servers.stop().await;
        }
        self.git.stop().await;
    }
}

/// A handle may be held and used by any thread.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Apiary>();
};

impl Drop for Apiary {
    fn drop(&mut self) {
        self.git.begin_to_stop();
        if let Some(servers) = self.servers.take() {
            servers.abandon();
        }
        // Closing alone would not do: a process that is being started at this moment holds a copy until it has begun.
        let _ = self.lock.unlock();
    }
}
