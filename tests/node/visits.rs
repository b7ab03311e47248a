//! A person's look into the sandbox of a task that is worked on, by the program as it is installed.

use std::cell::{Cell, RefCell};
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bzzz::settings::SandboxBackend;
use bzzz_actors::task::TaskId;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::bee::Bee;
use crate::replies::{DONE, FUEL, PLAN, sh};
use crate::stage::on_a_hill;
use crate::{bubblewrap, containers};

/// The program, for the node `bee` of the hill.
fn program(bee: &Bee, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bzzz"));
    command.env_clear().env("PATH", std::env::var("PATH").unwrap());
    command.args([
        "--set",
        &format!("node.name={}", bee.name),
        "--set",
        &format!("node.data_dir={}", folder.display()),
    ]);
    command.args(arguments);
    command
}

/// Lets the task come to a command that ends when it is released.
async fn held(hill: &mut crate::hill::Hill, backend: SandboxBackend) -> (TaskId, Bee) {
    let repo = hill.repository("held", &["test -s fuel"]).await;
    let task = hill.issue(
        &repo,
        [PLAN, FUEL, &sh("while [ ! -e /tmp/go ]; do sleep 0.21; done; sleep 1000 &"), DONE, DONE],
    );
    let node = hill.node_with("a", |settings| settings.sandbox.backend = backend).await;
    node.until_kind(&task, "command_finished").await;
    match backend {
        SandboxBackend::Bubblewrap => drop(bubblewrap::until_runs(std::process::id(), "sleep 0.21").await),
        _ => containers::until_runs(&node.sandbox_of(&task), "sleep 0.21").await,
    }
    (task, node)
}

#[test]
fn a_person_runs_a_command_in_a_sandbox_that_is_at_work() {
    run_a_command(SandboxBackend::Docker);
}

#[test]
fn without_docker_a_person_runs_a_command_in_a_sandbox_too() {
    if bubblewrap::can_run() {
        run_a_command(SandboxBackend::Bubblewrap);
    }
}

fn run_a_command(backend: SandboxBackend) {
    on_a_hill(async |hill| {
        let (task, node) = held(hill, backend).await;
        let folder = hill.data_folder("a");
        let exec = |task: &str, command: &[&str]| {
            let arguments = [&["sandbox", "exec", task, "--"], command].concat();
            let output = program(&node, &folder, &arguments).stdin(Stdio::null()).output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (output.status.code(), text(&output.stdout), text(&output.stderr))
        };
        let name = task.to_string();
        let (status, out, _) =
            exec(&name, &["sh", "-c", "id -u; pwd; cat fuel; printf '\\033[1m'; echo told >&2; exit 7"]);
        assert_eq!((status, out.as_str()), (Some(7), "1000\n/work/repo\nfull\n\u{1b}[1m"));
        let (status, _, err) = exec("no/such#1", &["true"]);
        assert!(status == Some(1) && err.contains("no task no/such#1"), "{err}");
        let (status, _, err) = exec(&name, &["no-such-program"]);
        assert!(status != Some(0), "{err}");

        // The session with sandboxd went on all the while.
        let (status, ..) = exec(&name, &["touch", "/tmp/go"]);
        assert_eq!(status, Some(0));
        node.until_proposed(&task).await;
        node.until(&task, "no sandbox", |story| {
            story.task().sandbox.is_none() || story.has("pull_request_opened")
        })
        .await;
        hill.until("its sandbox is gone", |_| exec(&name, &["true"]).2.contains("no work sandbox of")).await;
        let entrances = std::fs::read_dir(folder.join("tmp/visits")).into_iter().flatten().count();
        assert_eq!(entrances, 0, "a way into a sandbox that is gone");
    });
}

#[test]
fn a_person_has_a_shell_until_a_command_is_swept_away() {
    have_a_shell(SandboxBackend::Docker);
}

#[test]
fn without_docker_a_person_has_a_shell_too() {
    if bubblewrap::can_run() {
        have_a_shell(SandboxBackend::Bubblewrap);
    }
}

