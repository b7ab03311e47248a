//! Values that depend on the machine: the node's name, folders and files, and the secrets that stand in files.

use std::path::{Path, PathBuf};

use config::ValueKind;

use super::known::SERVERS;
use super::layers::Given;
use super::load::{Sources, Values};
use super::problem::{Origin, Problem};
use super::secret::{Secret, is_world_readable};
use super::sections::Settings;
use crate::docker;

const PATHS: [&str; 8] = [
    "audit.archive",
    "node.data_dir",
    "forge.token_file",
    "hive.key_file",
    "model.key_file",
    "escalation.auth_value_file",
    "swarm.key_file",
    "sandbox.docker_certificates",
];

/// Longest node name: it stands in container and reference names.
const MAX_NAME_BYTES: usize = 63;

/// What stands for the machine's own values while others are judged, or when it has none.
const PLACEHOLDERS: [(&str, &str); 2] = [("node.name", "node"), ("node.data_dir", "/")];

pub(super) fn put_placeholders(values: &mut Values) {
    for (key, value) in PLACEHOLDERS {
        if text(values, key).is_empty() {
            found_out(values, key, value.to_owned(), "not set");
        }
    }
}

/// Fills in what is left empty for the machine to say, and makes paths absolute.
pub(super) fn fill_in(values: &mut Values, sources: &Sources) -> Vec<Problem> {
    let mut problems = Vec::new();
    if text(values, "node.name").is_empty() {
        match valid_name(&sources.host_name) {
            Some(name) => found_out(values, "node.name", name, "host name"),
            None => {
                let what = format!("the host name {:?} makes no node name", sources.host_name);
                problems.push(Problem::general(what, "give the node a name: node.name"));
            }
        }
    }
    if text(values, "node.data_dir").is_empty() {
        match data_home(sources) {
            Some(folder) => {
                found_out(values, "node.data_dir", folder.display().to_string(), "user's data folder")
            }
            None => problems.push(Problem::general(
                "there is no home folder to keep the data in: HOME is not set",
                "give one: node.data_dir",
            )),
        }
    }
    find_daemon(values, sources);
    put_placeholders(values);
    for key in PATHS {
        if let Some(given) = values.get_mut(key)
            && let ValueKind::String(path) = &given.value
            && !path.is_empty()
        {
            given.value = ValueKind::String(absolute(path, &given.origin, sources).display().to_string());
        }
    }
    problems
}

/// The daemon of the `docker` command, and the certificates for it or for the one that is set.
fn find_daemon(values: &mut Values, sources: &Sources) {
    let variable = |name: &str| Some(sources.variable(name)?.to_str()?.to_owned());
    let set = text(values, "sandbox.docker_host");
    let (certificates, from) = if set.is_empty() {
        let Some(found) = docker::found_host(variable) else { return };
        found_out(values, "sandbox.docker_host", found.host, found.from);
        (found.certificates, found.from)
    } else {
        (docker::certificates_for(&set, variable), "DOCKER_TLS_VERIFY")
    };
    if let Some(folder) = certificates
        && text(values, "sandbox.docker_certificates").is_empty()
    {
        found_out(values, "sandbox.docker_certificates", folder.display().to_string(), from);
    }
}

fn text(values: &Values, key: &str) -> String {
    match values.get(key).map(|given| &given.value) {
        Some(ValueKind::String(text)) => text.clone(),
        _ => String::new(),
    }
}

fn found_out(values: &mut Values, key: &str, value: String, from: &'static str) {
    let given =
        Given { key: key.to_owned(), value: ValueKind::String(value), origin: Origin::FoundOut(from) };
    values.insert(key.to_owned(), given);
}

/// The host name with every character that a node name can't have replaced.
fn valid_name(host_name: &str) -> Option<String> {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = host_name.chars().map(allowed).collect();
    let name: String = name.trim_start_matches(['.', '-']).chars().take(MAX_NAME_BYTES).collect();
    (!name.is_empty()).then_some(name)
}

