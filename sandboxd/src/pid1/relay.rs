//! The way of commands to the node's network proxy: what connects to a port of the loopback interface is handed on to the
//! proxy's socket, byte by byte. What is allowed, the proxy decides; nothing is read here.
//!
//! One thread, one `poll`, apart from the main loop: no number of connections, and no proxy that hangs, holds up a job or its
//! end. Commands come and go with each job's end, the relay stays. So does it when the node goes away: until a node has made
//! the socket anew, a connection is answered with words and closed.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{SendFlags, SocketFlags};
use sandboxd::RELAY_PORT;

use super::host::connect;
use super::pipe::{Broken, Pipe};

/// So many connections at once; the next ones wait in the kernel until one ends. Each takes 32 KiB of the sandbox's memory.
const MAX_CONNECTIONS: usize = 64;

/// The pause after an `accept` or `poll` that failed, such as for want of descriptors.
const FAILURE_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

const THREAD_NAME: &str = "relay";

const NO_PROXY: &[u8] = b"HTTP/1.1 503 The network proxy of this sandbox does not answer\r\n\
    Content-Type: text/plain\r\nConnection: close\r\n\r\n\
    The network proxy of this sandbox does not answer. Try again in a minute, or work without it.\n";

/// Listens from here on.
///
/// # Errors
/// When the port can't be listened on, or there is no room for a thread.
pub(crate) fn start_relay(proxy: PathBuf) -> io::Result<()> {
    let start = || {
        let relay = Relay::listen(TcpListener::bind((Ipv4Addr::LOCALHOST, RELAY_PORT))?, proxy)?;
        thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || relay.run())
    };
    let cannot =
        |problem: io::Error| io::Error::new(problem.kind(), format!("the relay can't start: {problem}"));
    start().map(|_| ()).map_err(cannot)
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
    fn listen(listener: TcpListener, proxy: PathBuf) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: listener.into(), proxy, connections: Vec::new() })
    }

    fn run(mut self) {
        loop {
            match self.wait() {
                Ok(true) => self.accept(),
                Ok(false) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => pause(),
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
        let client =
            match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(client) => client,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {
                    return;
                }
                Err(_) => return pause(),
            };
        // One whose queue is full does not hold up the other connections.
        match connect(&self.proxy) {
            Ok(proxy) => self.connections.push(Connection {
                client,
                proxy,
                to_proxy: Pipe::new(),
                to_client: Pipe::new(),
            }),
            Err(_) => {
                // What is not read when the socket is closed would make the kernel take the answer back.
                let _ = rustix::io::read(&client, &mut [0; 4096]);
                // A socket that is new takes this much at once.
                let _ = rustix::net::send(&client, NO_PROXY, SendFlags::NOSIGNAL);
            }
        }
    }
}

/// Nobody can be told, and nothing announces that there is room again.
fn pause() {
    let _ = rustix::event::poll(&mut [], Some(&FAILURE_PAUSE));
}

#[derive(PartialEq, Eq, Debug)]
enum Goes {
    On,
    Over,
}

impl Connection {
    /// A side that nothing is to be done with is left out: that it is gone would be told again and again.
    fn polled(&self) -> impl Iterator<Item = PollFd<'_>> {
        let flags = |reads: &Pipe, writes: &Pipe| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, reads.wants_to_read());
            flags.set(PollFlags::OUT, writes.wants_to_write());
            flags
        };
        let sides = [
            (self.client.as_fd(), flags(&self.to_proxy, &self.to_client)),
            (self.proxy.as_fd(), flags(&self.to_client, &self.to_proxy)),
        ];
        let wanted = sides.into_iter().filter(|(_, flags)| !flags.is_empty());
        wanted.map(|(side, flags)| PollFd::from_borrowed_fd(side, flags))
    }

    /// The connection is over when the proxy has said all: what a client would say after that nobody hears.
    fn drive(&mut self) -> Result<Goes, Broken> {
        self.to_proxy.drive(&self.client, &self.proxy)?;
        self.to_client.drive(&self.proxy, &self.client)?;
        Ok(if self.to_client.is_done() { Goes::Over } else { Goes::On })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, SocketAddr, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;

    use super::*;

    /// A relay to `proxy`, which may not be there. It runs as long as the test's process.
    fn relay_to(proxy: &Path) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let relay = Relay::listen(listener, proxy.to_owned()).unwrap();
        thread::spawn(move || relay.run());
        address
    }

    /// Serves each connection on a thread.
    fn serve(proxy: &Path, serve: fn(UnixStream)) {
        let listener = UnixListener::bind(proxy).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || serve(stream));
            }
        });
    }

    /// Answers with all that it is sent, once that is at its end.
    fn echo(mut stream: UnixStream) {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let _ = stream.write_all(&bytes);
    }

    fn echoed(address: SocketAddr, sent: &[u8]) -> Vec<u8> {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(sent).unwrap();
        // The relay may have answered and gone already; what it said is there all the same.
        let _ = client.shutdown(Shutdown::Write);
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        received
    }

    fn folder(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("sandboxd-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_is_sent_arrives_whole_and_its_end_too() {
        let folder = folder("whole");
        let address = relay_to(&folder.join("proxy"));
        serve(&folder.join("proxy"), echo);
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        assert_eq!(echoed(address, &sent), sent);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn without_a_proxy_it_says_so_and_a_new_one_is_found() {
        let folder = folder("without");
        let address = relay_to(&folder.join("proxy"));
        let answer = echoed(address, b"CONNECT crates.io:443 HTTP/1.1\r\n\r\n");
        assert!(answer.starts_with(b"HTTP/1.1 503 "), "{}", String::from_utf8_lossy(&answer));
        serve(&folder.join("proxy"), echo);
        assert_eq!(echoed(address, b"there"), b"there");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn more_than_can_be_had_at_once_have_their_turn_when_others_go_away() {
        let folder = folder("many");
        let address = relay_to(&folder.join("proxy"));
        serve(&folder.join("proxy"), echo);
        // Half of them will not even say a word.
        let idle: Vec<_> = (0..MAX_CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
        let waiting: Vec<_> = (0..20).map(|n: u8| thread::spawn(move || echoed(address, &[n; 3]))).collect();
        drop(idle);
        for (n, waiting) in (0..20).zip(waiting) {
            assert_eq!(waiting.join().unwrap(), [n; 3]);
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn one_that_does_not_read_holds_up_no_other() {
        let folder = folder("slow");
        let address = relay_to(&folder.join("proxy"));
        serve(&folder.join("proxy"), |mut stream| {
            let mut first = [0];
            match (stream.read(&mut first), first) {
                (Ok(1), [b'f']) => while stream.write_all(&[7; 65536]).is_ok() {},
                _ => stream.write_all(b"short").unwrap(),
            }
        });
        let mut flooded = TcpStream::connect(address).unwrap();
        flooded.write_all(b"f").unwrap();
        for _ in 0..10 {
            assert_eq!(echoed(address, b"s"), b"short");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
