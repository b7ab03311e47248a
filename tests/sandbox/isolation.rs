//! What a command has and has not: privileges, a network, places to write to. Attacks on that are in `tests/hostile`.

use crate::place::{Place, output, run};

crate::on_each_backend! {
    a_command_has_no_privilege_and_no_network,
    a_command_writes_only_where_it_works,
    nothing_is_inherited,
    what_the_kernel_allows_is_enough_to_work_with,
}

async fn a_command_has_no_privilege_and_no_network(place: &Place) {
    let sandbox = place.start().await;

    assert_eq!(output(&*sandbox, 1, "id -u; id -g; id -G").await, "1000\n1000\n1000\n");
    let status = output(&*sandbox, 2, "cat /proc/self/status").await;
    for line in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("{line}:\t0000000000000000\n")), "{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1\n") && status.contains("Seccomp:\t2\n"), "{status}");
    let interfaces = "sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev";
    assert_eq!(output(&*sandbox, 3, interfaces).await, "lo\n");
}

async fn a_command_writes_only_where_it_works(place: &Place) {
    let sandbox = place.start().await;

    let program = "printf '#!/bin/sh\\necho ran\\n' > p && chmod +x p && ./p && rm p";
    for folder in ["/work", "/work/repo", "/tmp", "/home/agent"] {
        assert_eq!(output(&*sandbox, 1, &format!("cd {folder} && {program}")).await, "ran\n", "{folder}");
    }
    for path in
        ["/file", "/etc/passwd", "/usr/bin/git", "/sandboxd", "/var/tmp/file", "/run/file", "/dev/file"]
    {
        let outcome = run(&*sandbox, 2, &format!("echo x > {path}")).await.unwrap();
        assert!(!outcome.ending.is_success(), "{path} could be written");
    }
    let mounts = output(&*sandbox, 3, "cat /proc/self/mounts").await;
    for folder in ["/work", "/tmp", "/home/agent"] {
        let line = mounts.lines().find(|line| line.contains(&format!(" {folder} tmpfs "))).expect(folder);
        assert!(line.contains("nosuid") && line.contains("nodev") && !line.contains("noexec"), "{line}");
    }
    assert!(!mounts.contains("docker.sock"), "{mounts}");
}

async fn nothing_is_inherited(place: &Place) {
    let sandbox = place.start().await;
    assert_eq!(output(&*sandbox, 1, "ls /proc/self/fd | wc -l").await, "4\n");
    assert_eq!(output(&*sandbox, 2, "cat /proc/self/oom_score_adj").await, "500\n");
}

/// What it refuses is tried in `tests/hostile`.
async fn what_the_kernel_allows_is_enough_to_work_with(place: &Place) {
    let sandbox = place.start().await;
    for family in [1, 2, 10, 16] {
        let kind = if family == 16 { "3" } else { "socket.SOCK_STREAM" };
        output(&*sandbox, 1, &format!("python3 -c 'import socket; socket.socket({family}, {kind})'")).await;
    }
    let threads =
        "python3 -c 'import threading; t=threading.Thread(target=lambda: print(1)); t.start(); t.join()'";
    assert_eq!(output(&*sandbox, 2, threads).await, "1\n");
    assert_eq!(output(&*sandbox, 3, "ulimit -n 100; ulimit -n; prlimit --nofile | wc -l").await, "100\n2\n");
}
