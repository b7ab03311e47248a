//! Commands in a real sandbox: every way that one can end. Those that will not end are in `tests/hostile`.

use std::time::{Duration, Instant};

use bzzz_actors::ports::sandbox::SandboxError;
use bzzz_actors::task::Ending;

use crate::place::{Place, output, request, run, text};

crate::on_each_backend! {
    an_ending_and_an_output_arrive_as_they_are,
    every_command_starts_anew_in_the_work_tree,
    a_command_ignores_no_signal,
    of_a_flood_the_beginning_and_the_end_are_kept,
    a_long_output_is_in_a_file_for_the_commands_that_follow,
    a_full_disk_fails_the_command_and_no_more,
    a_command_that_no_shell_can_read_is_refused,
    a_caller_that_goes_away_ends_its_command_and_nothing_else,
    calls_wait_for_one_another,
}

const EXITED_0: Ending = Ending::Exited { code: 0 };

/// How long after its deadline a command may take to be gone, on a machine that runs other tests too.
const SLACK: Duration = Duration::from_secs(5);

async fn an_ending_and_an_output_arrive_as_they_are(place: &Place) {
    let sandbox = place.start().await;

    let outcome = run(&*sandbox, 1, "true").await.unwrap();
    assert_eq!((outcome.ending, text(&outcome)), (EXITED_0, String::new()));
    assert!(!outcome.out_of_memory);

    let outcome = run(&*sandbox, 2, "no-such-program").await.unwrap();
    assert_eq!(outcome.ending, Ending::Exited { code: 127 });
    assert_eq!(text(&outcome), "bash: line 1: no-such-program: command not found\n");

    let outcome = run(&*sandbox, 3, "kill -SEGV $$").await.unwrap();
    assert_eq!(outcome.ending, Ending::Signalled { signal: 11 });

    let outcome = run(&*sandbox, 4, r"printf '\000\377\n\033[1m'").await.unwrap();
    assert_eq!(outcome.output.head, b"\0\xff\n\x1b[1m");

    let outcome = run(&*sandbox, 5, "echo out; echo err >&2; echo out again").await.unwrap();
    assert_eq!(text(&outcome), "out\nerr\nout again\n");

    let outcome = run(&*sandbox, 6, "-x is no option").await.unwrap();
    assert_eq!(outcome.ending, Ending::Exited { code: 127 });
}

async fn every_command_starts_anew_in_the_work_tree(place: &Place) {
    let sandbox = place.start().await;

    assert_eq!(output(&*sandbox, 1, "pwd; export SET=1; cd /; umask 000").await, "/work/repo\n");
    assert_eq!(output(&*sandbox, 2, "pwd; echo ${SET-unset}; umask").await, "/work/repo\nunset\n0022\n");
    assert_eq!(output(&*sandbox, 3, "cat; echo $HOME").await, "/home/agent\n");
    // Its own session, so that nobody's terminal and no other command is in reach.
    assert_eq!(
        output(&*sandbox, 4, "ps -o sid= -p $$ | tr -d ' '; echo $$")
            .await
            .lines()
            .collect::<std::collections::HashSet<_>>()
            .len(),
        1
    );

    // A work tree that a command removed is made anew, and one that it put a file in the place of can be repaired.
    output(&*sandbox, 5, "rm -rf /work/repo").await;
    assert_eq!(output(&*sandbox, 6, "pwd").await, "/work/repo\n");
    output(&*sandbox, 7, "cd /; rmdir /work/repo; touch /work/repo").await;
    assert_eq!(output(&*sandbox, 8, "pwd; rm /work/repo").await, "/\n");
    assert_eq!(output(&*sandbox, 9, "pwd").await, "/work/repo\n");
}

async fn a_command_ignores_no_signal(place: &Place) {
    let sandbox = place.start().await;
    // The C library has numbers behind these for itself.
    let ignored = r"echo $((0x$(sed -n 's/^SigIgn:\t//p' /proc/self/status) & 0x7fffffff))";
    assert_eq!(output(&*sandbox, 1, ignored).await, "0\n");
}

async fn of_a_flood_the_beginning_and_the_end_are_kept(place: &Place) {
    let sandbox = place.start().await;

    let outcome = run(&*sandbox, 1, "echo first; head -c 300000000 /dev/zero; echo last").await.unwrap();
    assert_eq!(outcome.ending, EXITED_0);
    let output = &outcome.output;
    assert_eq!((output.head.len(), output.tail.len()), (32 * 1024, 32 * 1024));
    assert!(output.head.starts_with(b"first\n") && output.tail.ends_with(b"last\n"));
    assert_eq!(output.left_out, 300_000_000 + 11 - 64 * 1024);

    let started = Instant::now();
    let outcome = sandbox.run(&request(2, "yes", Duration::from_millis(700))).await.unwrap();
    assert_eq!(outcome.ending, Ending::TimedOut { after_ms: 700 });
    assert!(outcome.output.left_out > 0 && started.elapsed() < SLACK);
}

