//! Whether everything that a node needs is there, asked without being one: nothing is claimed, written or removed, and a
//! node that runs meanwhile notices nothing.

mod swarm;

use bzzz_actors::ports::forge::{Forge, ForgeError};
use bzzz_actors::ports::hive::HiveError;
use bzzz_actors::reasoner_actor::{ModelServer, choose, missing};
use futures_util::future::join_all;

use super::{adapters, sandboxes};
use crate::git::installed_version;
use crate::journal::{JournalOpenError, JournalReader};
use crate::network;
use crate::settings::{SandboxBackend, Settings};

/// Fewer parameters, in thousands of millions, almost never bring a task to its end.
const SMALL_MODEL: f64 = 5.0;

/// How well a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Well,
    /// The node runs, but not as one would like.
    Doubtful,
    /// The node does not run, or its tasks wait.
    Ill,
}

/// What was found of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub part: String,
    pub health: Health,
    /// What it is, or what is wrong and what to do.
    pub text: String,
}

impl Finding {
    fn new(part: impl Into<String>, health: Health, text: impl ToString) -> Self {
        Self { part: part.into(), health, text: text.to_string() }
    }
}

/// Looks at every part, in the order in which a node needs them.
pub async fn examine(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![data_folder(settings), git().await, sandbox(settings).await];
    findings.extend(forge(settings).await);
    findings.extend(models(settings).await);
    findings.extend(hive(settings).await);
    findings.extend(swarm::examine(settings));
    findings
}

fn data_folder(settings: &Settings) -> Finding {
    let folder = &settings.node.data_dir;
    let shown = folder.display();
    if !folder.exists() {
        return Finding::new("data folder", Health::Well, format!("{shown}: made at the first start"));
    }
    match JournalReader::open(folder).map(|journal| journal.tasks().map(|tasks| tasks.len())) {
        Ok(Ok(tasks)) => {
            Finding::new("data folder", Health::Well, format!("{shown}: {tasks} tasks in its journal"))
        }
        Ok(Err(error)) => Finding::new("data folder", Health::Ill, format!("{shown}: {error}")),
        Err(JournalOpenError::Missing { .. }) => Finding::new(
            "data folder",
            Health::Well,
            format!("{shown}: its journal is begun at the first start"),
        ),
        Err(error) => Finding::new("data folder", Health::Ill, error),
    }
}

async fn git() -> Finding {
    match installed_version().await {
        Ok(version) => Finding::new("git", Health::Well, version),
        Err(error) => Finding::new("git", Health::Ill, error),
    }
}

async fn sandbox(settings: &Settings) -> Finding {
    // Of its own, so that nothing of a running node's is touched.
    let folder = match tempfile::Builder::new().prefix("bzzz-doctor-").tempdir() {
        Ok(folder) => folder,
        Err(error) => return Finding::new("sandbox", Health::Ill, error),
    };
    let mut settings = settings.clone();
    settings.node.data_dir = folder.path().to_owned();
    let temp = std::fs::create_dir_all(adapters::temp_folder(&settings));
    if let Err(error) = temp {
        return Finding::new("sandbox", Health::Ill, error);
    }
    let (reporter, _reports) = network::reports();
    let networks = adapters::networks(&settings, reporter);
    match sandboxes::choose(&settings, &networks).await {
        Ok(chosen) => {
            let is_second_best = settings.sandbox.backend == SandboxBackend::Auto
                && chosen.description.to_ascii_lowercase().contains("bubblewrap");
            match is_second_best {
                true => {
                    let text = format!("{}; Docker, which limits more, can't be used", chosen.description);
                    Finding::new("sandbox", Health::Doubtful, text)
                }
                false => Finding::new("sandbox", Health::Well, chosen.description),
            }
        }
        Err(error) => Finding::new("sandbox", Health::Ill, error),
    }
}

async fn forge(settings: &Settings) -> Vec<Finding> {
    let forge = match adapters::forge(settings) {
        Ok(forge) => forge,
        Err(error) => return vec![Finding::new("forge", Health::Ill, error)],
    };
    let mut findings = vec![match forge.login().await {
        Ok(login) => Finding::new("forge", Health::Well, format!("{}, as {login}", settings.forge.api_url)),
        Err(error) => return vec![Finding::new("forge", Health::Ill, error)],
    }];
    for repo in &settings.forge.repositories {
        let part = format!("repository {repo}");
        findings.push(match forge.repository(repo).await {
            Ok(found) if found.archived => {
                Finding::new(part, Health::Ill, "it is archived: nobody can push to it")
            }
            Ok(found) if found.can_push => {
                Finding::new(part, Health::Well, format!("default branch {}", found.default_branch))
            }
            Ok(_) => {
                let text =
                    "the token may not push to it, or the forge does not say: it needs contents: write";
                Finding::new(part, Health::Ill, text)
            }
            Err(ForgeError::NotFound { .. }) => {
                Finding::new(part, Health::Ill, "it is not there, or the token may not see it")
            }
            Err(error) => Finding::new(part, Health::Ill, error),
        });
    }
    findings
}

