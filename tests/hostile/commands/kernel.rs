//! System calls that have led out of containers, or would change the machine.

use super::{Attack, Held, python, shell};

pub(super) fn attacks() -> Vec<Attack> {
    use Held::{Fails, Says};
    vec![
        python("io_uring", r#"call("io_uring_setup", 8, 0)"#, Says("ENOSYS\n")),
        python("asynchronous_input", r#"call("io_setup", 8, 0)"#, Says("EPERM\n")),
        python("bpf", r#"call("bpf", 0, 0, 0)"#, Says("EPERM\n")),
        python("perf_event_open", r#"call("perf_event_open", 0, 0, -1, -1, 0)"#, Says("EPERM\n")),
        python(
            "keys_of_the_kernel",
            r#"call("keyctl", 0, 0); call("add_key", 0, 0, 0, 0, 0); call("request_key", 0, 0, 0, 0)"#,
            Says("EPERM\nEPERM\nEPERM\n"),
        ),
        python("userfaultfd", r#"call("userfaultfd", 0)"#, Says("EPERM\n")),
        python(
            "a_user_namespace",
            r#"call("unshare", 0x10000000); call("clone", 0x10000011, 0, 0, 0, 0); call("clone3", 0, 0)"#,
            Says("EPERM\nEPERM\nENOSYS\n"),
        ),
        python(
            "other_namespaces",
            "for it in 0x20000, 0x40000000, 0x20000000, 0x4000000, 0x8000000, 0x2000000:\n  call(\"clone\", it | 17, 0, 0, 0, 0)",
            Says("EPERM\nEPERM\nEPERM\nEPERM\nEPERM\nEPERM\n"),
        ),
        python(
            "the_namespace_of_another_process",
            r#"fd = os.open("/proc/self/ns/net", 0); call("setns", fd, 0)"#,
            Says("EPERM\n"),
        ),
        python(
            "a_mount",
            r#"call("mount", 0, 0, 0, 0, 0); call("fsopen", 0, 0); call("open_tree", -100, 0, 0); call("move_mount", 0, 0, 0, 0, 0); call("mount_setattr", 0, 0, 0, 0, 0)"#,
            Says("EPERM\nEPERM\nEPERM\nEPERM\nEPERM\n"),
        ),
        shell("making_the_root_writable", "mount -o remount,rw /", Fails("")),
        python(
            "another_root",
            r#"call("pivot_root", 0, 0); call("umount2", 0, 2); call("chroot", 0)"#,
            Says("EPERM\nEPERM\nEPERM\n"),
        ),
        python(
            "a_file_by_its_handle",
            r#"call("open_by_handle_at", -100, 0, 0); call("name_to_handle_at", -100, 0, 0, 0, 0)"#,
            Says("EPERM\nEPERM\n"),
        ),
        python(
            "a_kernel_module",
            r#"call("init_module", 0, 0, 0); call("finit_module", 0, 0, 0); call("kexec_load", 0, 0, 0, 0)"#,
            Says("EPERM\nEPERM\nEPERM\n"),
        ),
        python(
            "a_reboot",
            r#"call("reboot", 0, 0, 0, 0); call("swapon", 0, 0); call("acct", 0)"#,
            Says("EPERM\nEPERM\nEPERM\n"),
        ),
        python(
            "the_clock_and_the_name_of_the_machine",
            r#"call("settimeofday", 0, 0); call("clock_settime", 0, 0); call("sethostname", 0, 0)"#,
            Says("EPERM\nEPERM\nEPERM\n"),
        ),
        python(
            "the_log_of_the_kernel",
            r#"call("syslog", 3, 0, 0); attempt(open, "/dev/kmsg")"#,
            Held::OneOf(&["EPERM\nENOENT\n", "EPERM\nEACCES\n", "EPERM\nEPERM\n"]),
        ),
        python(
            "pages_of_other_processes",
            r#"call("process_madvise", 0, 0, 0, 0, 0); call("move_pages", 1, 0, 0, 0, 0, 0); call("kcmp", 1, 1, 0, 0, 0); call("process_vm_readv", 1, 0, 0, 0, 0, 0)"#,
            Says("EPERM\nEPERM\nEPERM\nEPERM\n"),
        ),
        // READ_IMPLIES_EXEC and no randomness of addresses.
        python(
            "another_personality",
            r#"call("personality", 0x0400000); call("personality", 0x0040000)"#,
            Says("EPERM\nEPERM\n"),
        ),
        python(
            // getpid by the gate of 32 bit programs, whose calls have other numbers.
            "calls_of_another_word_size",
            "import mmap, platform\nif platform.machine() == \"x86_64\":\n  code = mmap.mmap(-1, 4096, prot=7)\n  \
             code.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))\n  \
             start = ctypes.addressof(ctypes.c_char.from_buffer(code))\n  if os.fork() == 0:\n    \
             print(\"got\", ctypes.CFUNCTYPE(ctypes.c_int)(start)() > 0, flush=True)\n    os._exit(0)\n  print(os.WIFSIGNALED(os.wait()[1]))\n\
             else: print(True)",
            Says("True\n"),
        ),
        python(
            "typing_into_a_terminal",
            r#"import fcntl; attempt(open, "/dev/tty"); attempt(fcntl.ioctl, 0, 0x5412, b"x")"#,
            Says("ENXIO\nENOTTY\n"),
        ),
    ]
}
