//! A Docker daemon of a test's own, which it may stop, kill and start again.
//!
//! It, its containerd and its containers live in namespaces of their own for processes, mounts and the network. The
//! first process in there ends when its input ends, and all others with it: nothing outlives the test, however the test
//! ends, and no signal reaches what the test did not start. Needs root, and a kernel with overlayfs.
//!
//! It may listen to TLS, as one on another machine does; the way into its network is a [`Network`].

#![allow(dead_code, reason = "each test program uses another part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::containers::{Docker, image};

/// How long the daemon may take to start, to stop its containers and itself, or to end when it is killed. Far more than
/// it needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// The end of a log that is shown.
const LOG_LINES: usize = 15;
const CGROUPS: &str = "/sys/fs/cgroup";

/// The first process of the namespaces. It answers each order with a line when it is carried out. containerd's sockets
/// have a folder that can't be set; a file system of its own hides the machine's. What the daemon stores is held in
/// memory, twice the image while that is loaded: on a busy disk it would take half a minute to come and to go.
const FIRST_PROCESS: &str = r#"
set -u
ip link set lo up || exit 1
mkdir -p /run/containerd && mount -t tmpfs bzzz-dockerd /run/containerd || exit 1
mkdir "$1/data" && mount -t tmpfs -o size=3g bzzz-dockerd "$1/data" || exit 1
while read -r order more; do
    case $order in
        start)
            rm -f "$1/pid"
            # shellcheck disable=SC2086
            dockerd --data-root "$1/data" --exec-root "$1/run" --pidfile "$1/pid" --host "unix://$1/socket" \
                --bridge none --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false \
                --storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$2" $more \
                </dev/null >>"$1/log" 2>&1 &
            daemon=$! ;;
        end) kill -s "$more" "$daemon"; wait "$daemon" ;;
        signal) kill -s "$more" "$daemon" ;;
    esac
    echo done
done
"#;

/// What becomes of the containers of a daemon that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Containers {
    /// A daemon that stops ends them; one that starts ends those that a killed one left.
    EndToo,
    /// They go on (`--live-restore`), cut off from whoever was attached.
    GoOn,
}

impl Containers {
    pub(crate) const ALL: [Self; 2] = [Self::EndToo, Self::GoOn];
}

/// Where it listens to TLS, if it does, in its own network.
const TLS_PORT: u16 = 2376;

/// The certificates of it and of who may use it.
pub(crate) const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/docker-tls");

/// It finds the network off by itself in newer versions only.
const GVISOR: &str = r#"{"runtimes": {"runsc": {"path": "runsc", "runtimeArgs": ["--network=none"]}}}"#;

pub(crate) struct Dockerd {
    first: Child,
    listens_to_tls: bool,
    /// It has gVisor's runtime `runsc` too.
    pub(crate) has_gvisor: bool,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    folder: PathBuf,
    cgroup: String,
}

impl Dockerd {
    /// Starts one with the sandbox image in it. `folder` is made.
    ///
    /// # Errors
    /// Why it can't be had on this machine.
    pub(crate) fn start(folder: &Path, containers: Containers) -> Result<Self, String> {
        Self::start_with(folder, containers, false)
    }

    /// The same of one that others may use, by TLS: [`Network::to_tls_of`].
    pub(crate) fn start_for_others(folder: &Path) -> Result<Self, String> {
        Self::start_with(folder, Containers::EndToo, true)
    }

