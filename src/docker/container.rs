//! What a container is made of, and how a sandbox's spec stands in its labels. Pure.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits,
};
use bzzz_actors::ports::sandbox::{Purpose, SandboxSpec};
use bzzz_actors::task::Epoch;

use super::direct;
use super::options::DockerOptions;
use crate::network;
use crate::sandbox::common::{
    ENVIRONMENT, FILE_SIZE_MARGIN_BYTES, HOME, HOST_NAME, MAX_OPEN_FILES, SANDBOXD, SHM_BYTES, USER_ID, WORK,
};
use crate::sandbox::program;

/// Of all sandboxes together: the limit counts a user's, and each sandbox is bounded by `pids_limit`. Podman's own default
/// may be more than it may set itself, and then it starts nothing.
const PODMAN_PROCESSES: i64 = 16 * 1024;

const NODE_LABEL: &str = "bzzz.node";
const TASK_LABEL: &str = "bzzz.task";
const EPOCH_LABEL: &str = "bzzz.epoch";
const PURPOSE_LABEL: &str = "bzzz.purpose";
/// The data folder of the node: two nodes of one name on one machine must not take each other's for their own.
const HOME_LABEL: &str = "bzzz.home";

/// One file for every so many bytes of a file system. The kernel's memory for a file counts as the sandbox's, so
/// that millions of empty ones would fill it.
const BYTES_A_FILE: u64 = 2048;

/// The user of every process, as Docker is told of it. The image made it for this.
pub(super) fn user() -> String {
    format!("{USER_ID}:{USER_ID}")
}

pub(super) fn labels(spec: &SandboxSpec, home: &Path) -> HashMap<String, String> {
    HashMap::from([
        (NODE_LABEL.to_owned(), spec.node.to_string()),
        (TASK_LABEL.to_owned(), spec.task.to_string()),
        (EPOCH_LABEL.to_owned(), spec.epoch.to_string()),
        (PURPOSE_LABEL.to_owned(), spec.purpose.as_str().to_owned()),
        (HOME_LABEL.to_owned(), home.display().to_string()),
    ])
}

/// The spec that a container's labels tell; `None` when they are not all there, or it is of another data folder.
pub(super) fn spec_of(labels: &HashMap<String, String>, home: &Path) -> Option<SandboxSpec> {
    let label = |name: &str| labels.get(name);
    if *label(HOME_LABEL)? != home.display().to_string() {
        return None;
    }
    let purpose = [Purpose::Work, Purpose::Check]
        .into_iter()
        .find(|p| Some(p.as_str()) == label(PURPOSE_LABEL).map(String::as_str))?;
    Some(SandboxSpec {
        node: label(NODE_LABEL)?.parse().ok()?,
        task: label(TASK_LABEL)?.parse().ok()?,
        epoch: Epoch(label(EPOCH_LABEL)?.parse().ok()?),
        purpose,
    })
}

/// Finds every container of a node.
pub(super) fn label_filter(node: &str, home: &Path) -> HashMap<String, Vec<String>> {
    let labels = vec![format!("{NODE_LABEL}={node}"), format!("{HOME_LABEL}={}", home.display())];
    HashMap::from([("label".to_owned(), labels)])
}

/// What a container is made with beside its options.
pub(super) struct Files {
    /// The operator's; for a daemon elsewhere one that is made from it, with sandboxd in it.
    pub(super) image: String,
    /// On this host. `None`: it is in the image.
    pub(super) sandboxd: Option<PathBuf>,
    /// The profile itself, or for Podman the path of a file with it.
    pub(super) seccomp: String,
    pub(super) is_podman: bool,
}

impl Files {
    /// The options of a file system in memory. Docker's own default would be noexec, where nothing that was built could be
    /// run. Podman gives it to the sandbox's user when told `U`, and knows no number of files: there the memory alone bounds
    /// them.
    fn tmpfs(&self, bytes: u64, mode: &str) -> String {
        let every = format!("rw,exec,nosuid,nodev,size={bytes}");
        match self.is_podman {
            true => format!("{every},mode={mode},U"),
            false => {
                let files = bytes / BYTES_A_FILE;
                format!("{every},nr_inodes={files},uid={USER_ID},gid={USER_ID},mode={mode}")
            }
        }
    }
}

/// Those of this host, with sockets in them, that a container is to have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Folders<'a> {
    /// The node's own, where its daemon is this host's.
    pub(super) direct: Option<&'a Path>,
    /// The network proxy's, for a sandbox that may use it.
    pub(super) network: Option<&'a Path>,
}

