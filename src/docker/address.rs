//! Where a daemon is, as an operator says it. Pure.
//!
//! Invariant: over an [`Address`] nobody on the way can read along or answer in the daemon's place. It is a socket of this
//! machine, TLS with both ends verified, ssh, or a port of this machine, which may be the end of a tunnel.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use url::{Host, Url};

use super::context::NO_CONTEXT;

pub(crate) const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// Docker's own ports, where none is given.
const PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

const ALLOWED: &str = "allowed: \"unix:///var/run/docker.sock\" for a daemon of this machine, \"tcp://host:2376\" with \
                       certificates or \"ssh://user@host\" for one elsewhere";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// All of it, `unix://` included.
    Socket(String),
    /// `host:port` of this machine.
    Tcp(String),
    /// The folder holds `ca.pem`, `cert.pem` and `key.pem`.
    Tls {
        place: String,
        certificates: PathBuf,
    },
    Ssh {
        user: Option<String>,
        host: String,
        port: Option<u16>,
    },
}

/// Why no daemon can be had there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address of the Docker daemon (sandbox.docker_host): {what}; {remedy}")]
pub(crate) struct AddressError {
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl Address {
    /// With `certificates` a `tcp://` is spoken to by TLS; other kinds do not use them.
    pub(crate) fn parse(host: &str, certificates: Option<&Path>) -> Result<Self, AddressError> {
        if host.starts_with(NO_CONTEXT) {
            return Err(AddressError {
                what: format!("there is {host}"),
                remedy: "see `docker context ls`, or name the daemon itself in sandbox.docker_host"
                    .to_owned(),
            });
        }
        let other = || AddressError { what: format!("is {host:?}"), remedy: ALLOWED.to_owned() };
        if let Some(path) = host.strip_prefix("unix://") {
            return if path.is_empty() { Err(other()) } else { Ok(Self::Socket(host.to_owned())) };
        }
        let url = Url::parse(host).map_err(|_| other())?;
        if url.password().is_some() {
            let what = "has a password in it, which has no use here".to_owned();
            return Err(AddressError { what, remedy: ALLOWED.to_owned() });
        }
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let named = url.host_str().filter(|name| is_bare && is_name(name)).ok_or_else(other)?;
        match url.scheme() {
            "tcp" if url.username().is_empty() => tcp(&url, named, certificates),
            "ssh" => {
                let user = Some(url.username()).filter(|user| !user.is_empty()).map(str::to_owned);
                if user.as_deref().is_some_and(|user| !is_name(user)) {
                    return Err(other());
                }
                Ok(Self::Ssh { user, host: unbracketed(named).to_owned(), port: url.port() })
            }
            _ => Err(other()),
        }
    }

    /// Whether the daemon is taken to see this machine's files.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self, Self::Socket(_))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => f.write_str(address),
            Self::Tcp(place) | Self::Tls { place, .. } => write!(f, "tcp://{place}"),
            Self::Ssh { user, host, port } => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&bracketed(host))?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

fn tcp(url: &Url, named: &str, certificates: Option<&Path>) -> Result<Address, AddressError> {
    let usual = if certificates.is_some() { TLS_PORT } else { PORT };
    let place = format!("{named}:{}", url.port().unwrap_or(usual));
    match certificates {
        Some(folder) => Ok(Address::Tls { place, certificates: folder.to_owned() }),
        None if is_loopback(url) => Ok(Address::Tcp(place)),
        None => Err(AddressError {
            what: format!(
                "is \"tcp://{place}\" without certificates: whoever reaches that port is root there, and the code would \
                 go over the network for all to read"
            ),
            remedy: format!(
                "give the folder of its certificates (sandbox.docker_certificates, or DOCKER_TLS_VERIFY=1 and \
                 DOCKER_CERT_PATH), or name \"ssh://{named}\", or make a tunnel, `ssh -NL \
                 localhost:{PORT}:/var/run/docker.sock {named}`, and name \"tcp://localhost:{PORT}\""
            ),
        }),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Also what no program takes for an option of its own.
fn is_name(name: &str) -> bool {
    let is_sign = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(is_sign)
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(host: &str) -> Result<Address, AddressError> {
        Address::parse(host, None)
    }

    #[test]
    fn an_address_is_read_and_written_the_same() {
        let ssh = |user: Option<&str>, host: &str, port| Address::Ssh {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        };
        let certificates = Path::new("/certificates");
        let tls = |place: &str| Address::Tls { place: place.into(), certificates: certificates.into() };
        for (host, expected) in [
            (DEFAULT_HOST, Address::Socket(DEFAULT_HOST.into())),
            ("tcp://127.0.0.1:2375", Address::Tcp("127.0.0.1:2375".into())),
            ("tcp://localhost:1", Address::Tcp("localhost:1".into())),
            ("tcp://[::1]:1", Address::Tcp("[::1]:1".into())),
            ("ssh://build@Far_1.example:2222", ssh(Some("build"), "Far_1.example", Some(2222))),
            ("ssh://far", ssh(None, "far", None)),
            ("ssh://[fd00::1]", ssh(None, "fd00::1", None)),
        ] {
            let address = parsed(host).unwrap();
            assert_eq!(address, expected);
            assert_eq!(address.to_string(), host);
            assert_eq!(address.is_here(), host == DEFAULT_HOST);
        }
        for (host, place) in [
            ("tcp://10.0.0.1:1", "10.0.0.1:1"),
            ("tcp://far.example", "far.example:2376"),
            ("tcp://[fd00::1]/", "[fd00::1]:2376"),
            ("tcp://localhost", "localhost:2376"),
        ] {
            assert_eq!(Address::parse(host, Some(certificates)), Ok(tls(place)), "{host}");
        }
        let socket = Address::parse(DEFAULT_HOST, Some(certificates));
        assert_eq!(socket, Ok(Address::Socket(DEFAULT_HOST.into())), "a socket has no use for certificates");
    }

    #[test]
    fn what_all_could_read_is_refused_and_why() {
        for host in
            ["tcp://10.0.0.1:2375", "tcp://far.example", "tcp://localhost.far.example:1", "tcp://[fd00::1]:1"]
        {
            let error = parsed(host).unwrap_err().to_string();
            assert!(error.contains("whoever reaches that port is root there"), "{error}");
            assert!(error.contains("sandbox.docker_certificates") && error.contains("ssh -NL "), "{error}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for host in [
            "",
            "unix://",
            "/var/run/docker.sock",
            "tcp://",
            "tcp://:2375",
            "tcp://localhost:99999",
            "tcp://user@localhost:1",
            "tcp://localhost:1/v1.41",
            "http://localhost:1",
            "fd://",
            "npipe:////./pipe/docker_engine",
            "ssh://",
            "ssh://-oProxyCommand=id",
            "ssh://-oProxyCommand",
            "ssh://-x@far",
            "ssh://a%20b@far",
            "ssh://far/run/docker.sock",
            "ssh://fa%20r",
        ] {
            let error = parsed(host).expect_err(host);
            assert!(error.to_string().contains("allowed: \"unix://"), "{error}");
        }
        let error = parsed("ssh://me:hunter2@far").unwrap_err().to_string();
        assert!(error.contains("password") && !error.contains("hunter2"), "{error}");
        let error = parsed("no Docker context \"far\"").unwrap_err().to_string();
        assert!(error.contains("there is no Docker context \"far\"; see `docker context ls`"), "{error}");
    }
}