    fn start_with(folder: &Path, containers: Containers, listens_to_tls: bool) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("a Docker daemon of the test's own needs root".to_owned());
        }
        std::fs::create_dir(folder).unwrap();
        let cgroup = format!("bzzz-test-{:x}", getrandom::u64().unwrap());
        // A mount that is made later is seen in there too, where the machine shares its mounts.
        let mut first = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--net",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "--propagation",
                "slave",
            ])
            .args(["bash", "-c", FIRST_PROCESS, "dockerd-of-test"])
            .arg(folder)
            .arg(&cgroup)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let (sender, answers) = channel();
        let answered = BufReader::new(first.stdout.take().unwrap());
        std::thread::spawn(move || answered.lines().map_while(Result::ok).try_for_each(|it| sender.send(it)));
        let orders = first.stdin.take();
        let has_gvisor = listens_to_tls && Command::new("runsc").arg("--version").output().is_ok();
        if has_gvisor {
            std::fs::write(folder.join("daemon.json"), GVISOR).unwrap();
        }
        let mut dockerd =
            Self { first, listens_to_tls, has_gvisor, orders, answers, folder: folder.to_owned(), cgroup };
        dockerd.begin(containers)?;
        dockerd.load()?;
        Ok(dockerd)
    }

    pub(crate) fn client(&self) -> Docker {
        Docker::at(format!("unix://{}", self.socket().display()))
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// Starts it again, and waits until it answers.
    pub(crate) fn start_again(&mut self, containers: Containers) {
        self.begin(containers).unwrap();
    }

    /// Ends it at once; its containers don't notice.
    pub(crate) fn kill(&mut self) {
        self.order("end KILL").unwrap();
    }

    /// Ends it as a service manager does.
    pub(crate) fn stop(&mut self) {
        self.order("end TERM").unwrap();
    }

    /// Lets it stand still, with all its connections open.
    pub(crate) fn pause(&mut self) {
        self.order("signal STOP").unwrap();
    }

    pub(crate) fn resume(&mut self) {
        self.order("signal CONT").unwrap();
    }

    fn begin(&mut self, containers: Containers) -> Result<(), String> {
        let mut order = vec!["start".to_owned()];
        if containers == Containers::GoOn {
            order.push("--live-restore".to_owned());
        }
        if self.listens_to_tls {
            order.push(format!("--host tcp://127.0.0.1:{TLS_PORT} --tlsverify"));
            for (flag, file) in [("tlscacert", "ca"), ("tlscert", "server"), ("tlskey", "server-key")] {
                order.push(format!("--{flag} {CERTIFICATES}/{file}.pem"));
            }
        }
        if self.has_gvisor {
            order.push(format!("--config-file {}", self.folder.join("daemon.json").display()));
        }
        self.order(&order.join(" "))?;
        let client = self.client();
        let deadline = Instant::now() + PATIENCE;
        while client.run(&["version"]).is_none() {
            if Instant::now() > deadline {
                return Err(format!("dockerd does not answer {PATIENCE:?} after its start:\n{}", self.log()));
            }
            std::thread::park_timeout(LOOK);
        }
        Ok(())
    }

    fn order(&mut self, order: &str) -> Result<(), String> {
        let told = self.orders.as_mut().map(|orders| writeln!(orders, "{order}"));
        let is_told = matches!(told, Some(Ok(())));
        match self.answers.recv_timeout(PATIENCE) {
            Ok(_) if is_told => Ok(()),
            _ => Err(format!("no namespaces for a dockerd of the test's own, at {order:?}:\n{}", self.log())),
        }
    }

    /// Copies the image from the machine's daemon.
    fn load(&self) -> Result<(), String> {
        let (image, own) = (image(), self.client());
        let mut saved = Command::new("docker").args(["save", &image]).stdout(Stdio::piped()).spawn().unwrap();
        let loaded = own.command(&["load", "--quiet"]).stdin(saved.stdout.take().unwrap()).output().unwrap();
        match saved.wait().unwrap().success() && loaded.status.success() {
            true => Ok(()),
            false => Err(format!("{image} can't be copied: {}", String::from_utf8_lossy(&loaded.stderr))),
        }
    }

    fn log(&self) -> String {
        let log = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.orders = None;
        let deadline = Instant::now() + PATIENCE;
        // It is waited for until nothing lives in its namespaces; their mounts are gone then.
        while matches!(self.first.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.first.kill();
            }
            std::thread::park_timeout(LOOK);
        }
        // One folder for all controllers, or one for each.
        let below = std::fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
        for controller in below.chain([PathBuf::from(CGROUPS)]) {
            remove_cgroup(&controller.join(&self.cgroup));
        }
    }
}

/// The files in such a folder are no files, and go with it.
fn remove_cgroup(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        remove_cgroup(&entry.path());
    }
    if let Err(error) = std::fs::remove_dir(folder) {
        println!("{} is left behind: {error}", folder.display());
    }
}

/// What lies between this machine and the daemon's: a port of this one, from which each connection is led on.
pub(crate) struct Network {
    pub(crate) address: SocketAddr,
    /// Each ends one.
    connections: Arc<Mutex<Vec<End>>>,
}

type End = Box<dyn Fn() + Send>;

impl Network {
    /// To the port at which the daemon listens to TLS.
    pub(crate) fn to_tls_of(dockerd: &Dockerd) -> Self {
        // By the process that entered it.
        let network = std::fs::File::open(format!("/proc/{}/ns/net", dockerd.first.id())).unwrap();
        Self::new(move || {
            let network = network.try_clone().unwrap();
            // Only this thread goes there. A socket stays where it was made.
            let connect = move || {
                rustix::thread::move_into_link_name_space(network.as_fd(), None).unwrap();
                TcpStream::connect(("127.0.0.1", TLS_PORT))
            };
            std::thread::spawn(connect).join().unwrap()
        })
    }

    /// To the daemon's socket, as `ssh -L` makes it.
    pub(crate) fn tunnel_to(dockerd: &Dockerd) -> Self {
        let socket = dockerd.socket();
        Self::new(move || UnixStream::connect(&socket))
    }

    fn new<S: Stream>(far: impl Fn() -> std::io::Result<S> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(Vec::<End>::new()));
        let all = connections.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (Ok(near), Ok(far)) = (near, far()) else { continue };
                near.set_nodelay(true).unwrap();
                let (there, back) = ((near.copy(), far.copy()), (far.copy(), near.copy()));
                std::thread::spawn(move || lead(there.0, there.1));
                std::thread::spawn(move || lead(back.0, back.1));
                all.lock().unwrap().push(Box::new(move || {
                    near.end(Shutdown::Both);
                    far.end(Shutdown::Both);
                }));
            }
        });
        Self { address, connections }
    }

    /// Ends all connections; new ones can be made.
    pub(crate) fn cut(&self) {
        self.connections.lock().unwrap().drain(..).for_each(|end| end());
    }
}

trait Stream: Read + Write + Send + 'static {
    fn copy(&self) -> Self;
    fn end(&self, which: Shutdown);
}

impl Stream for TcpStream {
    fn copy(&self) -> Self {
        self.try_clone().unwrap()
    }
    fn end(&self, which: Shutdown) {
        let _ = self.shutdown(which);
    }
}

impl Stream for UnixStream {
    fn copy(&self) -> Self {
        self.try_clone().unwrap()
    }
    fn end(&self, which: Shutdown) {
        let _ = self.shutdown(which);
    }
}

/// Leads one direction on until it ends, and ends it there too.
fn lead(mut from: impl Stream, mut to: impl Stream) {
    let _ = std::io::copy(&mut from, &mut to);
    to.end(Shutdown::Write);
}
