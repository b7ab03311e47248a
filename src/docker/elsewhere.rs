//! What can't be had with a daemon on another machine. Pure.

use std::env::consts::ARCH;

use bollard::models::SystemInfo;
use bzzz_actors::ports::sandbox::SandboxError;

use super::address::Address;
use super::options::DockerOptions;

/// This program's sandboxd must be able to run there.
pub(super) fn check_machine(address: &Address, info: &SystemInfo) -> Result<(), SandboxError> {
    let system = info.os_type.as_deref().unwrap_or("linux");
    let architecture = info.architecture.as_deref().unwrap_or(ARCH);
    if system == "linux" && usual_name(architecture) == ARCH {
        return Ok(());
    }
    Err(SandboxError::Misconfigured(format!(
        "the Docker daemon at {address} is on a machine with {system} for {architecture}, and this program, whose part \
         sandboxd runs in every sandbox, is for linux on {ARCH}: name a daemon of that kind in sandbox.docker_host, or run \
         the node on a machine like that one"
    )))
}

/// Docker gives the kernel's name of it, other daemons Go's.
fn usual_name(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

/// Podman reads the profile from a file, which would have to be on its machine.
pub(super) fn check_podman(address: &Address, is_podman: bool) -> Result<(), SandboxError> {
    if !is_podman {
        return Ok(());
    }
    Err(SandboxError::Misconfigured(format!(
        "what answers at {address} is Podman, which takes the filter of system calls from its own machine only: name a \
         Docker daemon in sandbox.docker_host, or Podman's socket on this machine"
    )))
}

/// `repositories` with their names.
pub(super) fn check_hosts<'a>(
    address: &Address,
    mut repositories: impl Iterator<Item = (&'a str, &'a DockerOptions)>,
) -> Result<(), SandboxError> {
    let Some((name, _)) = repositories.find(|(_, options)| !options.allowed_hosts.is_empty()) else {
        return Ok(());
    };
    Err(SandboxError::Misconfigured(format!(
        "{name} has allow_hosts in sandbox.repository, or asks for hosts in its .bzzz.toml, which sandboxes of the Docker daemon at {address} can't have: the \
         proxy that lets them through is on this machine, and its socket does not reach that one. Leave them out, or name \
         a daemon of this machine in sandbox.docker_host"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::options::tests::options;

    fn far() -> Address {
        Address::parse("ssh://far", None).unwrap()
    }

    fn said(result: Result<(), SandboxError>) -> String {
        let Err(SandboxError::Misconfigured(text)) = result else { panic!("{result:?}") };
        assert!(text.contains("ssh://far"), "{text}");
        text
    }

    #[test]
    fn a_machine_of_another_kind_is_refused() {
        let check = |architecture: &str, system: &str| {
            let info = SystemInfo {
                architecture: Some(architecture.to_owned()),
                os_type: Some(system.to_owned()),
                ..SystemInfo::default()
            };
            check_machine(&far(), &info)
        };
        assert_eq!(check(ARCH, "linux"), Ok(()));
        let (go, other) = if ARCH == "x86_64" { ("amd64", "aarch64") } else { ("arm64", "x86_64") };
        assert_eq!(check(go, "linux"), Ok(()));
        let text = said(check(other, "linux"));
        assert!(text.contains(other) && text.contains(&format!("linux on {ARCH}")), "{text}");
        assert!(said(check("riscv64", "linux")).contains("riscv64"));
        assert!(said(check(ARCH, "windows")).contains("windows"));
    }

    #[test]
    fn podman_and_allowed_hosts_are_refused() {
        assert_eq!(check_podman(&far(), false), Ok(()));
        assert!(said(check_podman(&far(), true)).contains("Podman"));
        let without = options();
        let with = DockerOptions { allowed_hosts: vec!["crates.io".parse().unwrap()], ..options() };
        assert_eq!(check_hosts(&far(), [("a/b", &without)].into_iter()), Ok(()));
        let text = said(check_hosts(&far(), [("a/b", &without), ("acme/rocket", &with)].into_iter()));
        assert!(text.contains("acme/rocket has allow_hosts"), "{text}");
    }
}
