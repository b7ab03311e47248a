//! The configuration from end to end: real files in a temporary folder, an environment of the test's own.

mod forks;
mod models;
mod sandbox;
mod swarm;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// A machine with a home, a working folder and nothing set.
struct Machine {
    folder: TempDir,
    environment: Vec<(OsString, OsString)>,
    set: Vec<String>,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let environment = vec![("HOME".into(), folder.path().join("home").into())];
        Self { folder, environment, set: Vec::new() }
    }

    fn with_file(text: &str) -> Self {
        let machine = Self::new();
        machine.write("bzzz.toml", text, 0o600);
        machine
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn set(mut self, assignment: &str) -> Self {
        self.set.push(assignment.to_owned());
        self
    }

    fn sources(&self) -> Sources {
        Sources {
            file: None,
            set: self.set.clone(),
            environment: self.environment.clone(),
            working_dir: self.folder.path().to_owned(),
            host_name: "bee 1".to_owned(),
        }
    }

    fn load(&self) -> Loaded {
        Settings::load(&self.sources()).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The problems as lines, the folder's name left out.
    fn problems(&self) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        match Settings::load(&self.sources()) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.0.iter().map(|problem| problem.to_string().replace(&folder, "")).collect(),
        }
    }
}

#[test]
fn defaults_and_types_have_the_same_keys() {
    let loaded = Machine::new().load();
    let shown: toml::Table = loaded.to_toml(false).unwrap().parse().unwrap();
    let defaults: toml::Table = layers::DEFAULTS.parse().unwrap();
    let keys = |table: &toml::Table| -> Vec<String> {
        let of_section = |(name, keys): (&String, &toml::Value)| {
            keys.as_table().unwrap().keys().map(|key| format!("{name}.{key}")).collect::<Vec<_>>()
        };
        table.iter().flat_map(of_section).collect()
    };
    assert_eq!(keys(&shown), keys(&defaults));
}

#[test]
fn the_defaults_are_shown_as_they_are_written() {
    let machine = Machine::new();
    let mut shown: toml::Table = machine.load().to_toml(false).unwrap().parse().unwrap();
    let mut defaults: toml::Table = layers::DEFAULTS.parse().unwrap();
    let found_out = shown["node"].as_table_mut().unwrap();
    assert_eq!(found_out["name"].as_str(), Some("bee-1"));
    let data_dir = machine.folder.path().join("home/.local/share/bzzz");
    assert_eq!(found_out["data_dir"].as_str(), data_dir.to_str());
    for table in [&mut shown, &mut defaults] {
        for key in ["name", "data_dir"] {
            table["node"].as_table_mut().unwrap().remove(key);
        }
    }
    // "120s" and "2m" are the same; everything else is equal as text.
    for (section, key) in
        [("forge", "poll_interval"), ("model", "chunk_timeout"), ("sandbox", "command_timeout")]
    {
        assert_eq!(defaults[section][key].as_str(), Some("60s"));
        defaults[section][key] = "1m".into();
    }
    assert_eq!(shown, defaults);
}

#[test]
fn every_later_place_replaces_the_earlier_one() {
    let machine = Machine::with_file("[node]\nmax_tasks = 4\ndrain_grace = \"4s\"\nname = \"four\"\n")
        .env("BZZZ__NODE__DRAIN_GRACE", "5s")
        .env("BZZZ__NODE__NAME", "five")
        .set("node.name=six");
    let loaded = machine.load();
    let node = &loaded.settings.node;
    assert_eq!(
        (node.max_tasks, node.drain_grace.get(), node.name.as_str()),
        (4, Duration::from_secs(5), "six")
    );
    let origin = |key| loaded.origin(key).unwrap().clone();
    assert_eq!(
        origin("node.max_tasks"),
        Origin::File { path: machine.folder.path().join("bzzz.toml"), line: 2 }
    );
    assert_eq!(origin("node.drain_grace"), Origin::Environment("BZZZ__NODE__DRAIN_GRACE".into()));
    assert_eq!(origin("node.name"), Origin::Flag);
    assert_eq!(origin("node.data_dir"), Origin::FoundOut("user's data folder"));
    assert_eq!(origin("claims.ttl"), Origin::Default);
}

