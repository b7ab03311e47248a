//! The connection to the daemon, and its errors in words that help.

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use bzzz_actors::ports::sandbox::SandboxError;

use super::context::{NO_CONTEXT, found_host};

pub(crate) const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// The daemon's answer to any request. Making a container on a disk that is busy takes seconds.
const TIMEOUT_S: u64 = 60;

/// The most of a daemon's message that is shown.
const MAX_MESSAGE_BYTES: usize = 500;

/// Whether `host` is a socket of this machine. A daemon elsewhere would not find the files that sandboxes are made of.
pub(crate) fn is_socket(host: &str) -> bool {
    host.strip_prefix("unix://").is_some_and(|path| !path.is_empty())
}

/// Connects, and settles on a version of the interface that the daemon speaks.
pub(super) async fn connect(host: Option<&str>) -> Result<Docker, SandboxError> {
    let found = found_host(|name| std::env::var(name).ok()).map(|found| found.host);
    let host = host.or(found.as_deref()).filter(|host| !host.is_empty()).unwrap_or(DEFAULT_HOST);
    if host.starts_with(NO_CONTEXT) {
        return Err(SandboxError::Misconfigured(format!(
            "there is {host}: see `docker context ls`, or name a socket in sandbox.docker_host"
        )));
    }
    if !is_socket(host) {
        return Err(SandboxError::Misconfigured(format!(
            "the Docker daemon {host} is not a socket on this machine, whose files sandboxes need: name one, such as \
             {DEFAULT_HOST}, in sandbox.docker_host"
        )));
    }
    let client = Docker::connect_with_unix(host, TIMEOUT_S, API_DEFAULT_VERSION);
    let client = client.map_err(|e| no_daemon(host, &e))?;
    client.negotiate_version().await.map_err(|e| no_daemon(host, &e))
}

/// Whether what answers is Podman in Docker's place.
pub(super) async fn is_podman(client: &Docker) -> Result<bool, SandboxError> {
    let version = client.version().await.map_err(|e| explain("tell its version", &e))?;
    Ok(version.components.unwrap_or_default().iter().any(|part| part.name.contains("Podman")))
}

fn no_daemon(host: &str, error: &Error) -> SandboxError {
    let why = chain(error);
    let advice = if why.contains("ermission denied") {
        "this user may not use it: add the user to the group docker and log in again, or run as root"
    } else {
        "install Docker (Debian, Ubuntu: apt-get install docker.io) and start it (systemctl start docker), or run \
         deploy/prerequisites.sh, or name another socket in sandbox.docker_host"
    };
    SandboxError::Unavailable(format!("no Docker daemon answers at {host} ({why}): {advice}"))
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
