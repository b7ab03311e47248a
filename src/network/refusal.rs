//! What a client is told that gets no connection: an HTTP answer whose words a model understands. Most programs show the
//! status line alone, so that it says all that fits.

use std::fmt::Write;

use super::host::HostName;
use super::request::Target;

/// How much of the reason stands in the status line.
const MAX_REASON_BYTES: usize = 240;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    NotHttp,
    HeadTooLong,
    HeadTooSlow,
    TooMany {
        most: usize,
    },
    /// Another method than CONNECT.
    Plain(Target),
    Port(Target),
    Host(Target),
    /// The name leads to addresses that are not of the public internet.
    NotPublic(HostName),
    UsedUp {
        most: u64,
    },
    /// The connection was allowed and could not be made.
    Unreachable {
        host: HostName,
        why: String,
    },
}

impl Refusal {
    fn status(&self) -> u16 {
        match self {
            Self::NotHttp => 400,
            Self::HeadTooSlow => 408,
            Self::HeadTooLong => 431,
            Self::TooMany { .. } => 503,
            Self::Unreachable { .. } => 502,
            Self::Plain(_) | Self::Port(_) | Self::Host(_) | Self::NotPublic(_) | Self::UsedUp { .. } => 403,
        }
    }

    pub(super) fn why(&self) -> String {
        match self {
            Self::NotHttp => "this is no request that a proxy understands".to_owned(),
            Self::HeadTooLong => "the head of the request is too long".to_owned(),
            Self::HeadTooSlow => "no request came in time".to_owned(),
            Self::TooMany { most } => {
                format!("more than {most} connections at once: wait until others are closed, and try again")
            }
            Self::Plain(target) => {
                format!("plain http to {} is not allowed for this repository, only https", name(target))
            }
            Self::Port(target) => {
                format!(
                    "network access to {} is not allowed for this repository, only port 443 is",
                    name(target)
                )
            }
            Self::Host(target) => {
                format!("network access to {} is not allowed for this repository", name(target))
            }
            Self::NotPublic(host) => {
                format!("network access to {host}:443 is not allowed: the name leads to no public address")
            }
            Self::UsedUp { most } => {
                format!(
                    "no more network access for this sandbox: the {most} bytes that it may transfer are used up"
                )
            }
            Self::Unreachable { host, why } => {
                format!("{host}:443 is allowed, but could not be reached: {why}")
            }
        }
    }

    /// The whole answer; the connection ends with it.
    pub(super) fn answer(&self, allowed: &[HostName]) -> Vec<u8> {
        let why = self.why();
        let hosts: Vec<_> = allowed.iter().map(HostName::as_str).collect();
        let mut body = why.clone();
        if self.status() == 403 {
            let _ = write!(body, "; allowed hosts: {} (https only)", hosts.join(", "));
        }
        body += "; work without it\n";
        let reason: String = body.chars().filter(|c| matches!(c, ' '..='~')).take(MAX_REASON_BYTES).collect();
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: \
             close\r\n\r\n{body}",
            self.status(),
            body.len(),
        )
        .into_bytes()
    }
}

fn name(target: &Target) -> String {
    match (target.host.as_str(), target.port) {
        ("", _) => "that".to_owned(),
        (host, port) => format!("{host}:{port}"),
    }
}
