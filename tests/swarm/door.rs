//! The way of each host to the apiary, which listens on this machine's loopback: on the host's own loopback at the same
//! port, since settings allow plain http there alone, then over the host's cable to the switch, and from there on.
//!
//! ```text
//!   node ─► 127.0.0.1:P (host) ═ cable ═► 10.77.x.1:P (switch) ─► 127.77.x.y ─► 127.0.0.1:P (apiary)
//! ```
//!
//! A host whose cable is cut is cut off from the apiary as well. The apiary sees each host by an address of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::net::Net;

/// Closed when it is dropped.
pub(crate) struct Doors {
    ports: Vec<u16>,
    closed: CancellationToken,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Doors {
    /// The switch's side of each of the apiary's ports.
    pub(crate) fn new(net: &Net, networks: u8, ports: &[u16]) -> Self {
        let gates: Vec<SocketAddr> = (0..networks)
            .flat_map(|network| ports.iter().map(move |port| (network, *port)))
            .map(|(network, port)| SocketAddr::from((net.gate(network), port)))
            .collect();
        let listeners = net.on_switch(move || gates.into_iter().map(listen).collect::<Vec<_>>());
        let closed = CancellationToken::new();
        let token = closed.clone();
        let thread = std::thread::spawn(move || {
            serve(listeners, &token, |port, from| {
                let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                connect(Some(seen_as(from)), to)
            });
        });
        Self { ports: ports.to_vec(), closed, threads: vec![thread] }
    }

    /// The host's side.
    pub(crate) fn open(&mut self, net: &Net, host: &str) {
        let (ports, gate, token) = (self.ports.clone(), net.gate_of(host), self.closed.clone());
        let (listening, is_listening) = std::sync::mpsc::channel();
        let thread = net.on_host(host, move || {
            let own = ports.iter().map(|port| listen(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))));
            let own: Vec<_> = own.collect();
            listening.send(()).expect("it is waited for");
            serve(own, &token, move |port, _| connect(None, SocketAddr::from((gate, port))));
        });
        is_listening.recv().expect("the host's loopback is free");
        self.threads.push(thread);
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.closed.cancel();
        for thread in self.threads.drain(..) {
            // One that panicked has closed its door.
            let _ = thread.join();
        }
    }
}

/// The address by which the apiary knows a host.
pub(crate) fn seen_as(host: Ipv4Addr) -> Ipv4Addr {
    let [_, network, second, third] = host.octets();
    Ipv4Addr::new(127, network, second, third)
}

/// On the network of the calling thread.
fn listen(address: SocketAddr) -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    listener.set_nonblocking(true).unwrap();
    listener
}

/// Hands every connection on, until the doors are closed; on a thread of its own, whose network new connections have.
fn serve<C>(
    listeners: Vec<std::net::TcpListener>,
    closed: &CancellationToken,
    connect: impl Fn(u16, Ipv4Addr) -> C + Clone + 'static,
) where
    C: Future<Output = std::io::Result<TcpStream>> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        for listener in listeners {
            let listener = TcpListener::from_std(listener).unwrap();
            tokio::task::spawn_local(accept(listener, connect.clone()));
        }
        closed.cancelled().await;
    });
}

async fn accept<C>(listener: TcpListener, connect: impl Fn(u16, Ipv4Addr) -> C)
where
    C: Future<Output = std::io::Result<TcpStream>> + 'static,
{
    let port = listener.local_addr().unwrap().port();
    loop {
        // Nobody is told of a connection that ended before it was accepted.
        let Ok((mut from, peer)) = listener.accept().await else { continue };
        let IpAddr::V4(peer) = peer.ip() else { continue };
        let onward = connect(port, peer);
        tokio::task::spawn_local(async move {
            // Without a way on, both are closed: that is what a client sees of a host that is away.
            if let Ok(mut to) = onward.await {
                let _ = copy_bidirectional(&mut from, &mut to).await;
            }
        });
    }
}

async fn connect(from: Option<Ipv4Addr>, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.bind(SocketAddr::from((from, 0)))?;
    }
    socket.connect(to).await
}
