"""What the attacks in python have in common: raw system calls by name, and the words for what became of them."""
import ctypes, errno, os, resource, socket, sys, time

NUMBERS = {
    "x86_64": dict(
        ptrace=101, process_vm_readv=310, process_vm_writev=311, pidfd_getfd=438, pidfd_open=434,
        pidfd_send_signal=424, prlimit64=302, io_uring_setup=425, io_setup=206, bpf=321, perf_event_open=298,
        keyctl=250, add_key=248, request_key=249, userfaultfd=323, unshare=272, setns=308, clone=56, clone3=435,
        mount=165, umount2=166, pivot_root=155, chroot=161, fsopen=430, open_tree=428, move_mount=429,
        mount_setattr=442, init_module=175, finit_module=313, kexec_load=246, open_by_handle_at=304,
        name_to_handle_at=303, reboot=169, swapon=167, syslog=103, acct=163, settimeofday=164,
        clock_settime=227, sethostname=170, process_madvise=440, personality=135, kcmp=312, move_pages=279,
    ),
    "aarch64": dict(
        ptrace=117, process_vm_readv=270, process_vm_writev=271, pidfd_getfd=438, pidfd_open=434,
        pidfd_send_signal=424, prlimit64=261, io_uring_setup=425, io_setup=0, bpf=280, perf_event_open=241,
        keyctl=219, add_key=217, request_key=218, userfaultfd=282, unshare=97, setns=268, clone=220, clone3=435,
        mount=40, umount2=39, pivot_root=41, chroot=51, fsopen=430, open_tree=428, move_mount=429,
        mount_setattr=442, init_module=105, finit_module=273, kexec_load=104, open_by_handle_at=265,
        name_to_handle_at=264, reboot=142, swapon=224, syslog=116, acct=89, settimeofday=170,
        clock_settime=112, sethostname=161, process_madvise=440, personality=92, kcmp=272, move_pages=239,
    ),
}[os.uname().machine]

C = ctypes.CDLL(None, use_errno=True)
C.syscall.restype = ctypes.c_long


def call(name, *arguments):
    """Prints the name of the error, or that there was none."""
    ctypes.set_errno(0)
    arguments = [ctypes.c_long(it) if isinstance(it, int) else it for it in arguments]
    result = C.syscall(ctypes.c_long(NUMBERS[name]), *arguments)
    print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])


def attempt(action, *arguments):
    """The same of a function of python's."""
    try:
        action(*arguments)
        print("done")
    except OSError as error:
        print(errno.errorcode.get(error.errno, error.errno))


def connect(family, kind, address, seconds=2):
    with socket.socket(family, kind) as it:
        it.settimeout(seconds)
        it.connect(address)
