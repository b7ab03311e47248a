//! Sandboxes with an allow-list: real sandboxes of both backends, the real proxy and relay, and behind the proxy a server of the test in
//! place of the internet.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use bzzz::network::{Limits, Networks, Reports};
use bzzz_actors::ports::sandbox::{Purpose, Sandbox, Sandboxes};
use bzzz_actors::task::{ConnectionOutcome, TaskEvent};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::internet::{HOST, Stage, node};
use crate::on_each_backend;
use crate::place::{Place, output, run, text};

const CERTIFICATE: &str = include_str!("tls/certificate.pem");
/// Of this certificate, which only tests trust.
const KEY: &str = include_str!("tls/key.pem");

const COMMIT: &str = "1234567890123456789012345678901234567890";

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

struct World<'a> {
    place: &'a Place,
    stage: Arc<Stage>,
    sandboxes: Arc<dyn Sandboxes>,
    networks: Networks,
    reports: Reports,
}

impl<'a> World<'a> {
    fn new(place: &'a Place, limits: Limits, rebinds_after: usize) -> Self {
        let stage = Stage::new(serve_tls(), rebinds_after);
        let (sandboxes, networks, reports) = node(place, &stage, limits);
        Self { place, stage, sandboxes, networks, reports }
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

on_each_backend!(
    tools_reach_an_allowed_host_and_no_other,
    without_an_allow_list_there_is_neither_relay_nor_socket,
    a_name_that_leads_elsewhere_later_leads_nowhere,
    a_flood_is_cut_and_a_crowd_has_its_turn,
    nothing_stays_of_a_sandbox_that_ends,
);

fn python(url: &str) -> String {
    format!(
        "python3 -c 'import ssl,urllib.request as u; c=ssl.create_default_context(cafile=\"/tmp/ca.pem\"); \
         print(u.urlopen(\"{url}\", context=c, timeout=20).read().decode(), end=\"\")' 2>&1 | tail -n1"
    )
}

async fn tools_reach_an_allowed_host_and_no_other(place: &Place) {
    let mut world = World::new(place, Limits::default(), usize::MAX);
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
    assert_eq!(output(&*sandbox, 5, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '").await, "lo\n");
    assert_eq!(output(&*sandbox, 6, "cat /proc/net/route | wc -l").await, "1\n");
    let straight =
        "python3 -c 'import socket; socket.create_connection((\"1.1.1.1\", 443), 5)' 2>&1 | tail -n1";
    assert!(output(&*sandbox, 7, straight).await.contains("unreachable"));
    let write = run(&*sandbox, 8, "touch /network/x; rm -f /network/proxy").await.unwrap();
    assert!(text(&write).contains("Read-only file system"), "{}", text(&write));
}

async fn without_an_allow_list_there_is_neither_relay_nor_socket(place: &Place) {
    let sandbox = place.start().await;
    assert_eq!(sandbox.allowed_hosts(), Vec::<String>::new());
    assert_eq!(
        output(&*sandbox, 1, "env | grep -ci proxy || true; ls -d /network 2>/dev/null || true").await,
        "0\n"
    );
    let relay =
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 3128), 5)' 2>&1 | tail -n1";
    assert!(output(&*sandbox, 2, relay).await.contains("refused"));
    assert_eq!(output(&*sandbox, 3, "cat /proc/1/task/*/comm | grep -c relay || true").await, "0\n");
}

async fn a_name_that_leads_elsewhere_later_leads_nowhere(place: &Place) {
    let world = World::new(place, Limits::default(), 1);
    let sandbox = world.start().await;
    assert_eq!(output(&*sandbox, 2, &python(&format!("https://{HOST}/file"))).await, "the file\n");
    let said = output(&*sandbox, 3, &python(&format!("https://{HOST}/file"))).await;
    assert!(said.contains("the name leads to no public address"), "{said}");
    assert_eq!(*world.stage.connected.lock().unwrap(), ["93.184.215.14".parse::<IpAddr>().unwrap()]);
}

async fn a_flood_is_cut_and_a_crowd_has_its_turn(place: &Place) {
    let limits = Limits { connection_bytes: 1 << 20, ..Limits::default() };
    let mut world = World::new(place, limits, usize::MAX);
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

async fn nothing_stays_of_a_sandbox_that_ends(place: &Place) {
    let world = World::new(place, Limits::default(), usize::MAX);
    let sandbox = world.start().await;
    let mounted = output(&*sandbox, 2, "awk '$5 == \"/network\" { print $4 }' /proc/self/mountinfo").await;
    let name = Path::new(mounted.trim()).file_name().unwrap();
    // A node that is root has those of other users elsewhere.
    let of_users = std::fs::read_dir("/run/bzzz").into_iter().flatten().map(|entry| entry.unwrap().path());
    let folders: Vec<_> = of_users.chain([place.folder.path().join("network")]).collect();
    let is_there = || folders.iter().any(|folder| folder.join(name).exists());
    assert!(is_there(), "{mounted} in {folders:?}");
    sandbox.destroy().await.unwrap();
    assert!(!is_there(), "{mounted} in {folders:?}");
}

#[tokio::test]
async fn a_node_that_returns_serves_the_sandbox_again() {
    let Some(place) = Place::docker() else { return };
    let world = World::new(&place, Limits::default(), usize::MAX);
    let sandbox = world.start().await;
    let fetch = python(&format!("https://{HOST}/file"));
    assert_eq!(output(&*sandbox, 2, &fetch).await, "the file\n");
    // The node dies: nobody serves the socket.
    world.networks.close().await;
    let said = output(&*sandbox, 3, &fetch).await;
    assert!(said.contains("503 The network proxy of this sandbox does not answer"), "{said}");
    drop(sandbox);

    let (sandboxes, _, _reports) = node(world.place, &world.stage, Limits::default());
    let spec = world.place.spec(Purpose::Work);
    assert_eq!(sandboxes.remove_strays(&world.place.node, &|found| *found == spec).await.unwrap(), 0);
    let adopted = sandboxes.adopt(&spec).await.unwrap().unwrap();
    assert_eq!(output(&*adopted, 4, &fetch).await, "the file\n");
    adopted.destroy().await.unwrap();
    assert_eq!(std::fs::read_dir(world.place.folder.path().join("network")).unwrap().count(), 0);
}