fn have_a_shell(backend: SandboxBackend) {
    on_a_hill(async |hill| {
        let (task, node) = held(hill, backend).await;
        let (mut terminal, shell) =
            on_a_terminal(program(&node, &hill.data_folder("a"), &["sandbox", "shell", &task.to_string()]));
        let mut seen = String::new();
        read_until(&mut terminal, &mut seen, "$ ");
        assert!(seen.contains("takes this shell with it"), "{seen}");
        // It has a terminal with the size of this one, and what is typed arrives sign by sign.
        terminal.write_all(b"stty size; tty | cut -c1-8; echo \"in $PWD as $(id -u)\"\r").unwrap();
        read_until(&mut terminal, &mut seen, "in /work/repo as 1000");
        assert!(seen.contains("41 123") && seen.contains("/dev/pts"), "{seen}");
        terminal.write_all(b"touch /tmp/go\r").unwrap();
        let shell = RefCell::new(shell);
        // The command ends, and leaves a process behind.
        let ended = Cell::new(None);
        hill.until("the shell ends", |_| {
            ended.set(shell.borrow_mut().try_wait().unwrap());
            ended.get().is_some()
        })
        .await;
        assert_ne!(ended.get().unwrap().code(), Some(0), "it was killed");
        node.until_proposed(&task).await;
    });
}

/// The person's program may be ended in any way, and what it started ends with it.
#[test]
fn a_person_who_is_killed_leaves_nothing_in_a_sandbox_without_docker() {
    if !bubblewrap::can_run() {
        return;
    }
    on_a_hill(async |hill| {
        let (task, node) = held(hill, SandboxBackend::Bubblewrap).await;
        let arguments = ["sandbox", "exec", &task.to_string(), "--", "sleep", "1000.7"];
        let mut person = program(&node, &hill.data_folder("a"), &arguments).spawn().unwrap();
        let inside = bubblewrap::until_runs(std::process::id(), "sleep 1000.7").await;
        let inside: Vec<_> = inside.into_iter().filter(|it| it.runs("sleep 1000.7")).collect();
        assert_eq!(inside.len(), 1, "{inside:?}");
        person.kill().unwrap();
        person.wait().unwrap();
        bubblewrap::until_gone(&inside).await;
    });
}

#[test]
fn somebody_else_is_told_who_may_look_into_a_sandbox_without_docker() {
    // Only root can be somebody else.
    if !bubblewrap::can_run() || !rustix::process::geteuid().is_root() {
        return;
    }
    on_a_hill(async |hill| {
        let (task, node) = held(hill, SandboxBackend::Bubblewrap).await;
        // A folder that all may pass through, and a copy of the program there: the build's may be root's own.
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("bzzz");
        // By another process: one that a test beside this forks would hold it open for writing, and it could not be run.
        let copied = Command::new("cp").args([Path::new(env!("CARGO_BIN_EXE_bzzz")), &copy]).status();
        assert!(copied.unwrap().success());
        let data_folder = hill.data_folder("a");
        for path in [folder.path(), &copy, &data_folder, data_folder.parent().unwrap()] {
            std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        let arguments =
            ["--set", "sandbox.backend=bubblewrap", "sandbox", "exec", &task.to_string(), "--", "id"];
        let program = program(&node, &data_folder, &arguments);
        let mut other = Command::new(copy);
        other.args(program.get_args()).env_clear().current_dir("/").uid(12_345).gid(12_345);
        let output = other.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(69), 0), "{said}");
        assert!(said.contains("run this as root"), "{said}");
    });
}

/// Starts the program on a terminal of 123 columns and 41 rows.
fn on_a_terminal(mut command: Command) -> (std::fs::File, Child) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = rustix::termios::Winsize { ws_row: 41, ws_col: 123, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(master.as_fd(), size).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let handle = || Stdio::from(slave.try_clone().unwrap());
    let child = command.stdin(handle()).stdout(handle()).stderr(handle()).spawn().unwrap();
    (master.into(), child)
}

/// Its end is an error: then it was never said.
fn read_until(terminal: &mut std::fs::File, seen: &mut String, words: &str) {
    let mut buffer = [0; 1024];
    while !seen.contains(words) {
        match terminal.read(&mut buffer) {
            Ok(read @ 1..) => seen.push_str(&String::from_utf8_lossy(&buffer[..read])),
            _ => panic!("{words:?} was not said: {seen}"),
        }
    }
}