async fn a_long_output_is_in_a_file_for_the_commands_that_follow(place: &Place) {
    let sandbox = place.start().await;
    let mut step = 0;
    let mut file_of = async |command: &str| {
        step += 1;
        (run(&*sandbox, step, command).await.unwrap().output.file, step)
    };
    let named = |step: u32| Some(format!("/tmp/outputs/{step}.txt"));
    assert_eq!(file_of("seq 1 100").await.0, None);
    let (file, long) = file_of("seq 1 4000").await;
    assert_eq!(file, named(long));
    assert_eq!(
        file_of("seq 1 4000 | cmp - /tmp/outputs/2.txt && sed -n 2000p /tmp/outputs/2.txt").await.0,
        None
    );
    // Of more than is captured, as much as is.
    let (file, flood) = file_of("seq 1 100000").await;
    assert_eq!(file, named(flood));
    let look = format!("grep -c 'bytes were left out' /tmp/outputs/{flood}.txt || kill $$");
    file_of(&look).await;

    // Whatever stands in its place.
    let (_, last) = file_of("rm -rf /tmp/outputs; mkdir /tmp/outputs; mkfifo /tmp/outputs/7.txt").await;
    assert_eq!(file_of("seq 1 4000").await, (named(last + 1), last + 1));
    file_of("rm -rf /tmp/outputs; mkdir -p /tmp/outputs/9.txt/x").await;
    assert_eq!(file_of("seq 1 4000").await.0, None);
    file_of("rm -rf /tmp/outputs; touch /tmp/outputs").await;
    assert_eq!(file_of("seq 1 4000").await.0, None);

    file_of("rm /tmp/outputs").await;
    for _ in 0..20 {
        assert!(file_of("seq 1 4000").await.0.is_some());
    }
    let (_, last) = file_of("true").await;
    assert_eq!(output(&*sandbox, last + 1, "ls /tmp/outputs | wc -l").await.trim(), "8");
    run(&*sandbox, last + 2, "cat /dev/zero > /tmp/full || true").await.unwrap();
    // More than the oldest file's end makes room for.
    let long = run(&*sandbox, last + 3, "seq 1 12000").await.unwrap();
    assert_eq!((long.output.file, long.ending), (None, EXITED_0));
    let left = format!("ls /tmp/outputs/{}.txt || echo none", last + 3);
    assert!(output(&*sandbox, last + 4, &left).await.ends_with("none\n"), "no half of it");
}

async fn a_full_disk_fails_the_command_and_no_more(place: &Place) {
    let sandbox = place.start().await;
    let outcome = run(&*sandbox, 1, "head -c 1G /dev/zero > big").await.unwrap();
    assert_eq!(outcome.ending, Ending::Exited { code: 1 });
    assert!(text(&outcome).contains("No space left on device"), "{}", text(&outcome));
    assert!(!outcome.out_of_memory);
    let fill = "rm big; for i in 1 2 3; do head -c 100M /dev/zero > big$i; head -c 20M /dev/zero > /tmp/big$i; done; df /work /tmp";
    run(&*sandbox, 2, fill).await.unwrap();
    assert_eq!(output(&*sandbox, 3, "rm big* /tmp/big*; echo again > small; cat small").await, "again\n");
}

async fn a_command_that_no_shell_can_read_is_refused(place: &Place) {
    let sandbox = place.start().await;
    let long = format!("# {}\necho ran", "x".repeat(120 * 1024));
    assert_eq!(output(&*sandbox, 1, &long).await, "ran\n");
    for command in ["x".repeat(200 * 1024), "echo \0".to_owned()] {
        assert!(matches!(run(&*sandbox, 2, &command).await, Err(SandboxError::Refused(_))));
    }
    assert_eq!(output(&*sandbox, 3, "echo still here").await, "still here\n");
}

async fn a_caller_that_goes_away_ends_its_command_and_nothing_else(place: &Place) {
    let sandbox = place.start().await;
    let endless = request(1, "echo $$ > pid; sleep 1000", Duration::from_secs(900));
    let gone = tokio::time::timeout(Duration::from_secs(4), sandbox.run(&endless)).await;
    assert!(gone.is_err());
    let started = Instant::now();
    assert_eq!(output(&*sandbox, 2, "kill -0 $(cat pid) 2>/dev/null || echo dead").await, "dead\n");
    assert!(started.elapsed() < SLACK);
}

async fn calls_wait_for_one_another(place: &Place) {
    let sandbox = place.start().await;
    let command = "mkdir lock && sleep 0.2 && rmdir lock && echo alone";
    let calls = (0..4).map(|step| output(&*sandbox, step, command));
    assert!(futures_util::future::join_all(calls).await.iter().all(|said| said == "alone\n"));
}
