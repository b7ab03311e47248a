//! The runtime `runsc`: a kernel of its own for each sandbox, in the place of this machine's.

use std::time::{Duration, Instant};

use bzzz::docker::{DockerOptions, DockerSandboxes};
use bzzz_actors::ports::sandbox::{Sandbox, SandboxError, Sandboxes};
use bzzz_actors::task::Ending;

use crate::place::{MIB, Sizes, output, request, run, text};
use crate::remote::{Far, code_goes_in_and_out};

const PATIENCE: Duration = Duration::from_secs(60);

/// The daemon's socket is on this machine, so that sandboxes are what they are with its own daemon; but their kernel lets
/// nobody through to a socket of this machine.
pub(crate) async fn another_runtime_does_as_well(far: &Far) {
    if !far.has_gvisor() {
        return println!("skipped: gVisor's runsc is not installed");
    }
    // What gVisor itself starts counts too, several for each process of the sandbox.
    let sizes = Sizes { pids: 512, memory_bytes: 1024 * MIB, ..Sizes::default() };
    let local = far.place.docker_options(sizes);
    let options = DockerOptions { host: far.docker().host, runtime: Some("runsc".to_owned()), ..local };
    let backend = DockerSandboxes::new(options).unwrap();
    let described = backend.describe().await.unwrap();
    assert!(described.contains("(runsc"), "{described}");
    let spec = far.spec(1);
    let first = backend.start(&spec).await.unwrap();
    assert!(output(&*first, 1, "dmesg").await.contains("gVisor"));
    it_holds_like_the_machines_own_kernel(&*first).await;
    code_goes_in_and_out(&*first).await;

    // The node comes back in the middle of a command.
    let command = request(11, "echo begun; sleep 2; echo done", PATIENCE);
    let running = tokio::spawn({
        let first = first.clone();
        async move { first.run(&command).await }
    });
    let second = backend.adopt(&spec).await.unwrap().unwrap();
    let recalled = loop {
        // It may not have arrived yet.
        if let Some(outcome) = second.recall(11, PATIENCE).await.unwrap() {
            break outcome;
        }
    };
    assert_eq!((recalled.ending, text(&recalled).as_str()), (Ending::Exited { code: 0 }, "begun\ndone\n"));
    running.abort();
    a_fork_bomb_ends_no_more_than_the_sandbox(&*second).await;
    second.destroy().await.unwrap();
    assert!(matches!(run(&*second, 13, "true").await, Err(SandboxError::Lost(_))));
}

async fn it_holds_like_the_machines_own_kernel(sandbox: &dyn Sandbox) {
    assert_eq!(
        output(sandbox, 2, "id -u; ls /sys/class/net 2>/dev/null; touch ~/a /tmp/a /work/a").await,
        "1000\n"
    );
    assert_eq!(output(sandbox, 3, "touch /usr/x 2>/dev/null || echo refused").await, "refused\n");
    let endless =
        "trap '' TERM; setsid sleep 1000 & setsid bash -c 'trap \"\" TERM; sleep 1001' & sleep 1002";
    let began = Instant::now();
    let command = request(4, endless, Duration::from_secs(2));
    let outcome = sandbox.run(&command).await.unwrap();
    assert_eq!(outcome.ending, Ending::TimedOut { after_ms: 2000 });
    assert!(began.elapsed() < PATIENCE);
    let left = output(sandbox, 5, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
    assert!(!left.contains("sleep 100"), "{left}");
    let flood = run(sandbox, 6, "head -c 3000000 /dev/zero | tr '\\0' x").await.unwrap();
    assert_eq!(
        flood.output.head.len() as u64 + flood.output.tail.len() as u64 + flood.output.left_out,
        3_000_000
    );
    assert_eq!(output(sandbox, 8, "echo on").await, "on\n");
}

/// gVisor ends when it can't start another thread.
async fn a_fork_bomb_ends_no_more_than_the_sandbox(sandbox: &dyn Sandbox) {
    let bomb = request(12, "b() { b | b & }; b 2>/dev/null; sleep 1000", Duration::from_secs(5));
    match sandbox.run(&bomb).await {
        Ok(outcome) => assert!(!outcome.ending.is_success()),
        Err(SandboxError::Lost(why)) => assert!(why.contains("the container ended with status 2"), "{why}"),
        Err(other) => panic!("{other}"),
    }
}
