//! What only bubblewrap has: the host's `/usr`, an end with its process, limits on each process alone.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use bzzz::bubblewrap::{BubblewrapOptions, BubblewrapSandboxes};
use bzzz_actors::ports::sandbox::{Purpose, SandboxError, SandboxSpec, Sandboxes};
use bzzz_actors::task::Ending;

use crate::place::{MIB, Place, Sizes, output, request, run, text};

fn host(script: &str) -> String {
    String::from_utf8(Command::new("bash").args(["-c", script]).output().unwrap().stdout).unwrap()
}

/// A program in bubblewrap's place.
fn stand_in(place: &Place, script: &str) -> PathBuf {
    let [path, source] = ["bwrap", "bwrap.sh"].map(|name| place.folder.path().join(name));
    std::fs::write(&source, format!("#!/bin/bash\n{script}\n")).unwrap();
    // Written by another process: one that a test beside this forks would hold it open for writing, and it could not be run.
    let copied = Command::new("install").arg("--mode=755").args([&source, &path]).status();
    assert!(copied.unwrap().success());
    path
}

async fn refused(place: &Place, program: PathBuf) -> String {
    let options = BubblewrapOptions { program, ..place.bubblewrap_options(Sizes::default()) };
    let sandboxes = BubblewrapSandboxes::new(options).unwrap();
    let Err(SandboxError::Misconfigured(text)) = sandboxes.describe().await else { panic!("it was taken") };
    let started = sandboxes.start(&place.spec(Purpose::Work)).await;
    assert!(matches!(started, Err(SandboxError::Misconfigured(_))), "no sandbox without the proof");
    text
}

/// As it is with one that a script started in its background, or nohup did.
#[test]
fn what_a_node_ignores_its_commands_do_not() {
    let test = "commands::bubblewrap::a_command_ignores_no_signal";
    let script = "trap '' HUP INT QUIT USR1; exec \"$0\" --exact \"$1\"";
    let this = std::env::current_exe().unwrap();
    let output = Command::new("sh").args(["-c", script]).arg(this).arg(test).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn the_backend_describes_itself() {
    let Some(place) = Place::bubblewrap() else { return };
    let described = place.sandboxes.describe().await.unwrap();
    assert!(described.starts_with("bubblewrap 0.") || described.starts_with("bubblewrap 1."), "{described}");
}

#[tokio::test]
async fn a_bubblewrap_that_does_not_hold_is_refused() {
    let Some(place) = Place::bubblewrap() else { return };
    let real = "real=$(PATH=/usr/local/bin:/usr/bin:/bin command -v bwrap); a=(); w=()";
    // Each leaves out or adds something on the way to the real one.
    let holes = [
        ("for x; do [ \"$x\" = --remount-ro ] && x=--dir; a+=(\"$x\"); done", "/ can be written to"),
        ("for x; do a+=(\"$x\"); [ \"$x\" = --unshare-user ] && a+=(--share-net); done", "it has a network"),
        (
            "for x; do [ \"$x\" = --clearenv ] && a+=(--ro-bind /var /var); a+=(\"$x\"); done",
            "/var can be seen",
        ),
        (
            "for x; do [ \"$x\" = --add-seccomp-fd ] && x=--ro-bind-try w=1 && a+=(/none /none) && skip=1; \
             case $x in 3|4) [ -n \"$skip\" ] && skip= && a=(\"${a[@]:0:${#a[@]}-2}\") && continue ;; esac; \
             [ -n \"$skip\" ] || a+=(\"$x\"); done",
            "system calls are not filtered",
        ),
        ("for x; do case $x in --nproc=*) x=--nproc=9999 ;; esac; a+=(\"$x\"); done", "not limited"),
    ];
    for (hole, failing) in holes {
        let program = stand_in(&place, &format!("{real}\n{hole}\nexec \"$real\" \"${{a[@]}}\""));
        let text = refused(&place, program).await;
        assert!(text.contains("do not hold") && text.contains(failing), "{failing}: {text}");
    }
}

#[tokio::test]
async fn a_machine_that_can_make_none_is_told_why() {
    let Some(place) = Place::bubblewrap() else { return };
    let says = |rest: &str| format!("[ \"$1\" != --version ] || {{ echo bubblewrap 0.8.0; exit; }}\n{rest}");
    let forbidden = says("echo 'bwrap: No permissions to create a new namespace' >&2; exit 1");
    let text = refused(&place, stand_in(&place, &forbidden)).await;
    assert!(text.contains("No permissions") && text.contains("unprivileged_userns_clone"), "{text}");

    let text = refused(&place, stand_in(&place, "echo bubblewrap 0.6.1")).await;
    assert!(text.contains("0.6.1 is too old"), "{text}");
    let text = refused(&place, stand_in(&place, "echo something else")).await;
    assert!(text.contains("no bubblewrap"), "{text}");
}

#[tokio::test]
async fn of_the_host_only_programs_are_seen() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    assert_eq!(
        output(&*sandbox, 1, "ls -d /* | grep -vE '^/(lib(32|64|x32)?|s?bin)$'").await,
        "/dev\n/etc\n/home\n/proc\n/sandboxd\n/tmp\n/usr\n/work\n"
    );
    assert_eq!(
        output(&*sandbox, 2, "ls -A /home /home/agent /tmp").await,
        "/home:\nagent\n\n/home/agent:\n\n/tmp:\n"
    );
    assert_eq!(output(&*sandbox, 3, "id -un; getent passwd | wc -l; hostname").await, "agent\n2\nsandbox\n");
    let variables = "env | cut -d= -f1 | sort | xargs";
    let expected = "GIT_PAGER HOME LC_CTYPE PAGER PATH PWD PYTHONDONTWRITEBYTECODE SHELL SHLVL TERM USER _\n";
    assert_eq!(output(&*sandbox, 4, variables).await, expected);
    // Their devices would be the host's.
    let devices =
        "for it in /dev/* /dev/pts/*; do [ -L $it ] || [ ! -b $it -a ! -c $it ] || echo $it; done | xargs";
    let expected = "/dev/full /dev/null /dev/random /dev/tty /dev/urandom /dev/zero /dev/pts/ptmx\n";
    assert_eq!(output(&*sandbox, 5, devices).await, expected);
}

