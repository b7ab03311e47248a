//! A person's look into a sandbox by bubblewrap: what it shows, how it is fenced, and that it ends. Docker's own way is
//! tried with whole nodes.

use std::time::{Duration, Instant};

use bzzz_actors::ports::sandbox::{Purpose, Sandbox, SandboxError};
use bzzz_actors::task::Ending;
use tokio::time::timeout;

use crate::bubblewrap::with_argument;
use crate::door::{Door, PATIENCE, Said, type_in, until};
use crate::place::{Place, Sizes, output, request, run, text};

/// At once, as sandboxd has it.
const MAX_GUESTS: usize = 8;

/// All that bounds a process, as it sees it itself.
const FENCE: &str = "grep -E '^(Uid|Gid|Groups|NSpid|Cap|NoNewPrivs|Seccomp)' /proc/self/status | sed 's/^NSpid.*\t/NSpid /; /^NSpid/d'
cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj /proc/self/mounts
for it in /proc/self/ns/*; do readlink $it; done
ls /proc/self/fd | xargs; readlink /proc/self/fd/0; env | sort; umask; nice; pwd; id; ls -d /proc/[0-9]* >/dev/null";

/// Waits until nobody but sandboxd and the one who looks is in the sandbox.
async fn until_empty(sandbox: &dyn Sandbox, first_step: u32) {
    let deadline = Instant::now() + PATIENCE;
    for step in first_step.. {
        // Children of the shell that look are its own.
        let others = "for it in /proc/[0-9]*/stat; do read -r id rest <$it && [ $id != 1 ] && [ $id != $$ ] && echo $id; done; true";
        let left = output(sandbox, step, &format!("{{ {others}; }} 2>/dev/null")).await;
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left: {left}");
    }
}

#[tokio::test]
async fn a_visitor_is_fenced_as_a_command_is() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start_with(Sizes { pids: 77, ..Sizes::default() }).await;
    let command = output(&*sandbox, 1, FENCE).await;
    let door = Door::of(&place);
    let visitor = door.script(FENCE).await;
    assert_eq!(visitor, Said { out: command.clone(), err: String::new(), status: Some(0) });
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(command.contains(line), "{line}: {command}");
    }
    assert!(command.contains("Seccomp_filters:\t2") && command.contains("0 1 2 3\n/dev/null\n"), "{command}");

    // And as this machine sees it.
    let mark = format!("{:x}", getrandom::u64().unwrap());
    let mut visit = door.visit(&["bash", "-c", "echo here; read; :", &mark], true).await;
    until(&mut visit, "here").await;
    let name = sandbox.name();
    let sandboxd = name.rsplit(' ').next().unwrap().trim_end_matches(')').to_owned();
    let visitor = with_argument(&mark);
    let [visitor] = &visitor[..] else { panic!("{visitor:?}") };
    let seen = |id: &str| {
        let of = |path: &str| std::fs::read_to_string(format!("/proc/{id}/{path}")).unwrap();
        let link = |path: &str| std::fs::read_link(format!("/proc/{id}/{path}")).unwrap();
        let is_of_fence = |line: &&str| {
            ["Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp"].iter().any(|it| line.starts_with(it))
        };
        let status = of("status").lines().filter(is_of_fence).map(str::to_owned).collect::<Vec<_>>();
        let spaces = ["ns/user", "ns/pid", "ns/mnt", "ns/net", "ns/ipc", "ns/uts", "ns/cgroup"].map(link);
        (status, spaces, of("cgroup"), of("limits"), of("sessionid"), of("loginuid"))
    };
    assert_eq!(seen(visitor), seen(&sandboxd));
    assert!(!seen(visitor).0[0].starts_with("Uid:\t0\t"), "{:?}", seen(visitor).0);
}

#[tokio::test]
async fn a_visitor_can_do_nothing_that_a_command_can_not() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let attacks = "try() { \"$@\" >/dev/null 2>&1 && echo \"done: $*\"; }
for it in --user --mount --pid --net --ipc --uts --cgroup; do try unshare $it true; done
for it in user mnt pid net; do try nsenter --$it=/proc/1/ns/$it true; try nsenter --$it=/proc/self/ns/$it true; done
try mount -t tmpfs none /tmp; try umount /tmp; try chroot / true; try setpriv --reuid 0 true; try mknod /tmp/d c 1 1
try cat /proc/1/environ; try ls /proc/1/fd/; try ls /proc/1/root/; try cat /proc/1/mem; try kill -0 -1000
try prlimit --pid $$ --nproc=unlimited; try prlimit --pid 1 --nofile=3; try sh -c 'echo x >/proc/sys/kernel/hostname'
try sh -c ': >/usr/x'; try sh -c ': >/x'; try ls /root; try test -e /var; echo tried";
    let visitor = Door::of(&place).script(attacks).await;
    assert_eq!(visitor.out, "tried\n", "{visitor:?}");
    let command = run(&*sandbox, 1, attacks).await.unwrap();
    assert_eq!(text(&command), "tried\n");
}

