//! Attacks on sandboxd, which runs as the same user.

use super::{Attack, Held, endless, python, shell};

pub(super) fn attacks() -> Vec<Attack> {
    use Held::{Fails, Says};
    vec![
        // PTRACE_ATTACH and PTRACE_SEIZE.
        python(
            "ptrace_of_pid_1",
            r#"call("ptrace", 16, 1, 0, 0); call("ptrace", 0x4206, 1, 0, 0)"#,
            Says("EPERM\nEPERM\n"),
        ),
        shell(
            "reading_the_memory_of_pid_1",
            "head -c 1 /proc/1/mem; cat /proc/1/maps",
            Fails("Permission denied"),
        ),
        python(
            "writing_the_memory_of_pid_1",
            r#"attempt(open, "/proc/1/mem", "r+b"); call("process_vm_writev", 1, 0, 0, 0, 0, 0)"#,
            Says("EACCES\nEPERM\n"),
        ),
        shell("the_environment_of_pid_1", "cat /proc/1/environ", Fails("Permission denied")),
        shell(
            "the_descriptors_of_pid_1",
            "ls /proc/1/fd/ /proc/1/cwd/ /proc/1/root/",
            Fails("Permission denied"),
        ),
        shell(
            "a_forged_frame_through_the_output_of_pid_1",
            "printf '\\0forged\\0' >/proc/1/fd/1",
            Fails("Permission denied"),
        ),
        shell("listening_to_what_pid_1_is_told", "head -c 1 /proc/1/fd/0", Fails("Permission denied")),
        python(
            "stealing_a_descriptor_of_pid_1",
            r#"fd = os.pidfd_open(1); call("pidfd_getfd", fd, 1, 0)"#,
            Says("EPERM\n"),
        ),
        shell(
            "killing_pid_1",
            "for it in KILL TERM SEGV INT QUIT ABRT; do kill -$it 1; done; echo tried",
            Says("tried\n"),
        ),
        shell(
            "stopping_pid_1",
            "for it in STOP TSTP TTIN TTOU; do kill -$it 1; done; echo tried",
            Says("tried\n"),
        ),
        shell(
            "every_signal_to_pid_1",
            "for it in $(seq 1 64); do kill -$it 1 2>/dev/null; done; echo tried",
            Says("tried\n"),
        ),
        // PIDFD_SIGNAL_PROCESS_GROUP would be 4.
        python(
            "a_signal_through_a_pidfd",
            r#"fd = os.pidfd_open(1); call("pidfd_send_signal", fd, 9, 0, 0)"#,
            Held::Survived,
        ),
        python(
            // Processor time, memory, files, processes: with any of them at nothing it would be dead or lame.
            "lowering_the_limits_of_pid_1",
            "for it in 0, 2, 7, 6, 9:\n  new = (ctypes.c_ulong * 2)(1, 1)\n  call(\"prlimit64\", 1, it, ctypes.byref(new), None)",
            Says("EPERM\nEPERM\nEPERM\nEPERM\nEPERM\n"),
        ),
        python(
            // A process is named by 32 bits of 64.
            "lowering_the_limits_of_pid_1_by_a_longer_number",
            "new = (ctypes.c_ulong * 2)(5, 5)\ncall(\"prlimit64\", (1 << 32) + 1, 7, ctypes.byref(new), None)",
            Says("EPERM\n"),
        ),
        python(
            "lowering_the_limits_of_pid_1_by_its_threads",
            "new = (ctypes.c_ulong * 2)(5, 5)\nfor it in os.listdir(\"/proc/1/task\"):\n  call(\"prlimit64\", int(it), 7, ctypes.byref(new), None)",
            // One more waits for people who look in.
            Held::OneOf(&["EPERM\n", "EPERM\nEPERM\n"]),
        ),
        python(
            // 32 bits of it are zero: a filter that looks at those takes it for no address.
            "lowering_the_limits_of_pid_1_from_a_round_address",
            "C.mmap.restype = ctypes.c_void_p\nat = C.mmap(ctypes.c_void_p(1 << 40), ctypes.c_size_t(4096), 3, 0x32, -1, ctypes.c_long(0))\n\
             ctypes.memmove(at, (ctypes.c_ulong * 2)(5, 5), 16)\nprint(hex(at))\ncall(\"prlimit64\", 1, 7, ctypes.c_void_p(at), None)",
            Says("0x10000000000\nEPERM\n"),
        ),
        shell(
            "offering_pid_1_to_the_oom_killer",
            "echo 1000 >/proc/1/oom_score_adj",
            Fails("Permission denied"),
        ),
        shell(
            "hiding_from_the_oom_killer",
            "echo 0 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj",
            Held::Survived,
        ),
        python(
            "the_turns_of_pid_1_at_the_processor",
            "idle = os.sched_param(0)\nattempt(os.sched_setscheduler, 1, os.SCHED_IDLE, idle)\nattempt(os.sched_setparam, 1, idle)\n\
             attempt(os.sched_setaffinity, 1, [0])\nfor it in os.PRIO_PROCESS, os.PRIO_PGRP, os.PRIO_USER:\n  \
             attempt(os.setpriority, it, 1 if it < 2 else 1000, 19)",
            Says("EPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\n"),
        ),
        endless(
            "starving_pid_1",
            "renice -n 19 -p 1 2>/dev/null; for it in $(seq 60); do nice -n 0 bash -c 'while :; do :; done' & done; wait",
        ),
        python(
            "a_thousand_orphans_for_pid_1",
            "for _ in range(1000):\n  child = os.fork()\n  if child == 0:\n    if os.fork() == 0: os._exit(0)\n    os._exit(0)\n  os.waitpid(child, 0)\nprint(\"tried\")",
            Says("tried\n"),
        ),
    ]
}
