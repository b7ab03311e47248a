//! What a command can't get at: the host, the network, privileges, sandboxd itself.

use crate::place::{Place, output, run, text};

crate::on_each_backend! {
    a_command_has_no_privilege_and_no_network,
    a_command_writes_only_where_it_works,
    sandboxd_is_out_of_reach,
    the_kernel_refuses_what_no_build_needs,
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

async fn sandboxd_is_out_of_reach(place: &Place) {
    let sandbox = place.start().await;

    for attack in [
        "cat /proc/1/environ",
        "cat /proc/1/mem",
        "ls /proc/1/fd/",
        "echo forged > /proc/1/fd/1",
        "head -c1 /proc/1/fd/0",
        "echo -17 > /proc/1/oom_score_adj",
    ] {
        let outcome = run(&*sandbox, 1, attack).await.unwrap();
        assert!(!outcome.ending.is_success(), "{attack}: {}", text(&outcome));
    }
    // ptrace(PTRACE_ATTACH, 1)
    let attach = "python3 -c 'import ctypes; print(ctypes.CDLL(None).ptrace(16, 1, 0, 0))'";
    assert_eq!(output(&*sandbox, 2, attach).await, "-1\n");
    for signal in ["KILL", "STOP", "TERM", "CHLD", "SEGV", "INT"] {
        run(&*sandbox, 3, &format!("kill -{signal} 1")).await.unwrap();
        assert_eq!(output(&*sandbox, 4, "echo here").await, "here\n", "after SIG{signal}");
    }
    assert_eq!(output(&*sandbox, 5, "ls /proc/self/fd | wc -l").await, "4\n", "nothing is inherited");
    assert_eq!(output(&*sandbox, 6, "cat /proc/self/oom_score_adj").await, "500\n");
}

async fn the_kernel_refuses_what_no_build_needs(place: &Place) {
    let sandbox = place.start().await;

    let call = |number: &str| {
        format!(
            "python3 -c 'import ctypes,os; c=ctypes.CDLL(None,use_errno=True); r=c.syscall({number}); \
             print(r, os.strerror(ctypes.get_errno()))'"
        )
    };
    if cfg!(target_arch = "x86_64") {
        for (name, number, answer) in [
            ("io_uring_setup", "425, 8, 0", "-1 Function not implemented\n"),
            ("clone3", "435, 0, 0", "-1 Function not implemented\n"),
            ("bpf", "321, 0, 0, 0", "-1 Operation not permitted\n"),
            ("keyctl", "250, 0, 0", "-1 Operation not permitted\n"),
            ("userfaultfd", "323, 0", "-1 Operation not permitted\n"),
            ("unshare of the user namespace", "272, 0x10000000", "-1 Operation not permitted\n"),
            ("clone into a network namespace", "56, 0x40000011, 0, 0, 0, 0", "-1 Operation not permitted\n"),
        ] {
            assert_eq!(output(&*sandbox, 1, &call(number)).await, answer, "{name}");
        }
    }
    let socket = |family: u32| {
        format!(
            "python3 -c 'import socket; socket.socket({family}, socket.SOCK_STREAM if {family} != 16 else 3)'"
        )
    };
    for allowed in [1, 2, 10, 16] {
        output(&*sandbox, 2, &socket(allowed)).await;
    }
    for (name, family) in [("AF_VSOCK", 40), ("AF_ALG", 38), ("AF_PACKET", 17), ("AF_BLUETOOTH", 31)] {
        let outcome = run(&*sandbox, 3, &socket(family)).await.unwrap();
        assert!(text(&outcome).contains("PermissionError"), "{name}: {}", text(&outcome));
    }
    // What is left is enough to work with: threads, and a compiler that makes a program.
    let threads =
        "python3 -c 'import threading; t=threading.Thread(target=lambda: print(1)); t.start(); t.join()'";
    assert_eq!(output(&*sandbox, 4, threads).await, "1\n");
}
