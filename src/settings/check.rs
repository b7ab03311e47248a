//! The ranges of values, what of them must fit together, and what is allowed but probably not meant.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use bzzz_actors::task::RepoId;
use bzzz_actors::task::repository_policy::{self, PolicyError};
use sandboxd::MAX_CAPTURE_BYTES;

use super::known::{FOLLOWED, FORKS, REPOSITORIES, ROUTES, SERVERS};
use super::load::{Loaded, Values};
use super::problem::{Origin, Problem};
use super::sections::{
    Claims, Escalation, Forge, Hive, Model, Node, Outbox, Provider, RepositorySandbox, Sandbox,
    SandboxBackend, Settings, Swarm, Task,
};
use super::units::{HumanDuration, HumanSize};
use crate::docker::{self, Address, AddressError};
use crate::sandbox::common::SHM_BYTES;
use crate::swarm::addresses;

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 60 * MINUTE_S;
const DAY_S: u64 = 24 * HOUR_S;

fn millis(millis: u64) -> HumanDuration {
    Duration::from_millis(millis).into()
}

fn secs(secs: u64) -> HumanDuration {
    Duration::from_secs(secs).into()
}

fn kib(kib: u64) -> HumanSize {
    (kib << 10).into()
}

/// Collects problems. A check of keys that have a problem already is left out: it would only repeat it, or judge the
/// default in its place.
struct Checks<'a> {
    values: &'a Values,
    bad: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Checks<'_> {
    fn require(&mut self, keys: &[&str], holds: bool, what: impl Into<String>, allowed: impl Into<String>) {
        if holds || keys.iter().any(|key| self.bad.contains(*key)) {
            return;
        }
        if let [key] = keys {
            self.bad.insert((*key).to_owned());
        }
        // One of a table in brackets is where the tables are.
        let given = |key: &str| self.values.get(key.split('[').next().unwrap_or(key));
        let origin = |key: &str| given(key).map_or(Origin::Default, |given| given.origin.clone());
        let keys = keys.iter().map(|key| ((*key).to_owned(), origin(key))).collect();
        self.problems.push(Problem { keys, what: what.into(), allowed: allowed.into() });
    }

    fn within<T: PartialOrd + Display>(&mut self, key: &str, value: T, least: T, most: T) {
        let holds = least <= value && value <= most;
        self.require(&[key], holds, format!("is {value}"), format!("allowed: {least} to {most}"));
    }

    fn text(&mut self, key: &str, text: &str, allowed: &str, fits: impl Fn(&str) -> bool) {
        self.require(&[key], fits(text), format!("is {text:?}"), format!("allowed: {allowed}"));
    }
}

pub(super) fn all(
    settings: &Settings,
    values: &Values,
    bad: BTreeSet<String>,
    warnings: &mut Vec<String>,
) -> Vec<Problem> {
    let mut checks = Checks { values, bad, problems: Vec::new() };
    check_node(&mut checks, &settings.node);
    check_forge(&mut checks, &settings.forge);
    check_claims(&mut checks, &settings.claims);
    check_hive(&mut checks, &settings.hive);
    check_model(&mut checks, &settings.model);
    check_sandbox(&mut checks, &settings.sandbox);
    check_task(&mut checks, &settings.task);
    check_escalation(&mut checks, &settings.escalation);
    check_swarm(&mut checks, &settings.swarm);
    check_audit(&mut checks, settings);
    check_outbox(&mut checks, &settings.outbox);
    warn(settings, warnings);
    checks.problems
}

fn check_node(checks: &mut Checks<'_>, node: &Node) {
    checks.within("node.max_tasks", node.max_tasks, 1, 64);
    let is_text =
        |text: &String| (1..=50).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    for (key, texts) in [("node.labels", &node.labels), ("node.languages", &node.languages)] {
        let holds = texts.len() <= 50 && texts.iter().all(is_text);
        checks.require(
            &[key],
            holds,
            format!("is {texts:?}"),
            "allowed: up to 50 names of 1 to 50 characters",
        );
    }
    checks.within("node.drain_grace", node.drain_grace, secs(0), secs(HOUR_S));
    checks.within("node.blocked_after", node.blocked_after, secs(2), secs(HOUR_S));
}

