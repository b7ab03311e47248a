//! The git server: its address, the token, and what its failures mean.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bzzz_actors::task::RepoId;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::command::Run;
use crate::http::{BaseUrl, PlainHttp, SetupError};

/// Variables that say how to get out of this network and whom to trust there. Commands that go to another machine get
/// them as this process has them.
const PASSED_ON: [&str; 8] = [
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

#[derive(Debug, Clone)]
enum Place {
    /// `https`, or `http` on this machine.
    Http(BaseUrl),
    /// A folder of bare repositories.
    Folder(Url),
}

#[derive(Debug, Clone)]
pub(super) struct Remote {
    place: Place,
    /// base64 of `user:token`, as it stands in the header.
    credential: Option<SecretString>,
    token: Option<SecretString>,
}

impl Remote {
    pub(super) fn new(
        git_url: &str,
        token: Option<SecretString>,
        allow_file: bool,
    ) -> Result<Self, SetupError> {
        let place = match Url::parse(git_url) {
            Ok(url) if url.scheme() == "file" && allow_file => Place::Folder(url),
            _ => Place::Http(BaseUrl::parse(git_url, PlainHttp::LoopbackOnly)?),
        };
        let is_header = |t: &SecretString| t.expose_secret().chars().all(|c| matches!(c, '!'..='~'));
        if token.as_ref().is_some_and(|token| !is_header(token)) {
            return Err(SetupError::Secret { what: "forge's token" });
        }
        let encoded =
            |t: &SecretString| BASE64_STANDARD.encode(format!("x-access-token:{}", t.expose_secret())).into();
        Ok(Self { place, credential: token.as_ref().map(encoded), token })
    }

    pub(super) fn url(&self, repo: &RepoId) -> String {
        let base = match &self.place {
            Place::Http(base) => base.as_str(),
            Place::Folder(url) => url.as_str().trim_end_matches('/'),
        };
        format!("{base}/{repo}.git")
    }

    /// Lets a command speak to this server, and to no other.
    pub(super) fn allow(&self, run: Run) -> Run {
        let base = match &self.place {
            Place::Folder(_) => return run.config("protocol.file.allow", "always"),
            Place::Http(base) => base,
        };
        let scheme = if base.is_https() { "https" } else { "http" };
        let mut run = run
            .config(format!("protocol.{scheme}.allow"), "always")
            // A repository that was renamed would be found under its old name too, and be claimed under both.
            .config("http.followRedirects", "false")
            // Silence ends a transfer long before the command's own time does.
            .config("http.lowSpeedLimit", "1")
            .config("http.lowSpeedTime", "60");
        if let (Some(credential), Some(token)) = (&self.credential, &self.token) {
            run = run
                .config(
                    format!("http.{}/.extraHeader", base.as_str()),
                    format!("Authorization: Basic {}", credential.expose_secret()),
                )
                .secret(credential.expose_secret())
                .secret(token.expose_secret());
        }
        if base.is_loopback() {
            return run.env("no_proxy", "*");
        }
        PASSED_ON.into_iter().fold(run, |run, name| match std::env::var_os(name) {
            Some(value) => run.env(name, value),
            None => run,
        })
    }
}

/// Lets a command read a repository of this host's, at the address that is returned.
pub(super) fn allow_local(run: Run, repository: &Path) -> (Run, String) {
    let url = Url::from_file_path(repository).map_or_else(|()| String::new(), |url| url.to_string());
    (run.config("protocol.file.allow", "always"), url)
}

/// What git's words on standard error mean. They are in English: `LC_ALL` is C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The token may not, or there is no such repository, which a forge does not tell apart.
    Denied,
    /// The network, the server or this disk: may pass.
    Passing,
    Other,
}

pub(super) fn is_disk_full(stderr: &str) -> bool {
    ["No space left on device", "Disk quota exceeded"].iter().any(|words| stderr.contains(words))
}

/// This host has too little of something just now, or the disk does not take what is written.
pub(super) fn is_host_trouble(text: &str) -> bool {
    let words = [
        "Out of memory",
        "out of memory",
        "malloc failed",
        "unable to create thread",
        "unable to create threaded",
        "cannot fork",
        "Cannot fork",
        "Resource temporarily unavailable",
        "Too many open files",
        "Read-only file system",
        // These come with no other word of the reason.
        "failed to write",
        "could not write",
        "unable to write",
        "couldn't write",
        "couldn't close",
        "unable to append",
        "write error",
        "write failure",
        "unable to create temporary file",
        "Input/output error",
    ];
    is_disk_full(text) || words.iter().any(|words| text.contains(words))
}

