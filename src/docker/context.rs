//! Which daemon the `docker` command would talk to. A node talks to the same one, unless its settings name another.
//!
//! In the order of precedence: `DOCKER_HOST`; the context named by `DOCKER_CONTEXT`; the one named by `currentContext` in
//! `config.json` of the folder `DOCKER_CONFIG`, without that `~/.docker`; the usual socket. The context `default` stands
//! for the last.
//!
//! A daemon on another machine has certificates: with `DOCKER_HOST` those of the folder `DOCKER_CERT_PATH`, where
//! `DOCKER_TLS_VERIFY` asks for them; with a context its own.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Of the files of the `docker` command; they have some hundred bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Contexts that are looked through.
const MAX_CONTEXTS: usize = 1000;

const DEFAULT_CONTEXT: &str = "default";

const TCP: &str = "tcp://";

/// What was found where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundHost {
    /// The address of a daemon; or, after [`NO_CONTEXT`], the name of a context that is not there.
    pub(crate) host: String,
    /// The folder of them, for a `tcp://`.
    pub(crate) certificates: Option<PathBuf>,
    pub(crate) from: &'static str,
}

/// Begins what stands for the address of a daemon that can't be found out, or not be used. No address begins so.
pub(crate) const NO_CONTEXT: &str = "no Docker context ";

/// `None`: the usual socket. `variable` reads the environment; a variable that is empty is none.
pub(crate) fn found_host(variable: impl Fn(&str) -> Option<String>) -> Option<FoundHost> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(host) = variable("DOCKER_HOST") {
        let certificates = certificates_for(&host, variable);
        return Some(FoundHost { host, certificates, from: "DOCKER_HOST" });
    }
    let folder = configuration_folder(variable);
    let (name, from) = match variable("DOCKER_CONTEXT") {
        Some(name) => (name, "DOCKER_CONTEXT"),
        None => (current_context(folder.as_deref()?)?, "current Docker context"),
    };
    if name == DEFAULT_CONTEXT {
        return None;
    }
    let (host, certificates) = folder
        .and_then(|folder| endpoint_of(&folder, &name))
        .unwrap_or_else(|| (format!("{NO_CONTEXT}{name:?}"), None));
    Some(FoundHost { host, certificates, from })
}

/// The folder of the certificates that the `docker` command would use for a daemon that is named to it.
pub(crate) fn certificates_for(host: &str, variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    if !host.starts_with(TCP) || variable("DOCKER_TLS_VERIFY").is_none() {
        return None;
    }
    variable("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| configuration_folder(variable))
}

fn configuration_folder(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let of_user = || variable("HOME").map(|home| Path::new(&home).join(".docker"));
    variable("DOCKER_CONFIG").map(PathBuf::from).or_else(of_user)
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default, rename = "currentContext")]
    current_context: String,
}

fn current_context(folder: &Path) -> Option<String> {
    let configuration: Configuration = read(&folder.join("config.json"))?;
    Some(configuration.current_context).filter(|name| !name.is_empty())
}

