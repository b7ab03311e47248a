//! What must hold of everything that is read from outside, whatever its bytes are.
//!
//! Each target is a function of bytes that panics when something does not hold. `make fuzz` searches for such bytes with
//! libFuzzer; `tests/replay.rs` feeds the same functions every input of `corpus/` and `regressions/`, without the engine.
//!
//! The parsers of package `bzzz` are included by their path: they stay private there, beside who uses them, and nothing
//! of `bzzz` has to be built, whose dependencies take minutes. So they may use nothing of `bzzz` but each
//! other, and of crates only what this manifest names. The modules here have the names and the tree of theirs.

mod frames;
mod git;
mod http;
mod model_server;
mod ollama;
mod openai;
mod reply;
mod sandbox;
mod secrets;
mod swarm;
mod text;

/// A name, which is that of the target's folders, and what is tried.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 10] = [
    ("bundle_header", bundle_header),
    ("raw_diff", raw_diff),
    ("path_rules", path_rules),
    ("lease_record", lease_record),
    ("host_frames", host_frames),
    ("sandbox_frames", sandbox_frames),
    ("model_reply", model_reply),
    ("model_stream", model_stream),
    ("secrets", secrets),
    ("swarm_messages", swarm_messages),
];

/// The beginning of a bundle that a sandbox made.
pub fn bundle_header(bytes: &[u8]) {
    git::bundle_header::hold(bytes);
}

/// What git says of the changes in a sandbox's work, and what is made of it.
pub fn raw_diff(bytes: &[u8]) {
    git::raw_diff::hold(bytes);
}

/// A new path, a zero byte, and what a symbolic link there points to.
pub fn path_rules(bytes: &[u8]) {
    git::path_rules::hold(bytes);
}

/// A commit that somebody moved a claim to.
pub fn lease_record(bytes: &[u8]) {
    git::lease_commit::hold(bytes);
}

/// What sandboxd hears. The first byte says how it arrives, see `frames`.
pub fn host_frames(bytes: &[u8]) {
    frames::hold::<sandboxd::HostFrame>(bytes, &sandboxd::HostFrame::Ping { nonce: 7 });
}

/// What sandboxd says, and what a job makes of it.
pub fn sandbox_frames(bytes: &[u8]) {
    let heard = frames::hold::<sandboxd::SandboxFrame>(bytes, &sandboxd::SandboxFrame::Pong { nonce: 7 });
    sandbox::session::job::hold(&heard);
}

/// A model's reply. The first byte says whether its limit cut it.
pub fn model_reply(bytes: &[u8]) {
    reply::hold(bytes);
}

/// The stream that a model's reply comes in, as each provider's. The first byte says in pieces of how many bytes.
pub fn model_stream(bytes: &[u8]) {
    model_server::stream::hold(bytes);
}

/// A text that is looked through for secrets. Bytes below 32 stand for parts of keys, see `secrets`.
pub fn secrets(bytes: &[u8]) {
    secrets::hold(bytes);
}

/// What a peer sends. The first byte says what it is, see `swarm`.
pub fn swarm_messages(bytes: &[u8]) {
    swarm::hold(bytes);
}

/// The program of a target: libFuzzer's when it is built for that, else one that tries the files it is given.
#[macro_export]
macro_rules! target {
    ($check:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $check(bytes));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            for file in std::env::args_os().skip(1) {
                $check(&std::fs::read(file)?);
            }
            Ok(())
        }
    };
}
