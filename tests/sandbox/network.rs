//! Sandboxes with an allow-list: real containers, the real proxy and relay, and behind the proxy a server of the test in
//! place of the internet.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bzzz::docker::{DockerOptions, DockerSandboxes};
use bzzz::network::{HostName, Limits, Networks, Outside, PublicInternet, Reports, reports};
use bzzz_actors::ports::sandbox::{Purpose, Sandbox, Sandboxes};
use bzzz_actors::task::{ConnectionOutcome, TaskEvent};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::net::TcpStream;

use crate::place::{Place, Sizes, output, run, text};

const CERTIFICATE: &str = include_str!("tls/certificate.pem");
/// Of this certificate, which only tests trust.
const KEY: &str = include_str!("tls/key.pem");

const HOST: &str = "packages.example";
const COMMIT: &str = "1234567890123456789012345678901234567890";

/// Every allowed name leads to the test's server, except where a rebinding is played.
struct Stage {
    server: SocketAddr,
    asked: AtomicUsize,
    connected: Mutex<Vec<IpAddr>>,
    /// After so many look-ups the name leads to the metadata service of a cloud.
    rebinds_after: usize,
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

/// HTTPS: a file, a git repository of the dumb protocol, and a flood.
fn serve_tls() -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let config = config.clone();
            std::thread::spawn(move || {
                let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                let _ = answer(&mut stream);
            });
        }
    });
    address
}

