//! The network of a task's sandbox, and a person's look into it.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bzzz::settings::{SandboxBackend, Settings};
use bzzz_actors::task::{ConnectionOutcome, RepoId, TaskEvent, TaskId};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::bee::Bee;
use crate::bubblewrap;
use crate::containers::until_runs;
use crate::replies::{DONE, FUEL, PLAN, running, sh};
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

/// The program, for the node `bee` of the hill.
fn program(bee: &Bee, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bzzz"));
    command.env_clear().env("PATH", std::env::var("PATH").unwrap());
    command.args([
        "--set",
        &format!("node.name={}", bee.name),
        "--set",
        &format!("node.data_dir={}", folder.display()),
    ]);
    command.args(arguments);
    command
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

/// Lets the task come to a command that ends when it is released.
async fn held(hill: &mut crate::hill::Hill) -> (TaskId, Bee) {
    let repo = hill.repository("held", &["test -s fuel"]).await;
    let task = hill.issue(
        &repo,
        [PLAN, FUEL, &sh("while [ ! -e /tmp/go ]; do sleep 0.2; done; sleep 1000 &"), DONE, DONE],
    );
    let node = hill.node().await;
    node.until_kind(&task, "command_finished").await;
    until_runs(&node.sandbox_of(&task), "sleep 0.2").await;
    (task, node)
}

#[test]
fn a_person_runs_a_command_in_a_sandbox_that_is_at_work() {
    on_a_hill(async |hill| {
        let (task, node) = held(hill).await;
        let folder = hill.data_folder("a");
        let exec = |task: &str, command: &[&str]| {
            let arguments = [&["sandbox", "exec", task, "--"], command].concat();
            let output = program(&node, &folder, &arguments).stdin(Stdio::null()).output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (output.status.code(), text(&output.stdout), text(&output.stderr))
        };
        let name = task.to_string();
        let (status, out, _) =
            exec(&name, &["sh", "-c", "id -u; pwd; cat fuel; printf '\\033[1m'; echo told >&2; exit 7"]);
        assert_eq!((status, out.as_str()), (Some(7), "1000\n/work/repo\nfull\n\u{1b}[1m"));
        let (status, _, err) = exec("no/such#1", &["true"]);
        assert!(status == Some(1) && err.contains("no task no/such#1"), "{err}");
        let (status, _, err) = exec(&name, &["no-such-program"]);
        assert!(status != Some(0), "{err}");

        // The session with sandboxd went on all the while.
        let (status, ..) = exec(&name, &["touch", "/tmp/go"]);
        assert_eq!(status, Some(0));
        node.until_proposed(&task).await;
        node.until(&task, "no sandbox", |story| {
            story.task().sandbox.is_none() || story.has("pull_request_opened")
        })
        .await;
        hill.until("its sandbox is gone", |_| exec(&name, &["true"]).2.contains("no work sandbox of")).await;
    });
}

#[test]
fn a_person_has_a_shell_until_a_command_is_swept_away() {
    on_a_hill(async |hill| {
        let (task, node) = held(hill).await;
        let (mut terminal, shell) =
            on_a_terminal(program(&node, &hill.data_folder("a"), &["sandbox", "shell", &task.to_string()]));
        let mut seen = String::new();
        read_until(&mut terminal, &mut seen, "$ ");
        assert!(seen.contains("takes this shell with it"), "{seen}");
        // It has a terminal with the size of this one, and what is typed arrives sign by sign.
        terminal.write_all(b"stty size; tty | cut -c1-8; echo \"in $PWD as $(id -u)\"\r").unwrap();
        read_until(&mut terminal, &mut seen, "in /work/repo as 1000");
        assert!(seen.contains("41 123") && seen.contains("/dev/pts"), "{seen}");
        terminal.write_all(b"touch /tmp/go\r").unwrap();
        let shell = std::cell::RefCell::new(shell);
        // The command ends, and leaves a process behind.
        let ended = std::cell::Cell::new(None);
        hill.until("the shell ends", |_| {
            ended.set(shell.borrow_mut().try_wait().unwrap());
            ended.get().is_some()
        })
        .await;
        assert_ne!(ended.get().unwrap().code(), Some(0), "it was killed");
        node.until_proposed(&task).await;
    });
}

/// Starts the program on a terminal of 123 columns and 41 rows.
fn on_a_terminal(mut command: Command) -> (std::fs::File, Child) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = rustix::termios::Winsize { ws_row: 41, ws_col: 123, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(master.as_fd(), size).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let handle = || Stdio::from(slave.try_clone().unwrap());
    let child = command.stdin(handle()).stdout(handle()).stderr(handle()).spawn().unwrap();
    (master.into(), child)
}

/// Its end is an error: then it was never said.
fn read_until(terminal: &mut std::fs::File, seen: &mut String, words: &str) {
    let mut buffer = [0; 1024];
    while !seen.contains(words) {
        match terminal.read(&mut buffer) {
            Ok(read @ 1..) => seen.push_str(&String::from_utf8_lossy(&buffer[..read])),
            _ => panic!("{words:?} was not said: {seen}"),
        }
    }
}