#[tokio::test]
async fn what_the_node_has_open_is_not_inherited() {
    let Some(place) = Place::bubblewrap() else { return };
    let secret = File::create(place.folder.path().join("secret")).unwrap();
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap();
    let sandbox = place.start().await;
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::CLOEXEC).unwrap();
    assert_eq!(output(&*sandbox, 1, "ls /proc/self/fd | xargs").await, "0 1 2 3\n");
}

#[tokio::test]
async fn a_process_that_wants_too_much_memory_is_refused_it() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let outcome = run(&*sandbox, 1, "/usr/bin/python3 -c 'x = b\"x\" * (1 << 30)'").await.unwrap();
    assert_eq!(outcome.ending, Ending::Exited { code: 1 });
    assert!(text(&outcome).contains("MemoryError"), "{}", text(&outcome));
    let reserved =
        "/usr/bin/python3 -c 'import mmap; m = mmap.mmap(-1, 4 << 30, prot=0); print(len(m) >> 30)'";
    assert_eq!(output(&*sandbox, 2, reserved).await, "4\n", "what is only reserved is nobody's memory");
}

/// Commands that fork without end are held by a limit that root on the host would not have.
#[tokio::test]
async fn a_fork_bomb_is_held_and_killed() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start_with(Sizes { pids: 40, ..Sizes::default() }).await;
    // Not by the shell, which waits and tries again for a quarter of a minute.
    let forks = "import os, time\nforked = 0\ntry:\n  while forked < 100:\n    if os.fork() == 0: time.sleep(1000)\n    \
                 forked += 1\nexcept OSError as error: print(error.strerror, forked)";
    let said = output(&*sandbox, 1, &format!("/usr/bin/python3 -c '{forks}'")).await;
    let forked = said.trim().strip_prefix("Resource temporarily unavailable ").expect(&said);
    assert!((20..40).contains(&forked.parse::<u32>().unwrap()), "{said}");

    let started = Instant::now();
    let bomb = request(2, ":(){ :|:& };:; wait; sleep 1000", Duration::from_secs(1));
    assert_eq!(sandbox.run(&bomb).await.unwrap().ending, Ending::TimedOut { after_ms: 1000 });
    println!("a fork bomb was gone {:?} after its deadline", started.elapsed() - Duration::from_secs(1));
    let left = output(&*sandbox, 3, "ls -d /proc/[0-9]* | wc -l").await;
    assert!(left.trim().parse::<u32>().unwrap() <= 4, "{left}");
}

