//! Ways to anybody: there is no network, whatever kind of socket is asked for.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use super::{Attack, Held, python};

/// Sockets of the host that everybody on it can reach.
pub(super) struct Watch {
    tcp: TcpListener,
    unix: UnixListener,
    name: String,
}

impl Watch {
    pub(super) fn new() -> Self {
        let tcp = TcpListener::bind("0.0.0.0:0").unwrap();
        let name = format!("bzzz-hostile-{:x}", getrandom::u64().unwrap());
        let unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        tcp.set_nonblocking(true).unwrap();
        unix.set_nonblocking(true).unwrap();
        Self { tcp, unix, name }
    }

    pub(super) fn fill_in(&self, command: &str) -> String {
        let port = self.tcp.local_addr().unwrap().port().to_string();
        command.replace("{port}", &port).replace("{name}", &self.name)
    }

    pub(super) fn was_reached(&self) -> bool {
        let nobody =
            |error: Option<std::io::Error>| error.is_some_and(|it| it.kind() == ErrorKind::WouldBlock);
        !nobody(self.tcp.accept().err()) || !nobody(self.unix.accept().err())
    }
}

pub(super) fn attacks() -> Vec<Attack> {
    use Held::Says;
    vec![
        python(
            "raw_sockets",
            "for it in socket.AF_INET, socket.AF_INET6:\n  attempt(socket.socket, it, socket.SOCK_RAW, 1)",
            Says("EPERM\nEPERM\n"),
        ),
        python(
            "packet_sockets",
            "for it in socket.SOCK_RAW, socket.SOCK_DGRAM:\n  attempt(socket.socket, socket.AF_PACKET, it)",
            Says("EPERM\nEPERM\n"),
        ),
        python(
            "sockets_to_the_host_of_a_virtual_machine",
            "attempt(socket.socket, 40, socket.SOCK_STREAM)",
            Says("EPERM\n"),
        ),
        python("sockets_of_the_kernels_cryptography", "attempt(socket.socket, 38, 5)", Says("EPERM\n")),
        python(
            "sockets_of_odd_families",
            "for it in 3, 4, 5, 9, 21, 29, 30, 31, 37, 39, 41, 44:\n  attempt(socket.socket, it, 1)",
            Says("EPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\n"),
        ),
        python(
            "pairs_of_sockets_of_odd_families",
            "for it in 2, 10, 16, 17, 30, 38, 40:\n  attempt(socket.socketpair, it, 1)",
            Says("EPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\n"),
        ),
        python(
            "protocols_beside_tcp_and_udp",
            "for it in 33, 115, 132, 136, 262:\n  attempt(socket.socket, 2, 1, it)\n  attempt(socket.socket, 10, 2, it)\nattempt(socket.socket, 2, 5)",
            Says("EPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\n"),
        ),
        python(
            "netlink_beyond_the_list_of_interfaces",
            "for it in 2, 4, 6, 9, 10, 12, 15, 16, 21:\n  attempt(socket.socket, 16, 3, it)",
            Says("EPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\n"),
        ),
        python(
            // RTM_NEWLINK with no more than a header: without the capability it is not even read.
            "a_new_network_interface",
            "import struct\nlink = socket.socket(16, 3, 0)\nlink.send(struct.pack(\"=IHHIIBBHiII\", 32, 16, 0x605, 1, 0, 0, 0, 0, 0, 1, 1))\n\
             print(errno.errorcode[-struct.unpack_from(\"=i\", link.recv(4096), 16)[0]])",
            Says("EPERM\n"),
        ),
        python(
            "the_metadata_address",
            "attempt(connect, 2, 1, (\"169.254.169.254\", 80)); attempt(connect, 10, 1, (\"fd00:ec2::254\", 80))",
            Held::OneOf(&["ENETUNREACH\nENETUNREACH\n", "ENETUNREACH\nEADDRNOTAVAIL\n"]),
        ),
        python(
            "other_hosts_of_the_bridge",
            "for it in range(1, 9):\n  attempt(connect, 2, 1, (\"172.17.0.%d\" % it, {port}))",
            Says(
                "ENETUNREACH\nENETUNREACH\nENETUNREACH\nENETUNREACH\nENETUNREACH\nENETUNREACH\nENETUNREACH\nENETUNREACH\n",
            ),
        ),
        python(
            "ports_of_the_host",
            "attempt(connect, 2, 1, (\"127.0.0.1\", {port})); attempt(connect, 2, 1, (\"0.0.0.0\", {port}))",
            Says("ECONNREFUSED\nECONNREFUSED\n"),
        ),
        python(
            "abstract_sockets_of_the_host",
            "attempt(connect, 1, 1, \"\\0{name}\")",
            Says("ECONNREFUSED\n"),
        ),
        python(
            "names_of_the_internet",
            "try: print(socket.getaddrinfo(\"example.com\", 443))\nexcept socket.gaierror: print(\"unknown\")\nattempt(connect, 2, 2, (\"8.8.8.8\", 53))",
            Says("unknown\nENETUNREACH\n"),
        ),
        python(
            "anybody_on_the_internet",
            "attempt(connect, 2, 1, (\"192.0.2.1\", 443)); attempt(connect, 10, 1, (\"2001:db8::1\", 443)); attempt(connect, 2, 2, (\"255.255.255.255\", 9))",
            Held::OneOf(&[
                "ENETUNREACH\nENETUNREACH\nENETUNREACH\n",
                "ENETUNREACH\nEADDRNOTAVAIL\nENETUNREACH\n",
            ]),
        ),
    ]
}
