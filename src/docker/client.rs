//! The connection to the daemon, and its errors in words that help.

use std::path::Path;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::SystemVersion;
use bzzz_actors::ports::sandbox::SandboxError;

use super::address::{Address, DEFAULT_HOST};
use super::context::{FoundHost, found_host};
use super::transport;

/// The most of a daemon's message that is shown.
const MAX_MESSAGE_BYTES: usize = 500;

/// A daemon that answers.
pub(super) struct Daemon {
    pub(super) client: Docker,
    pub(super) address: Address,
}

/// Connects, and settles on a version of the interface that the daemon speaks.
pub(super) async fn connect(host: Option<&str>, certificates: Option<&Path>) -> Result<Daemon, SandboxError> {
    let named = host.filter(|host| !host.is_empty()).map(|host| FoundHost {
        host: host.to_owned(),
        certificates: certificates.map(Path::to_owned),
        from: "the options",
    });
    let found = named.or_else(|| found_host(|name| std::env::var(name).ok()));
    let (host, certificates) =
        found.map_or_else(|| (DEFAULT_HOST.to_owned(), None), |found| (found.host, found.certificates));
    let address = Address::parse(&host, certificates.as_deref())
        .map_err(|error| SandboxError::Misconfigured(error.to_string()))?;
    let client = transport::client(&address)?;
    let client = client.negotiate_version().await.map_err(|e| no_daemon(&address, &e))?;
    Ok(Daemon { client, address })
}

/// Whether what answers is Podman in Docker's place.
pub(super) fn is_podman(version: &SystemVersion) -> bool {
    version.components.iter().flatten().any(|part| part.name.contains("Podman"))
}

pub(super) fn no_daemon(address: &Address, error: &Error) -> SandboxError {
    let why = chain(error);
    let advice = match address {
        Address::Socket(_) if why.contains("ermission denied") => {
            "this user may not use it: add the user to the group docker and log in again, or run as root".to_owned()
        }
        Address::Socket(_) => {
            "install Docker (Debian, Ubuntu: apt-get install docker.io) and start it (systemctl start docker), or run \
             deploy/prerequisites.sh, or name another socket in sandbox.docker_host"
                .to_owned()
        }
        Address::Tcp(_) => "is the tunnel there? A daemon that speaks TLS needs sandbox.docker_certificates".to_owned(),
        Address::Tls { certificates, .. } => {
            format!("its certificate must be from {0}/ca.pem, and {0}/cert.pem one that it takes", certificates.display())
        }
        Address::Ssh { user, host, port } => {
            let user = user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
            let port = port.map(|port| format!("-p {port} ")).unwrap_or_default();
            format!("`ssh -o BatchMode=yes {port}{user}{host} docker version` must work for the user that the node runs as")
        }
    };
    SandboxError::Unavailable(format!("no Docker daemon answers at {address} ({why}): {advice}"))
}

/// The creation of a container failed. Podman and Docker say of a missing file each in its own words that it is none.
pub(super) fn not_created(address: &Address, error: &Error) -> SandboxError {
    if address.is_here()
        && let Error::DockerResponseServerError { message, .. } = error
        && ["bind source path does not exist", "statfs "].iter().any(|it| message.contains(it))
    {
        return SandboxError::Misconfigured(format!(
            "the Docker daemon at {address} does not see this machine's files ({}): where its socket leads to another \
             machine, or into a virtual one, name it in sandbox.docker_host as what it is, \"ssh://user@host\" or \
             \"tcp://host:port\"",
            short(message)
        ));
    }
    explain("create a container", error)
}

/// An error of a request, in terms of the port.
pub(super) fn explain(doing: &str, error: &Error) -> SandboxError {
    match error {
        Error::DockerResponseServerError { status_code: 400, message }
        | Error::DockerResponseServerError { status_code: 500, message }
            if is_configuration(message) =>
        {
            SandboxError::Misconfigured(format!("Docker can't {doing}: {}", short(message)))
        }
        Error::DockerResponseServerError { message, .. } => {
            SandboxError::Unavailable(format!("Docker can't {doing}: {}", short(message)))
        }
        other => SandboxError::Unavailable(format!("Docker did not {doing}: {}", chain(other))),
    }
}

/// Whether trying again can't help: the daemon says that what it was asked for can't be. "OCI runtime create failed"
/// alone is not among the signs, it stands before passing troubles too.
fn is_configuration(message: &str) -> bool {
    const SIGNS: [&str; 8] = [
        "nknown runtime",
        "invalid runtime",
        "executable file not found",
        "exec format error",
        "invalid mount config",
        "seccomp",
        "inimum memory limit",
        "CPUs available",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// The name is taken, or the removal has begun already.
pub(super) fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 409, .. })
}

/// The error with its causes; the outermost alone often says no more than "error in the client".
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    short(&text)
}

fn short(message: &str) -> String {
    let text = bzzz_actors::task::printable(message);
    let end = text.floor_char_boundary(MAX_MESSAGE_BYTES);
    text[..end].trim().to_owned()
}
