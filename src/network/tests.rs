//! The proxy over its real socket, with an outside of the test's own: names lead where the test says.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::sandbox::Purpose;
use bzzz_actors::task::{ConnectionOutcome, Epoch, TaskEvent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::*;

const PUBLIC: &str = "93.184.215.14";

/// Resolves to one answer after the other, and connects public addresses to a server of the test.
struct Stage {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    connected: Mutex<Vec<SocketAddr>>,
    server: SocketAddr,
}

#[async_trait]
impl Outside for Stage {
    async fn resolve(&self, _: &HostName) -> io::Result<Vec<IpAddr>> {
        let mut answers = self.answers.lock().unwrap();
        if answers.is_empty() { Err(io::Error::other("no such name")) } else { Ok(answers.remove(0)) }
    }

    fn may_reach(&self, address: IpAddr) -> bool {
        PublicInternet::default().may_reach(address)
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.connected.lock().unwrap().push(address);
        TcpStream::connect(self.server).await
    }
}

struct World {
    folder: tempfile::TempDir,
    stage: Arc<Stage>,
    reporter: Reporter,
    reports: Reports,
}

impl World {
    /// Each look-up gets the next of `answers`. The server sends back what it is sent.
    async fn new(answers: &[&[&str]]) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        let answers = answers.iter().map(|it| it.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        let stage =
            Arc::new(Stage { answers: Mutex::new(answers), connected: Mutex::default(), server: address });
        let (reporter, reports) = reports();
        Self { folder: tempfile::tempdir().unwrap(), stage, reporter, reports }
    }

    fn networks(&self, limits: Limits) -> Networks {
        Networks::new(self.folder.path(), self.stage.clone(), limits, self.reporter.clone())
    }

    fn open(&self, limits: Limits) -> Network {
        self.networks(limits).open(&spec(), "box", &["crates.io".parse().unwrap()], None).unwrap()
    }

    async fn outcome(&mut self) -> (String, u16, ConnectionOutcome, u64, u64) {
        match self.reports.next().await.unwrap() {
            (task, Epoch(3), TaskEvent::Connected { host, port, outcome, sent_bytes, received_bytes }) => {
                assert_eq!(task, spec().task);
                (host, port, outcome, sent_bytes, received_bytes)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn spec() -> SandboxSpec {
    SandboxSpec {
        node: "n".parse().unwrap(),
        task: "a/b#1".parse().unwrap(),
        epoch: Epoch(3),
        purpose: Purpose::Work,
    }
}

async fn client(network: &Network) -> UnixStream {
    UnixStream::connect(network.folder.join(SOCKET)).await.unwrap()
}

/// All that comes back for a request.
async fn answer(network: &Network, request: &str) -> String {
    let mut client = client(network).await;
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn connect(network: &Network, target: &str) -> String {
    answer(network, &format!("CONNECT {target} HTTP/1.1\r\n\r\n")).await
}

/// A tunnel that stands, its answer read.
async fn tunnel(network: &Network) -> UnixStream {
    let mut client = client(network).await;
    client.write_all(b"CONNECT CRATES.io:443 HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = [0; 39];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 Connection established\r\n\r\n");
    client
}

fn is_refused(outcome: &ConnectionOutcome) -> bool {
    matches!(outcome, ConnectionOutcome::Refused { .. })
}

#[tokio::test]
async fn an_allowed_host_is_reached_and_recorded() {
    let mut world = World::new(&[&[PUBLIC]]).await;
    let network = world.open(Limits::default());
    let mut tunnel = tunnel(&network).await;
    tunnel.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    tunnel.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"hello");
    drop(tunnel);
    assert_eq!(world.outcome().await, ("CRATES.io".to_owned(), 443, ConnectionOutcome::Closed, 5, 5));
    assert_eq!(*world.stage.connected.lock().unwrap(), [SocketAddr::new(PUBLIC.parse().unwrap(), 443)]);
}

#[tokio::test]
async fn everything_else_is_refused_in_words() {
    let mut world = World::new(&[]).await;
    let network = world.open(Limits::default());
    for (target, words) in [
        (
            "evil.example:443",
            "network access to evil.example:443 is not allowed for this repository; allowed hosts: crates.io",
        ),
        ("static.crates.io:443", "static.crates.io:443 is not allowed"),
        ("crates.io.:443", "crates.io.:443 is not allowed"),
        ("crates.io:22", "only port 443"),
        ("crates.io:80", "only port 443"),
        ("1.1.1.1:443", "1.1.1.1:443 is not allowed"),
        ("[::1]:443", "[::1]:443 is not allowed"),
        ("169.254.169.254:80", "169.254.169.254:80 is not allowed"),
    ] {
        let answer = connect(&network, target).await;
        let (status, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(status.starts_with("HTTP/1.1 403 network access to "), "{status}");
        assert!(body.contains(words) && body.ends_with("; work without it\n"), "{body}");
        let (host, port, outcome, sent, received) = world.outcome().await;
        assert_eq!(format!("{host}:{port}"), target);
        assert!(is_refused(&outcome), "{outcome:?}");
        assert_eq!((sent, received), (0, 0));
    }
    let plain = answer(&network, "GET http://crates.io/api HTTP/1.1\r\nHost: crates.io\r\n\r\n").await;
    assert!(plain.starts_with("HTTP/1.1 403 plain http to crates.io:80 is not allowed"), "{plain}");
    let noise = answer(&network, "\x16\x03\x01\r\n\r\n").await;
    assert!(noise.starts_with("HTTP/1.1 400 "), "{noise}");
    assert_eq!(*world.stage.connected.lock().unwrap(), []);
}

#[tokio::test]
async fn names_that_lead_to_no_public_address_are_refused() {
    let special: [&[&str]; 5] = [
        &["127.0.0.1"],
        &["10.0.0.1", "192.168.1.1"],
        &["169.254.169.254"],
        &["::ffff:1.1.1.1"],
        &["fd00::1"],
    ];
    let mut world = World::new(&special).await;
    let network = world.open(Limits::default());
    for addresses in special {
        let answer = connect(&network, "crates.io:443").await;
        assert!(
            answer.starts_with("HTTP/1.1 403 ") && answer.contains("no public address"),
            "{addresses:?}: {answer}"
        );
        assert!(is_refused(&world.outcome().await.2));
    }
    let answer = connect(&network, "crates.io:443").await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("no such name"), "{answer}");
    assert!(matches!(world.outcome().await.2, ConnectionOutcome::Failed { .. }));
    assert_eq!(*world.stage.connected.lock().unwrap(), []);
}

#[tokio::test]
async fn what_was_judged_is_what_is_connected_to() {
    let mut world = World::new(&[&["10.0.0.1", PUBLIC], &["127.0.0.1"]]).await;
    let network = world.open(Limits::default());
    drop(tunnel(&network).await);
    world.outcome().await;
    assert_eq!(*world.stage.connected.lock().unwrap(), [SocketAddr::new(PUBLIC.parse().unwrap(), 443)]);
    // The second look-up, of a second connection, is judged by itself.
    assert!(connect(&network, "crates.io:443").await.contains("no public address"));
    assert_eq!(world.stage.connected.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn bytes_are_limited_for_a_connection_and_for_a_sandbox() {
    let limits = Limits { connection_bytes: 1000, sandbox_bytes: 1050, ..Limits::default() };
    let mut world = World::new(&[&[PUBLIC], &[PUBLIC]]).await;
    let network = world.open(limits);
    for (bytes, words) in [(501_u64, "a connection may transfer 1000"), (300, "a sandbox may transfer 1050")]
    {
        let mut tunnel = tunnel(&network).await;
        tunnel.write_all(&vec![7; bytes as usize]).await.unwrap();
        let mut echo = Vec::new();
        let _ = tunnel.read_to_end(&mut echo).await;
        let (.., outcome, sent, received) = world.outcome().await;
        let ConnectionOutcome::Cut { why } = outcome else { panic!("{outcome:?}") };
        assert!(why.contains(words), "{why}");
        assert!(sent == bytes && received < bytes && sent + received <= 1000, "{sent} + {received}");
    }
    let answer = connect(&network, "crates.io:443").await;
    assert!(answer.starts_with("HTTP/1.1 403 no more network access"), "{answer}");
}

#[tokio::test]
async fn who_says_nothing_or_half_a_request_does_not_stay_and_others_have_their_turn() {
    let limits = Limits { connections: 3, head_time: Duration::from_secs(2), ..Limits::default() };
    let mut world = World::new(&[&[PUBLIC]]).await;
    let network = world.open(limits);
    let mut silent = Vec::new();
    for _ in 0..3 {
        let mut client = client(&network).await;
        client.write_all(b"CONNECT crates.io:443 HTTP/1.1\r\n").await.unwrap();
        silent.push(client);
    }
    let answer = answer(&network, "").await;
    assert!(answer.starts_with("HTTP/1.1 503 more than 3 connections at once"), "{answer}");
    for mut client in silent {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        drop(client);
        assert!(is_refused(&world.outcome().await.2));
    }
    // A place is given back a moment after the client has gone.
    while !connect_until_established(&network).await {}
}

async fn connect_until_established(network: &Network) -> bool {
    let mut client = client(network).await;
    client.write_all(b"CONNECT crates.io:443 HTTP/1.1\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    client.read_exact(&mut status).await.is_ok() && status.ends_with(b"200")
}

#[tokio::test]
async fn an_idle_connection_is_cut_and_a_half_closed_one_sooner() {
    let short = Duration::from_millis(200);
    let limits = Limits { idle: 2 * short, half_closed_idle: short, ..Limits::default() };
    let mut world = World::new(&[&[PUBLIC]]).await;
    let network = world.open(limits);
    let mut tunnel = tunnel(&network).await;
    assert_eq!(tunnel.read(&mut [0]).await.unwrap(), 0, "the proxy ends it");
    assert!(matches!(world.outcome().await.2, ConnectionOutcome::Cut { why } if why.contains("too long")));
}

#[tokio::test]
async fn one_that_comes_back_makes_the_socket_anew_in_the_same_folder() {
    let mut world = World::new(&[&[PUBLIC], &[PUBLIC]]).await;
    let networks = world.networks(Limits::default());
    let allowed = ["crates.io".parse().unwrap()];
    let first = networks.open(&spec(), "box", &allowed, None).unwrap();
    let standing = tunnel(&first).await;
    let folder = fs::metadata(&first.folder).unwrap();
    // As of a node that died: its socket stays, and nobody listens.
    networks.close().await;
    assert!(matches!(world.outcome().await.2, ConnectionOutcome::Cut { .. }));
    drop(standing);
    assert!(UnixStream::connect(first.folder.join(SOCKET)).await.is_err());

    let again = world.networks(Limits::default());
    again.sweep(&HashSet::from(["box".to_owned()]));
    let second = again.open(&spec(), "box", &allowed, None).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(&second.folder).unwrap().ino(), folder.ino(), "it is mounted");
    drop(tunnel(&second).await);
    world.outcome().await;

    again.sweep(&HashSet::new());
    assert!(second.folder.exists(), "it is open");
    second.remove();
    assert!(!second.folder.exists());
    world.networks(Limits::default()).open(&spec(), "left", &allowed, None).unwrap();
    again.sweep(&HashSet::new());
    assert_eq!(fs::read_dir(world.folder.path().join(FOLDER)).unwrap().count(), 0);
}

#[tokio::test]
async fn a_deep_data_folder_is_no_trouble() {
    let world = World::new(&[&[PUBLIC]]).await;
    let deep = world.folder.path().join("a".repeat(200));
    fs::create_dir(&deep).unwrap();
    let networks = Networks::new(&deep, world.stage.clone(), Limits::default(), world.reporter.clone());
    let network = networks.open(&spec(), "box", &[], None).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&network.folder.join(SOCKET)), 0o666);
    assert_eq!((mode(&network.folder), mode(&deep.join(FOLDER))), (0o755, 0o700));
}