/// Git's own words: without the addresses, paths and names in them, which may contain any word.
fn own_words(stderr: &str) -> String {
    let is_gits = |token: &&str| !token.contains('/');
    let unquoted = |line: &str| line.split('\'').step_by(2).collect::<Vec<_>>().join("''");
    let lines = stderr.lines().map(unquoted);
    let words = lines.map(|line| line.split(' ').filter(is_gits).collect::<Vec<_>>().join(" "));
    words.collect::<Vec<_>>().join("\n").to_ascii_lowercase()
}

pub(super) fn failure_of(stderr: &str) -> Failure {
    let text = own_words(stderr);
    let says = |words: &[&str]| words.iter().any(|w| text.contains(w));
    if is_host_trouble(stderr) || says(&["error: 408", "error: 429"]) {
        return Failure::Passing;
    }
    let denied = [
        "authentication failed",
        "could not read username",
        "could not read password",
        "invalid credentials",
        "returned error: 3",
        "returned error: 4",
        "remote: permission to",
        "remote: permission denied",
        "remote: access denied",
        "remote: write access",
        "repository not found",
        "'' not found",
        "does not appear to be a git repository",
        "repository does not exist",
        "redirects are not followed",
        "unable to update url base from redirection",
        "does not support --atomic",
    ];
    if says(&denied) {
        return Failure::Denied;
    }
    let passing = [
        "unable to access",
        "could not resolve",
        "failed to connect to",
        "couldn't connect to",
        "connection reset",
        "connection refused",
        "connection timed out",
        "connection was",
        "timed out",
        "hung up",
        "early eof",
        "rpc failed",
        "returned error: 5",
        "unexpected disconnect",
        "ssl_",
        "ssl connect",
        "gnutls",
        "tls connect",
        "curl 1",
        "curl 2",
        "curl 3",
        "curl 5",
        "curl 9",
        "internal server error",
        // A lock that a killed git left is removed once it is old.
        "another git process seems to be running",
    ];
    if says(&passing) { Failure::Passing } else { Failure::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_sent_to_https_or_this_machine_and_never_shown() {
        let made = |url: &str, allow_file| Remote::new(url, Some("t0ken".to_owned().into()), allow_file);
        assert!(made("http://forge.example", false).is_err());
        assert!(made("file:///srv", false).is_err());
        assert!(made("ssh://git@forge.example", true).is_err());
        let remote = made("https://forge.example/", false).unwrap();
        assert_eq!(remote.url(&"a/b".parse().unwrap()), "https://forge.example/a/b.git");
        let run = format!("{remote:?}");
        assert!(!run.contains("t0ken"), "{run}");
        assert!(Remote::new("https://forge.example", Some("a b".to_owned().into()), false).is_err());
    }

    #[test]
    fn gits_words_are_told_apart() {
        let cases = [
            ("fatal: Authentication failed for 'https://h/a/b.git/'", Failure::Denied),
            (
                "remote: Repository not found.\nfatal: repository 'https://h/a/b.git/' not found",
                Failure::Denied,
            ),
            ("fatal: unable to access 'https://h/': The requested URL returned error: 403", Failure::Denied),
            ("fatal: unable to access 'https://h/': The requested URL returned error: 503", Failure::Passing),
            ("fatal: unable to access 'https://h/': The requested URL returned error: 429", Failure::Passing),
            ("fatal: unable to access 'https://h/': Could not resolve host: h", Failure::Passing),
            ("error: RPC failed; curl 56 GnuTLS recv error", Failure::Passing),
            ("fatal: write error: No space left on device", Failure::Passing),
            ("fatal: the remote end hung up unexpectedly", Failure::Passing),
            ("fatal: bad object HEAD", Failure::Other),
            (
                "fatal: unable to access 'https://h/johngodley/redirection.git/': Could not resolve host: h",
                Failure::Passing,
            ),
            ("error: https://h/openssl/openssl.git did not send all necessary objects", Failure::Other),
            ("error: object file /d/mirrors/curl/curl.git/objects/1a/2b is empty", Failure::Other),
            ("remote: Permission to a/b.git denied to user.", Failure::Denied),
            ("fatal: write error: Permission denied", Failure::Passing),
            ("error: failed to write new configuration file /d/w1/objects.git/config.lock", Failure::Passing),
            (
                "error: cannot lock ref 'refs/heads/x': Unable to create '/d/x.lock': File exists.; ; Another git \
                 process seems to be running in this repository, e.g.",
                Failure::Passing,
            ),
            (
                "fatal: update_ref failed for ref 'refs/heads/work': cannot update ref 'refs/heads/work': couldn't \
                 write '/d/objects.git/refs/heads/work.lock'",
                Failure::Passing,
            ),
            ("fatal: Out of memory, malloc failed (tried to allocate 10 bytes)", Failure::Passing),
        ];
        for (text, expected) in cases {
            assert_eq!(failure_of(text), expected, "{text}");
        }
    }
}
