//! The way to a daemon: a socket, TCP, TLS, or ssh.
//!
//! To another machine connections are kept for the next request: to make one by ssh takes most of a second.

use std::error::Error;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use bzzz_actors::ports::sandbox::SandboxError;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::address::Address;
use super::client::no_daemon;
use super::ssh::Ssh;

/// The daemon's answer to any request. Making a container on a disk that is busy takes seconds.
const TIMEOUT_S: u64 = 60;

/// For the connection alone. A daemon that is further away than this is of no use.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection on which nothing comes for so long is asked whether it lives, so often, so many times. A network that is gone
/// is noticed within half a minute: sooner would end sandboxes for a cable that is plugged in again.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
pub(super) const KEEPALIVE_PROBES: u32 = 3;

/// The same for what was sent and is not acknowledged.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// How long a connection is kept that nobody uses, and how many. A sandbox is made by some requests, one after the other; a
/// network that forgets quiet connections does so after minutes.
const IDLE: Duration = Duration::from_secs(30);
const MAX_IDLE: usize = 2;

/// A few certificates.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// A client that is not connected yet.
pub(super) fn client(address: &Address) -> Result<Docker, SandboxError> {
    let client = match address {
        Address::Socket(socket) => Docker::connect_with_unix(socket, TIMEOUT_S, API_DEFAULT_VERSION),
        Address::Tcp(place) => over(tcp(), &format!("http://{place}")),
        Address::Tls { place, certificates } => {
            let tls = tls(certificates).map_err(SandboxError::Misconfigured)?;
            over(HttpsConnector::from((tcp(), tls)), &format!("https://{place}"))
        }
        // Where the connection goes is the connector's affair.
        Address::Ssh { user, host, port } => over(Ssh::to(user.as_deref(), host, *port), "http://docker"),
    };
    client.map_err(|e| no_daemon(address, &e))
}

pub(super) fn over<C>(connector: C, address: &str) -> Result<Docker, bollard::errors::Error>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .build(connector);
    let transport = move |request: BollardRequest| {
        let client = client.clone();
        async move {
            let (parts, mut body) = request.into_parts();
            // A kept connection may just have died. Who only asks a question, which has no body, asks it again.
            let mut again = if parts.method.as_str() == "GET" { MAX_IDLE } else { 0 };
            loop {
                let request = BollardRequest::from_parts(parts.clone(), body);
                match client.request(request).await {
                    Err(error) if again > 0 && !was_refused(&error) => again -= 1,
                    answer => return answer.map_err(Into::into),
                }
                body = bollard::body_full(Default::default());
            }
        }
    };
    Docker::connect_with_custom_transport(transport, Some(address), TIMEOUT_S, API_DEFAULT_VERSION)
}

/// There was no connection at all. By ssh that is seen only when its program ends without an answer.
fn was_refused(error: &hyper_util::client::legacy::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = inner.source();
    }
    error.is_connect()
}

fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    // A command is one small frame, whose answer is waited for.
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    connector
}

/// The folder's authority alone vouches for the daemon, not those that this machine trusts for the web.
fn tls(folder: &Path) -> Result<ClientConfig, String> {
    let wrong = |file: &str, why: &dyn std::fmt::Display| {
        format!(
            "{}: {why}; the folder of a Docker daemon's certificates (sandbox.docker_certificates, DOCKER_CERT_PATH) \
             holds ca.pem, cert.pem and key.pem",
            folder.join(file).display()
        )
    };
    let certificates = |file: &str| {
        let pem = read(&folder.join(file)).map_err(|e| wrong(file, &e))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match found.map_err(|e| wrong(file, &e))? {
            none if none.is_empty() => Err(wrong(file, &"no certificate is in it")),
            some => Ok(some),
        }
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates("ca.pem")? {
        roots.add(authority).map_err(|e| wrong("ca.pem", &e))?;
    }
    let own = certificates("cert.pem")?;
    let key = read(&folder.join("key.pem")).map_err(|e| wrong("key.pem", &e))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| wrong("key.pem", &e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.map_err(|e| e.to_string())?.with_root_certificates(roots);
    config.with_client_auth_cert(own, key).map_err(|e| wrong("key.pem", &e))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_PEM_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/docker-tls");

    #[test]
    fn certificates_that_do_not_do_are_named() {
        let good = Path::new(FILES);
        tls(good).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let put = |file: &str, from: &str| {
            std::fs::copy(good.join(from), folder.path().join(file)).unwrap();
        };
        let expect = |file: &str, why: &str| {
            let error = tls(folder.path()).unwrap_err();
            let place = folder.path().join(file);
            assert!(error.contains(&format!("{}: ", place.display())) && error.contains(why), "{error}");
            assert!(error.contains("holds ca.pem, cert.pem and key.pem"), "{error}");
        };
        expect("ca.pem", "No such file");
        put("ca.pem", "key.pem");
        expect("ca.pem", "no certificate");
        put("ca.pem", "ca.pem");
        expect("cert.pem", "No such file");
        put("cert.pem", "cert.pem");
        expect("key.pem", "No such file");
        put("key.pem", "server-key.pem");
        expect("key.pem", "");
        put("key.pem", "key.pem");
        tls(folder.path()).unwrap();
    }
}
