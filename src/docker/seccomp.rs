//! The table of allowed system calls as a seccomp profile in Docker's JSON.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::sandbox::syscalls::{ABSENT, ALLOWED, CONDITIONAL, Condition, Must};

const ENOSYS: u32 = 38;

const FILE: &str = "seccomp.json";

/// The profile as the daemon takes it inline. Architectures that are not listed can't be used at all.
pub(crate) fn profile() -> String {
    let mut rules = vec![
        json!({ "names": ALLOWED.concat(), "action": "SCMP_ACT_ALLOW" }),
        json!({ "names": ABSENT, "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }),
    ];
    rules.extend(CONDITIONAL.iter().map(|(name, conditions)| {
        let conditions: Vec<_> = conditions.iter().map(condition).collect();
        json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": conditions })
    }));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [
            { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": [] },
            { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": [] },
        ],
        "syscalls": rules,
    })
    .to_string()
}

/// Puts the profile into `folder`, for a daemon that reads it from a file, and returns its path.
///
/// # Errors
/// When the file can't be written.
pub(super) fn install(folder: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(folder.join(FILE))?;
    let mut file = tempfile::Builder::new().prefix(".seccomp-").tempfile_in(folder)?;
    file.write_all(profile().as_bytes())?;
    file.persist(&path).map_err(|problem| problem.error)?;
    Ok(path)
}

fn condition(condition: &Condition) -> Value {
    match condition.must {
        Must::Equal(value) => json!({ "index": condition.argument, "value": value, "op": "SCMP_CMP_EQ" }),
        Must::BeNull => json!({ "index": condition.argument, "value": 0, "op": "SCMP_CMP_EQ" }),
        Must::EqualWithin { mask, value } => {
            json!({ "index": condition.argument, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" })
        }
        Must::HaveNoneOf(mask) => {
            json!({ "index": condition.argument, "value": mask, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" })
        }
    }
}
