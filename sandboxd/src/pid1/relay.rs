//! The way of commands to the node's network proxy: what connects to a port of the loopback interface is handed on to the
//! proxy's socket, byte by byte. What is allowed, the proxy decides; nothing is read here.
//!
//! One thread, one `poll`, apart from the main loop: no number of connections, and no proxy that hangs, holds up a job or its
//! end. Commands come and go with each job's end, the relay stays. So does it when the node goes away: until a node has made
//! the socket anew, a connection is answered with words and closed.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use sandboxd::RELAY_PORT;

use super::kernel::do_not_block;
use super::pipe::{Broken, Pipe};

/// So many connections at once; the next ones wait in the kernel until one ends. Each takes 32 KiB of the sandbox's memory.
const MAX_CONNECTIONS: usize = 64;

/// The pause after an `accept` or `poll` that failed, such as for want of descriptors.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

const THREAD_NAME: &str = "relay";

const NO_PROXY: &[u8] = b"HTTP/1.1 503 The network proxy of this sandbox does not answer\r\n\
    Content-Type: text/plain\r\nConnection: close\r\n\r\n\
    The network proxy of this sandbox does not answer. Try again in a minute, or work without it.\n";

/// Listens from here on.
///
/// # Errors
/// When the port can't be listened on, or there is no room for a thread.
pub(crate) fn start_relay(proxy: PathBuf) -> io::Result<()> {
    let cannot = |problem: io::Error| io::Error::new(problem.kind(), format!("the relay can't start: {problem}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, RELAY_PORT)).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    let relay = Relay { listener: listener.into(), proxy, connections: Vec::new() };
    thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || relay.run()).map_err(cannot)?;
    Ok(())
}

struct Relay {
    listener: OwnedFd,
    proxy: PathBuf,
    connections: Vec<Connection>,
}

struct Connection {
    client: OwnedFd,
    proxy: OwnedFd,
    to_proxy: Pipe,
    to_client: Pipe,
}

impl Relay {
    fn run(mut self) {
        loop {
            match self.wait() {
                Ok(true) => self.accept(),
                Ok(false) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => thread::sleep(FAILURE_PAUSE),
            }
            self.connections.retain_mut(|connection| connection.drive() == Ok(Goes::On));
        }
    }

    /// Waits until there is something to do; returns whether someone wants to connect.
    fn wait(&self) -> rustix::io::Result<bool> {
        let mut polled = Vec::with_capacity(1 + 2 * self.connections.len());
        let has_room = self.connections.len() < MAX_CONNECTIONS;
        if has_room {
            polled.push(PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN));
        }
        for connection in &self.connections {
            polled.extend(connection.polled());
        }
        rustix::event::poll(&mut polled, None)?;
        Ok(has_room && polled.first().is_some_and(|listener| !listener.revents().is_empty()))
    }

    fn accept(&mut self) {
        let client = match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(client) => client,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => return,
            Err(_) => return thread::sleep(FAILURE_PAUSE),
        };
        match connect(&self.proxy) {
            Ok(proxy) => self.connections.push(Connection {
                client,
                proxy,
                to_proxy: Pipe::new(),
                to_client: Pipe::new(),
            }),
            Err(_) => {
                // A socket that is new takes this much at once.
                let _ = rustix::net::send(&client, NO_PROXY, SendFlags::NOSIGNAL);
            }
        }
    }
}

/// At once or not at all: a proxy whose queue is full does not hold up the other connections.
fn connect(proxy: &Path) -> rustix::io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(proxy)?)?;
    do_not_block(socket.as_fd()).map_err(|_| rustix::io::Errno::INVAL)?;
    Ok(socket)
}

#[derive(PartialEq, Eq, Debug)]
enum Goes {
    On,
    Over,
}

impl Connection {
    /// Only what there is something to do with. Of a client that is waited for nothing else is told than that it is gone.
    fn polled(&self) -> [PollFd<'_>; 2] {
        let flags = |reads: &Pipe, writes: &Pipe| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, reads.wants_to_read());
            flags.set(PollFlags::OUT, writes.wants_to_write());
            flags
        };
        [
            PollFd::from_borrowed_fd(self.client.as_fd(), flags(&self.to_proxy, &self.to_client)),
            PollFd::from_borrowed_fd(self.proxy.as_fd(), flags(&self.to_client, &self.to_proxy)),
        ]
    }

    /// The connection is over when the proxy has said all: what a client would say after that nobody hears.
    fn drive(&mut self) -> Result<Goes, Broken> {
        self.to_proxy.drive(&self.client, &self.proxy)?;
        self.to_client.drive(&self.proxy, &self.client)?;
        Ok(if self.to_client.is_done() { Goes::Over } else { Goes::On })
    }
}
