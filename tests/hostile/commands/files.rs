//! Places that are not the sandbox's, and all of those that are.

use super::{Attack, Held, endless, python, shell};

/// Each that can be written to is named, but for those that a namespace has of its own.
const KNOBS: &str = "for it in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe \
    /proc/sys/kernel/hostname /proc/sys/vm/drop_caches /proc/sys/fs/binfmt_misc/register /proc/self/uid_map \
    /proc/self/setgroups /proc/timer_stats /sys/kernel/uevent_helper /sys/power/state /sys/kernel/mm/ksm/run; do \
    (echo x >$it) 2>/dev/null && echo $it; done; \
    find /proc/sys /proc/irq /proc/bus /proc/fs /sys ! -type l -writable 2>/dev/null \
    | grep -vE '^/proc/sys/(fs/mqueue/.*|kernel/(auto_msgmni|msg.*|sem.*|shm.*|ns_last_pid|pid_max))$'; true";

const CGROUPS: &str = "for it in $(find /sys/fs/cgroup -name 'release_agent' -o -name 'cgroup.procs' -o -name 'memory.max' \
    -o -name 'memory.limit_in_bytes' -o -name 'pids.max' -o -name 'devices.allow' 2>/dev/null); do \
    (echo 1 >$it) 2>/dev/null && echo $it; done; mkdir /sys/fs/cgroup/x /sys/fs/cgroup/memory/x 2>/dev/null && echo made; true";

const ELSEWHERE: &str = "find / \\( -path /proc -o -path /sys -o -path /usr -o -path /work -o -path /tmp -o -path /home/agent \
    -o -path /dev \\) -prune -o \\( -type f -o -type d \\) -writable -print 2>/dev/null; \
    for it in / /usr /usr/bin /etc /dev /bin /lib /root /var /run; do (echo x >$it/x) 2>/dev/null && echo $it; done; true";

const MEMORY: &str = "for it in /proc/kcore /dev/mem /dev/kmem /dev/port /proc/kmsg /dev/sda /dev/vda /dev/nvme0n1 /dev/fuse \
    /dev/kvm /dev/net/tun /dev/loop-control; do head -c 1 $it 2>/dev/null; done | wc -c";

const FULL: &str = "for it in /work /tmp /home/agent /dev/shm; do head -c 300M /dev/zero >$it/big 2>/dev/null && echo $it; done; \
    rm /work/big /tmp/big /home/agent/big /dev/shm/big; echo x >/work/repo/x && cat /work/repo/x";

pub(super) fn attacks() -> Vec<Attack> {
    use Held::{Fails, Says, Survived};
    vec![
        shell("writing_elsewhere", ELSEWHERE, Says("")),
        shell(
            "replacing_sandboxd",
            "cp /bin/true /sandboxd || mv /sandboxd /tmp || rm -f /sandboxd",
            Fails(""),
        ),
        shell("sysrq_and_other_knobs_of_the_kernel", KNOBS, Says("")),
        shell("control_groups", CGROUPS, Says("")),
        shell("memory_and_disks_of_the_machine", MEMORY, Says("0\n")),
        python(
            "device_nodes",
            "import stat\nfor kind, major, minor in (stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 5, 1), (stat.S_IFBLK, 8, 0), (stat.S_IFBLK, 254, 0):\n  \
             attempt(os.mknod, \"/tmp/node\", kind | 0o666, os.makedev(major, minor))",
            Says("EPERM\nEPERM\nEPERM\nEPERM\n"),
        ),
        shell(
            "a_set_user_id_program_of_its_own",
            "cp /usr/bin/id /tmp/id; chown root /tmp/id 2>/dev/null; chmod 6755 /tmp/id; /tmp/id -u; rm /tmp/id",
            Says("1000\n"),
        ),
        shell(
            "set_user_id_programs_of_the_system",
            "for it in su 'sudo -n' pkexec; do $it -c id </dev/null 2>/dev/null | grep uid=0; done; grep CapEff /proc/self/status",
            Says("CapEff:\t0000000000000000\n"),
        ),
        python(
            "capabilities_on_a_file",
            "import shutil; shutil.copy(\"/usr/bin/id\", \"/tmp/cap\"); attempt(os.setxattr, \"/tmp/cap\", \"security.capability\", bytes(20)); os.remove(\"/tmp/cap\")",
            Held::OneOf(&["EPERM\n", "EINVAL\n", "EOPNOTSUPP\n"]),
        ),
        shell("another_user", "python3 -c 'import os; os.setuid(0)'", Fails("Error")),
        shell(
            "the_docker_socket",
            "find / \\( -path /proc -o -path /usr \\) -prune -o -type s -print 2>/dev/null; true",
            Says(""),
        ),
        shell("every_disk_is_full", FULL, Says("x\n")),
        Attack {
            timeout: std::time::Duration::from_secs(2),
            ..python(
                "millions_of_empty_files",
                "it = 0\nos.mkdir(\"/work/many\")\ntry:\n  while True:\n    os.close(os.open(\"/work/many/%d\" % it, os.O_CREAT)); it += 1\nexcept OSError as error:\n  print(errno.errorcode[error.errno])",
                Survived,
            )
        },
        shell(
            "removing_millions_of_files",
            "rm -rf /work/many; echo x >/work/y && rm /work/y && echo gone",
            Says("gone\n"),
        ),
        shell(
            "a_file_with_a_hole_of_a_terabyte",
            "truncate -s 1T /work/hole; truncate -s 100M /work/hole; rm -f /work/hole; echo x >/work/y; rm /work/y",
            Survived,
        ),
        shell(
            "a_core_dump",
            "ulimit -c unlimited 2>/dev/null && echo raised; cd /tmp; (kill -SEGV $BASHPID); ls -A /tmp | grep -c core",
            Fails("0\n"),
        ),
        endless("an_endless_output", "cat /dev/zero"),
        shell("two_gigabytes_of_output", "head -c 2G /dev/zero", Survived),
        shell("escapes_for_a_terminal", "printf '\\033[2J\\033]0;owned\\007\\033]52;c;eA==\\007'", Survived),
    ]
}
