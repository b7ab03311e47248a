//! What a client asks the proxy for: the head of an HTTP request, which may be anything.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Clients send a handful.
const MAX_HEADERS: usize = 64;

/// How much of a host that is not allowed is shown and recorded: it is whatever a command wrote.
const MAX_SHOWN_BYTES: usize = 100;

/// A request whose head is whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) asked: Asked,
    /// What came behind the head.
    pub(super) early: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// `CONNECT host:port`.
    Connect(Target),
    /// Another method, such as the `GET http://…` of a client that has a proxy for plain http.
    Other(Target),
}

/// Bounded, and free of all that could not stand in a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRequest {
    /// The client went away before it had asked.
    Gone,
    TooLong,
    NotHttp,
}

pub(super) async fn read(
    client: &mut (impl AsyncRead + Unpin),
    max_head_bytes: usize,
) -> Result<Request, NoRequest> {
    let mut head = Vec::with_capacity(1024);
    let mut piece = [0; 1024];
    loop {
        match client.read(&mut piece).await {
            Ok(0) | Err(_) => return Err(NoRequest::Gone),
            Ok(read) => head.extend_from_slice(&piece[..read]),
        }
        if let Some(request) = parse(&head)? {
            return Ok(request);
        }
        if head.len() > max_head_bytes {
            return Err(NoRequest::TooLong);
        }
    }
}

/// `None` when more is needed.
fn parse(head: &[u8]) -> Result<Option<Request>, NoRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(head) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(NoRequest::TooLong),
        Err(_) => return Err(NoRequest::NotHttp),
    };
    let path = request.path.unwrap_or_default();
    let asked = match request.method {
        Some("CONNECT") => Asked::Connect(authority(path).ok_or(NoRequest::NotHttp)?),
        _ => Asked::Other(of_url(path)),
    };
    Ok(Some(Request { asked, early: head[length..].to_vec() }))
}

/// `host:port`, the host of an IPv6 address in brackets.
fn authority(text: &str) -> Option<Target> {
    let (host, port) = text.rsplit_once(':')?;
    let is_digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|_| is_digits)?;
    (!host.is_empty()).then(|| Target { host: shown(host), port })
}

fn of_url(text: &str) -> Target {
    let url = url::Url::parse(text).ok();
    let host = url.as_ref().and_then(|url| url.host_str()).map(shown).unwrap_or_default();
    Target { host, port: url.and_then(|url| url.port_or_known_default()).unwrap_or_default() }
}

/// A longer one, or one with other signs in it, is no name: what is left of it is for people.
fn shown(host: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    host.chars().map(|c| if is_plain(c) { c } else { '?' }).take(MAX_SHOWN_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(bytes: &str) -> Result<Request, NoRequest> {
        read(&mut bytes.as_bytes(), 8192).await
    }

    fn target(host: &str, port: u16) -> Target {
        Target { host: host.to_owned(), port }
    }

    #[tokio::test]
    async fn what_comes_behind_the_head_is_kept() {
        let request =
            asked("CONNECT crates.io:443 HTTP/1.1\r\nHost: crates.io:443\r\n\r\n\x16\x03").await.unwrap();
        assert_eq!(request.asked, Asked::Connect(target("crates.io", 443)));
        assert_eq!(request.early, b"\x16\x03");
    }

    #[tokio::test]
    async fn plain_http_is_told_from_a_tunnel() {
        let request = asked("GET http://pypi.org/simple HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(request.asked, Asked::Other(target("pypi.org", 80)));
        assert_eq!(asked("GET /x HTTP/1.1\r\n\r\n").await.unwrap().asked, Asked::Other(target("", 0)));
    }

    #[tokio::test]
    async fn hosts_that_are_no_names_are_shown_harmlessly() {
        let request = asked("CONNECT [::1]:443 HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(request.asked, Asked::Connect(target("[::1]", 443)));
        let request = asked("CONNECT a@b%0a:443 HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(request.asked, Asked::Connect(target("a?b?0a", 443)));
        let long = format!("CONNECT {}:443 HTTP/1.1\r\n\r\n", "a".repeat(3000));
        assert_eq!(asked(&long).await.unwrap().asked, Asked::Connect(target(&"a".repeat(100), 443)));
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for bad in [
            "\x16\x03\x01\x02\x00\x01\r\n\r\n",
            "CONNECT crates.io HTTP/1.1\r\n\r\n",
            "CONNECT :443 HTTP/1.1\r\n\r\n",
            "CONNECT crates.io:+443 HTTP/1.1\r\n\r\n",
            "CONNECT crates.io:70000 HTTP/1.1\r\n\r\n",
            "CONNECT crates.io:443 crates.io HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(asked(bad).await, Err(NoRequest::NotHttp), "{bad:?}");
        }
        assert_eq!(asked("").await, Err(NoRequest::Gone));
        assert_eq!(asked("CONNECT crates.io:443 HTTP/1.1\r\nHost:").await, Err(NoRequest::Gone));
        let endless = format!("CONNECT crates.io:443 HTTP/1.1\r\nX: {}", "a".repeat(20_000));
        assert_eq!(asked(&endless).await, Err(NoRequest::TooLong));
        let many = format!("CONNECT a.b:443 HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
        assert_eq!(asked(&many).await, Err(NoRequest::TooLong));
    }
}
