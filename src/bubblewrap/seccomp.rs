//! The table of allowed system calls as filter programs for the kernel.
//!
//! Two of them, because a filter has one answer for what it matches and one for the rest: the first refuses what
//! the table does not allow, the second says of a few calls that this kernel does not have them. The kernel asks
//! both, and a refusal counts.

use std::collections::BTreeMap;

use bzzz_actors::ports::sandbox::SandboxError;
use seccompiler::{BpfProgram, TargetArch, compile_from_json, sock_filter};
use serde_json::{Value, json};

use crate::sandbox::syscalls::{ABSENT, ALLOWED, CONDITIONAL, Condition, Must};

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// The filters in the kernel's own form, for this machine's architecture. Another one's calls kill the caller.
pub(super) fn filters() -> Result<Vec<Vec<u8>>, SandboxError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|_| unavailable(format!("none is known for {}", std::env::consts::ARCH)))?;
    let allowed = ALLOWED.concat().into_iter().chain(ABSENT.iter().copied());
    let mut rules: Vec<Value> =
        allowed.filter(|name| exists(name, arch)).map(whatever_the_arguments).collect();
    rules.extend(CONDITIONAL.iter().map(|(name, conditions)| {
        let conditions: Vec<_> = conditions.iter().map(condition).collect();
        json!({ "syscall": name, "args": conditions })
    }));
    let absent: Vec<Value> = ABSENT.iter().copied().map(whatever_the_arguments).collect();
    [
        json!({ "match_action": "allow", "mismatch_action": { "errno": EPERM }, "filter": rules }),
        json!({ "match_action": { "errno": ENOSYS }, "mismatch_action": "allow", "filter": absent }),
    ]
    .into_iter()
    .map(|filter| compile(filter, arch).map(|program| bytes(&program)))
    .collect()
}

fn unavailable(why: impl std::fmt::Display) -> SandboxError {
    SandboxError::Misconfigured(format!("no filter of system calls can be made for a sandbox: {why}"))
}

fn whatever_the_arguments(name: &str) -> Value {
    json!({ "syscall": name })
}

/// The arguments in question are of 32 bits, whatever stands above those, but for pointers.
fn condition(condition: &Condition) -> Value {
    let (kind, op, value) = match condition.must {
        Must::Equal(value) => ("dword", json!("eq"), value),
        Must::EqualWithin { mask, value } => ("dword", json!({ "masked_eq": mask }), value),
        Must::HaveNoneOf(mask) => ("dword", json!({ "masked_eq": mask }), 0),
        Must::BeNull => ("qword", json!("eq"), 0),
    };
    json!({ "index": condition.argument, "type": kind, "op": op, "val": value })
}

/// Newer architectures lack the calls that others have replaced.
fn exists(name: &str, arch: TargetArch) -> bool {
    let alone =
        json!({ "match_action": "allow", "mismatch_action": "trap", "filter": [{ "syscall": name }] });
    compile(alone, arch).is_ok()
}

fn compile(filter: Value, arch: TargetArch) -> Result<BpfProgram, SandboxError> {
    const KEY: &str = "filter";
    let filters = BTreeMap::from([(KEY, filter)]);
    let json = serde_json::to_vec(&filters).map_err(unavailable)?;
    let mut compiled = compile_from_json(json.as_slice(), arch).map_err(unavailable)?;
    compiled.remove(KEY).ok_or_else(|| unavailable("the compiler made none"))
}

/// An array of the kernel's `struct sock_filter`.
fn bytes(program: &[sock_filter]) -> Vec<u8> {
    let instruction = |it: &sock_filter| {
        let [code_0, code_1] = it.code.to_ne_bytes();
        let [k_0, k_1, k_2, k_3] = it.k.to_ne_bytes();
        [code_0, code_1, it.jt, it.jf, k_0, k_1, k_2, k_3]
    };
    program.iter().flat_map(instruction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's limit, `BPF_MAXINSNS`.
    const MAX_INSTRUCTIONS: usize = 4096;

    #[test]
    fn the_kernel_takes_filters_of_their_length() {
        for filter in filters().unwrap() {
            assert!(filter.len() % 8 == 0 && (1..=MAX_INSTRUCTIONS).contains(&(filter.len() / 8)));
        }
    }

    #[test]
    fn of_the_table_only_calls_that_were_replaced_are_unknown() {
        let unknown = |arch| {
            let names = ALLOWED.concat().into_iter().filter(move |name| !exists(name, arch));
            names.collect::<Vec<_>>()
        };
        assert_eq!(unknown(TargetArch::x86_64), [""; 0]);
        let replaced = unknown(TargetArch::aarch64);
        assert!(replaced.contains(&"open") && replaced.contains(&"fork"), "{replaced:?}");
        for needed in ["openat", "execve", "futex", "fchmodat2"] {
            assert!(!replaced.contains(&needed), "{replaced:?}");
        }
    }
}
