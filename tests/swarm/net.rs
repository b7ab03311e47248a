//! A network of its own for a test: hosts are network namespaces, each with one cable into a switch, which is a
//! namespace too. So nothing of it is seen outside, and the machine's own firewall does not filter it.
//!
//! ```text
//!   host "a" ── eth0 10.77.0.2 ─┐                       ┌─ eth0 10.77.1.2 ── host "c"
//!   host "b" ── eth0 10.77.0.3 ─┴ lan0 10.77.0.1  switch  10.77.1.1 lan1 ┘
//! ```
//!
//! The switch routes between its networks. A host behind a router has an address that means nothing elsewhere, and only what it
//! began itself finds a way in.
//!
//! ```text
//!   host "d" ── eth0 192.168.4.2 ── 192.168.4.1 lan  router "d-router"  wan 10.77.1.4 ── switch
//! ```
//!
//! Everything goes with [`Net`], also when a test fails; what a killed run has
//! left is removed by the next one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::containers::{self, docker};

/// Begins the names of all namespaces and nodes of these tests; the process id of the test follows.
const PREFIX: &str = "bzzz-swarm-";
const NAMESPACES: &str = "/run/netns";
/// The name of the switch among the hosts.
const SWITCH: &str = "switch";

static NUMBER: AtomicU32 = AtomicU32::new(0);
static SWEPT: Once = Once::new();

pub(crate) struct Net {
    /// Begins the names of this network's namespaces and of the nodes in it.
    pub(crate) prefix: String,
    networks: u8,
    hosts: BTreeMap<String, Host>,
}

/// How a router gives the connections that it lets out their ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ports {
    /// Those that the hosts behind it use, as most do.
    Kept,
    /// A new one for each connection: nobody can tell where the next one comes from.
    Random,
}

struct Host {
    network: u8,
    /// By which others see it.
    address: Ipv4Addr,
    /// Of the switch's end of its cable.
    port: String,
    router: Option<String>,
}

/// Whether networks can be made here. Where they can't, a line says so; in CI that is a failure.
pub(crate) fn can_run() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    let has_ip = Command::new("ip").args(["netns", "list"]).output().is_ok_and(|it| it.status.success());
    let problem = match (is_root, has_ip) {
        (true, true) => return containers::can_run(),
        (false, _) => "network namespaces need root",
        (true, false) => "`ip netns` does not work here: deploy/prerequisites.sh installs iproute2",
    };
    assert!(std::env::var_os("CI").is_none(), "{problem}");
    println!("skipped: {problem}");
    false
}

impl Net {
    /// A switch with one network for each of `networks`.
    pub(crate) fn new(networks: u8) -> Self {
        SWEPT.call_once(sweep);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{PREFIX}{}-{number}-", std::process::id());
        let net = Self { prefix, networks, hosts: BTreeMap::new() };
        ip(&["netns", "add", &net.namespace(SWITCH)]);
        let mut lines = vec!["link set lo up".to_owned()];
        for network in 0..networks {
            lines.push(format!("link add lan{network} type bridge"));
            lines.push(format!("addr add {}/24 dev lan{network}", net.gate(network)));
            lines.push(format!("link set lan{network} up"));
        }
        net.batch(SWITCH, &lines);
        net.run_in(SWITCH, &["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
        net
    }

    /// Connects a new host to a network, and returns its address there.
    pub(crate) fn add_host(&mut self, name: &str, network: u8) -> Ipv4Addr {
        self.plug(name, name, "eth0", network)
    }

    /// Connects a new host to a router of its own, which is connected to a network.
    pub(crate) fn add_host_behind_router(&mut self, name: &str, network: u8, ports: Ports) {
        let router = format!("{name}-router");
        let address = self.plug(name, &router, "wan", network);
        let inside = |last: u8| Ipv4Addr::new(192, 168, address.octets()[3], last);
        ip(&["netns", "add", &self.namespace(name)]);
        let cable = format!("link add lan type veth peer name eth0 netns {}", self.namespace(name));
        self.batch(
            &router,
            &[cable, format!("addr add {}/24 dev lan", inside(1)), "link set lan up".to_owned()],
        );
        self.batch(name, &up("eth0", inside(2), inside(1)));
        self.run_in(&router, &["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
        let masquerade = "-t nat -A POSTROUTING -o wan -j MASQUERADE";
        let random = match ports {
            Ports::Kept => "",
            Ports::Random => " --random-fully",
        };
        let closed = |chain| format!("-A {chain} -i wan -m conntrack --ctstate NEW,INVALID -j DROP");
        for rule in [format!("{masquerade}{random}"), closed("INPUT"), closed("FORWARD")] {
            let command: Vec<&str> = ["iptables"].into_iter().chain(rule.split(' ')).collect();
            self.run_in(&router, &command);
        }
    }

    /// Makes the namespace that others see as `host`, and connects it to a network.
    fn plug(&mut self, host: &str, namespace: &str, interface: &str, network: u8) -> Ipv4Addr {
        assert!(network < self.networks, "no network {network}");
        let index = u8::try_from(self.hosts.len() + 2).expect("a handful of hosts");
        let address = Ipv4Addr::new(10, 77, network, index);
        let port = format!("port{index}");
        let outside = self.namespace(namespace);
        ip(&["netns", "add", &outside]);
        let cable = [
            format!("link add {port} type veth peer name {interface} netns {outside}"),
            format!("link set {port} master lan{network} up"),
        ];
        self.batch(SWITCH, &cable);
        self.batch(namespace, &up(interface, address, self.gate(network)));
        self.hosts.insert(
            host.to_owned(),
            Host { network, address, port, router: (namespace != host).then(|| namespace.to_owned()) },
        );
        address
    }

    /// The switch's own address in a network.
    pub(crate) fn gate(&self, network: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, network, 1)
    }

    pub(crate) fn gate_of(&self, host: &str) -> Ipv4Addr {
        self.gate(self.hosts[host].network)
    }

    pub(crate) fn address_of(&self, host: &str) -> Ipv4Addr {
        self.hosts[host].address
    }

    /// From now on nothing that the host sends arrives, nor what is sent to it; nobody is told. Connections stay open.
    pub(crate) fn cut(&self, host: &str) {
        self.batch(SWITCH, &[format!("link set {} down", self.hosts[host].port)]);
    }

    pub(crate) fn heal(&self, host: &str) {
        self.batch(SWITCH, &[format!("link set {} up", self.hosts[host].port)]);
    }

    /// A command that runs on a host, as this user.
    pub(crate) fn command_in(&self, host: &str, program: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).args(program);
        command
    }

    /// Runs `work` on a thread on the host: sockets that it opens are the host's wherever they are used.
    pub(crate) fn on_host<T: Send + 'static>(
        &self,
        host: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let namespace = File::open(self.path(host)).unwrap();
        std::thread::spawn(move || {
            use std::os::fd::AsFd;
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(namespace.as_fd(), kind).expect("root enters it");
            work()
        })
    }

    pub(crate) fn on_switch<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.on_host(SWITCH, work).join().expect("it does not panic")
    }