async fn models(settings: &Settings) -> Vec<Finding> {
    let servers = match adapters::models(settings) {
        Ok(servers) => servers,
        Err(error) => return vec![Finding::new("model server", Health::Ill, error)],
    };
    let listed = join_all(servers.iter().map(|server| server.model.models())).await;
    let (others_answer, all_answer) = (listed.iter().any(Result::is_ok), listed.iter().all(Result::is_ok));
    let mut findings = Vec::new();
    let mut present = Vec::new();
    for (ModelServer { name, .. }, models) in servers.iter().zip(listed) {
        let part = format!("model server {name}");
        match models {
            Ok(models) => {
                let text = format!("{} models", models.len());
                findings.push(Finding::new(part, Health::Well, text));
                present.extend(models);
            }
            // The others do its work.
            Err(error) if others_answer => findings.push(Finding::new(part, Health::Doubtful, error)),
            Err(error) => findings.push(Finding::new(part, Health::Ill, error)),
        }
    }
    if others_answer {
        let choice = super::configure::node_config(settings).choice;
        findings.extend(choice.all_names().into_iter().map(|name| model(name, &servers, &present)));
        let lists = choice.routes.iter().map(|route| &route.names).chain([&choice.names]);
        for names in lists.filter(|names| choose(names, &present).is_none()) {
            let text = format!("no server has any of {}: tasks wait for them", names.join(", "));
            // One that does not answer may have it.
            let health = if all_answer { Health::Ill } else { Health::Doubtful };
            findings.push(Finding::new("models", health, text));
        }
    }
    findings
}

/// One that is missing does no harm while another of its list is there.
fn model(name: &str, servers: &[ModelServer], present: &[String]) -> Finding {
    let part = format!("model {name}");
    let wanted = [name.to_owned()];
    match (choose(&wanted, present), servers.first()) {
        (None, Some(server)) => Finding::new(part, Health::Doubtful, missing(&*server.model, &wanted)),
        _ => match size_of(name).filter(|size| *size <= SMALL_MODEL) {
            Some(size) => {
                let text = format!(
                    "there; with {size} thousand million parameters it will rarely bring a task to its end: 7 or more are better"
                );
                Finding::new(part, Health::Doubtful, text)
            }
            None => Finding::new(part, Health::Well, "there"),
        },
    }
}

/// As names say it: "qwen2.5-coder:7b-instruct" has 7 thousand million parameters, "smollm2:360m" 0.36.
fn size_of(name: &str) -> Option<f64> {
    name.to_ascii_lowercase().split([':', '-', '_', '/']).rev().find_map(|part| {
        let (number, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
        let number: f64 = number.parse().ok()?;
        match unit {
            "b" => Some(number),
            "m" => Some(number / 1000.0),
            _ => None,
        }
    })
}

async fn hive(settings: &Settings) -> Option<Finding> {
    let hive = match adapters::hive(settings) {
        Ok(hive) => hive?,
        Err(error) => return Some(Finding::new("hive", Health::Ill, error)),
    };
    Some(match hive.active_projects().await {
        Ok(projects) => Finding::new("hive", Health::Well, format!("{} projects", projects.len())),
        // The repositories of the configuration are watched all the same.
        Err(error @ HiveError::Unavailable(_)) => Finding::new("hive", Health::Doubtful, error),
        Err(error) => Finding::new("hive", Health::Ill, error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_model_is_read_from_its_name() {
        for (name, size) in [
            ("qwen2.5-coder:14b", Some(14.0)),
            ("qwen2.5-coder:1.5b-base", Some(1.5)),
            ("Qwen/Qwen2.5-Coder-7B-Instruct", Some(7.0)),
            ("smollm2:360m", Some(0.36)),
            ("gpt-oss:20b", Some(20.0)),
            ("devstral", None),
            ("web", None),
            ("scripted:latest", None),
            ("b", None),
        ] {
            assert_eq!(size_of(name), size, "{name}");
        }
    }
}
