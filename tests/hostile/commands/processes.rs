//! Commands that will not end, and what they leave behind.

use super::{Attack, Held, endless, python, shell};

pub(super) fn attacks() -> Vec<Attack> {
    use Held::{Fails, Says, Survived};
    vec![
        endless("a_fork_bomb", ":(){ :|:& };:; wait; sleep 1000"),
        endless("a_trap_for_every_signal", "trap '' TERM HUP INT QUIT USR1 ALRM; while :; do :; done"),
        endless("a_hundred_busy_loops", "for it in $(seq 100); do (while :; do :; done) & done; wait"),
        endless("a_daemon_beside_a_sleeper", "setsid sleep 1000 & sleep 1000"),
        endless("a_stopped_process", "kill -STOP $$; sleep 1000"),
        shell("a_daemon_in_a_session_of_its_own", "setsid sleep 1000 & echo started", Says("started\n")),
        shell("a_child_that_holds_the_output_open", "sleep 1000 & echo started", Says("started\n")),
        shell(
            "a_daemon_that_ignores_signals",
            "(trap '' TERM HUP; setsid bash -c 'while :; do sleep 1; done' &) ; echo started",
            Says("started\n"),
        ),
        python(
            "a_double_fork",
            "if os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(1000)\n  os._exit(0)\nos.wait()\nprint(\"started\")",
            Says("started\n"),
        ),
        python(
            "an_adopter_of_orphans",
            "C.prctl(36, 1, 0, 0, 0)\nif os.fork() == 0:\n  os.setsid()\n  C.prctl(36, 1, 0, 0, 0)\n  for _ in range(5):\n    if os.fork() == 0: time.sleep(1000)\n  time.sleep(1000)\nprint(\"started\")",
            Says("started\n"),
        ),
        python(
            "a_process_in_the_hands_of_a_tracer",
            "child = os.fork()\nif child == 0:\n  call(\"ptrace\", 0, 0, 0, 0)\n  os.kill(os.getpid(), 19)\nos.waitpid(child, 2)\nprint(\"held\")",
            Held::Contains("held\n"),
        ),
        // On bubblewrap each process is refused more, in a container the kernel ends the greedy one.
        shell(
            "a_memory_bomb",
            "python3 -c 'x = b\"x\" * (4 << 30)'; r=$?; [ $r = 0 ] || { echo failed; exit 1; }",
            Fails("failed"),
        ),
        python(
            "every_descriptor",
            "resource.setrlimit(7, (resource.getrlimit(7)[1],) * 2)\nattempt(resource.setrlimit, 7, (1 << 20, 1 << 20))",
            Fails("not allowed"),
        ),
        python("a_process_group_of_everybody", "attempt(os.kill, -1, 9)", Survived),
    ]
}