pub(super) fn body(
    spec: &SandboxSpec,
    options: &DockerOptions,
    files: &Files,
    folders: Folders<'_>,
) -> ContainerCreateBody {
    let mut arguments = program::arguments(options.orphan_grace);
    let mut environment = ENVIRONMENT.map(|(name, value)| format!("{name}={value}")).to_vec();
    if folders.direct.is_some() {
        arguments.extend(direct::arguments());
    }
    if folders.network.is_some() {
        arguments.extend(program::proxy_arguments());
        environment.extend(network::environment().iter().map(|(name, value)| format!("{name}={value}")));
    }
    ContainerCreateBody {
        image: Some(files.image.clone()),
        hostname: Some(HOST_NAME.to_owned()),
        user: Some(user()),
        working_dir: Some(WORK.to_owned()),
        // Beside what the image sets.
        env: Some(environment),
        entrypoint: Some(vec![SANDBOXD.to_owned()]),
        cmd: Some(arguments),
        labels: Some(labels(spec, &options.data_dir)),
        tty: Some(false),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        // A node that returns attaches again: its stdin must outlive the first one's.
        open_stdin: Some(true),
        stdin_once: Some(false),
        // sandboxd has nothing to end in order, and takes no other: a daemon that stops would wait for it for 10 s.
        stop_signal: Some("SIGKILL".to_owned()),
        host_config: Some(host_config(options, files, folders)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(options: &DockerOptions, files: &Files, folders: Folders<'_>) -> HostConfig {
    let sandboxd = files.sandboxd.as_deref().map(|file| read_only(file, SANDBOXD));
    let direct = folders.direct.map(|folder| read_only(folder, direct::MOUNT));
    let network = folders.network.map(|folder| read_only(folder, network::MOUNT));
    let memory = Some(options.memory_bytes as i64);
    HostConfig {
        runtime: options.runtime.clone(),
        // Who sandboxd is and what it may do.
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned(), format!("seccomp={}", files.seccomp)]),
        network_mode: Some("none".to_owned()),
        ipc_mode: Some("private".to_owned()),
        init: Some(false),
        // What it may use. As much swap as memory means: none on top.
        memory,
        memory_swap: memory,
        nano_cpus: Some((options.cpus * 1e9) as i64),
        pids_limit: Some(i64::from(options.pids)),
        ulimits: Some(ulimits(options, files.is_podman)),
        // Where it may write.
        readonly_rootfs: Some(true),
        shm_size: Some(SHM_BYTES as i64),
        tmpfs: Some(HashMap::from([
            (WORK.to_owned(), files.tmpfs(options.work_bytes, "0755")),
            ("/tmp".to_owned(), files.tmpfs(options.tmp_bytes, "1777")),
            (HOME.to_owned(), files.tmpfs(options.home_bytes, "0755")),
        ])),
        mounts: Some(sandboxd.into_iter().chain(direct).chain(network).collect()),
        // What stays of it: nothing.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        auto_remove: Some(true),
        ..HostConfig::default()
    }
}

fn ulimits(options: &DockerOptions, is_podman: bool) -> Vec<ResourcesUlimits> {
    let largest_file = options.work_bytes.max(options.home_bytes) + FILE_SIZE_MARGIN_BYTES;
    let mut ulimits = vec![
        ulimit("nofile", MAX_OPEN_FILES as i64),
        ulimit("core", 0),
        ulimit("fsize", largest_file as i64),
    ];
    if is_podman {
        ulimits.push(ulimit("nproc", PODMAN_PROCESSES));
    }
    ulimits
}

fn read_only(source: &Path, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        read_only: Some(true),
        ..Mount::default()
    }
}

fn ulimit(name: &str, limit: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(limit), hard: Some(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SandboxSpec {
        SandboxSpec {
            node: "node-1".parse().unwrap(),
            task: "acme/rocket.rs#42".parse().unwrap(),
            epoch: Epoch(3),
            purpose: Purpose::Check,
        }
    }

    fn files() -> Files {
        Files {
            image: "bzzz-sandbox:1".to_owned(),
            sandboxd: Some("/data/sandboxd-1".into()),
            seccomp: "{}".to_owned(),
            is_podman: false,
        }
    }

    #[test]
    fn a_daemon_elsewhere_is_given_nothing_of_this_host() {
        let options = super::super::options::tests::options();
        let files = Files { image: "bzzz-sandboxd:1".to_owned(), sandboxd: None, ..files() };
        let body = body(&spec(), &options, &files, Folders::default());
        assert_eq!(body.image.as_deref(), Some("bzzz-sandboxd:1"));
        assert_eq!(body.entrypoint, Some(vec![SANDBOXD.to_owned()]));
        let host = body.host_config.unwrap();
        assert_eq!((host.mounts, host.binds, host.volumes_from), (Some(Vec::new()), None, None));
    }

    #[test]
    fn a_spec_is_read_back_from_its_labels() {
        let home = Path::new("/data");
        assert_eq!(spec_of(&labels(&spec(), home), home), Some(spec()));
        assert_eq!(spec_of(&labels(&spec(), home), Path::new("/other")), None);
        let mut without_epoch = labels(&spec(), home);
        without_epoch.remove(EPOCH_LABEL);
        assert_eq!(spec_of(&without_epoch, home), None);
    }

    #[test]
    fn without_an_allow_list_nothing_of_the_proxy_is_there() {
        let options = super::super::options::tests::options();
        let body = |network| {
            let body = body(&spec(), &options, &files(), Folders { network, ..Folders::default() });
            let mounts = body.host_config.unwrap().mounts.unwrap().len();
            let has_variables = body.env.unwrap().iter().any(|it| it.to_ascii_lowercase().contains("proxy"));
            (mounts, has_variables, body.cmd.unwrap().contains(&"--proxy".to_owned()))
        };
        assert_eq!(body(None), (1, false, false));
        assert_eq!(body(Some(Path::new("/data/network/1"))), (2, true, true));
    }

    #[test]
    fn the_host_is_out_of_reach() {
        let options = super::super::options::tests::options();
        let (direct, network) = (Some(Path::new("/data/direct/1")), Some(Path::new("/data/network/1")));
        let host = body(&spec(), &options, &files(), Folders { direct, network }).host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(host.privileged, Some(false));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!((host.cap_add, host.devices, host.binds, host.volumes_from), (None, None, None, None));
        assert_eq!((host.pid_mode, host.userns_mode, host.uts_mode), (None, None, None));
        assert_eq!(
            host.mounts.map(|mounts| mounts.iter().all(|mount| mount.read_only == Some(true))),
            Some(true)
        );
        assert_eq!(host.memory, host.memory_swap);
    }
}
