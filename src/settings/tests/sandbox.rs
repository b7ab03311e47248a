//! What sandboxes are made with: repositories with their own, and the daemon of the `docker` command.

use super::*;

const REPOSITORIES: &str = "
[[sandbox.repository]]
name = \"acme/rocket\"
allow_hosts = [\"Crates.IO\", \"static.crates.io\"]
memory = \"4 GiB\"
[[sandbox.repository]]
name = \"acme/tool\"
image = \"other:1\"
cpus = 1
";

#[test]
fn a_repository_has_its_own_hosts_and_limits() {
    let loaded = Machine::with_file(REPOSITORIES).load();
    let sandbox = &loaded.settings.sandbox;
    let [rocket, tool] = &sandbox.repository[..] else { panic!("{:?}", sandbox.repository) };
    let hosts: Vec<_> = rocket.allow_hosts.iter().map(|host| host.as_str()).collect();
    assert_eq!(hosts, ["crates.io", "static.crates.io"]);
    let of_rocket = sandbox.with(rocket);
    assert_eq!((of_rocket.memory.bytes(), of_rocket.cpus), (4 << 30, sandbox.cpus));
    let of_tool = sandbox.with(tool);
    assert_eq!((of_tool.image.as_str(), of_tool.cpus, of_tool.memory), ("other:1", 1.0, sandbox.memory));
    assert!(tool.allow_hosts.is_empty());

    let shown = loaded.to_toml(false).unwrap();
    let again = Machine::with_file(&shown).load();
    assert_eq!(again.settings.sandbox.repository[0].allow_hosts, rocket.allow_hosts);
    let set = "sandbox.repository=[{name=\"a/b\", allow_hosts=[\"x.example\"]}]";
    assert_eq!(Machine::new().set(set).load().settings.sandbox.repository.len(), 1);
}

#[test]
fn what_repositories_may_ask_for_is_nothing_until_the_operator_says_so() {
    let sandbox = Machine::with_file("").load().settings.sandbox;
    assert_eq!((sandbox.choosable_images.len(), sandbox.askable_hosts.len(), sandbox.max_setup), (0, 0, 10));
    let loaded = Machine::with_file(
        "[sandbox]
choosable_images = ['a:1']
askable_hosts = ['A.example']
[[sandbox.repository]]
name = 'acme/rocket'
choosable_images = ['b:1', 'c:1']
checks = ['make test']
setup = []
paths = ['src/']
instructions = 'Be kind.'
[[sandbox.repository]]
name = 'acme/tool'
askable_hosts = []
",
    )
    .load();
    let sandbox = &loaded.settings.sandbox;
    let [rocket, tool] = &sandbox.repository[..] else { panic!("{:?}", sandbox.repository) };
    let hosts = |sandbox: &Sandbox| sandbox.askable_hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(sandbox.with(rocket).choosable_images, ["b:1", "c:1"]);
    assert_eq!(hosts(&sandbox.with(rocket)), ["a.example"]);
    assert_eq!(sandbox.with(tool).choosable_images, ["a:1"]);
    assert_eq!(hosts(&sandbox.with(tool)), [""; 0]);
    assert_eq!((rocket.setup.as_deref(), tool.setup.as_deref()), (Some(&[][..]), None));
    assert_eq!(rocket.paths.as_ref().unwrap()[0].as_str(), "src/");

    let shown = loaded.to_toml(false).unwrap();
    let again = Machine::with_file(&shown).load().settings.sandbox;
    assert_eq!(again.repository[0].checks, rocket.checks);
    assert_eq!((&again.repository[0].setup, &again.repository[1].setup), (&rocket.setup, &tool.setup));
}

#[test]
fn what_is_wrong_with_a_repository_is_told_with_its_name() {
    let wrong = |keys: &str| {
        let problems = Machine::with_file(&format!("[[sandbox.repository]]\n{keys}")).problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].clone()
    };
    for (keys, words) in [
        ("name = 'acme/rocket'\nallow_hosts = ['*.crates.io']", "wildcard"),
        ("name = 'acme/rocket'\nallow_hosts = ['10.0.0.1']", "not the name of a host"),
        ("name = 'acme/rocket'\nallow_hosts = 'crates.io'", "allow_hosts"),
        ("name = 'acme/rocket'\nmemmory = '4 GiB'", "memmory"),
        ("name = 'acme/rocket'\nmemory = 4", "no unit"),
        ("name = 'acme/rocket'\nmemory = '1 GiB'", "less than"),
        ("name = 'acme/rocket'\npids = 3", "16 to 65536"),
        ("name = 'acme/rocket'\nruntime = ''", "the name of a runtime"),
        ("name = 'acme/rocket'\nchoosable_images = ['a b']", "names of images"),
        ("name = 'acme/rocket'\naskable_hosts = ['localhost']", "not the name of a host"),
        ("name = 'acme/rocket'\nchecks = ['']", "is empty"),
        (
            "name = 'acme/rocket'\nsetup = ['a','b','c','d','e','f','g','h','i','j','k']",
            "sandbox.max_setup, 10",
        ),
        ("name = 'acme/rocket'\npaths = ['../x']", "not a path from the top"),
        ("name = 'acme/rocket'\n[[sandbox.repository]]\nname = 'Acme/Rocket'", "is there twice"),
    ] {
        let problem = wrong(keys);
        assert!(problem.contains("sandbox.repository[") && problem.contains("bzzz.toml:"), "{problem}");
        assert!(problem.to_ascii_lowercase().contains("acme/rocket") && problem.contains(words), "{problem}");
    }
    assert!(wrong("allow_hosts = []").contains("number 1"));
    let problems = Machine::with_file("[sandbox]\nrepository = ['a/b']").problems();
    assert!(problems[0].contains("tables [[sandbox.repository]]"), "{problems:?}");
    let two = "name = 'a/b'\npids = 1\ncpus = 0.0\n[[sandbox.repository]]\nname = 'c/d'\npids = 2";
    let problems = Machine::with_file(&format!("[[sandbox.repository]]\n{two}")).problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn the_daemon_of_the_docker_command_is_found() {
    let context = r#"{"Name":"far","Endpoints":{"docker":{"Host":"ssh://far.example"}}}"#;
    let machine = Machine::new().set("sandbox.backend=docker").env("DOCKER_CONTEXT", "far");
    machine.write("home/.docker/contexts/meta/0a/meta.json", context, 0o600);
    let loaded = machine.load();
    assert_eq!(loaded.settings.sandbox.docker_host.as_deref(), Some("ssh://far.example"));
    let missing: Vec<_> = loaded.missing_to_run().iter().map(ToString::to_string).collect();
    assert!(missing.iter().all(|it| !it.contains("docker_host")), "{missing:?}");

    let loaded = Machine::new().set("sandbox.backend=docker").env("DOCKER_CONTEXT", "gone").load();
    let missing: Vec<_> = loaded.missing_to_run().iter().map(ToString::to_string).collect();
    assert!(missing.iter().any(|it| it.contains("there is no Docker context \"gone\"")), "{missing:?}");
    // The setting goes before all of them.
    let set = "sandbox.docker_host=unix:///run/podman/podman.sock";
    let loaded = Machine::new().env("DOCKER_CONTEXT", "gone").set(set).load();
    assert_eq!(loaded.settings.sandbox.docker_host.as_deref(), Some("unix:///run/podman/podman.sock"));
}

#[test]
fn certificates_are_those_of_the_setting_else_of_the_docker_command() {
    let certificates = |machine: Machine| machine.load().settings.sandbox.docker_certificates;
    let verified = || Machine::new().env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", "/of/command");
    let far = || verified().set("sandbox.docker_host=tcp://far");
    assert_eq!(certificates(far()), Some("/of/command".into()));
    assert_eq!(certificates(far().set("sandbox.docker_certificates=/set")), Some("/set".into()));
    assert_eq!(certificates(verified()), None, "a socket has no use for them");
    assert_eq!(certificates(verified().set("sandbox.docker_host=ssh://far")), None);

    let file = "[sandbox]\ndocker_host = \"tcp://far\"\ndocker_certificates = \"tls\"\n";
    let machine = Machine::with_file(file);
    let found = machine.load().settings.sandbox.docker_certificates.unwrap();
    assert!(found.is_absolute() && found.ends_with("tls"), "{}", found.display());
}

#[test]
fn every_backend_may_have_hosts() {
    for backend in ["docker", "bubblewrap", "auto"] {
        Machine::with_file(REPOSITORIES).set(&format!("sandbox.backend={backend}")).load();
    }
}
