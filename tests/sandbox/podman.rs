//! Podman's socket in the place of Docker's: a service of the test's own, whose images and containers are its alone.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use bzzz::docker::{DockerOptions, DockerSandboxes};
use bzzz::network::Limits;
use bzzz_actors::ports::sandbox::{Purpose, Sandbox, SandboxError, Sandboxes};
use bzzz_actors::task::{ConnectionOutcome, Ending, TaskEvent};

use crate::internet::{HOST, Stage, networks};
use crate::place::{Place, Sizes, is_there, output, request, run, text};
use crate::remote::code_goes_in_and_out;

const PATIENCE: Duration = Duration::from_secs(30);

const IMAGE: &str = "localhost/bzzz-test:1";

/// What sandboxes are tried with here; the whole image would take half a minute to load.
const PROGRAMS: &str =
    "bash cat cp find git grep head id ls mkdir mktemp mount mv rm sed sleep stat tar touch tr wc";

/// Makes an image of `$2`, programs of this machine, with all that they load, and serves the folder `$1`. In namespaces of
/// its own; the first process ends when its input ends, and all others with it.
const FIRST_PROCESS: &str = r#"
set -eu
cd "$1"
mount -t tmpfs bzzz-podman /run
mount -t tmpfs bzzz-podman /dev/shm
podman() { command podman --root "$1/root" --runroot "$1/run" --tmpdir "$1/tmp" "${@:2}"; }
mkdir -p tree/{usr/{bin,lib,lib64},etc,tmp,proc,sys,dev,home/agent,work}
ln -s usr/bin usr/lib usr/lib64 tree/
for program in $2; do
    cp -L "$(type -P "$program")" tree/usr/bin/
    for library in $(ldd "$(type -P "$program")" | grep -o '/[^ ]*'); do
        mkdir -p "tree$(dirname "$library")"
        cp -L "$library" "tree$library"
    done
done
echo 'agent:x:1000:1000::/home/agent:/bin/bash' >tree/etc/passwd
tar -C tree -c . | podman "$1" import --quiet - "$3"
podman "$1" system service -t 0 "unix://$1/socket" &
until [ -S socket ]; do sleep 0.05; done
echo ready
read -r end || podman "$1" rm --all --force --time 0
"#;

struct Podman {
    first: Child,
    input: Option<ChildStdin>,
    /// The last, so that it goes after what is in it.
    folder: tempfile::TempDir,
}

impl Podman {
    /// `None`, with a line that says so, where there can't be one. In CI that is a failure.
    fn start() -> Option<Self> {
        let is_here = Command::new("podman").arg("--version").output().is_ok();
        let may = rustix::process::geteuid().is_root();
        if !is_there(is_here && may, "Podman is missing, or this is not root") {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("bzzz-podman-").tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut first = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "slave"])
            .args(["bash", "-c", FIRST_PROCESS, "podman-of-test"])
            .arg(folder.path())
            .args([PROGRAMS, IMAGE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let said = BufReader::new(first.stdout.take().unwrap()).lines().map_while(Result::ok);
        let is_ready = said.into_iter().any(|line| line == "ready");
        let podman = Self { input: first.stdin.take(), first, folder };
        assert!(is_ready, "{}", std::fs::read_to_string(podman.folder.path().join("log")).unwrap());
        Some(podman)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn options(&self, place: &Place) -> DockerOptions {
        DockerOptions {
            host: Some(format!("unix://{}", self.socket().display())),
            image: IMAGE.to_owned(),
            ..place.docker_options(Sizes::default())
        }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.first.wait();
    }
}

fn folders_in(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

/// One service for all: it takes some seconds to make.
#[tokio::test]
async fn podman_does_what_docker_does() {
    let Some(place) = Place::docker() else { return };
    let Some(podman) = Podman::start() else { return };
    let backend = DockerSandboxes::new(podman.options(&place)).unwrap();
    let described = backend.describe().await.unwrap();
    assert!(described.contains(IMAGE), "{described}");

    let first = backend.start(&place.spec(Purpose::Work)).await.unwrap();
    it_is_as_tight_and_as_roomy(&*first).await;
    code_goes_in_and_out(&*first).await;
    a_node_that_returns_finds_its_command(&backend, &place, first).await;
    hosts_are_allowed_by_the_proxy(&podman, &place).await;
    assert_eq!(backend.remove_strays(&place.node, &|_| false).await.unwrap(), 0, "all were destroyed");
    assert_eq!(folders_in(&place.folder.path().join("direct")), 0);
}

async fn it_is_as_tight_and_as_roomy(sandbox: &dyn Sandbox) {
    assert_eq!(output(sandbox, 1, "id -u; stat -c '%u' /work /tmp ~").await, "1000\n1000\n1000\n1000\n");
    assert_eq!(
        output(sandbox, 2, "touch ~/a /tmp/a /work/a; ls /direct /sys/class/net").await,
        "/direct:\n\n/sys/class/net:\nlo\n"
    );
    let status = output(sandbox, 3, "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status").await;
    assert_eq!(status, "CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
    assert_eq!(output(sandbox, 4, "touch /usr/x 2>/dev/null || echo refused").await, "refused\n");
    let refused = run(sandbox, 5, "mount -t tmpfs x /tmp").await.unwrap();
    assert!(!refused.ending.is_success());
    let full = run(sandbox, 6, "head -c 64M /dev/zero > /tmp/full").await.unwrap();
    assert!(text(&full).contains("No space left"), "{}", text(&full));
    assert_eq!(output(sandbox, 7, "rm /tmp/full; echo on").await, "on\n");
}

async fn a_node_that_returns_finds_its_command(
    backend: &DockerSandboxes,
    place: &Place,
    first: std::sync::Arc<dyn Sandbox>,
) {
    let command = request(11, "touch /tmp/begun; sleep 1; echo done", PATIENCE);
    let running = tokio::spawn(async move { first.run(&command).await });
    let spec = place.spec(Purpose::Work);
    let second = backend.adopt(&spec).await.unwrap().unwrap();
    let mut recalled = None;
    // It may not have arrived yet.
    while recalled.is_none() {
        recalled = second.recall(11, PATIENCE).await.unwrap();
    }
    let recalled = recalled.unwrap();
    assert_eq!((recalled.ending, text(&recalled).as_str()), (Ending::Exited { code: 0 }, "done\n"));
    running.abort();
    second.destroy().await.unwrap();
    assert!(backend.adopt(&spec).await.unwrap().is_none());
    assert!(matches!(run(&*second, 12, "true").await, Err(SandboxError::Lost(_))));
}

async fn hosts_are_allowed_by_the_proxy(podman: &Podman, place: &Place) {
    let stage = Stage::new(([127, 0, 0, 1], 9).into(), 0);
    let (networks, mut reports) = networks(place, &stage, Limits::default());
    let allowed_hosts = vec![HOST.parse().unwrap()];
    let options = DockerOptions { allowed_hosts, ..podman.options(place) };
    let backend = DockerSandboxes::new(options).unwrap().with_networks(networks);
    let sandbox = backend.start(&place.spec(Purpose::Work)).await.unwrap();
    let ask = "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT evil.example:443 HTTP/1.1\\r\\n\\r\\n' >&3; \
               read -r said <&3; echo \"$said\"";
    assert!(output(&*sandbox, 1, ask).await.starts_with("HTTP/1.1 403 network access to evil.example:443"));
    let event = reports.next().await.unwrap().2;
    assert!(
        matches!(event, TaskEvent::Connected { outcome: ConnectionOutcome::Refused { .. }, .. }),
        "{event:?}"
    );
    sandbox.destroy().await.unwrap();
}
