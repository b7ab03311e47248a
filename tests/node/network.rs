//! The network of a task's sandbox.

use bzzz::settings::{SandboxBackend, Settings};
use bzzz_actors::task::{ConnectionOutcome, RepoId, TaskEvent};

use crate::bubblewrap;
use crate::replies::running;
use crate::stage::on_a_hill;

/// Allowed, and leads nowhere: no name of this domain is ever given to anybody.
const NOWHERE: &str = "nowhere.invalid";

fn allow(repo: &RepoId, backend: SandboxBackend) -> impl FnOnce(&mut Settings) {
    let repository = serde_json::json!({ "name": repo, "allow_hosts": [NOWHERE], "pids": 100 });
    move |settings| {
        settings.sandbox.repository = vec![serde_json::from_value(repository).unwrap()];
        settings.sandbox.backend = backend;
    }
}

#[test]
fn a_repository_with_hosts_has_a_network_and_its_journal_says_what_came_of_it() {
    with_hosts(SandboxBackend::Docker);
}

#[test]
fn without_docker_a_repository_with_hosts_has_a_network_too() {
    if bubblewrap::can_run() {
        with_hosts(SandboxBackend::Bubblewrap);
    }
}

fn with_hosts(backend: SandboxBackend) {
    on_a_hill(async |hill| {
        let open = hill.repository("open", &["test -s fuel"]).await;
        let closed = hill.repository("closed", &["test -s fuel"]).await;
        let get = |url: &str| {
            format!(
                "python3 -c 'import urllib.request as u; u.urlopen(\"{url}\", timeout=20)' 2>&1 | tail -n1"
            )
        };
        let allowed = get(&format!("https://{NOWHERE}/"));
        let refused = get("https://evil.example/");
        let commands = [
            &allowed,
            &refused,
            "for i in $(seq 400); do echo x > /dev/tcp/127.0.0.1/3128; done; cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max 2>/dev/null || ulimit -u",
            "echo full > fuel",
        ];
        let of_open = hill.issue(&open, running(&commands));
        let of_closed =
            hill.issue(&closed, running(&[&allowed, "env | grep -ci proxy; ls /network; echo full > fuel"]));
        let node = hill.node_with("a", allow(&open, backend)).await;

        let story = node.until_proposed(&of_open).await;
        let outcomes = story.outcomes();
        assert!(
            outcomes[0].shown.contains("502 nowhere.invalid:443 is allowed, but could not be reached"),
            "{story}"
        );
        assert!(
            outcomes[1].shown.contains("403 network access to evil.example:443 is not allowed"),
            "{story}"
        );
        assert!(outcomes[1].shown.contains("allowed hosts: nowhere.invalid"), "{story}");
        assert_eq!(outcomes[2].shown, "100\n", "the limit of the repository; {story}");
        let connections: Vec<_> =
            story.recorded.iter().filter(|it| it.event.is_of_network()).map(|it| &it.event).collect();
        assert!(
            matches!(connections[0], TaskEvent::Connected { host, port: 443, outcome: ConnectionOutcome::Failed { .. }, .. } if host == NOWHERE)
        );
        assert!(
            matches!(connections[1], TaskEvent::Connected { host, port: 443, outcome: ConnectionOutcome::Refused { .. }, .. } if host == "evil.example")
        );
        // What was neither a request nor allowed: one hundred, and that there were more.
        let story = node.until_kind(&of_open, "connections_omitted").await;
        let refused = |event: &&TaskEvent| {
            matches!(event, TaskEvent::Connected { outcome: ConnectionOutcome::Refused { .. }, .. })
        };
        assert_eq!(story.recorded.iter().map(|it| &it.event).filter(refused).count(), 100, "{story}");

        let story = node.until_proposed(&of_closed).await;
        let outcomes = story.outcomes();
        let unresolved = ["Temporary failure in name resolution", "Name or service not known"];
        assert!(unresolved.iter().any(|it| outcomes[0].shown.contains(it)), "{story}");
        assert!(
            outcomes[1].shown.starts_with("0\n") && outcomes[1].shown.contains("No such file"),
            "{story}"
        );
        assert!(!story.recorded.iter().any(|it| it.event.is_of_network()), "{story}");
    });
}
