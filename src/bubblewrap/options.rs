//! What the operator decides about the sandboxes.

use std::path::PathBuf;
use std::time::Duration;

use bzzz_actors::ports::sandbox::SandboxError;
use sandboxd::MAX_CAPTURE_BYTES;

use crate::network::HostName;
use crate::sandbox::common::{MIN_ORPHAN_GRACE, MIN_PIDS};

/// Below this an interpreter does not start.
const MIN_MEMORY_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub struct BubblewrapOptions {
    /// The program: a path, or a name to be looked for in `PATH`.
    pub program: PathBuf,
    /// For the data of each process. All together may take more.
    pub memory_bytes: u64,
    /// Processes and threads together. A command that needs more fails to start them.
    pub pids: u32,
    /// The size of `/work`, where the code is.
    pub work_bytes: u64,
    /// The size of `/tmp`.
    pub tmp_bytes: u64,
    /// The size of `/home/agent`.
    pub home_bytes: u64,
    /// The hosts that commands may connect to, by the network's proxy. None: no network at all.
    pub allowed_hosts: Vec<HostName>,
    /// How much of a command's output is kept. At most 1 MiB.
    pub output_cap_bytes: u32,
    /// A sandbox that hears from no node for so long ends itself. It ends with its node anyway.
    pub orphan_grace: Duration,
    /// Where bundles that leave a sandbox are written.
    pub temp_dir: PathBuf,
}

impl BubblewrapOptions {
    /// # Errors
    /// `Misconfigured`, with the setting and what it must be.
    pub fn validate(&self) -> Result<(), SandboxError> {
        let sizes = [self.work_bytes, self.tmp_bytes, self.home_bytes];
        let requirements = [
            (
                self.memory_bytes >= MIN_MEMORY_BYTES,
                format!(
                    "sandbox.memory is {} bytes and must be at least {MIN_MEMORY_BYTES}",
                    self.memory_bytes
                ),
            ),
            (
                !sizes.contains(&0),
                "sandbox.work_size, tmp_size and home_size must be more than nothing".to_owned(),
            ),
            (self.pids >= MIN_PIDS, format!("sandbox.pids is {} and must be at least {MIN_PIDS}", self.pids)),
            (
                (1..=MAX_CAPTURE_BYTES).contains(&self.output_cap_bytes),
                format!("sandbox.output_cap must be between 1 byte and {MAX_CAPTURE_BYTES} bytes"),
            ),
            (
                self.orphan_grace >= MIN_ORPHAN_GRACE,
                format!("the sandbox's orphan grace must be at least {MIN_ORPHAN_GRACE:?}"),
            ),
        ];
        match requirements.into_iter().find(|(is_met, _)| !is_met) {
            Some((_, text)) => Err(SandboxError::Misconfigured(text)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    pub(crate) fn options() -> BubblewrapOptions {
        BubblewrapOptions {
            program: "bwrap".into(),
            memory_bytes: 2048 * MIB,
            pids: 512,
            work_bytes: 1024 * MIB,
            tmp_bytes: 256 * MIB,
            home_bytes: 512 * MIB,
            allowed_hosts: Vec::new(),
            output_cap_bytes: MAX_CAPTURE_BYTES,
            orphan_grace: Duration::from_secs(180),
            temp_dir: "data/tmp".into(),
        }
    }

    #[test]
    fn what_does_not_fit_names_its_setting() {
        assert_eq!(options().validate(), Ok(()));
        let wrong = [
            (BubblewrapOptions { memory_bytes: MIB, ..options() }, "sandbox.memory"),
            (BubblewrapOptions { pids: 3, ..options() }, "sandbox.pids"),
            (BubblewrapOptions { tmp_bytes: 0, ..options() }, "tmp_size"),
            (BubblewrapOptions { output_cap_bytes: 0, ..options() }, "sandbox.output_cap"),
            (BubblewrapOptions { orphan_grace: Duration::ZERO, ..options() }, "orphan grace"),
        ];
        for (options, setting) in wrong {
            let Err(SandboxError::Misconfigured(text)) = options.validate() else { panic!("{setting}") };
            assert!(text.contains(setting), "{text}");
        }
    }
}
