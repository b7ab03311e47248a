//! What the operator decides about the containers.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use bzzz_actors::ports::sandbox::SandboxError;
use sandboxd::MAX_CAPTURE_BYTES;

use crate::network::HostName;
use crate::sandbox::common::{MIN_ORPHAN_GRACE, MIN_PIDS, SHM_BYTES};

/// Below this not even a shell and git have room beside the file systems.
pub(crate) const MIN_FREE_BYTES: u64 = 64 * 1024 * 1024;

/// Docker's own lower limit.
const MIN_CPUS: f64 = 0.01;

/// The least memory for a sandbox whose file systems have these sizes together, in bytes.
pub(crate) fn least_memory(file_systems: u64) -> u64 {
    file_systems.saturating_add(SHM_BYTES + MIN_FREE_BYTES)
}

#[derive(Debug, Clone, PartialEq)]
pub struct DockerOptions {
    /// The daemon: `unix:///path`, `tcp://host:port` or `ssh://user@host`. Without one it is that of the `docker` command:
    /// `context` says which.
    pub host: Option<String>,
    /// For a `tcp://` that is not this machine's own: the folder of `ca.pem`, `cert.pem` and `key.pem`.
    pub certificates: Option<PathBuf>,
    pub image: String,
    /// `runc`, `runsc`, `kata`; without one the daemon's default.
    pub runtime: Option<String>,
    /// For processes and file systems together; there is no swap.
    pub memory_bytes: u64,
    pub cpus: f64,
    /// Processes and threads together. A command that needs more fails to start them.
    pub pids: u32,
    /// The size of `/work`, where the code is.
    pub work_bytes: u64,
    /// The size of `/tmp`.
    pub tmp_bytes: u64,
    /// The size of `/home/agent`.
    pub home_bytes: u64,
    /// The hosts that commands may connect to, by https. Without any there is no network.
    pub allowed_hosts: Vec<HostName>,
    /// How much of a command's output is kept. At most 1 MiB.
    pub output_cap_bytes: u32,
    /// A sandbox that hears from no node for so long ends itself.
    pub orphan_grace: Duration,
    /// The node's data folder; sandboxd is put there.
    pub data_dir: PathBuf,
    /// Where bundles that leave a sandbox are written.
    pub temp_dir: PathBuf,
}

impl DockerOptions {
    /// # Errors
    /// `Misconfigured`, with the setting and what it must be.
    pub fn validate(&self) -> Result<(), SandboxError> {
        let wrong = |text: String| Err(SandboxError::Misconfigured(text));
        let sizes = [self.work_bytes, self.tmp_bytes, self.home_bytes];
        let file_systems = sizes.into_iter().fold(0, u64::saturating_add);
        if self.memory_bytes < least_memory(file_systems) {
            return wrong(format!(
                "sandbox.memory is {} but the sandbox's file systems may take {} of it ({} /work, {} /tmp, {} \
                 /home/agent, {} /dev/shm) and {} must be left: files in a sandbox are memory",
                ByteSize(self.memory_bytes),
                ByteSize(file_systems.saturating_add(SHM_BYTES)),
                ByteSize(self.work_bytes),
                ByteSize(self.tmp_bytes),
                ByteSize(self.home_bytes),
                ByteSize(SHM_BYTES),
                ByteSize(MIN_FREE_BYTES),
            ));
        }
        if sizes.contains(&0) {
            return wrong("sandbox.work_size, tmp_size and home_size must be more than nothing".to_owned());
        }
        if !(self.cpus.is_finite() && self.cpus >= MIN_CPUS) {
            return wrong(format!("sandbox.cpus is {} and must be at least {MIN_CPUS}", self.cpus));
        }
        if self.pids < MIN_PIDS {
            return wrong(format!("sandbox.pids is {} and must be at least {MIN_PIDS}", self.pids));
        }
        if self.output_cap_bytes == 0 || self.output_cap_bytes > MAX_CAPTURE_BYTES {
            return wrong(format!("sandbox.output_cap must be between 1 byte and {MAX_CAPTURE_BYTES} bytes"));
        }
        if self.orphan_grace < MIN_ORPHAN_GRACE {
            return wrong(format!("the sandbox's orphan grace must be at least {MIN_ORPHAN_GRACE:?}"));
        }
        if self.image.is_empty() {
            return wrong("sandbox.image is empty: name the image that sandboxes are made from".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    pub(crate) fn options() -> DockerOptions {
        DockerOptions {
            host: None,
            certificates: None,
            image: "bzzz-sandbox:1".into(),
            runtime: None,
            memory_bytes: 2048 * MIB,
            cpus: 2.0,
            pids: 512,
            work_bytes: 1024 * MIB,
            tmp_bytes: 256 * MIB,
            home_bytes: 512 * MIB,
            allowed_hosts: Vec::new(),
            output_cap_bytes: MAX_CAPTURE_BYTES,
            orphan_grace: Duration::from_secs(180),
            data_dir: "data".into(),
            temp_dir: "data/tmp".into(),
        }
    }

    #[test]
    fn the_defaults_fit() {
        assert_eq!(options().validate(), Ok(()));
    }

    #[test]
    fn what_does_not_fit_names_its_setting() {
        let wrong = [
            (DockerOptions { memory_bytes: 1900 * MIB, ..options() }, "sandbox.memory is 1.9 GiB"),
            (DockerOptions { cpus: 0.0, ..options() }, "sandbox.cpus"),
            (DockerOptions { cpus: f64::NAN, ..options() }, "sandbox.cpus"),
            (DockerOptions { pids: 3, ..options() }, "sandbox.pids"),
            (DockerOptions { tmp_bytes: 0, ..options() }, "tmp_size"),
            (DockerOptions { output_cap_bytes: MAX_CAPTURE_BYTES + 1, ..options() }, "sandbox.output_cap"),
            (DockerOptions { orphan_grace: Duration::ZERO, ..options() }, "orphan grace"),
            (DockerOptions { image: String::new(), ..options() }, "sandbox.image"),
        ];
        for (options, setting) in wrong {
            let Err(SandboxError::Misconfigured(text)) = options.validate() else { panic!("{setting}") };
            assert!(text.contains(setting), "{text}");
        }
    }
}
