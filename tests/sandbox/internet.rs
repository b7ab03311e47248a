//! A server of the test in place of the internet, and what a life of a node has for sandboxes that may reach it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bzzz::network::{HostName, Limits, Networks, Outside, PublicInternet, Reports, reports};
use bzzz_actors::ports::sandbox::Sandboxes;
use tokio::net::TcpStream;

use crate::place::Place;

pub(crate) const HOST: &str = "packages.example";

/// Every allowed name leads to the test's server, except where a rebinding is played.
pub(crate) struct Stage {
    pub(crate) server: SocketAddr,
    pub(crate) asked: AtomicUsize,
    pub(crate) connected: Mutex<Vec<IpAddr>>,
    /// After so many look-ups the name leads to the metadata service of a cloud.
    pub(crate) rebinds_after: usize,
}

impl Stage {
    pub(crate) fn new(server: SocketAddr, rebinds_after: usize) -> Arc<Self> {
        let (asked, connected) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { server, asked, connected, rebinds_after })
    }
}

#[async_trait]
impl Outside for Stage {
    async fn resolve(&self, _: &HostName) -> io::Result<Vec<IpAddr>> {
        let turn = self.asked.fetch_add(1, Ordering::Relaxed);
        let address = if turn < self.rebinds_after { "93.184.215.14" } else { "169.254.169.254" };
        Ok(vec![address.parse().unwrap()])
    }

    fn may_reach(&self, address: IpAddr) -> bool {
        PublicInternet::default().may_reach(address)
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        assert_eq!(address.port(), 443);
        self.connected.lock().unwrap().push(address.ip());
        TcpStream::connect(self.server).await
    }
}

/// What a life of a node has.
pub(crate) fn node(
    place: &Place,
    stage: &Arc<Stage>,
    limits: Limits,
) -> (Arc<dyn Sandboxes>, Networks, Reports) {
    let (networks, reports) = networks(place, stage, limits);
    let repo = "Acme/Rocket".parse().unwrap();
    let sandboxes = place.with_host(&repo, &HOST.parse().unwrap(), networks.clone());
    (sandboxes, networks, reports)
}

pub(crate) fn networks(place: &Place, stage: &Arc<Stage>, limits: Limits) -> (Networks, Reports) {
    let (reporter, reports) = reports();
    (Networks::new(place.folder.path(), stage.clone(), limits, reporter), reports)
}