#[test]
fn values_without_quotes_are_read_by_their_kind() {
    let loaded = Machine::new()
        .env("BZZZ__FORGE__REPOSITORIES", "acme/a, acme/b")
        .env("BZZZ__SANDBOX__CPUS", "1")
        .env("BZZZ__SANDBOX__PIDS", "1024")
        .set("model.names=[\"a:1\", \"b:2\"]")
        .set("forge.task_label=a=b")
        .load();
    let settings = loaded.settings;
    let repositories: Vec<_> = settings.forge.repositories.iter().map(ToString::to_string).collect();
    assert_eq!(repositories, ["acme/a", "acme/b"]);
    assert_eq!((settings.sandbox.cpus, settings.sandbox.pids), (1.0, 1024));
    assert_eq!(
        (settings.model.names, settings.forge.task_label.as_str()),
        (vec!["a:1".into(), "b:2".into()], "a=b")
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let machine = Machine::with_file(
        "[node]\nmax_tasks = 0\nnmae = \"x\"\n[claims]\nttl = 900\n[forge]\napi_url = \"http://github.example\"\n\
         repositories = [\"../etc\"]\n[clams]\n[log]\nformat = \"xml\"\n[model]\nnames = \"one\"\ncontext_tokens = -1\n\
         [sandbox]\nmemory = \"1 GiB\"\n[task]\nmax_steps = 2.5\n",
    )
    .env("BZZZ__FORGE__POLL_INTERVAL", "soon")
    .env("BZZZ__FORGE__TOKN", "ghp_secret")
    .set("node.drain_grace=2h")
    .set("ghp_secret");
    let expected = [
        "node.nmae (bzzz.toml:3): there is no such setting; did you mean node.name?",
        "clams (bzzz.toml:9): there is no such setting; did you mean claims.ttl?",
        "model.names (bzzz.toml:13): is a text; allowed: a list of texts, such as [\"one\", \"two\"]",
        "task.max_steps (bzzz.toml:18): is a number with a fraction; allowed: a whole number without quotes",
        "the variable BZZZ__FORGE__TOKN names no setting; did you mean BZZZ__FORGE__TOKEN?",
        "--set number 2 has no \"=\"; allowed: --set section.key=value",
        "claims.ttl (bzzz.toml:5): \"900\" has no unit: write \"900s\" for seconds",
        "forge.poll_interval (BZZZ__FORGE__POLL_INTERVAL): \"soon\" is not a duration: write \"90s\", \"15m\", \
         \"2h 30m\" or \"7days\"",
        "forge.repositories (bzzz.toml:8): \"../etc\" is not a repository of the form owner/name",
        "log.format (bzzz.toml:11): unknown variant `xml`, expected `text` or `json`",
        "model.context_tokens (bzzz.toml:14): is -1, which is out of every range",
        "node.max_tasks (bzzz.toml:2): is 0; allowed: 1 to 64",
        "node.drain_grace (--set): is 2h; allowed: 0s to 1h",
        "forge.api_url (bzzz.toml:7): http://github.example: the token would cross the network in the clear; allowed: \
         https, or http for a loopback host",
        "sandbox.memory (bzzz.toml:16), sandbox.work_size (default), sandbox.tmp_size (default), sandbox.home_size \
         (default): memory is 1 GiB, less than 1920 MiB; files are memory: the file systems' 1792 MiB, 64 MiB for \
         /dev/shm, 64 MiB for programs",
    ];
    let mut problems = machine.problems();
    let mut expected = expected.to_vec();
    problems.sort();
    expected.sort_unstable();
    assert_eq!(problems, expected);
}

#[test]
fn values_that_do_not_fit_together_are_refused() {
    let cases = [
        ("[claims]\nrenew_every = \"14m\"\n", "renew_every + grace is 16m, not less than ttl, 15m"),
        ("[model]\nmax_output_tokens = 8193\n", "a reply of 8193 of the window's 16384"),
        ("[task]\nwall_time = \"5m\"\n", "a check may take 10m of the task's 5m"),
        ("[outbox]\nretry_min = \"20m\"\n", "retry_min is 20m, retry_max 10m"),
        ("[escalation]\nauth_header = \"X-Key\"\n", "only one of the two is set"),
        ("[forge]\nrepositories = [\"a/b\", \"A/B\"]\n", "A/B is named twice"),
        ("[claims]\nttl = \"900s 500ms\"\n", "allowed: whole seconds"),
    ];
    for (file, expected) in cases {
        let problems = Machine::with_file(file).problems();
        assert!(matches!(&problems[..], [one] if one.contains(expected)), "{file}: {problems:?}");
    }
}

#[test]
fn what_no_sandbox_can_be_made_with_is_refused() {
    let cases = [
        ("docker_host = \"tcp://10.0.0.1:2375\"", "sandbox.docker_host", "is \"tcp://10.0.0.1:2375\""),
        ("docker_host = \"tcp://10.0.0.1:2375\"", "sandbox.docker_host", "ssh -NL "),
        ("docker_host = \"unix://\"", "sandbox.docker_host", "for a daemon of this machine"),
        ("docker_host = \"http://localhost\"", "sandbox.docker_host", "for a daemon of this machine"),
        ("output_cap = \"1025 KiB\"", "sandbox.output_cap", "allowed: 4 KiB to 1 MiB"),
        ("memory = \"1919 MiB\"", "sandbox.memory", "memory is 1919 MiB, less than 1920 MiB"),
    ];
    for (line, key, expected) in cases {
        let problems = Machine::with_file(&format!("[sandbox]\n{line}\n")).problems();
        let is_it = |problem: &String| problem.starts_with(key) && problem.contains(expected);
        assert!(matches!(&problems[..], [one] if is_it(one)), "{line}: {problems:?}");
    }
    let greatest = "[sandbox]\nmemory = \"1920 MiB\"\noutput_cap = \"1 MiB\"\ndocker_host = \"unix:///s\"\n";
    assert_eq!(Machine::with_file(greatest).problems(), [""; 0]);
}

#[test]
fn a_daemon_that_all_could_use_is_refused_to_a_node_that_is_to_run_also_from_its_own_variable() {
    let machine = || {
        Machine::new()
            .env("BZZZ__FORGE__TOKEN", "t")
            .set("forge.repositories=a/b")
            .env("DOCKER_HOST", "tcp://h:1")
    };
    assert_eq!(machine().load().missing_to_run(), [], "there may be bubblewrap");
    let machine = || machine().set("sandbox.backend=docker");
    let missing = machine().load().missing_to_run();
    let expected =
        "sandbox.docker_host (DOCKER_HOST): is \"tcp://h:1\" without certificates: whoever reaches that port";
    let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
    assert!(matches!(&missing[..], [one] if one.starts_with(expected)), "{missing:?}");
    let verified = machine().env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", "/certificates").load();
    assert_eq!(verified.missing_to_run(), []);
    assert_eq!(verified.settings.sandbox.docker_certificates, Some("/certificates".into()));
    let with_own = machine().set("sandbox.docker_host=unix:///s").load();
    assert_eq!(with_own.missing_to_run(), []);
    assert_eq!(with_own.settings.sandbox.docker_host.as_deref(), Some("unix:///s"));
}

#[test]
fn a_refused_value_causes_no_follow_up_problem() {
    // With the default ttl of 15m these would not fit; but the ttl that was meant is unknown.
    let problems = Machine::with_file("[claims]\nttl = \"1hour30\"\nrenew_every = \"20m\"\n").problems();
    assert!(matches!(&problems[..], [one] if one.starts_with("claims.ttl (bzzz.toml:2): ")), "{problems:?}");
}

#[test]
fn a_syntax_error_names_its_line_and_quotes_nothing() {
    let problems = Machine::with_file("[forge]\ntoken = ghp_secret\n").problems();
    assert!(problems[0].starts_with("bzzz.toml:2: not TOML: "), "{problems:?}");
    assert!(!problems.iter().any(|problem| problem.contains("ghp_secret")), "{problems:?}");
}

#[test]
fn no_problem_and_no_output_repeats_a_secret() {
    let machine = Machine::with_file("[forge]\ntoken = \"ghp_hidden\"\n")
        .env("BZZZ__HIVE__KEY", "hive_hidden")
        .env("BZZZ__HIVE__URL", "http://hive.lan")
        .set("escalation.auth_value=n8n_hidden")
        .set("escalation.auth_header=X-Key");
    let loaded = machine.load();
    let shown = format!("{}{:?}{:?}", loaded.to_toml(true).unwrap(), loaded.settings, loaded.warnings);
    assert!(!shown.contains("_hidden"), "{shown}");
    assert_eq!(shown.matches("\"(set)\"").count(), 3, "{shown}");
    assert_eq!(loaded.settings.forge.token.as_ref().unwrap().expose(), "ghp_hidden");

    for bad in
        ["token = \"ghp hidden\\n2\"", "token = [\"ghp_hidden\"]", "token = 123456", "token = \"(set)\""]
    {
        let problems = Machine::with_file(&format!("[forge]\n{bad}\n")).problems();
        assert!(
            matches!(&problems[..], [one] if one.starts_with("forge.token (bzzz.toml:2): ")),
            "{problems:?}"
        );
        assert!(!problems[0].contains("hidden") && !problems[0].contains("123456"), "{problems:?}");
    }
}

#[test]
fn a_secret_is_read_from_its_file_next_to_the_configuration() {
    let machine = Machine::with_file("[forge]\ntoken_file = \"keys/token\"\n");
    assert!(machine.problems()[0].starts_with("forge.token_file (bzzz.toml:2): can't read keys/token: "));
    machine.write("keys/token", "ghp_abc\n", 0o644);
    let loaded = machine.load();
    assert_eq!(loaded.settings.forge.token.as_ref().unwrap().expose(), "ghp_abc");
    assert!(loaded.warnings[0].contains("every user can read"), "{:?}", loaded.warnings);
    machine.write("keys/token", "ghp_abc\n", 0o600);
    assert_eq!(machine.load().warnings, Vec::<String>::new());

    // The environment is nearer than the file; at the same place neither is.
    let token = |machine: Machine| machine.load().settings.forge.token.unwrap().expose().to_owned();
    assert_eq!(token(machine.env("BZZZ__FORGE__TOKEN", "ghp_env")), "ghp_env");
    let both = Machine::with_file("[forge]\ntoken = \"ghp_a\"\ntoken_file = \"token\"\n");
    let problem =
        "forge.token (bzzz.toml:2), forge.token_file (bzzz.toml:3): both are set; leave one of them out";
    assert_eq!(both.problems(), [problem]);
    let file = Machine::with_file("[forge]\ntoken = \"ghp_a\"\n").env("BZZZ__FORGE__TOKEN_FILE", "token");
    file.write("token", "ghp_file", 0o600);
    assert_eq!(token(file), "ghp_file");
}

#[test]
fn exposed_secrets_are_warned_of() {
    let machine = Machine::new().set("forge.token=ghp_a");
    machine.write("bzzz.toml", "[hive]\nkey = \"k\"\nurl = \"http://hive.lan\"\n", 0o644);
    let warnings = machine.load().warnings;
    let expected = [
        "forge.token: every user can see it",
        "hive.key: every user can read",
        "hive.key crosses the network",
    ];
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.starts_with(expected), "{warnings:?}");
    }
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}

