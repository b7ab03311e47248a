//! The addresses of outside systems: http or https, and no credential inside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// A URL with the scheme http or https and a host, without user name, password or fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpUrl(Url);

impl HttpUrl {
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The URL without a slash at its end, so that a path that begins with one can follow.
    pub fn base(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// What is sent there does not leave this machine.
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }
}

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("has the scheme {:?}, not http or https", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has a user name or password in it, which would be shown in logs".to_owned());
        }
        if url.fragment().is_some() {
            return Err("has a fragment (#…), which is never sent".to_owned());
        }
        Ok(Self(url))
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.path() == "/" { self.base() } else { self.0.as_str() })
    }
}

impl TryFrom<String> for HttpUrl {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<HttpUrl> for String {
    fn from(url: HttpUrl) -> String {
        url.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> HttpUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_base_takes_a_path() {
        assert_eq!(url("https://api.github.com").base(), "https://api.github.com");
        assert_eq!(url("https://h/api/v3/").base(), "https://h/api/v3");
        assert_eq!(url("https://api.github.com").to_string(), "https://api.github.com");
    }

    #[test]
    fn loopback_is_what_stays_on_the_machine() {
        for near in ["http://localhost:1", "http://127.0.0.1", "http://127.9.9.9/x", "http://[::1]:3"] {
            assert!(url(near).is_loopback(), "{near}");
        }
        for far in ["http://localhost.example", "http://10.0.0.1", "http://[::2]", "http://127.0.0.1.example"]
        {
            assert!(!url(far).is_loopback(), "{far}");
        }
    }

    #[test]
    fn other_schemes_and_credentials_are_refused() {
        for bad in [
            "",
            "github.com",
            "ftp://h",
            "file:///etc",
            "https://u:p@h",
            "https://u@h",
            "https://h/#x",
            "http://",
        ] {
            assert!(bad.parse::<HttpUrl>().is_err(), "{bad}");
        }
        assert!(!"https://u:hunter2@h".parse::<HttpUrl>().unwrap_err().contains("hunter2"));
    }
}