fn data_home(sources: &Sources) -> Option<PathBuf> {
    // A relative one is to be ignored, says the XDG base directory specification.
    let xdg = sources.variable("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || Some(Path::new(sources.variable("HOME")?).join(".local").join("share"));
    Some(xdg.or_else(home)?.join("bzzz"))
}

/// A path in a file is relative to the file's folder, any other to the working folder.
fn absolute(path: &str, origin: &Origin, sources: &Sources) -> PathBuf {
    if let (Some(rest), Some(home)) = (path.strip_prefix("~/"), sources.variable("HOME")) {
        return Path::new(home).join(rest);
    }
    let folder = match origin {
        Origin::File { path, .. } => path.parent().unwrap_or(&sources.working_dir),
        _ => &sources.working_dir,
    };
    folder.join(path)
}

/// Reads the secrets that stand in files. Of a secret and its file, the one that was given later counts; both at the
/// same place are a problem.
pub(super) fn read_secrets(
    settings: &mut Settings,
    values: &mut Values,
    sources: &Sources,
    warnings: &mut Vec<String>,
) -> Vec<Problem> {
    let pairs = [
        ("forge.token", "forge.token_file", &mut settings.forge.token, &settings.forge.token_file),
        ("hive.key", "hive.key_file", &mut settings.hive.key, &settings.hive.key_file),
        ("model.key", "model.key_file", &mut settings.model.key, &settings.model.key_file),
        (
            "escalation.auth_value",
            "escalation.auth_value_file",
            &mut settings.escalation.auth_value,
            &settings.escalation.auth_value_file,
        ),
    ];
    let mut problems = Vec::new();
    for (key, file_key, secret, file) in pairs {
        let (Some(given), Some(file_given)) = (values.get(key).cloned(), values.get(file_key).cloned())
        else {
            continue;
        };
        if secret.is_some() {
            warn_of_exposure(key, &given.origin, warnings);
        }
        let Some(file) = file else { continue };
        if secret.is_some() && given.origin.is_same_layer(&file_given.origin) {
            problems.push(Problem {
                keys: vec![(key.to_owned(), given.origin), (file_key.to_owned(), file_given.origin)],
                what: "both are set".to_owned(),
                allowed: "leave one of them out".to_owned(),
            });
            continue;
        }
        if secret.is_some() && given.origin > file_given.origin {
            continue;
        }
        match Secret::read(file) {
            Ok(read) => {
                *secret = Some(read);
                if is_world_readable(file) {
                    let file = file.display();
                    warnings.push(format!("{file_key}: every user can read {file}: chmod 600 {file}"));
                }
                if let Some(given) = values.get_mut(key) {
                    given.origin = file_given.origin;
                }
            }
            Err(problem) => problems.push(Problem::at(
                file_key,
                &file_given.origin,
                problem,
                "the file holds the secret and nothing else",
            )),
        }
    }
    problems.extend(read_server_keys(settings, values, sources, warnings));
    problems
}

/// The keys of the further model servers, which stand in files only: a variable can't name a table.
fn read_server_keys(
    settings: &mut Settings,
    values: &Values,
    sources: &Sources,
    warnings: &mut Vec<String>,
) -> Vec<Problem> {
    let Some(given) = values.get(SERVERS) else { return Vec::new() };
    let mut problems = Vec::new();
    for server in &mut settings.model.server {
        let Some(file) = &mut server.key_file else { continue };
        *file = absolute(&file.display().to_string(), &given.origin, sources);
        let key = format!("{SERVERS}[{}].key_file", server.url);
        if is_world_readable(file) {
            let file = file.display();
            warnings.push(format!("{key}: every user can read {file}: chmod 600 {file}"));
        }
        match Secret::read(file) {
            Ok(read) => server.key = Some(read),
            Err(problem) => {
                let allowed = "the file holds the key and nothing else";
                problems.push(Problem::at(&key, &given.origin, problem, allowed));
            }
        }
    }
    problems
}

fn warn_of_exposure(key: &str, origin: &Origin, warnings: &mut Vec<String>) {
    match origin {
        Origin::Flag => {
            warnings
                .push(format!("{key}: every user can see it in the list of processes: give it in a file"));
        }
        Origin::File { path, .. } if is_world_readable(path) => {
            let path = path.display();
            warnings.push(format!("{key}: every user can read {path}: chmod 600 {path}"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_a_node_name() {
        assert_eq!(valid_name("bee-1.example.org").as_deref(), Some("bee-1.example.org"));
        assert_eq!(valid_name("-.Anna's Mac").as_deref(), Some("Anna-s-Mac"));
        assert_eq!(valid_name(&"x".repeat(100)).map(|name| name.len()), Some(63));
        assert_eq!(valid_name("..."), None);
    }
}
