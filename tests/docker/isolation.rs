//! What a command can't get at: the host, the network, privileges, sandboxd itself.

use crate::daemon::{self, Docker, output, run, text};

#[tokio::test]
async fn a_command_has_no_privilege_and_no_network() {
    let Some(docker) = Docker::new() else { return };
    let sandbox = docker.start().await;

    assert_eq!(output(&*sandbox, 1, "id -u; id -g; id -G").await, "1000\n1000\n1000\n");
    let status = output(&*sandbox, 2, "cat /proc/self/status").await;
    for line in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("{line}:\t0000000000000000\n")), "{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1\n") && status.contains("Seccomp:\t2\n"), "{status}");
    assert_eq!(output(&*sandbox, 3, "ls /sys/class/net").await, "lo\n");
    let set_user_id = "find / -xdev -perm /6000 -type f 2>/dev/null | wc -l";
    assert_eq!(output(&*sandbox, 4, set_user_id).await, "0\n");
}

#[tokio::test]
async fn a_command_writes_only_where_it_works() {
    let Some(docker) = Docker::new() else { return };
    let sandbox = docker.start().await;

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

#[tokio::test]
async fn sandboxd_is_out_of_reach() {
    let Some(docker) = Docker::new() else { return };
    let sandbox = docker.start().await;

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

#[tokio::test]
async fn the_kernel_refuses_what_no_build_needs() {
    let Some(docker) = Docker::new() else { return };
    let sandbox = docker.start().await;

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

#[tokio::test]
async fn the_tools_of_the_image_work() {
    let Some(docker) = Docker::new() else { return };
    let options = bzzz::docker::DockerOptions { memory_bytes: 1024 * daemon::MIB, ..docker.options() };
    let sandbox = docker.start_with(options).await;

    let c = "printf '#include <stdio.h>\\nint main(){puts(\"c\");}' > a.c && gcc -o a a.c && ./a";
    assert_eq!(output(&*sandbox, 1, c).await, "c\n");
    let make = "printf 'all:\\n\\t@echo made\\n' > Makefile && make";
    assert_eq!(output(&*sandbox, 2, make).await, "made\n");
    let pytest = "echo 'def test(): assert 1 + 1 == 2' > test_it.py && python3 -m pytest -q";
    assert!(output(&*sandbox, 3, pytest).await.contains("1 passed"));
    assert_eq!(output(&*sandbox, 4, "find . -name '*.pyc' | wc -l").await, "0\n");
    let cargo = "git init -q . && cargo new --quiet --vcs none hi 2>&1 && cd hi && cargo run --quiet";
    assert_eq!(output(&*sandbox, 5, cargo).await, "Hello, world!\n");
}
