//! `bzzz config` as a person runs it: the real program, its output and exit statuses.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const OK: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 64;
const CONFIG: i32 = 78;

struct Ended {
    status: i32,
    out: String,
    err: String,
}

fn bzzz(folder: &Path, args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bzzz"));
    command
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("BZZZ__FORGE__TOKEN", "ghp_hidden");
    let output = command.output().unwrap();
    Ended {
        status: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_configuration_is_begun_filled_in_checked_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = |args: &[&str]| bzzz(folder.path(), args);
    assert_eq!(at(&["config", "init"]).status, OK);
    let file = folder.path().join("bzzz.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let unfinished = at(&["config", "check"]);
    assert_eq!((unfinished.status, unfinished.out.as_str()), (CONFIG, ""));
    assert!(unfinished.err.contains("no repository to watch"), "{}", unfinished.err);

    let filled_in = std::fs::read_to_string(&file)
        .unwrap()
        .replace("#repositories = []", "repositories = [\"acme/rocket\"]");
    std::fs::write(&file, &filled_in).unwrap();
    let good = at(&["config", "check"]);
    assert_eq!((good.status, good.err.as_str()), (OK, ""));
    assert!(good.out.contains("bzzz.toml"), "{}", good.out);

    let shown = at(&["--set", "node.max_tasks=2", "config", "show", "--origin", "--set", "node.name=bee"]);
    let lines = [
        "max_tasks = 2  # --set",
        "name = \"bee\"  # --set",
        "token = \"(set)\"  # BZZZ__FORGE__TOKEN",
        "repositories = [\"acme/rocket\"]  # ",
    ];
    for line in lines {
        assert!(shown.out.contains(line), "{line}: {}", shown.out);
    }
    assert!(!format!("{}{}", shown.out, shown.err).contains("ghp_hidden"));

    let again = at(&["config", "init"]);
    assert_eq!(again.status, FAILED);
    assert!(again.err.contains("--force replaces it"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), filled_in);
    assert_eq!(at(&["config", "init", "--force"]).status, OK);
    assert_ne!(std::fs::read_to_string(&file).unwrap(), filled_in);
}

#[test]
fn wrong_settings_and_wrong_words_have_their_own_statuses() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = bzzz(folder.path(), &["config", "show", "--set", "claims.ttl=1s", "--set", "node.nmae=x"]);
    assert_eq!((wrong.status, wrong.out.as_str()), (CONFIG, ""));
    assert!(wrong.err.starts_with("error: 2 problems in the configuration:\n  - "), "{}", wrong.err);
    assert_eq!(bzzz(folder.path(), &["config", "chekc"]).status, USAGE);
    assert_eq!(bzzz(folder.path(), &[]).status, USAGE);
    assert_eq!(bzzz(folder.path(), &["--help"]).status, OK);
    assert_eq!(bzzz(folder.path(), &["--version"]).status, OK);
}
