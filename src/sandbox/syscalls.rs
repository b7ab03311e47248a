//! What a sandbox may ask of the kernel: the table that each backend turns into its own kind of seccomp filter.
//!
//! All that building and testing software needs, and nothing that a container without capabilities has no use for.
//! What is in no list is refused with `EPERM`. Left out on purpose, because bugs in them have led out of containers:
//! `io_uring`, `bpf`, `userfaultfd`, `perf_event_open`, keys, namespaces, mounts, and every kind of socket but four.
//! Programs of another word size are refused as a whole.

/// Allowed whatever the arguments.
pub(crate) const ALLOWED: &[&[&str]] = &[
    FILES, TREES, ATTRIBUTES, WAITING, MEMORY, PROCESSES, IDENTITY, SIGNALS, TIME, SCHEDULING, LIMITS,
    SOCKETS, IPC,
];

const FILES: &[&str] = &[
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "fadvise64",
    "fallocate",
    "fcntl",
    "fdatasync",
    "flock",
    "fsync",
    "ftruncate",
    "ioctl",
    "lseek",
    "memfd_create",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readv",
    "sendfile",
    "splice",
    "sync",
    "sync_file_range",
    "syncfs",
    "tee",
    "truncate",
    "vmsplice",
    "write",
    "writev",
];

const TREES: &[&str] = &[
    "access",
    "chdir",
    "faccessat",
    "faccessat2",
    "fchdir",
    "fstat",
    "fstatfs",
    "getcwd",
    "getdents",
    "getdents64",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "link",
    "linkat",
    "lstat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "newfstatat",
    "readlink",
    "readlinkat",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "umask",
    "unlink",
    "unlinkat",
];

const ATTRIBUTES: &[&str] = &[
    "chmod",
    "chown",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fgetxattr",
    "flistxattr",
    "fremovexattr",
    "fsetxattr",
    "futimesat",
    "getxattr",
    "lchown",
    "lgetxattr",
    "listxattr",
    "llistxattr",
    "lremovexattr",
    "lsetxattr",
    "removexattr",
    "setxattr",
    "utime",
    "utimensat",
    "utimes",
];

const WAITING: &[&str] = &[
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "poll",
    "ppoll",
    "pselect6",
    "select",
    "signalfd",
    "signalfd4",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
];

const MEMORY: &[&str] = &[
    "brk",
    "madvise",
    "membarrier",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mprotect",
    "mremap",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
];

/// `ptrace` among them: debuggers and leak checkers need it. Sandboxd is out of its reach, being undumpable.
const PROCESSES: &[&str] = &[
    "arch_prctl",
    "capget",
    "capset",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "futex",
    "futex_waitv",
    "get_robust_list",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getsid",
    "gettid",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "ptrace",
    "rseq",
    "seccomp",
    "set_robust_list",
    "set_tid_address",
    "setpgid",
    "setsid",
    "tgkill",
    "tkill",
    "vfork",
    "wait4",
    "waitid",
];

/// Without capabilities these change nothing, but programs that drop privileges call them.
const IDENTITY: &[&str] = &[
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getresgid",
    "getresuid",
    "getuid",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setuid",
];

const SIGNALS: &[&str] = &[
    "pause",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "sigaltstack",
];

const TIME: &[&str] = &[
    "alarm",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "getitimer",
    "gettimeofday",
    "nanosleep",
    "setitimer",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "times",
];

const SCHEDULING: &[&str] = &[
    "getcpu",
    "getpriority",
    "ioprio_get",
    "ioprio_set",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_yield",
];

const LIMITS: &[&str] = &["getrandom", "getrlimit", "getrusage", "setrlimit", "sysinfo", "uname"];

const SOCKETS: &[&str] = &[
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
];

const IPC: &[&str] = &[
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedsend",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
];

/// Refused with `ENOSYS`: the C library takes that for an older kernel and does without.
pub(crate) const ABSENT: &[&str] = &["clone3", "io_uring_enter", "io_uring_register", "io_uring_setup"];

