//! Builds sandboxd, the program that `src/sandbox/` carries inside, for the target of this build: static, so that it
//! runs in any image, and small.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How it is built: for size, and without unwinding, which nothing in it uses.
const PROFILE: [(&str, &str); 5] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
];

/// What the outer cargo sets for this script and what the inner one must not take over: clippy's wrapper, another
/// target folder, other flags.
const NOT_INHERITED: [&str; 6] = [
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
];

fn main() -> Result<(), Box<dyn Error>> {
    for input in ["sandboxd/Cargo.toml", "sandboxd/src", "Cargo.lock", "build.rs"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let out_dir = PathBuf::from(std::env::var("OUT_DIR")?);
    let target = std::env::var("TARGET")?;
    if std::env::var("CARGO_CFG_TARGET_OS")? != "linux" {
        return Err(
            format!("a sandbox is a Linux container, and sandboxd can't be built for {target}").into()
        );
    }
    let built = build_sandboxd(&out_dir.join("sandboxd-target"), &target)?;
    // A new file each time: whoever shares the old one (a copy of the target folder by links) keeps it.
    let out = out_dir.join("sandboxd");
    if out.exists() {
        std::fs::remove_file(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    }
    std::fs::copy(&built, &out).map_err(|e| format!("{}: {e}", built.display()))?;
    Ok(())
}

/// A target folder of its own: the outer cargo holds the lock of the workspace's.
fn build_sandboxd(target_dir: &Path, target: &str) -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new(std::env::var("CARGO")?);
    // Frozen: this package depends on the library of sandboxd, so the outer cargo has fetched all that it needs.
    cargo.args(["build", "--release", "--frozen", "--package", "sandboxd", "--bin", "sandboxd"]);
    cargo.args(["--manifest-path", "sandboxd/Cargo.toml", "--target", target]);
    cargo.arg("--target-dir").arg(target_dir);
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    // For the target only, because `--target` is given: proc macros can't be static.
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static").envs(PROFILE);
    let status = cargo.status()?;
    if !status.success() {
        return Err(format!("sandboxd could not be built ({status}); cargo's words are above").into());
    }
    Ok(target_dir.join(target).join("release").join("sandboxd"))
}