fn check_forge(checks: &mut Checks<'_>, forge: &Forge) {
    for (key, url) in [("forge.api_url", &forge.api_url), ("forge.git_url", &forge.git_url)] {
        let what = format!("{url}: the token would cross the network in the clear");
        let holds = url.is_https() || url.is_loopback();
        checks.require(&[key], holds, what, "allowed: https, or http for a loopback host");
        let holds = url.url().query().is_none();
        checks.require(&[key], holds, format!("{url} has a query"), "allowed: a URL that paths can follow");
    }
    checks.text("forge.task_label", &forge.task_label, "1 to 50 characters, no comma", |label| {
        let is_plain = |c: char| !c.is_control() && c != ',';
        label.trim() == label && (1..=50).contains(&label.chars().count()) && label.chars().all(is_plain)
    });
    let is_login = |login: &String| {
        let is_sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '[' | ']');
        (1..=100).contains(&login.len()) && login.chars().all(is_sign)
    };
    let holds = forge.label_setters.iter().all(is_login);
    let allowed = "allowed: names of accounts, such as [\"ann\", \"github-actions[bot]\"]";
    checks.require(&["forge.label_setters"], holds, format!("is {:?}", forge.label_setters), allowed);
    let mut seen = BTreeSet::new();
    let twice = forge.repositories.iter().find(|repo| !seen.insert(repo.to_string().to_ascii_lowercase()));
    let what = twice.map(|repo| format!("{repo} is named twice")).unwrap_or_default();
    checks.require(&["forge.repositories"], twice.is_none(), what, "name each once");
    checks.within("forge.poll_interval", forge.poll_interval, secs(5), secs(HOUR_S));
    checks.within("forge.slowest_poll_interval", forge.slowest_poll_interval, secs(5), secs(DAY_S));
    let what = format!(
        "is {}, less than forge.poll_interval ({})",
        forge.slowest_poll_interval, forge.poll_interval
    );
    let holds = forge.slowest_poll_interval >= forge.poll_interval;
    checks.require(&["forge.slowest_poll_interval"], holds, what, "allowed: from forge.poll_interval");
    check_forks(checks, forge);
    checks.within("forge.request_timeout", forge.request_timeout, secs(1), secs(5 * MINUTE_S));
    checks.within("forge.write_interval", forge.write_interval, secs(0), secs(MINUTE_S));
    let is_git_text = |text: &str| {
        let is_plain = |c: char| !c.is_control() && !matches!(c, '<' | '>');
        !text.trim().is_empty() && text.len() <= 200 && text.chars().all(is_plain)
    };
    checks.text("forge.commit_name", &forge.commit_name, "a name without <, >", is_git_text);
    checks.text("forge.commit_email", &forge.commit_email, "an e-mail address", |email| {
        is_git_text(email) && !email.contains(char::is_whitespace) && email.contains('@')
    });
}

fn check_forks(checks: &mut Checks<'_>, forge: &Forge) {
    let (mut names, mut branches) = (BTreeSet::new(), BTreeSet::new());
    let lower = |repo: &RepoId| repo.to_string().to_ascii_lowercase();
    for fork in &forge.fork {
        let key = format!("{FORKS}[{}]", fork.name);
        let is_new = names.insert(lower(&fork.name));
        checks.require(&[&key], is_new, "is there twice", "one table for each repository");
        let holds = !fork.branches.is_same(&fork.name) && !fork.claims.is_same(&fork.name);
        let allowed = "allowed: for branches and claims other repositories, which the token may push to";
        checks.require(&[&key], holds, "names itself", allowed);
        let is_only = branches.insert(lower(&fork.branches)) || !is_new;
        let is_watched = forge.repositories.iter().any(|repo| repo.is_same(&fork.branches));
        let what = format!("{} would have the branches of issues of two repositories", fork.branches);
        let allowed = "allowed: a fork for each, which is not watched itself";
        checks.require(&[&key], is_only && !is_watched, what, allowed);
    }
}

fn check_claims(checks: &mut Checks<'_>, claims: &Claims) {
    checks.within("claims.ttl", claims.ttl, secs(MINUTE_S), secs(DAY_S));
    checks.within("claims.renew_every", claims.renew_every, secs(10), secs(DAY_S));
    checks.within("claims.grace", claims.grace, secs(5), secs(DAY_S));
    let whole_seconds = claims.ttl.get().subsec_nanos() == 0;
    let what = format!("is {}", claims.ttl);
    checks.require(&["claims.ttl"], whole_seconds, what, "allowed: whole seconds");
    let sum = claims.renew_every.get().saturating_add(claims.grace.get());
    checks.require(
        &["claims.ttl", "claims.renew_every", "claims.grace"],
        sum < claims.ttl.get(),
        format!("renew_every + grace is {}, not less than ttl, {}", HumanDuration::from(sum), claims.ttl),
        "a claim must be renewed well before it ends",
    );
}