#[tokio::test]
async fn what_a_visitor_says_arrives_whole_with_its_status() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let door = Door::of(&place);
    let said = door.script("echo out; echo err >/dev/stderr; read || echo no input; exit 7").await;
    assert_eq!(said, Said { out: "out\nno input\n".into(), err: "err\n".into(), status: Some(7) });
    let said = door.script("head -c 3000000 /dev/zero | tr '\\0' x").await;
    assert_eq!((said.out.len(), said.status), (3_000_000, Some(0)));
    assert_eq!(door.script("kill -TERM $$").await.status, Some(143));
    // A process that stays, and holds the output open, holds up nobody.
    assert_eq!(door.script("sleep 1000 & setsid sleep 1000 & echo ends").await.out, "ends\n");

    let refused = async |command: &[&str]| match door.try_visit(command, false).await {
        Err(SandboxError::Refused(why)) => why,
        other => panic!("{:?}", other.err()),
    };
    let why = refused(&["no-such-program"]).await;
    assert!(why.contains("no-such-program") && why.contains("No such file"), "{why}");
    assert!(refused(&[]).await.contains("no command"));
    assert!(refused(&[&"x".repeat(100_000)]).await.contains("too long"));
    // None of this was a command of the node's.
    assert_eq!(output(&*sandbox, 1, "echo on").await, "on\n");
}

#[tokio::test]
async fn a_visitor_has_a_terminal_of_the_sandbox() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let mut visit = Door::of(&place).visit(&["bash"], true).await;
    let greeting = until(&mut visit, "$ ").await;
    assert!(!greeting.contains("job control"), "{greeting}");
    visit.process.resize(123, 41).await;
    type_in(
        &mut visit,
        "stty size; tty; echo $TERM; echo x >/dev/tty; ls /proc/self/fd | xargs; echo e''nd\r",
    )
    .await;
    let said = until(&mut visit, "end").await;
    for words in ["41 123\r\n/dev/pts/0\r\nxterm-256color\r\nx\r\n", "0 1 2 3\r\n"] {
        assert!(said.contains(words), "{words:?} in {said:?}");
    }
    // Not a shell, which may lose the signal while it starts another program.
    let waits = "python3 -c 'import time; print(\"wai\" + \"ting\", flush=True); time.sleep(1000)'\r";
    type_in(&mut visit, waits).await;
    until(&mut visit, "waiting").await;
    // The shell itself goes on.
    type_in(&mut visit, "\u{3}").await;
    until(&mut visit, "$ ").await;
    type_in(&mut visit, "exit 5\r").await;
    let said = Said::by(visit).await;
    assert_eq!(said.status, Some(5), "{said:?}");
    until_empty(&*sandbox, 1).await;
}

#[tokio::test]
async fn it_stays_beside_a_command_and_goes_with_what_a_command_leaves() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let mut visit = Door::of(&place).visit(&["bash"], true).await;
    until(&mut visit, "$ ").await;
    type_in(&mut visit, "sleep 1000 & sleep 1001 &\r").await;
    for step in 0..20 {
        assert_eq!(output(&*sandbox, step, "echo $((1 + 1))").await, "2\n");
    }
    type_in(&mut visit, "echo still h''ere\r").await;
    until(&mut visit, "still here").await;
    output(&*sandbox, 30, "sleep 1000 & true").await;
    let said = Said::by(visit).await;
    assert_eq!(said.status, Some(137), "{said:?}");
    until_empty(&*sandbox, 31).await;
}

/// So does what a visitor lets go of: it is nobody's then, like a process that a command has left.
#[tokio::test]
async fn what_a_visitor_leaves_behind_ends_with_the_next_command() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let mut visit = Door::of(&place).visit(&["bash"], true).await;
    until(&mut visit, "$ ").await;
    type_in(&mut visit, "(setsid sleep 1000 &); echo let g''o\r").await;
    until(&mut visit, "let go").await;
    assert_eq!(output(&*sandbox, 1, "echo on").await, "on\n");
    assert_eq!(Said::by(visit).await.status, Some(137));
    until_empty(&*sandbox, 2).await;
}

