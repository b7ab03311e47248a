//! The command line of bubblewrap: what a sandbox is made of.
//!
//! Of the host it sees the programs and libraries in `/usr`, read only, and of `/etc` what these can't do without. No
//! home folder, no `/root`, `/var`, `/run`, `/tmp` or `/opt` of the host; what is not named here is not there.

use std::ffi::OsString;
use std::path::Path;

use super::options::BubblewrapOptions;
use crate::network;
use crate::sandbox::common::{
    ENVIRONMENT, FILE_SIZE_MARGIN_BYTES, HOME, HOST_NAME, MAX_OPEN_FILES, SANDBOXD, SHM_BYTES, USER_ID,
    USER_NAME, WORK,
};
use crate::sandbox::program;

/// Links into `/usr` on a system of today, folders on an older one.
const BESIDE_USR: [&str; 6] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What programs and libraries read of `/etc`, where it is there. Nothing that tells of users, and no configuration in
/// which a credential may stand.
const OF_ETC: [&str; 7] = [
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];

/// Of util-linux, which every distribution has at its heart.
const PRLIMIT: &str = "/usr/bin/prlimit";

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The descriptors that bubblewrap is handed.
pub(super) const ALLOWED_CALLS_FD: i32 = 3;
pub(super) const ABSENT_CALLS_FD: i32 = 4;
pub(super) const SANDBOXD_FD: i32 = 5;
pub(super) const INFO_FD: i32 = 6;
/// Sandboxd's, where a person may look in.
pub(super) const VISITS_FD: i32 = 7;
/// The first of those that the files of [`files`] have, in their order.
pub(super) const FIRST_FILE_FD: i32 = 8;

