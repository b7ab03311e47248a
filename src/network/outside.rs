//! The way out of this host: names to addresses, and connections to them.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::address::is_public;
use super::host::HostName;

/// Look-ups at the same time, of all sandboxes. The resolver of the system blocks a thread for as long as it likes, and
/// others need threads too.
const LOOK_UPS: usize = 8;

#[async_trait]
pub trait Outside: Send + Sync {
    async fn resolve(&self, host: &HostName) -> io::Result<Vec<IpAddr>>;

    /// Whether a sandbox may be connected to that address at all, whatever its name.
    fn may_reach(&self, address: IpAddr) -> bool;

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

/// The public internet, by this host's own resolver.
#[derive(Debug, Clone)]
pub struct PublicInternet {
    look_ups: Arc<Semaphore>,
}

impl Default for PublicInternet {
    fn default() -> Self {
        Self { look_ups: Arc::new(Semaphore::new(LOOK_UPS)) }
    }
}

#[async_trait]
impl Outside for PublicInternet {
    async fn resolve(&self, host: &HostName) -> io::Result<Vec<IpAddr>> {
        let permit = self.look_ups.clone().acquire_owned().await.map_err(io::Error::other)?;
        let name = host.to_string();
        let look_up = move || {
            // Held until the thread is free, also when nobody waits for it any more.
            let _permit = permit;
            Ok((name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect())
        };
        tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)?
    }

    fn may_reach(&self, address: IpAddr) -> bool {
        is_public(address)
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}
