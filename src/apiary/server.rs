//! The thread of the four HTTP servers: its start, and its end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::{Extensions, Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::error::ApiaryError;
use super::faults::Socket;
use super::gate::{self, StandIn};
use super::options::ApiaryOptions;
use super::{Stand, forge, hive, n8n, ollama};

/// A body longer than this is refused, git's aside: a conversation of a large context window fits many times.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;
/// Connections at once to each stand-in; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// A client that takes longer than this to send its request's head is cut off.
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept; longer than the pauses of a client that polls.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

pub(crate) type Listeners = [TcpListener; 4];

/// Binds all four ports, in the order of [`StandIn::ALL`].
pub(crate) fn listen(options: &ApiaryOptions) -> Result<Listeners, ApiaryError> {
    let bind = |stand_in: StandIn, port: u16| {
        TcpListener::bind((options.bind, port)).map_err(|source| ApiaryError::Listen {
            what: stand_in.name(),
            port,
            source,
        })
    };
    Ok([
        bind(StandIn::Forge, options.forge_port)?,
        bind(StandIn::Hive, options.hive_port)?,
        bind(StandIn::N8n, options.n8n_port)?,
        bind(StandIn::Ollama, options.ollama_port)?,
    ])
}

/// Where a client on this machine finds each: a server on all addresses is found on loopback.
pub(crate) fn addresses(listeners: &Listeners) -> Result<[SocketAddr; 4], ApiaryError> {
    let address = |i: usize| {
        let mut address =
            listeners[i].local_addr().map_err(|e| ApiaryError::Servers { problem: e.to_string() })?;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        Ok(address)
    };
    Ok([address(0)?, address(1)?, address(2)?, address(3)?])
}

pub(crate) struct Servers {
    handles: Vec<ServerHandle>,
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

impl Servers {
    pub(crate) fn start(listeners: Listeners, stand: Arc<Stand>) -> Result<Self, ApiaryError> {
        let problem = |problem: String| ApiaryError::Servers { problem };
        let (started, start) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let run = move || {
            let system = actix_rt::System::new();
            system.block_on(async move {
                match build(listeners, &stand) {
                    Ok(servers) => {
                        let handles = servers.iter().map(Server::handle).collect::<Vec<_>>();
                        // The one who started this waits for the handles before it does anything else.
                        let _ = started.send(Ok(handles));
                        join_all(servers).await;
                    }
                    Err(e) => drop(started.send(Err(e))),
                }
            });
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new()
            .name("apiary".into())
            .spawn(run)
            .map_err(|e| problem(e.to_string()))?;
        let handles = start
            .recv()
            .map_err(|_| problem("the thread ended at once".into()))?
            .map_err(|e| problem(e.to_string()))?;
        Ok(Self { handles, thread, ended })
    }

    /// Ends all servers, open connections included, and returns when their thread is gone.
    pub(crate) async fn stop(self) {
        let stops: Vec<_> = self.handles.iter().map(|h| h.stop(false)).collect();
        join_all(stops).await;
        // An error means that the thread is gone already.
        let _ = self.ended.await;
        if self.thread.join().is_err() {
            tracing::error!("the apiary's servers panicked");
        }
    }

    /// As [`Servers::stop`], without waiting.
    pub(crate) fn abandon(self) {
        for handle in &self.handles {
            // The command is sent by the call; the future only waits for its completion.
            drop(handle.stop(false));
        }
    }
}

/// Keeps a second handle on each connection, for faults that end it.
fn keep_socket(connection: &dyn std::any::Any, extensions: &mut Extensions) {
    let stream = connection.downcast_ref::<actix_web::rt::net::TcpStream>();
    if let Some(Ok(descriptor)) = stream.map(|s| s.as_fd().try_clone_to_owned()) {
        extensions.insert(Socket(Arc::new(descriptor.into())));
    }
}

/// One server: its gate outermost, the control interface, then the stand-in's own routes.
macro_rules! server {
    ($listener:expr, $stand:expr, $stand_in:expr, $data:expr, $configure:expr) => {{
        let gate = gate::data(&$stand.gates[$stand_in as usize]);
        let data = web::Data::from(Arc::clone($data));
        HttpServer::new(move || {
            App::new()
                .app_data(gate.clone())
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
                .wrap(from_fn(gate::pass))
                .configure(gate::control)
                .configure($configure)
        })
        .workers(1)
        .max_connections(MAX_CONNECTIONS)
        .client_request_timeout(HEAD_TIME_LIMIT)
        .keep_alive(KEEP_ALIVE)
        .on_connect(keep_socket)
        .disable_signals()
        .listen($listener)?
        .run()
    }};
}

fn build(listeners: Listeners, stand: &Stand) -> std::io::Result<Vec<Server>> {
    let [on_forge, on_hive, on_n8n, on_ollama] = listeners;
    Ok(vec![
        server!(on_forge, stand, StandIn::Forge, &stand.forge, forge::routes),
        server!(on_hive, stand, StandIn::Hive, &stand.hive, hive::routes),
        server!(on_n8n, stand, StandIn::N8n, &stand.n8n, n8n::routes),
        server!(on_ollama, stand, StandIn::Ollama, &stand.ollama, ollama::routes),
    ])
}