#[tokio::test]
async fn a_person_who_goes_away_leaves_nothing() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let door = Door::of(&place);
    let mut shell = door.visit(&["bash"], true).await;
    until(&mut shell, "$ ").await;
    type_in(&mut shell, "trap '' HUP TERM; sleep 1000 & nohup sleep 1001 & echo s''et\r").await;
    until(&mut shell, "set").await;
    let mut exec = door.visit(&["bash", "-c", "trap '' HUP TERM; echo set; sleep 1000"], false).await;
    until(&mut exec, "set").await;
    drop((shell, exec));
    // Not by a command's end: here there is none.
    let name = sandbox.name();
    let id = name.rsplit(' ').next().unwrap().trim_end_matches(')').to_owned();
    let of_sandbox = || {
        let pid_space = std::fs::read_link(format!("/proc/{id}/ns/pid")).unwrap();
        let all = with_argument("sleep").into_iter();
        all.filter(|it| std::fs::read_link(format!("/proc/{it}/ns/pid")).is_ok_and(|it| it == pid_space))
            .count()
    };
    let deadline = Instant::now() + PATIENCE;
    while of_sandbox() > 0 {
        assert!(Instant::now() < deadline, "{} are left", of_sandbox());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until_empty(&*sandbox, 1).await;
}

#[tokio::test]
async fn more_than_can_come_at_once_have_their_turn() {
    let Some(place) = Place::bubblewrap() else { return };
    let _sandbox = place.start().await;
    let door = Door::of(&place);
    let mut inside = Vec::new();
    for _ in 0..MAX_GUESTS {
        inside.push(door.visit(&["sleep", "1000"], false).await);
    }
    let mut next = Box::pin(door.visit(&["echo", "in"], false));
    assert!(timeout(Duration::from_millis(500), &mut next).await.is_err(), "there is no limit");
    drop(inside.pop());
    assert_eq!(Said::by(timeout(PATIENCE, next).await.unwrap()).await.out, "in\n");
}

#[tokio::test]
async fn a_command_that_can_start_nothing_more_does_not_keep_a_person_out_for_ever() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start_with(Sizes { pids: 20, ..Sizes::default() }).await;
    let door = Door::of(&place);
    let full = "for it in $(seq 40); do sleep 1000 & done 2>/dev/null; echo full; wait";
    let request = request(1, full, Duration::from_secs(2));
    let (outcome, ()) = tokio::join!(sandbox.run(&request), async {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match door.try_visit(&["true"], false).await {
                Err(SandboxError::Refused(why)) if why.contains("temporarily unavailable") => break,
                Ok(_) | Err(SandboxError::Refused(_)) => {}
                Err(other) => panic!("{other}"),
            }
            assert!(Instant::now() < deadline, "it was never full");
        }
    });
    assert_eq!(outcome.unwrap().ending, Ending::TimedOut { after_ms: 2000 });
    assert_eq!(door.script("echo in").await.out, "in\n");
}

#[tokio::test]
async fn only_sandboxes_that_stand_are_found() {
    let Some(place) = Place::bubblewrap() else { return };
    let door = Door::of(&place);
    assert_eq!(door.standing().await, []);
    let work = place.start().await;
    let check = place.sandboxes.start(&place.spec(Purpose::Check)).await.unwrap();
    let mut specs: Vec<_> = door.standing().await.into_iter().map(|it| it.spec).collect();
    specs.sort_by_key(|it| it.purpose.as_str());
    assert_eq!(specs, [place.spec(Purpose::Check), place.spec(Purpose::Work)]);

    let gone = door.standing().await;
    work.destroy().await.unwrap();
    check.destroy().await.unwrap();
    assert_eq!(door.standing().await, []);
    let visited = door.visit_at(&gone[0], &["true"], false).await;
    assert!(matches!(visited, Err(SandboxError::Lost(_))), "{:?}", visited.err());
    let left = std::fs::read_dir(place.temp_dir().join("visits")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_sandbox_that_ends_ends_its_visits() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let mut visit = Door::of(&place).visit(&["bash"], true).await;
    until(&mut visit, "$ ").await;
    sandbox.destroy().await.unwrap();
    assert_eq!(Said::by(visit).await.status, None);
}