#[tokio::test]
async fn a_sandbox_killed_from_outside_is_lost_and_its_end_is_told() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let name = sandbox.name();
    let id = name.rsplit(' ').next().unwrap().trim_end_matches(')').to_owned();
    assert_ne!(host(&format!("sed -n 's/^Uid:\\t\\([0-9]*\\).*/\\1/p' /proc/{id}/status")).trim(), "0");
    host(&format!("kill -KILL {id}"));
    let Err(SandboxError::Lost(why)) = run(&*sandbox, 1, "true").await else { panic!("it lives") };
    assert!(why.contains("killed by signal 9"), "{why}");
    assert!(place.sandboxes.adopt(&place.spec(Purpose::Work)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_backend_that_is_dropped_leaves_no_process() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandboxes = BubblewrapSandboxes::new(place.bubblewrap_options(Sizes::default())).unwrap();
    let sandbox = sandboxes.start(&place.spec(Purpose::Work)).await.unwrap();
    let id = sandbox.name().rsplit(' ').next().unwrap().trim_end_matches(')').to_owned();
    drop((sandbox, sandboxes));
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::fs::exists(format!("/proc/{id}")).unwrap() {
        assert!(Instant::now() < deadline, "sandboxd is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The processes of this machine with `argument` in their command line.
pub(crate) fn with_argument(argument: &str) -> Vec<String> {
    let ids = std::fs::read_dir("/proc").unwrap().filter_map(|it| it.unwrap().file_name().into_string().ok());
    let is_one = |id: &String| {
        std::fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|it| it == argument.as_bytes()))
    };
    ids.filter(is_one).collect()
}

#[tokio::test]
async fn starts_that_are_given_up_leave_no_process() {
    let Some(place) = Place::bubblewrap() else { return };
    // A size that no other sandbox has tells its processes, also those that were let go by their parents.
    let work_bytes = 128 * MIB + 4096 * u64::from(getrandom::u32().unwrap() % 4096);
    let options = place.bubblewrap_options(Sizes { work_bytes, ..Sizes::default() });
    let sandboxes = BubblewrapSandboxes::new(options).unwrap();
    sandboxes.describe().await.unwrap();
    let mark = work_bytes.to_string();
    let standing = sandboxes.start(&place.spec(Purpose::Check)).await.unwrap();
    assert_eq!(with_argument(&mark).len(), 1, "bubblewrap, but not sandboxd");
    standing.destroy().await.unwrap();

    for moment in 0..80 {
        let spec = place.spec(Purpose::Work);
        let _ = tokio::time::timeout(Duration::from_micros(moment * 250), sandboxes.start(&spec)).await;
        sandboxes.remove_strays(&place.node, &|_| false).await.unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while !with_argument(&mark).is_empty() {
        assert!(Instant::now() < deadline, "left: {:?}", with_argument(&mark));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_repository_has_its_own_limits() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandboxes = BubblewrapSandboxes::new(place.bubblewrap_options(Sizes::default())).unwrap();
    let own = place.bubblewrap_options(Sizes { pids: 77, ..Sizes::default() });
    let sandboxes = sandboxes.with_repository(&"Acme/Rocket".parse().unwrap(), own).unwrap();
    let spec = place.spec(Purpose::Work);
    let sandbox = sandboxes.start(&spec).await.unwrap();
    assert_eq!(output(&*sandbox, 1, "ulimit -u").await, "77\n");
    let other = SandboxSpec { task: "acme/other#7".parse().unwrap(), ..spec };
    let sandbox = sandboxes.start(&other).await.unwrap();
    assert_eq!(output(&*sandbox, 1, "ulimit -u").await, format!("{}\n", Sizes::default().pids));
}