#[derive(Deserialize)]
struct Context {
    #[serde(rename = "Name")]
    name: String,
    #[serde(default, rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host")]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// Each context has a folder, named by a hash of the context's name; the file in it says the name itself. Certificates are in
/// another folder of the same name.
fn endpoint_of(folder: &Path, name: &str) -> Option<(String, Option<PathBuf>)> {
    let folder = folder.join("contexts");
    let contexts = fs::read_dir(folder.join("meta")).ok()?;
    let mut found = contexts.take(MAX_CONTEXTS).filter_map(Result::ok);
    let (id, endpoint) = found.find_map(|entry| {
        let context = read::<Context>(&entry.path().join("meta.json"))?;
        (context.name == name).then_some((entry.file_name(), context.endpoints.docker?))
    })?;
    if endpoint.host.is_empty() {
        return None;
    }
    if !endpoint.host.starts_with(TCP) {
        return Some((endpoint.host, None));
    }
    if endpoint.skip_tls_verify {
        // Anybody on the way could answer in the daemon's place.
        return Some((format!("{NO_CONTEXT}{name:?} whose daemon is verified (it has SkipTLSVerify)"), None));
    }
    let certificates = folder.join("tls").join(id).join("docker");
    Some((endpoint.host, Some(certificates).filter(|folder| folder.is_dir())))
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Machine {
        home: tempfile::TempDir,
        set: Vec<(&'static str, String)>,
    }

    impl Machine {
        /// Its user has a context "rootless", which is not the current one.
        fn new(set: &[(&'static str, &str)]) -> Self {
            let home = tempfile::tempdir().unwrap();
            let meta = home.path().join(".docker/contexts/meta/0123abcd");
            fs::create_dir_all(&meta).unwrap();
            let text = r#"{"Name":"rootless","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///run/user/1000/docker.sock","SkipTLSVerify":false}}}"#;
            fs::write(meta.join("meta.json"), text).unwrap();
            let mut set: Vec<_> = set.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            set.push(("HOME", home.path().display().to_string()));
            Self { home, set }
        }

        fn with_current(self, text: &str) -> Self {
            fs::write(self.home.path().join(".docker/config.json"), text).unwrap();
            self
        }

        /// Another context.
        fn with_context(self, id: &str, name: &str, endpoint: &str) -> Self {
            let meta = self.home.path().join(".docker/contexts/meta").join(id);
            fs::create_dir_all(&meta).unwrap();
            let text = format!(r#"{{"Name":"{name}","Endpoints":{{"docker":{endpoint}}}}}"#);
            fs::write(meta.join("meta.json"), text).unwrap();
            self
        }

        fn whole(&self) -> Option<FoundHost> {
            let value =
                |name: &str| self.set.iter().find(|(it, _)| *it == name).map(|(_, value)| value.clone());
            found_host(value)
        }

        fn found(&self) -> Option<(String, &'static str)> {
            self.whole().map(|found| (found.host, found.from))
        }

        fn certificates(&self) -> Option<PathBuf> {
            self.whole().unwrap().certificates
        }
    }

    const ROOTLESS: &str = "unix:///run/user/1000/docker.sock";

    #[test]
    fn the_first_that_says_something_counts() {
        let current = r#"{"auths":{},"currentContext":"rootless"}"#;
        let found = |set: &[(&'static str, &str)]| Machine::new(set).with_current(current).found();
        assert_eq!(
            found(&[("DOCKER_HOST", "unix:///x"), ("DOCKER_CONTEXT", "rootless")]),
            Some(("unix:///x".into(), "DOCKER_HOST"))
        );
        assert_eq!(found(&[("DOCKER_CONTEXT", "rootless")]), Some((ROOTLESS.into(), "DOCKER_CONTEXT")));
        assert_eq!(found(&[("DOCKER_CONTEXT", "default")]), None);
        assert_eq!(found(&[("DOCKER_HOST", "")]), Some((ROOTLESS.into(), "current Docker context")));
        assert_eq!(found(&[("DOCKER_CONFIG", "/nowhere")]), None);
    }

    #[test]
    fn without_anything_it_is_the_usual_socket() {
        assert_eq!(Machine::new(&[]).found(), None);
        for text in ["{}", r#"{"currentContext":""}"#, r#"{"currentContext":"default"}"#, "no json"] {
            assert_eq!(Machine::new(&[]).with_current(text).found(), None, "{text}");
        }
        assert_eq!(found_host(|_| None), None);
    }

    #[test]
    fn a_context_that_is_not_there_is_not_passed_over() {
        let machine = Machine::new(&[("DOCKER_CONTEXT", "far")]);
        assert_eq!(machine.found(), Some(("no Docker context \"far\"".into(), "DOCKER_CONTEXT")));
    }
    #[test]
    fn certificates_come_with_the_daemon_that_they_are_for() {
        let tcp = ("DOCKER_HOST", "tcp://far:2376");
        let (verify, path) = (("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/certificates"));
        assert_eq!(Machine::new(&[tcp, verify, path]).certificates(), Some("/certificates".into()));
        assert_eq!(Machine::new(&[tcp, path]).certificates(), None);
        assert_eq!(Machine::new(&[("DOCKER_HOST", "ssh://far"), verify, path]).certificates(), None);
        let machine = Machine::new(&[tcp, verify]);
        assert_eq!(machine.certificates(), Some(machine.home.path().join(".docker")));
        let machine = Machine::new(&[tcp, verify, ("DOCKER_CONFIG", "/configuration")]);
        assert_eq!(machine.certificates(), Some("/configuration".into()));

        let far = r#"{"Host":"tcp://far:2376","SkipTLSVerify":false}"#;
        // Those of the environment are another daemon's.
        let machine =
            || Machine::new(&[("DOCKER_CONTEXT", "far"), verify, path]).with_context("0f", "far", far);
        assert_eq!(machine().certificates(), None);
        let machine = machine();
        let own = machine.home.path().join(".docker/contexts/tls/0f/docker");
        fs::create_dir_all(&own).unwrap();
        assert_eq!(machine.certificates(), Some(own));
    }

    #[test]
    fn a_context_that_verifies_nothing_is_refused() {
        let machine = |host: &str| {
            let endpoint = format!(r#"{{"Host":"{host}","SkipTLSVerify":true}}"#);
            Machine::new(&[("DOCKER_CONTEXT", "far")]).with_context("0f", "far", &endpoint)
        };
        let (host, _) = machine("tcp://far:2376").found().unwrap();
        assert_eq!(host, "no Docker context \"far\" whose daemon is verified (it has SkipTLSVerify)");
        assert_eq!(machine("unix:///x").found().unwrap().0, "unix:///x");
    }
}