/// Allowed when every condition of one of its entries holds.
pub(crate) const CONDITIONAL: &[(&str, &[Condition])] = &[
    // Processes and threads, but no new namespace: a bit of this mask asks for one.
    ("clone", &[Condition { argument: 0, must: Must::HaveNoneOf(0x7e02_0000) }]),
    // Unix; streams and datagrams of IPv4 and IPv6, by TCP and UDP alone; and the netlink protocol that lists network
    // interfaces. Not vsock, which leads to the host of a virtual machine, not AF_ALG, not packet sockets.
    ("socket", &[is(0, UNIX)]),
    ("socket", &[is(0, IPV4), is_kind(STREAM), is(2, 0)]),
    ("socket", &[is(0, IPV4), is_kind(STREAM), is(2, TCP)]),
    ("socket", &[is(0, IPV4), is_kind(DATAGRAM), is(2, 0)]),
    ("socket", &[is(0, IPV4), is_kind(DATAGRAM), is(2, UDP)]),
    ("socket", &[is(0, IPV6), is_kind(STREAM), is(2, 0)]),
    ("socket", &[is(0, IPV6), is_kind(STREAM), is(2, TCP)]),
    ("socket", &[is(0, IPV6), is_kind(DATAGRAM), is(2, 0)]),
    ("socket", &[is(0, IPV6), is_kind(DATAGRAM), is(2, UDP)]),
    ("socket", &[is(0, NETLINK), is(2, 0)]),
    ("socketpair", &[is(0, UNIX)]),
    // The caller's own limits and turns at the processor, and the question for anybody's limits. Not sandboxd's: it is the
    // same user's, and without them it would be dead or could not end a command at its deadline. Who is not asked for by
    // number: its threads have numbers too, and the number of bits that count differs.
    ("prlimit64", &[OF_THE_CALLER]),
    ("prlimit64", &[Condition { argument: 2, must: Must::BeNull }]),
    ("sched_setaffinity", &[OF_THE_CALLER]),
    ("sched_setattr", &[OF_THE_CALLER]),
    ("sched_setparam", &[OF_THE_CALLER]),
    ("sched_setscheduler", &[OF_THE_CALLER]),
    ("setpriority", &[is(0, 0), is(1, 0)]),
    // The ordinary personality, and the question which one it is.
    ("personality", &[is(0, 0)]),
    ("personality", &[is(0, 0xffff_ffff)]),
];

const UNIX: u64 = 1;
const IPV4: u64 = 2;
const IPV6: u64 = 10;
const NETLINK: u64 = 16;

const STREAM: u64 = 1;
const DATAGRAM: u64 = 2;
/// Above it stand flags.
const KIND_OF_SOCKET: u64 = 0xf;

const TCP: u64 = 6;
const UDP: u64 = 17;

const OF_THE_CALLER: Condition = is(0, 0);

const fn is(argument: u32, value: u64) -> Condition {
    Condition { argument, must: Must::Equal(value) }
}

/// Of the second argument of `socket`.
const fn is_kind(value: u64) -> Condition {
    Condition { argument: 1, must: Must::EqualWithin { mask: KIND_OF_SOCKET, value } }
}

pub(crate) struct Condition {
    pub(crate) argument: u32,
    pub(crate) must: Must,
}

/// Of 32 bits, but for `BeNull`.
pub(crate) enum Must {
    Equal(u64),
    EqualWithin {
        mask: u64,
        value: u64,
    },
    HaveNoneOf(u64),
    /// A pointer.
    BeNull,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_one_verdict() {
        let conditional: std::collections::HashSet<_> = CONDITIONAL.iter().map(|(name, _)| *name).collect();
        let mut all: Vec<_> = ALLOWED.concat();
        all.extend(ABSENT);
        all.extend(conditional);
        all.sort_unstable();
        let doubled: Vec<_> = all.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(doubled.is_empty(), "{doubled:?}");
    }

    #[test]
    fn what_has_led_out_of_containers_is_not_allowed() {
        let allowed = ALLOWED.concat();
        let never = [
            "add_key",
            "bpf",
            "fsopen",
            "init_module",
            "io_setup",
            "io_uring_setup",
            "kexec_load",
            "keyctl",
            "mount",
            "move_mount",
            "name_to_handle_at",
            "open_by_handle_at",
            "open_tree",
            "perf_event_open",
            "pivot_root",
            "process_vm_writev",
            "setns",
            "unshare",
            "userfaultfd",
        ];
        assert!(never.iter().all(|name| !allowed.contains(name)));
    }
}
