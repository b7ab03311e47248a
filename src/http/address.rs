//! The address of an outside system, checked before anything is sent there.

use reqwest::Url;

/// An adapter can't be made from its options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    #[error("the address {given:?} {problem}")]
    Address { given: String, problem: &'static str },
    /// `what` names the secret; its value is never part of an error.
    #[error("the {what} has a character that can't stand in a header")]
    Secret { what: &'static str },
    #[error("{what} is not a header's name")]
    HeaderName { what: String },
    #[error("no HTTP client for {address}: {problem}")]
    Client { address: String, problem: String },
}

/// Where `http://` is accepted. What is sent over it can be read and changed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlainHttp {
    /// For systems that stand in a local network without certificates, as Ollama, Hive and N8N commonly do.
    Anywhere,
    /// For the forge, whose token opens the repositories.
    LoopbackOnly,
}

/// `http` or `https`, a host, perhaps a path; no credential, query or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl(Url);

impl BaseUrl {
    pub(crate) fn parse(text: &str, plain: PlainHttp) -> Result<Self, SetupError> {
        let refused = |problem| SetupError::Address { given: shown(text), problem };
        let url = Url::parse(text).map_err(|_| refused("is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("has a user name or password in it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("has a query or a fragment"));
        }
        let base = Self(url);
        match (base.0.scheme(), plain) {
            ("https", _) | ("http", PlainHttp::Anywhere) => Ok(base),
            ("http", PlainHttp::LoopbackOnly) if base.is_loopback() => Ok(base),
            ("http", PlainHttp::LoopbackOnly) => Err(refused(
                "is plain http to another machine, which would show the token on the way: use https",
            )),
            _ => Err(refused("has a scheme other than http or https")),
        }
    }

    /// What is sent there does not leave this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The address of what lies under it; each segment is percent-encoded, so that none can climb out.
    pub(crate) fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

/// The address as it may be shown: whatever stands before an `@` could be a password.
fn shown(text: &str) -> String {
    let after_credentials = text.rsplit_once('@').map_or(text, |(_, host)| host);
    after_credentials.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_over_plain_http_to_this_machine_only() {
        for near in
            ["http://127.0.0.1:3000", "http://localhost/api/v3", "http://[::1]:1", "https://forge.example"]
        {
            assert!(BaseUrl::parse(near, PlainHttp::LoopbackOnly).is_ok(), "{near}");
        }
        for far in
            ["http://10.0.0.1", "http://forge.example", "http://127.0.0.1.example", "ftp://localhost", "x"]
        {
            assert!(BaseUrl::parse(far, PlainHttp::LoopbackOnly).is_err(), "{far}");
        }
        assert!(BaseUrl::parse("http://gpu.lan:11434", PlainHttp::Anywhere).is_ok());
    }

    #[test]
    fn an_error_does_not_repeat_a_password() {
        let error = BaseUrl::parse("https://ann:hunter2@forge.example", PlainHttp::Anywhere).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn segments_can_not_climb_out_of_the_base() {
        let base = BaseUrl::parse("https://h/api/v3/", PlainHttp::LoopbackOnly).unwrap();
        assert_eq!(
            base.join(&["repos", "a/../b", "c?d"]).as_str(),
            "https://h/api/v3/repos/a%2F..%2Fb/c%3Fd"
        );
        assert_eq!(base.as_str(), "https://h/api/v3");
    }
}