fn check_hive(checks: &mut Checks<'_>, hive: &Hive) {
    checks.within("hive.poll_interval", hive.poll_interval, secs(10), secs(DAY_S));
    checks.within("hive.request_timeout", hive.request_timeout, secs(1), secs(5 * MINUTE_S));
}

const ONLY_OPEN_AI: &str = "leave it out, or say provider = \"openai\"";

fn check_model(checks: &mut Checks<'_>, model: &Model) {
    let is_name = |name: &String| {
        (1..=200).contains(&name.len()) && !name.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    let allowed = "allowed: one name at least, such as [\"qwen2.5-coder:14b\"]";
    let routes = model.route.iter().enumerate();
    let routes = routes.map(|(at, route)| (format!("{ROUTES}[number {}].names", at + 1), &route.names));
    for (key, names) in [("model.names".to_owned(), &model.names)].into_iter().chain(routes) {
        let holds = !names.is_empty() && names.iter().all(is_name);
        checks.require(&[&key], holds, format!("is {names:?}"), allowed);
    }
    let holds = model.json_models.iter().all(is_name);
    let what = format!("is {:?}", model.json_models);
    checks.require(&["model.json_models"], holds, what, "allowed: names of models");
    let takes_key = |provider, has_key: bool| provider == Provider::OpenAi || !has_key;
    let holds = takes_key(model.provider, model.key.is_some());
    checks.require(&["model.key", "model.provider"], holds, "an Ollama server takes no key", ONLY_OPEN_AI);
    let mut urls = BTreeSet::from([model.url.base()]);
    for server in &model.server {
        let place = format!("{SERVERS}[{}]", server.url);
        let is_first = urls.insert(server.url.base());
        checks.require(&[&place], is_first, "is there twice", "one table for each server beside model.url");
        let holds = takes_key(server.provider.unwrap_or(model.provider), server.key_file.is_some());
        checks.require(&[&format!("{place}.key_file")], holds, "an Ollama server takes no key", ONLY_OPEN_AI);
        if let Some(calls) = server.calls_in_flight {
            checks.within(&format!("{place}.calls_in_flight"), calls, 1, 64);
        }
    }
    checks.within("model.selection_timeout", model.selection_timeout, secs(1), secs(5 * MINUTE_S));
    checks.within("model.context_tokens", model.context_tokens, 2048, 1 << 20);
    checks.within("model.max_output_tokens", model.max_output_tokens, 256, 1 << 20);
    checks.require(
        &["model.max_output_tokens", "model.context_tokens"],
        model.max_output_tokens <= model.context_tokens / 2,
        format!("a reply of {} of the window's {}", model.max_output_tokens, model.context_tokens),
        "at most half of the window, or the task finds no place in it",
    );
    checks.within("model.temperature", model.temperature, 0.0, 2.0);
    checks.within("model.keep_alive", model.keep_alive, secs(0), secs(30 * DAY_S));
    checks.within("model.calls_in_flight", model.calls_in_flight, 1, 64);
    checks.within("model.connect_timeout", model.connect_timeout, millis(100), secs(MINUTE_S));
    checks.within("model.first_byte_timeout", model.first_byte_timeout, secs(1), secs(HOUR_S));
    checks.within("model.chunk_timeout", model.chunk_timeout, secs(1), secs(10 * MINUTE_S));
}

const DOCKER_HOST: &str = "sandbox.docker_host";

fn daemon_problem(sandbox: &Sandbox) -> Option<AddressError> {
    let host = sandbox.docker_host.as_deref()?;
    Address::parse(host, sandbox.docker_certificates.as_deref()).err()
}

fn check_sandbox(checks: &mut Checks<'_>, sandbox: &Sandbox) {
    // One that was found out is not everybody's business: `missing_to_run`.
    if checks.values.get(DOCKER_HOST).is_none_or(|given| !matches!(given.origin, Origin::FoundOut(_)))
        && let Some(problem) = daemon_problem(sandbox)
    {
        checks.require(&[DOCKER_HOST], false, problem.what, problem.remedy);
    }
    let before = checks.problems.len();
    check_limits(checks, "sandbox", sandbox);
    let is_good = checks.problems.len() == before;
    checks.within("sandbox.command_timeout", sandbox.command_timeout, secs(1), secs(HOUR_S));
    checks.within("sandbox.longest_command", sandbox.longest_command, secs(1), secs(HOUR_S));
    checks.within("sandbox.output_cap", sandbox.output_cap, kib(4), u64::from(MAX_CAPTURE_BYTES).into());
    checks.within("sandbox.max_setup", sandbox.max_setup, 0, 50);
    checks.within("sandbox.setup_timeout", sandbox.setup_timeout, secs(1), secs(HOUR_S));
    checks.within("sandbox.export_cap", sandbox.export_cap, kib(64), kib(1 << 20));
    check_repositories(checks, sandbox, is_good);
}

fn is_image(image: &str) -> bool {
    let is_sign = |c: char| c.is_ascii_alphanumeric() || "-._/:@".contains(c);
    !image.is_empty() && image.len() <= 255 && image.chars().all(is_sign)
}

/// What may be different for a repository. `place` is what stands before a key.
fn check_limits(checks: &mut Checks<'_>, place: &str, sandbox: &Sandbox) {
    let key = |name: &str| format!("{place}.{name}");
    checks.text(&key("image"), &sandbox.image, "the name of an image, such as \"bzzz-sandbox:1\"", is_image);
    let images = &sandbox.choosable_images;
    checks.require(
        &[&key("choosable_images")],
        images.iter().all(|image| is_image(image)),
        format!("is {images:?}"),
        "allowed: names of images, such as [\"bzzz-sandbox-rust:1\"]",
    );
    let count = sandbox.askable_hosts.len();
    let allowed = format!("allowed: at most {MAX_HOSTS}");
    checks.require(&[&key("askable_hosts")], count <= MAX_HOSTS, format!("names {count} hosts"), allowed);
    let runtime = sandbox.runtime.as_deref().unwrap_or("runc");
    checks.text(&key("runtime"), runtime, "the name of a runtime", |name| {
        let is_sign = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
        !name.is_empty() && name.len() <= 255 && name.chars().all(is_sign)
    });
    checks.within(&key("memory"), sandbox.memory, kib(64 << 10), kib(1 << 30));
    checks.within(&key("cpus"), sandbox.cpus, 0.1, 1024.0);
    checks.within(&key("pids"), sandbox.pids, 16, 65536);
    let file_systems = [
        (key("work_size"), sandbox.work_size),
        (key("tmp_size"), sandbox.tmp_size),
        (key("home_size"), sandbox.home_size),
    ];
    for (key, size) in &file_systems {
        checks.within(key, *size, kib(1 << 10), kib(1 << 30));
    }
    let sum = file_systems.iter().fold(0u64, |sum, (_, size)| sum.saturating_add(size.bytes()));
    let least = docker::least_memory(sum);
    let [sum, least, shm, free] = [sum, least, SHM_BYTES, docker::MIN_FREE_BYTES].map(HumanSize::from);
    let keys = ["memory", "work_size", "tmp_size", "home_size"].map(key);
    checks.require(
        &keys.each_ref().map(String::as_str),
        sandbox.memory >= least,
        format!("memory is {}, less than {least}", sandbox.memory),
        format!("files are memory: the file systems' {sum}, {shm} for /dev/shm, {free} for programs"),
    );
}

/// More than any build asks for; each is looked through at every connection.
const MAX_HOSTS: usize = 100;

/// `is_good`: what counts for all repositories has no problem, which would only be told again for each.
fn check_repositories(checks: &mut Checks<'_>, sandbox: &Sandbox, is_good: bool) {
    let mut seen = BTreeSet::new();
    for repository in &sandbox.repository {
        let place = format!("{REPOSITORIES}[{}]", repository.name);
        let is_first = seen.insert(repository.name.to_string().to_ascii_lowercase());
        checks.require(&[&place], is_first, "is there twice", "one table for each repository");
        let count = repository.allow_hosts.len();
        let what = format!("names {count} hosts");
        let key = format!("{place}.allow_hosts");
        checks.require(&[&key], count <= MAX_HOSTS, what, format!("allowed: at most {MAX_HOSTS}"));
        check_policy(checks, &place, repository, sandbox.max_setup);
        if is_good {
            check_limits(checks, &place, &sandbox.with(repository));
        }
    }
}

/// What counts in place of the repository's own file is held to the same rules.
fn check_policy(checks: &mut Checks<'_>, place: &str, repository: &RepositorySandbox, max_setup: u32) {
    let mut judge = |judged: Result<(), PolicyError>| {
        if let Err(error) = judged {
            let problem = error.problem();
            let (key, what) = problem.split_once(": ").unwrap_or(("", problem));
            checks.require(
                &[&format!("{place}.{key}")],
                false,
                what,
                "allowed: what .bzzz.toml may have there",
            );
        }
    };
    let RepositorySandbox { checks: own, setup, paths, instructions, .. } = repository;
    judge(repository_policy::checks(own.clone().unwrap_or_default()).map(drop));
    judge(repository_policy::commands("setup", setup.clone().unwrap_or_default()).map(drop));
    judge(repository_policy::instructions(instructions.clone().unwrap_or_default()).map(drop));
    let paths = paths.iter().flatten().map(ToString::to_string).collect();
    judge(repository_policy::paths(paths).map(drop));
    let count = setup.as_ref().map_or(0, Vec::len);
    let what = format!("has {count} commands");
    let holds = u32::try_from(count).is_ok_and(|count| count <= max_setup);
    checks.require(
        &[&format!("{place}.setup")],
        holds,
        what,
        format!("allowed: sandbox.max_setup, {max_setup}"),
    );
}

fn check_task(checks: &mut Checks<'_>, task: &Task) {
    let is_path = |path: &String| {
        let names = path.strip_suffix('/').unwrap_or(path);
        let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(char::is_control);
        path.len() <= 1024 && names.split('/').all(is_name)
    };
    let holds = task.allowed_paths.iter().all(is_path);
    let allowed = "allowed: paths from the top of a repository, a folder with \"/\" at its end";
    checks.require(&["task.allowed_paths"], holds, format!("is {:?}", task.allowed_paths), allowed);
    checks.within("task.max_steps", task.max_steps, 1, 10_000);
    checks.within("task.max_tokens", task.max_tokens, 10_000, u32::MAX);
    checks.within("task.max_malformed", task.max_malformed, 1, 100);
    checks.within("task.max_check_rounds", task.max_check_rounds, 1, 100);
    checks.within("task.max_sandbox_losses", task.max_sandbox_losses, 0, 100);
    checks.within("task.wall_time", task.wall_time, secs(MINUTE_S), secs(7 * DAY_S));
    checks.within("task.check_timeout", task.check_timeout, secs(1), secs(DAY_S));
    checks.require(
        &["task.check_timeout", "task.wall_time"],
        task.check_timeout < task.wall_time,
        format!("a check may take {} of the task's {}", task.check_timeout, task.wall_time),
        "check_timeout must be shorter than wall_time",
    );
    checks.within("task.max_wait_for_human", task.max_wait_for_human, secs(MINUTE_S), secs(365 * DAY_S));
}

fn check_escalation(checks: &mut Checks<'_>, escalation: &Escalation) {
    let header = escalation.auth_header.as_deref().unwrap_or("x");
    checks.text("escalation.auth_header", header, "the name of an HTTP header", |name| {
        name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    });
    checks.require(
        &["escalation.auth_header", "escalation.auth_value"],
        escalation.auth_header.is_some() == escalation.auth_value.is_some(),
        "only one of the two is set",
        "a header needs its name and its value",
    );
    checks.within("escalation.request_timeout", escalation.request_timeout, secs(1), secs(5 * MINUTE_S));
}

/// What the addresses must be, the network says: it is the one that reads them.
fn check_audit(checks: &mut Checks<'_>, settings: &Settings) {
    let audit = &settings.audit;
    checks.within("audit.keep_segments", audit.keep_segments, 1, 1_000_000);
    let mut keys = BTreeSet::new();
    for followed in &audit.follow {
        let key = format!("{FOLLOWED}[{}]", followed.key);
        let what = "is there twice: its copies would be one folder";
        checks.require(&[&key], keys.insert(followed.key), what, "allowed: one table for each trail");
        let port = followed.address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let is_address = port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
        let what = format!("has the address {:?}", followed.address);
        checks.require(&[&key], is_address, what, "allowed: a host and a port, such as \"bee-2:4412\"");
    }
    let inside = audit.archive.as_ref().is_some_and(|archive| archive.starts_with(&settings.node.data_dir));
    let what = "is in the data folder, with which it would be lost";
    checks.require(&["audit.archive"], !inside, what, "allowed: a folder elsewhere");
}

fn check_swarm(checks: &mut Checks<'_>, swarm: &Swarm) {
    checks.text("swarm.name", &swarm.name, "1 to 63 letters, digits, \"-\", \"_\", \".\"", |name| {
        let is_sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        (1..=63).contains(&name.len()) && name.chars().all(is_sign)
    });
    checks.within("swarm.max_peers", swarm.max_peers, 1, 1000);
    checks.within("swarm.availability_interval", swarm.availability_interval, secs(1), secs(10 * MINUTE_S));
    let holds = !swarm.enabled || !swarm.listen.is_empty();
    let allowed = "at least one address, or swarm.enabled = false";
    checks.require(&["swarm.listen"], holds, "is empty", allowed);
    for problem in addresses::problems(swarm) {
        checks.require(&[problem.key], false, problem.what, problem.allowed);
    }
}

fn check_outbox(checks: &mut Checks<'_>, outbox: &Outbox) {
    checks.within("outbox.max_age", outbox.max_age, secs(MINUTE_S), secs(365 * DAY_S));
    checks.within("outbox.max_pending", outbox.max_pending, 10, 1_000_000);
    checks.within("outbox.retry_min", outbox.retry_min, millis(100), secs(HOUR_S));
    checks.within("outbox.retry_max", outbox.retry_max, millis(100), secs(DAY_S));
    checks.require(
        &["outbox.retry_min", "outbox.retry_max"],
        outbox.retry_min <= outbox.retry_max,
        format!("retry_min is {}, retry_max {}", outbox.retry_min, outbox.retry_max),
        "retry_min must not be longer than retry_max",
    );
}

fn warn(settings: &Settings, warnings: &mut Vec<String>) {
    let secrets = [
        ("hive.key", settings.hive.key.is_some(), &settings.hive.url),
        ("escalation.auth_value", settings.escalation.auth_value.is_some(), &settings.escalation.webhook_url),
        ("model.key", settings.model.key.is_some(), &Some(settings.model.url.clone())),
    ];
    let further = settings.model.server.iter().map(|it| (it.key.is_some(), Some(it.url.clone())));
    let further: Vec<_> = further.collect();
    let further = further.iter().map(|(is_set, url)| ("model.server.key_file", *is_set, url));
    for (key, is_set, url) in secrets.into_iter().chain(further) {
        if let Some(url) = url.as_ref().filter(|url| is_set && !url.is_https() && !url.is_loopback()) {
            warnings.push(format!(
                "{key} crosses the network in the clear on its way to {url}: use https if you can"
            ));
        }
    }
    let sandbox = &settings.sandbox;
    let longest = sandbox.command_timeout.max(sandbox.longest_command).max(settings.task.check_timeout);
    let keep_alive = settings.model.keep_alive;
    if keep_alive <= longest {
        warnings.push(format!(
            "model.keep_alive ({keep_alive}) is not longer than the longest command or check ({longest}): \
             the server will load the model anew after it"
        ));
    }
}

pub(super) fn missing_to_run(loaded: &Loaded) -> Vec<Problem> {
    let settings = &loaded.settings;
    let mut problems = Vec::new();
    let mut missing = |key: &str, what: &str, allowed: &str| {
        let origin = loaded.origin(key).unwrap_or(&Origin::Default);
        problems.push(Problem::at(key, origin, what, allowed));
    };
    if settings.forge.token.is_none() {
        let how = "set forge.token_file, or the variable BZZZ__FORGE__TOKEN";
        missing("forge.token", "no token: without one nothing can be claimed or published", how);
    }
    if settings.forge.repositories.is_empty() && settings.hive.url.is_none() {
        missing("forge.repositories", "no repository to watch", "name some, or set hive.url");
    }
    let wants_docker = settings.sandbox.backend == SandboxBackend::Docker;
    if let Some(problem) = daemon_problem(&settings.sandbox).filter(|_| wants_docker) {
        missing(DOCKER_HOST, &problem.what, &problem.remedy);
    }
    problems
}