fn answer(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
    if path == "/flood" {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        loop {
            stream.write_all(&[b'x'; 65536])?;
        }
    }
    let (status, body) = match path {
        "/file" => ("200 OK", "the file\n".to_owned()),
        "/repo.git/info/refs" => ("200 OK", format!("{COMMIT}\trefs/heads/main\n")),
        "/repo.git/HEAD" => ("200 OK", "ref: refs/heads/main\n".to_owned()),
        _ => ("404 Not Found", String::new()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

struct World {
    place: Place,
    stage: Arc<Stage>,
    sandboxes: DockerSandboxes,
    networks: Networks,
    reports: Reports,
}

impl World {
    fn new(limits: Limits, rebinds_after: usize) -> Option<Self> {
        let place = Place::docker()?;
        let server = serve_tls();
        let stage = Arc::new(Stage {
            server,
            asked: AtomicUsize::new(0),
            connected: Mutex::default(),
            rebinds_after,
        });
        let (sandboxes, networks, reports) = node(&place, &stage, limits);
        Some(Self { place, stage, sandboxes, networks, reports })
    }

    async fn start(&self) -> Arc<dyn Sandbox> {
        let sandbox = self.sandboxes.start(&self.place.spec(Purpose::Work)).await.unwrap();
        output(&*sandbox, 1, &format!("cat > /tmp/ca.pem <<'E'\n{CERTIFICATE}E")).await;
        sandbox
    }

    async fn connection(&mut self) -> (String, ConnectionOutcome) {
        match self.reports.next().await.unwrap().2 {
            TaskEvent::Connected { host, port, outcome, .. } => (format!("{host}:{port}"), outcome),
            other => panic!("{other:?}"),
        }
    }
}

/// What a life of a node has.
fn node(place: &Place, stage: &Arc<Stage>, limits: Limits) -> (DockerSandboxes, Networks, Reports) {
    let (reporter, reports) = reports();
    let networks = Networks::new(place.folder.path(), stage.clone(), limits, reporter);
    let options = DockerOptions {
        allowed_hosts: vec![HOST.parse().unwrap()],
        ..place.docker_options(Sizes::default())
    };
    let sandboxes =
        DockerSandboxes::new(place.docker_options(Sizes::default())).unwrap().with_networks(networks.clone());
    let sandboxes = sandboxes.with_repository(&"Acme/Rocket".parse().unwrap(), options).unwrap();
    (sandboxes, networks, reports)
}

fn python(url: &str) -> String {
    format!(
        "python3 -c 'import ssl,urllib.request as u; c=ssl.create_default_context(cafile=\"/tmp/ca.pem\"); \
         print(u.urlopen(\"{url}\", context=c, timeout=20).read().decode(), end=\"\")' 2>&1 | tail -n1"
    )
}

#[tokio::test]
async fn tools_reach_an_allowed_host_and_no_other() {
    let Some(mut world) = World::new(Limits::default(), usize::MAX) else { return };
    let sandbox = world.start().await;
    assert_eq!(sandbox.allowed_hosts(), [HOST]);

    assert_eq!(output(&*sandbox, 2, &python(&format!("https://{HOST}/file"))).await, "the file\n");
    let listed =
        output(&*sandbox, 3, &format!("git -c http.sslCAInfo=/tmp/ca.pem ls-remote https://{HOST}/repo.git"))
            .await;
    assert!(listed.contains(&format!("{COMMIT}\trefs/heads/main\n")), "{listed}");
    assert_eq!(world.connection().await, (format!("{HOST}:443"), ConnectionOutcome::Closed));

    for (url, asked, words) in [
        (
            "https://evil.example/",
            "evil.example:443",
            "403 network access to evil.example:443 is not allowed for this repository; allowed hosts: packages.example",
        ),
        ("https://packages.example:8443/", "packages.example:8443", "only port 443"),
        ("https://1.1.1.1/", "1.1.1.1:443", "1.1.1.1:443 is not allowed"),
        (
            "http://packages.example/",
            "packages.example:80",
            "403: plain http to packages.example:80 is not allowed",
        ),
        (
            "http://169.254.169.254/latest/meta-data/",
            "169.254.169.254:80",
            "plain http to 169.254.169.254:80",
        ),
    ] {
        let said = output(&*sandbox, 4, &python(url)).await;
        assert!(said.contains(words), "{url}: {said}");
        loop {
            // Git's own connections may come before it.
            let (found, outcome) = world.connection().await;
            if found == asked {
                assert!(matches!(outcome, ConnectionOutcome::Refused { .. }), "{outcome:?}");
                break;
            }
            assert_eq!(found, format!("{HOST}:443"));
        }
    }
    // Past the relay there is no way at all.
    assert_eq!(output(&*sandbox, 5, "ls /sys/class/net").await, "lo\n");
    assert_eq!(output(&*sandbox, 6, "cat /proc/net/route | wc -l").await, "1\n");
    let straight =
        "python3 -c 'import socket; socket.create_connection((\"1.1.1.1\", 443), 5)' 2>&1 | tail -n1";
    assert!(output(&*sandbox, 7, straight).await.contains("unreachable"));
    let write = run(&*sandbox, 8, "touch /network/x; rm -f /network/proxy").await.unwrap();
    assert!(text(&write).contains("Read-only file system"), "{}", text(&write));
}

#[tokio::test]
async fn without_an_allow_list_there_is_neither_relay_nor_socket() {
    let Some(place) = Place::docker() else { return };
    let sandbox = place.start().await;
    assert_eq!(sandbox.allowed_hosts(), Vec::<String>::new());
    assert_eq!(
        output(&*sandbox, 1, "env | grep -ci proxy || true; ls -d /network 2>/dev/null || true").await,
        "0\n"
    );
    let relay =
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 3128), 5)' 2>&1 | tail -n1";
    assert!(output(&*sandbox, 2, relay).await.contains("refused"));
    assert_eq!(output(&*sandbox, 3, "cat /proc/1/task/*/comm | wc -l").await, "1\n");
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_later_leads_nowhere() {
    let Some(world) = World::new(Limits::default(), 1) else { return };
    let sandbox = world.start().await;
    assert_eq!(output(&*sandbox, 2, &python(&format!("https://{HOST}/file"))).await, "the file\n");
    let said = output(&*sandbox, 3, &python(&format!("https://{HOST}/file"))).await;
    assert!(said.contains("the name leads to no public address"), "{said}");
    assert_eq!(*world.stage.connected.lock().unwrap(), ["93.184.215.14".parse::<IpAddr>().unwrap()]);
}

#[tokio::test]
async fn a_flood_is_cut_and_a_crowd_has_its_turn() {
    let limits = Limits { connection_bytes: 1 << 20, ..Limits::default() };
    let Some(mut world) = World::new(limits, usize::MAX) else { return };
    let sandbox = world.start().await;
    run(&*sandbox, 2, &python(&format!("https://{HOST}/flood"))).await.unwrap();
    let (_, outcome) = world.connection().await;
    assert!(
        matches!(&outcome, ConnectionOutcome::Cut { why } if why.contains("1048576 bytes")),
        "{outcome:?}"
    );

    // More than the relay and the proxy have places for, none of which ever says a word, all killed with their command.
    let crowd = "python3 -c 'import socket,time; s=[socket.create_connection((\"127.0.0.1\", 3128), 5) for _ in range(150)]; \
                 print(len(s))'";
    assert_eq!(output(&*sandbox, 3, crowd).await, "150\n");
    let crowd = format!("{} & sleep 1; echo here", crowd.replace("print(len(s))", "time.sleep(1000)"));
    assert_eq!(output(&*sandbox, 4, &crowd).await, "here\n", "commands go on");
    assert_eq!(output(&*sandbox, 5, &python(&format!("https://{HOST}/file"))).await, "the file\n");
}

#[tokio::test]
async fn a_node_that_returns_serves_the_sandbox_again() {
    let Some(world) = World::new(Limits::default(), usize::MAX) else { return };
    let sandbox = world.start().await;
    let fetch = python(&format!("https://{HOST}/file"));
    assert_eq!(output(&*sandbox, 2, &fetch).await, "the file\n");
    // The node dies: nobody serves the socket.
    world.networks.close().await;
    let said = output(&*sandbox, 3, &fetch).await;
    assert!(said.contains("503 The network proxy of this sandbox does not answer"), "{said}");
    drop(sandbox);

    let (sandboxes, _, _reports) = node(&world.place, &world.stage, Limits::default());
    let spec = world.place.spec(Purpose::Work);
    assert_eq!(sandboxes.remove_strays(&world.place.node, &|found| *found == spec).await.unwrap(), 0);
    let adopted = sandboxes.adopt(&spec).await.unwrap().unwrap();
    assert_eq!(output(&*adopted, 4, &fetch).await, "the file\n");
    adopted.destroy().await.unwrap();
    assert_eq!(std::fs::read_dir(world.place.folder.path().join("network")).unwrap().count(), 0);
}