#[test]
fn a_variable_with_one_underscore_too_few_is_not_passed_over() {
    let machine =
        Machine::new().env("BZZZ_FORGE_TOKEN_FILE", "x").env("BZZZ_PORT_80_TCP", "tcp://10.0.0.1:80");
    let expected = "the variable BZZZ_FORGE_TOKEN_FILE is not read; did you mean BZZZ__FORGE__TOKEN_FILE, with two \
                    underscores?";
    assert_eq!(machine.problems(), [expected]);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let mut machine = Machine::new();
    machine.environment.push(("BZZZ__NODE__NAME".into(), OsString::from_vec(vec![0xff])));
    assert_eq!(machine.problems(), ["node.name (BZZZ__NODE__NAME): is not UTF-8 text"]);
    let machine = Machine::new();
    std::fs::write(machine.folder.path().join("bzzz.toml"), b"# \xff").unwrap();
    assert_eq!(machine.problems(), ["bzzz.toml: is not UTF-8 text: byte 3"]);
    std::fs::write(machine.folder.path().join("bzzz.toml"), vec![b'#'; 2 << 20]).unwrap();
    assert_eq!(machine.problems(), ["bzzz.toml: is longer than 1048576 bytes"]);
}

#[test]
fn the_named_file_must_exist_and_the_others_need_not() {
    let machine = Machine::new();
    let mut sources = machine.sources();
    sources.file = Some("missing.toml".into());
    let errors = Settings::load(&sources).err().unwrap().to_string();
    assert!(errors.contains("missing.toml: can't be read: "), "{errors}");

    machine.write("home/.config/bzzz/bzzz.toml", "[node]\nname = \"of-user\"\n", 0o600);
    assert_eq!(machine.load().settings.node.name.as_str(), "of-user");
    let machine = machine.env("XDG_CONFIG_HOME", "relative/is/ignored");
    assert_eq!(machine.load().settings.node.name.as_str(), "of-user");
    machine.write("bzzz.toml", "[node]\nname = \"of-folder\"\ndata_dir = \"~/data\"\n", 0o600);
    let node = machine.load().settings.node;
    assert_eq!(node.name.as_str(), "of-folder");
    assert_eq!(node.data_dir, machine.folder.path().join("home/data"));
}

