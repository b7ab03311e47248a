//! Which daemon the `docker` command would talk to. A node talks to the same one, unless its settings name another.
//!
//! In the order of precedence: `DOCKER_HOST`; the context named by `DOCKER_CONTEXT`; the one named by `currentContext` in
//! `config.json` of the folder `DOCKER_CONFIG`, without that `~/.docker`; the usual socket. The context `default` stands
//! for the last.

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

/// What was found where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundHost {
    /// The address of a daemon; or, after [`NO_CONTEXT`], the name of a context that is not there.
    pub(crate) host: String,
    pub(crate) from: &'static str,
}

/// Begins what stands for the address of a daemon that can't be found out. No address begins so.
pub(crate) const NO_CONTEXT: &str = "no Docker context ";

/// `None`: the usual socket. `variable` reads the environment; a variable that is empty is none.
pub(crate) fn found_host(variable: impl Fn(&str) -> Option<String>) -> Option<FoundHost> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(host) = variable("DOCKER_HOST") {
        return Some(FoundHost { host, from: "DOCKER_HOST" });
    }
    let of_user = || variable("HOME").map(|home| Path::new(&home).join(".docker"));
    let folder = variable("DOCKER_CONFIG").map(PathBuf::from).or_else(of_user);
    let (name, from) = match variable("DOCKER_CONTEXT") {
        Some(name) => (name, "DOCKER_CONTEXT"),
        None => (current_context(folder.as_deref()?)?, "current Docker context"),
    };
    if name == DEFAULT_CONTEXT {
        return None;
    }
    let host =
        folder.and_then(|folder| host_of(&folder, &name)).unwrap_or_else(|| format!("{NO_CONTEXT}{name:?}"));
    Some(FoundHost { host, from })
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
}

/// Each context has a folder, named by a hash of the context's name; the file in it says the name itself.
fn host_of(folder: &Path, name: &str) -> Option<String> {
    let contexts = fs::read_dir(folder.join("contexts").join("meta")).ok()?;
    let found = contexts.take(MAX_CONTEXTS).filter_map(Result::ok);
    let contexts = found.filter_map(|entry| read::<Context>(&entry.path().join("meta.json")));
    let context = contexts.into_iter().find(|context| context.name == name)?;
    Some(context.endpoints.docker?.host).filter(|host| !host.is_empty())
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

        fn found(&self) -> Option<(String, &'static str)> {
            let value =
                |name: &str| self.set.iter().find(|(it, _)| *it == name).map(|(_, value)| value.clone());
            found_host(value).map(|found| (found.host, found.from))
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
}