    fn run_in(&self, host: &str, program: &[&str]) {
        run(&mut self.command_in(host, program));
    }

    /// Lines for `ip`, all in one process.
    fn batch(&self, host: &str, lines: &[String]) {
        let mut command = Command::new("ip");
        command.args(["-n", &self.namespace(host), "-batch", "-"]);
        feed(command, &(lines.join("\n") + "\n"));
    }

    fn namespace(&self, host: &str) -> String {
        format!("{}{host}", self.prefix)
    }

    fn path(&self, host: &str) -> PathBuf {
        Path::new(NAMESPACES).join(self.namespace(host))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let routers = self.hosts.values().filter_map(|host| host.router.as_deref());
        for name in self.hosts.keys().map(String::as_str).chain(routers).chain([SWITCH]) {
            remove(&self.namespace(name));
        }
    }
}

/// What gives a namespace its address and its way out.
fn up(interface: &str, address: Ipv4Addr, gate: Ipv4Addr) -> [String; 4] {
    [
        "link set lo up".to_owned(),
        format!("addr add {address}/24 dev {interface}"),
        format!("link set {interface} up"),
        format!("route add default via {gate}"),
    ]
}

/// Ends all that runs in a namespace, and removes it.
fn remove(namespace: &str) {
    let pids = Command::new("ip").args(["netns", "pids", namespace]).output();
    let pids = pids.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    // The threads of this test's own doors are in there as well.
    let own = std::process::id().to_string();
    for pid in pids.split_whitespace().filter(|pid| *pid != own) {
        let _ = Command::new("kill").args(["-s", "KILL", pid]).stderr(Stdio::null()).status();
    }
    let _ = Command::new("ip").args(["netns", "delete", namespace]).status();
}

/// Removes what runs that were killed have left: their nodes, namespaces, containers.
fn sweep() {
    let names = std::fs::read_dir(NAMESPACES).into_iter().flatten().flatten();
    let names = names.filter_map(|it| it.file_name().into_string().ok());
    let of_dead: Vec<String> = names.filter(|name| is_of_a_dead_run(name)).collect();
    for name in of_dead {
        remove(&name);
    }
    let format = "{{.Label \"bzzz.node\"}} {{.Names}}";
    let listed = docker(&["ps", "--all", "--filter", "label=bzzz.node", "--format", format]);
    for line in listed.unwrap_or_default().lines() {
        if let Some((node, name)) = line.split_once(' ').filter(|(node, _)| is_of_a_dead_run(node)) {
            println!("removing {name}, which {node} has left");
            docker(&["rm", "--force", "--volumes", name]);
        }
    }
}

fn is_of_a_dead_run(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
}

fn ip(arguments: &[&str]) {
    run(Command::new("ip").args(arguments));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs it with `text` on its standard input.
fn feed(mut command: Command, text: &str) {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{text}", String::from_utf8_lossy(&output.stderr));
}