/// Files of `/etc` that are the sandbox's own.
pub(super) fn files() -> [(&'static str, String); 4] {
    let user = format!("{USER_NAME}:x:{USER_ID}:{USER_ID}::{HOME}:/bin/bash\n");
    [
        ("/etc/passwd", format!("root:x:0:0:root:/:/usr/sbin/nologin\n{user}")),
        ("/etc/group", format!("root:x:0:\n{USER_NAME}:x:{USER_ID}:\n")),
        ("/etc/hosts", format!("127.0.0.1 localhost {HOST_NAME}\n::1 localhost\n")),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n".to_owned()),
    ]
}

/// `network` is the folder of the proxy's socket, for a sandbox that may use it; `has_visits`: a person may look in.
pub(super) fn arguments(
    options: &BubblewrapOptions,
    network: Option<&Path>,
    has_visits: bool,
) -> Vec<OsString> {
    let mut line = CommandLine::default();
    line.namespaces();
    line.filters();
    line.environment();
    line.host();
    line.own_files();
    line.file_systems(options);
    if let Some(folder) = network {
        line.network(folder);
    }
    // The last: everything above is made on it.
    line.add(&["--remount-ro", "/", "--chdir", WORK, "--"]);
    line.limits(options);
    line.add(&[SANDBOXD]);
    line.0.extend(program::arguments(options.orphan_grace).into_iter().map(OsString::from));
    if network.is_some() {
        line.0.extend(program::proxy_arguments().map(OsString::from));
    }
    if has_visits {
        line.0.extend(program::visit_arguments(VISITS_FD).map(OsString::from));
    }
    line.0
}

#[derive(Default)]
struct CommandLine(Vec<OsString>);

impl CommandLine {
    fn add(&mut self, arguments: &[&str]) {
        self.0.extend(arguments.iter().map(OsString::from));
    }

    fn namespaces(&mut self) {
        let id = USER_ID.to_string();
        // "All" tries some of them only; the user namespace must be.
        self.add(&["--unshare-all", "--unshare-user", "--disable-userns", "--uid", &id, "--gid", &id]);
        self.add(&["--cap-drop", "ALL", "--hostname", HOST_NAME, "--new-session"]);
        self.add(&["--as-pid-1", "--die-with-parent", "--info-fd", &INFO_FD.to_string()]);
    }

    fn filters(&mut self) {
        for descriptor in [ALLOWED_CALLS_FD, ABSENT_CALLS_FD] {
            self.add(&["--add-seccomp-fd", &descriptor.to_string()]);
        }
    }

    fn environment(&mut self) {
        self.add(&["--clearenv", "--setenv", "PATH", PATH]);
        for (name, value) in ENVIRONMENT {
            self.add(&["--setenv", name, value]);
        }
    }

    fn host(&mut self) {
        self.add(&["--ro-bind", "/usr", "/usr"]);
        for folder in BESIDE_USR {
            match std::fs::read_link(folder) {
                Ok(target) => {
                    self.add(&["--symlink"]);
                    self.0.extend([target.into(), folder.into()]);
                }
                Err(_) if Path::new(folder).is_dir() => self.add(&["--ro-bind", folder, folder]),
                Err(_) => {}
            }
        }
        self.add(&["--perms", "0755", "--dir", "/etc"]);
        for path in OF_ETC {
            self.add(&["--ro-bind-try", path, path]);
        }
    }

    fn network(&mut self, folder: &Path) {
        self.add(&["--ro-bind"]);
        self.0.extend([folder.into(), network::MOUNT.into()]);
        for (name, value) in network::environment() {
            self.add(&["--setenv", name, &value]);
        }
    }

    fn own_files(&mut self) {
        self.add(&["--perms", "0555", "--ro-bind-data", &SANDBOXD_FD.to_string(), SANDBOXD]);
        for ((path, _), descriptor) in files().iter().zip(FIRST_FILE_FD..) {
            self.add(&["--perms", "0444", "--ro-bind-data", &descriptor.to_string(), path]);
        }
    }

    /// On sandboxd and all that it starts. Not on bubblewrap: a user who has more processes already than a sandbox may
    /// have could not start it. By a program inside, because from outside it would take a privilege.
    fn limits(&mut self, options: &BubblewrapOptions) {
        let largest_file = options.work_bytes.max(options.home_bytes).max(options.tmp_bytes);
        self.add(&[
            PRLIMIT,
            &format!("--nproc={}", options.pids),
            // Not the address space: runtimes reserve far more of it than they ever touch.
            &format!("--data={}", options.memory_bytes),
            &format!("--nofile={MAX_OPEN_FILES}"),
            &format!("--fsize={}", largest_file + FILE_SIZE_MARGIN_BYTES),
            "--core=0",
        ]);
    }

    /// What can be written to has a size; `/dev` itself has none and can't.
    fn file_systems(&mut self, options: &BubblewrapOptions) {
        self.add(&["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]);
        for (folder, bytes, mode) in [
            ("/dev/shm", SHM_BYTES, "1777"),
            ("/tmp", options.tmp_bytes, "1777"),
            (WORK, options.work_bytes, "0755"),
            (HOME, options.home_bytes, "0755"),
        ] {
            self.add(&["--perms", mode, "--size", &bytes.to_string(), "--tmpfs", folder]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_host_nothing_can_be_written_and_only_system_folders_are_seen() {
        let options = super::super::options::tests::options();
        let folder = Path::new("/data/network/1");
        let line: Vec<String> =
            arguments(&options, Some(folder), true).into_iter().map(|it| it.into_string().unwrap()).collect();
        for writable in ["--bind", "--bind-try", "--dev-bind", "--dev-bind-try", "--bind-fd", "--share-net"] {
            assert!(!line.iter().any(|it| it == writable), "{writable}");
        }
        let sources =
            line.windows(2).filter(|pair| pair[0].starts_with("--ro-bind") && !pair[0].contains("data"));
        for pair in sources {
            let is_system = ["/usr", "/etc/"].iter().any(|start| pair[1].starts_with(start));
            let is_network = Path::new(&pair[1]) == folder;
            assert!(is_system || is_network || BESIDE_USR.contains(&pair[1].as_str()), "{pair:?}");
        }
    }

    #[test]
    fn a_proxy_is_there_for_those_alone_who_may_use_it() {
        let options = super::super::options::tests::options();
        let of = |network| {
            let line = arguments(&options, network, true);
            line.iter().filter(|it| it.to_string_lossy().to_ascii_lowercase().contains("proxy")).count()
        };
        assert_eq!(of(None), 0);
        assert!(of(Some(Path::new("/data/network/1"))) > 2);
    }
}
