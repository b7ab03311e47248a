//! Runs the scripts beside this file with JavaScript's Hypercore, which is installed once, below target/.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use bzzz_actors::trail::Key;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command as Process};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audit/js");
/// What npm makes of the packages; the lock beside the scripts says which.
const PACKAGES: [&str; 2] = ["package.json", "package-lock.json"];

/// Where `require` finds the packages.
pub(crate) fn packages() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(install)
}

fn install() -> PathBuf {
    for program in ["node", "npm"] {
        let answers = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        assert!(
            answers.is_ok_and(|status| status.success()),
            "{program} is missing: `deploy/prerequisites.sh` installs it"
        );
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tests-js/hypercore-10");
    fs::create_dir_all(&folder).unwrap();
    // Other test programs may be at it.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let wanted = PACKAGES.map(|name| fs::read(Path::new(SCRIPTS).join(name)).unwrap());
    let installed = folder.join("installed");
    if fs::read(&installed).ok().as_ref() != Some(&wanted[1]) {
        for (name, text) in PACKAGES.iter().zip(&wanted) {
            fs::write(folder.join(name), text).unwrap();
        }
        let npm = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).output();
        let npm = npm.unwrap();
        assert!(npm.status.success(), "npm ci: {}", String::from_utf8_lossy(&npm.stderr));
        fs::write(&installed, &wanted[1]).unwrap();
    }
    lock.unlock().unwrap();
    folder.join("node_modules")
}

fn node(script: &str) -> Process {
    let mut node = Process::new("node");
    node.arg(Path::new(SCRIPTS).join(script)).env("NODE_PATH", packages()).kill_on_drop(true);
    node
}

/// A segment's folder as JavaScript sees it.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) blocks: Vec<String>,
    pub(crate) key: String,
    #[allow(dead_code, reason = "what a node's own head is compared with")]
    pub(crate) root: String,
}

/// Reads all blocks, and asserts that the signature is the key's and that the audit finds nothing.
pub(crate) async fn read(folder: &Path) -> Read {
    let output = timeout(PATIENCE, node("read.js").arg(folder).output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let whole = lines.pop().unwrap();
    assert_eq!(whole["is_signed"], true, "{whole}");
    assert_eq!(whole["corrections"], serde_json::json!({ "tree": 0, "blocks": 0 }));
    assert_eq!(whole["length"], lines.len());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Read {
        blocks: lines.iter().map(|line| text(&line["block"])).collect(),
        key: text(&whole["key"]),
        root: text(&whole["root"]),
    }
}

/// JavaScript that replicates.
pub(crate) struct Follower {
    lines: Lines<BufReader<ChildStdout>>,
    /// Ends with this.
    _process: Child,
}

impl Follower {
    pub(crate) fn start(port: u16, keys: &[Key]) -> Self {
        let mut node = node("follow.js");
        node.arg("127.0.0.1").arg(port.to_string()).args(keys.iter().map(ToString::to_string));
        let mut process = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { lines, _process: process }
    }

    /// The next block: of which segment, at which place, and what.
    pub(crate) async fn next(&mut self) -> (Key, u64, String) {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("no block in time").unwrap();
        let line: Value = serde_json::from_str(&line.expect("it ended")).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("key").parse().unwrap(), line["index"].as_u64().unwrap(), text("block"))
    }
}
