//! Commands against a person who looks into their sandbox, by bubblewrap: they reach neither the person's way in nor the
//! person's program, and what they do to what the person started is the sandbox's own affair.

use std::time::Duration;

use bzzz_actors::ports::sandbox::Sandbox;
use tokio::time::timeout;

use crate::door::{Door, PATIENCE, Said, type_in, until};
use crate::place::{Place, output};

crate::cases! {
    a_command_that_looks_for_the_way_in,
    a_command_that_wants_a_visitors_terminal,
    a_command_that_stops_a_visitor,
    a_visitor_that_is_flooded,
}

/// The node's commands run, and a person can look in.
async fn goes_on(sandbox: &dyn Sandbox, door: &Door, step: u32) {
    assert_eq!(output(sandbox, step, "echo on").await, "on\n");
    let said = timeout(PATIENCE, door.script("echo in")).await.expect("nobody comes in");
    assert_eq!((said.out.as_str(), said.status), ("in\n", Some(0)));
}

async fn a_command_that_looks_for_the_way_in() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let door = Door::of(&place);
    let mut visit = door.visit(&["bash"], true).await;
    until(&mut visit, "$ ").await;
    // The sockets with a name that it sees; the files that are one; sandboxd's descriptors; those of the visitor that lead elsewhere.
    let search = "grep -c '[/@]' /proc/net/unix; find / -xdev -type s 2>/dev/null | wc -l; ls /proc/1/fd 2>/dev/null | wc -l
for it in /proc/[0-9]*; do [ $it = /proc/1 ] || readlink $it/fd/*; done 2>/dev/null | grep -vE '^(/dev/(null|pts/[0-9]+|tty)|pipe:.*|/proc/.*)$' | sort -u
/usr/bin/python3 -c '
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
pidfd_open, pidfd_getfd = 434, 438
one = libc.syscall(pidfd_open, 1, 0)
taken = [fd for fd in range(64) if libc.syscall(pidfd_getfd, one, fd, 0) >= 0]
print(taken, os.strerror(ctypes.get_errno()))'";
    let said = output(&*sandbox, 1, search).await;
    assert_eq!(said, "0\n0\n0\n[] Operation not permitted\n");
    type_in(&mut visit, "echo st''ill\r").await;
    until(&mut visit, "still").await;
    goes_on(&*sandbox, &door, 2).await;
}

async fn a_command_that_wants_a_visitors_terminal() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let door = Door::of(&place);
    let mut visit = door.visit(&["bash"], true).await;
    until(&mut visit, "$ ").await;
    // To type into it, and to have it for its own; in a session of its own that has no terminal yet.
    let attack = "/usr/bin/python3 -c '
import fcntl, os, termios
if os.fork() == 0:
    os.setsid()
    fd = os.open(\"/dev/pts/0\", os.O_RDWR | os.O_NOCTTY)
    for name, argument in ((\"TIOCSTI\", b\"x\"), (\"TIOCSCTTY\", 1)):
        try:
            fcntl.ioctl(fd, getattr(termios, name), argument)
            print(name, \"done\", flush=True)
        except OSError as error:
            print(name, \"refused\", flush=True)
    os._exit(0)
os.wait()'";
    assert_eq!(output(&*sandbox, 1, attack).await, "TIOCSTI refused\nTIOCSCTTY refused\n");
    type_in(&mut visit, "echo st''ill\r").await;
    let said = until(&mut visit, "still").await;
    assert!(!said.contains('x'), "{said:?}");
    goes_on(&*sandbox, &door, 2).await;
}

async fn a_command_that_stops_a_visitor() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let door = Door::of(&place);
    let mut visit =
        door.visit(&["bash", "-c", "echo here; while :; do read -t 1; done", "visitor-mark"], true).await;
    until(&mut visit, "here").await;
    // All but this shell and sandboxd, and what forks in between.
    let stop = "for it in /proc/[0-9]*; do it=${it#/proc/}; [ $it = $$ ] || kill -STOP $it 2>/dev/null; done; echo stopped";
    assert_eq!(output(&*sandbox, 1, stop).await, "stopped\n");
    goes_on(&*sandbox, &door, 2).await;
    // Nothing is heard of it. Who has enough of that goes away, and it goes too.
    drop(visit);
    let deadline = std::time::Instant::now() + PATIENCE;
    for step in 3.. {
        // A pattern that does not find itself.
        let count =
            output(&*sandbox, step, "cat /proc/[0-9]*/cmdline | grep -ac 'visitor-m[a]rk'; true").await;
        if count == "0\n" {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{count} are left");
    }
}

async fn a_visitor_that_is_flooded() {
    let Some(place) = Place::bubblewrap() else { return };
    let sandbox = place.start().await;
    let door = Door::of(&place);
    let mut visit = door.visit(&["bash"], true).await;
    until(&mut visit, "$ ").await;
    // Nobody reads: it waits when the terminal is full, until it is killed at its deadline with all that is there.
    let flood = crate::place::request(1, "yes flood >/dev/pts/0", Duration::from_secs(1));
    assert!(!sandbox.run(&flood).await.unwrap().ending.is_success());
    let said = Said::by(visit).await;
    assert!(said.out.contains("flood") && said.out.len() < 2_000_000, "{}", said.out.len());
    assert_eq!(said.status, Some(137));
    goes_on(&*sandbox, &door, 2).await;
}