#[test]
fn a_host_without_name_or_home_must_be_given_them() {
    let mut machine = Machine::new();
    machine.environment.clear();
    let mut sources = machine.sources();
    sources.host_name = "...".into();
    let problems = Settings::load(&sources).err().unwrap().0;
    assert_eq!(problems.len(), 2, "{problems:?}");
    sources.set = vec!["node.name=a".into(), "node.data_dir=data".into()];
    let node = Settings::load(&sources).unwrap().settings.node;
    assert_eq!(node.data_dir, machine.folder.path().join("data"));
}

#[test]
fn a_node_that_is_to_run_needs_a_token_and_a_repository() {
    let missing = |machine: Machine| -> Vec<String> {
        machine.load().missing_to_run().iter().map(|problem| problem.keys[0].0.clone()).collect()
    };
    assert_eq!(missing(Machine::new()), ["forge.token", "forge.repositories"]);
    let with_token = || Machine::new().env("BZZZ__FORGE__TOKEN", "t");
    assert_eq!(missing(with_token().set("forge.repositories=a/b")), Vec::<String>::new());
    assert_eq!(missing(with_token().set("hive.url=https://hive.example")), Vec::<String>::new());
}

#[test]
fn the_starter_file_changes_nothing_and_names_every_default() {
    let starter = starter_file();
    let as_it_is = Machine::with_file(&starter).load();
    assert_eq!(
        as_it_is.to_toml(false).unwrap().lines().count(),
        Machine::new().load().origins.len() + 12 + 11
    );
    assert!(as_it_is.origins.iter().all(|(_, origin)| !matches!(origin, Origin::File { .. })));

    let is_value = |line: &str| {
        line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    let taken_away = |line: &str| if is_value(line) { line[1..].to_owned() } else { line.to_owned() };
    let all_on: Vec<String> = starter.lines().map(taken_away).collect();
    let all_on: toml::Table = all_on.join("\n").parse().unwrap();
    assert_eq!(all_on, layers::DEFAULTS.parse().unwrap());
}

#[test]
fn what_is_shown_loads_to_the_same() {
    let machine =
        Machine::with_file("[claims]\nttl = \"1h 30m\"\n[sandbox]\nmemory = \"3 GB\"\ncpus = 1.5\n");
    let shown = machine.load().to_toml(true).unwrap();
    assert!(shown.contains("ttl = \"1h 30m\"  # ") && shown.contains("bzzz.toml:2\n"), "{shown}");
    let again = Machine::with_file(&shown).load();
    assert_eq!(again.to_toml(false).unwrap(), machine.load().to_toml(false).unwrap());
}

#[test]
fn every_example_is_valid() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let mut seen = 0;
    for example in std::fs::read_dir(examples).unwrap() {
        let path = example.unwrap().path();
        let machine = Machine::with_file(&std::fs::read_to_string(&path).unwrap());
        for secret in ["token", "hive-key", "n8n-key"] {
            machine.write(&format!("secrets/{secret}"), "x", 0o600);
        }
        let loaded = machine.load();
        assert_eq!(loaded.missing_to_run(), [], "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 3, "{seen} examples");
}
