//! What only containers have: labels, a life that goes on without the node, a limit on all their memory.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bzzz::docker::{DockerOptions, DockerSandboxes};
use bzzz_actors::ports::sandbox::{Purpose, Sandbox, SandboxError, SandboxSpec, Sandboxes};
use bzzz_actors::task::{Ending, Epoch};

use crate::place::{self, MIB, Place, Sizes, docker, output, request, run, text};

const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until it is so; fails when it never is.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_backend_describes_itself() {
    let Some(place) = Place::docker() else { return };
    let described =
        DockerSandboxes::new(place.docker_options(Sizes::default())).unwrap().describe().await.unwrap();
    assert!(described.starts_with("Docker ") && described.contains(&place::image()), "{described}");
}

#[tokio::test]
async fn a_sandbox_is_labelled_and_destroyed_for_good() {
    let Some(place) = Place::docker() else { return };
    let sandbox = place.start().await;
    let format = "{{index .Config.Labels \"bzzz.task\"}} {{index .Config.Labels \"bzzz.epoch\"}} \
                  {{index .Config.Labels \"bzzz.purpose\"}} {{.HostConfig.LogConfig.Type}} {{.HostConfig.NetworkMode}}";
    let said = docker(&["inspect", "--format", format, &sandbox.name()]).unwrap();
    assert_eq!(said.trim(), "acme/rocket#7 1 work none none");

    sandbox.destroy().await.unwrap();
    assert_eq!(place.containers(), Vec::<String>::new());
    sandbox.destroy().await.unwrap();
    assert!(matches!(run(&*sandbox, 1, "true").await, Err(SandboxError::Lost(_))));
}

#[tokio::test]
async fn a_daemon_here_is_passed_by_and_nothing_of_the_way_is_left() {
    let Some(place) = Place::docker() else { return };
    let options = place.docker_options(Sizes::default());
    let folder = options.data_dir.join("direct");
    let sandboxes = DockerSandboxes::new(options).unwrap();
    let sandbox = sandboxes.start(&place.spec(Purpose::Work)).await.unwrap();
    assert_eq!(output(&*sandbox, 1, "ls /direct; ! touch /direct/x 2>/dev/null").await, "");
    // Where the kernel lists the accepted end, with the path that was listened on.
    assert!(output(&*sandbox, 2, "cat /proc/net/unix").await.contains("/node\n"));
    let count = || std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(count(), 1);
    sandbox.destroy().await.unwrap();
    assert_eq!(count(), 0);

    // What a node left that was killed is swept at the next start; a sandbox that has just been made is not.
    std::fs::create_dir(folder.join("left-over")).unwrap();
    let other = sandboxes.start(&place.spec(Purpose::Check)).await.unwrap();
    assert_eq!(
        sandboxes.remove_strays(&place.node, &|spec| spec.purpose == Purpose::Check).await.unwrap(),
        0
    );
    assert_eq!(count(), 1);
    assert_eq!(output(&*other, 1, "ls -d /direct").await, "/direct\n");
}

/// As under a runtime or a policy that lets nobody through.
#[tokio::test]
async fn where_the_socket_can_not_be_had_the_streams_are_there() {
    let Some(place) = Place::docker() else { return };
    let options = place.docker_options(Sizes::default());
    let folder = options.data_dir.join("direct");
    let sandboxes = DockerSandboxes::new(options).unwrap();
    let first = sandboxes.start(&place.spec(Purpose::Work)).await.unwrap();
    output(&*first, 1, "echo begun").await;
    let own = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_dir_all(own).unwrap();
    let second = sandboxes.adopt(&place.spec(Purpose::Work)).await.unwrap().unwrap();
    assert_eq!(output(&*second, 2, "echo on; ls /direct").await, "on\n");
    second.destroy().await.unwrap();
}

#[tokio::test]
async fn a_container_killed_during_a_command_is_lost() {
    let Some(place) = Place::docker() else { return };
    let sandbox = place.start().await;
    let name = sandbox.name();
    let killer = async {
        let has_begun = || docker(&["top", &name]).is_some_and(|top| top.contains("sleep 1000"));
        until("the command begins", has_begun).await;
        docker(&["kill", &name]).unwrap();
    };
    let command = request(1, "sleep 1000", Duration::from_secs(900));
    let (outcome, ()) = tokio::join!(sandbox.run(&command), killer);
    let Err(SandboxError::Lost(why)) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("the container"), "{why}");
    assert!(matches!(run(&*sandbox, 2, "true").await, Err(SandboxError::Lost(_))));
    sandbox.destroy().await.unwrap();
}

#[tokio::test]
async fn a_container_of_somebody_else_is_left_alone() {
    let Some(place) = Place::docker() else { return };
    let name = format!("bzzz-{}-acme.rocket.7-e1-work", place.node);
    let label = format!("bzzz.node={}", place.node);
    docker(&["create", "--name", &name, "--label", &label, &place::image()]).unwrap();
    let sandboxes = DockerSandboxes::new(place.docker_options(Sizes::default())).unwrap();
    let Err(error) = sandboxes.start(&place.spec(Purpose::Work)).await else { panic!("it was replaced") };
    assert!(error.to_string().contains(&name), "{error}");
    assert_eq!(place.containers().len(), 1);
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing() {
    let Some(place) = Place::docker() else { return };
    let sandboxes = DockerSandboxes::new(place.docker_options(Sizes::default())).unwrap();
    let spec = place.spec(Purpose::Work);
    let start = sandboxes.start(&spec);
    // Looks between any two answers of the daemon, so it can't miss the time between creation and start.
    let is_created = async {
        while place.containers().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = start => panic!("it started before the container was seen"),
        () = is_created => {}
    }
    until("the container is removed", || place.containers().is_empty()).await;
}

#[tokio::test]
async fn starts_given_up_at_any_moment_are_all_gone_once_strays_are_removed() {
    let Some(place) = Place::docker() else { return };
    let sandboxes = DockerSandboxes::new(place.docker_options(Sizes::default())).unwrap();
    for moment in 0..40 {
        let spec = SandboxSpec { epoch: Epoch(moment), ..place.spec(Purpose::Work) };
        let _ = tokio::time::timeout(Duration::from_millis(moment * 3), sandboxes.start(&spec)).await;
        let late = Mutex::new(Vec::new());
        let look = |found: &SandboxSpec| {
            late.lock().unwrap().extend(Some(found.epoch).filter(|epoch| *epoch != spec.epoch));
            false
        };
        sandboxes.remove_strays(&place.node, &look).await.unwrap();
        assert_eq!(late.into_inner().unwrap(), [], "came to be after the strays were removed");
    }
}

#[tokio::test]
async fn a_sandbox_without_a_node_ends_itself() {
    let Some(place) = Place::docker() else { return };
    let sizes = Sizes { orphan_grace: Duration::from_secs(5), ..Sizes::default() };
    let sandbox = place.start_with(sizes).await;
    // Heartbeats keep it, also through a command that says nothing for longer than the grace.
    assert_eq!(output(&*sandbox, 1, "sleep 7; echo kept").await, "kept\n");
    drop(sandbox);
    until("the orphan ends and is removed", || place.containers().is_empty()).await;
}

#[tokio::test]
async fn a_node_that_returns_finds_its_command() {
    let Some(place) = Place::docker() else { return };
    let sandboxes = Arc::new(DockerSandboxes::new(place.docker_options(Sizes::default())).unwrap());
    let spec = place.spec(Purpose::Work);
    assert!(sandboxes.adopt(&spec).await.unwrap().is_none());

    let first = sandboxes.start(&spec).await.unwrap();
    output(&*first, 4, "echo acknowledged").await;
    output(&*first, 5, "echo known").await;
    // The node dies in the middle of a command: the streams end, and nobody says so to sandboxd.
    let name = first.name();
    let held = "echo begun; while [ ! -e /tmp/go ]; do sleep 0.3; done; echo done";
    let command = request(6, held, PATIENCE);
    let running = tokio::spawn(async move { first.run(&command).await });
    let has_begun = || docker(&["top", &name]).is_some_and(|top| top.contains("sleep 0.3"));
    until("the command begins", has_begun).await;

    let second: Arc<dyn Sandbox> = sandboxes.adopt(&spec).await.unwrap().unwrap();
    docker(&["exec", &second.name(), "touch", "/tmp/go"]).unwrap();
    let recalled = second.recall(6, PATIENCE).await.unwrap().unwrap();
    assert_eq!((recalled.ending, text(&recalled).as_str()), (Ending::Exited { code: 0 }, "begun\ndone\n"));
    running.abort();

    let again = second.recall(6, PATIENCE).await.unwrap().unwrap();
    assert_eq!(text(&again), "begun\ndone\n", "it may be asked for until another call is made");
    assert!(second.recall(4, PATIENCE).await.unwrap().is_none());
    assert!(second.recall(6, PATIENCE).await.unwrap().is_none(), "the call after it acknowledges it");
    assert_eq!(output(&*second, 7, "echo on").await, "on\n");
}

/// The one who waited is gone, the node lives.
#[tokio::test]
async fn a_command_that_nobody_waits_for_is_killed_and_its_outcome_says_so() {
    let Some(place) = Place::docker() else { return };
    let sandbox = place.start().await;
    let name = sandbox.name();
    let command = request(1, "echo begun; sleep 1000", PATIENCE);
    tokio::select! {
        ended = sandbox.run(&command) => panic!("{ended:?}"),
        () = until("the command begins", || docker(&["top", &name]).is_some_and(|top| top.contains("sleep 1000"))) => {}
    }
    let recalled = sandbox.recall(1, PATIENCE).await.unwrap().unwrap();
    assert_eq!((recalled.ending, text(&recalled).as_str()), (Ending::Unknown, "begun\n"));

    // The same of one that an earlier life began.
    let command = request(2, "sleep 1001", PATIENCE);
    let runs = |sleep: &str| docker(&["top", &name]).is_some_and(|top| top.contains(sleep));
    let first = sandbox.clone();
    let running = tokio::spawn(async move { first.run(&command).await });
    until("the command begins", || runs("sleep 1001")).await;
    let adopted = DockerSandboxes::new(place.docker_options(Sizes::default()))
        .unwrap()
        .adopt(&place.spec(Purpose::Work))
        .await;
    let adopted = adopted.unwrap().unwrap();
    tokio::select! {
        ended = adopted.recall(2, PATIENCE) => panic!("{ended:?}"),
        () = tokio::time::sleep(Duration::from_millis(200)) => {}
    }
    assert_eq!(output(&*adopted, 3, "echo on").await, "on\n");
    assert!(!runs("sleep 1001"));
    running.abort();
}

#[tokio::test]
async fn what_is_missing_is_said_with_its_remedy() {
    let Some(place) = Place::docker() else { return };
    let spec = place.spec(Purpose::Work);

    let options =
        DockerOptions { image: "bzzz-no-such-image:1".into(), ..place.docker_options(Sizes::default()) };
    let sandboxes = DockerSandboxes::new(options).unwrap();
    for error in [sandboxes.start(&spec).await.err(), sandboxes.describe().await.err()] {
        let Some(SandboxError::Misconfigured(text)) = error else { panic!("{error:?}") };
        assert!(text.contains("make sandbox-image"), "{text}");
    }

    let options =
        DockerOptions { runtime: Some("no-such-runtime".into()), ..place.docker_options(Sizes::default()) };
    let sandboxes = DockerSandboxes::new(options).unwrap();
    for error in [sandboxes.start(&spec).await.err(), sandboxes.describe().await.err()] {
        let Some(SandboxError::Misconfigured(text)) = error else { panic!("{error:?}") };
        assert!(text.contains("no-such-runtime"), "{text}");
    }
    assert_eq!(place.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn without_a_daemon_the_remedy_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let Some(place) = Place::docker() else { return };
    let at = |host: String| {
        DockerSandboxes::new(DockerOptions { host: Some(host), ..place.docker_options(Sizes::default()) })
            .unwrap()
    };

    let nobody = at(format!("unix://{}", socket.display()));
    let Err(SandboxError::Unavailable(text)) = nobody.describe().await else { panic!() };
    assert!(text.contains("apt-get install docker.io"), "{text}");
    // A socket that nobody listens on.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let Err(SandboxError::Unavailable(text)) = nobody.describe().await else { panic!() };
    assert!(text.contains("refused") && text.contains("start it"), "{text}");

    let remote = at("tcp://192.0.2.1:2375".to_owned());
    assert!(matches!(remote.describe().await, Err(SandboxError::Misconfigured(_))));
}

#[tokio::test]
async fn running_out_of_memory_is_said_and_survived() {
    let Some(place) = Place::docker() else { return };
    let sandbox = place.start().await;
    let eat = "python3 -c 'x = b\"x\" * (4 << 30)'";
    let outcome = run(&*sandbox, 1, eat).await.unwrap();
    assert!(outcome.out_of_memory, "{:?} {}", outcome.ending, text(&outcome));
    assert_eq!(outcome.ending, Ending::Signalled { signal: 9 });

    // Many small ones: the kernel must not choose sandboxd.
    let horde = "for i in $(seq 60); do python3 -c 'x = b\"x\" * (40 << 20); import time; time.sleep(3)' & done; wait";
    let outcome = run(&*sandbox, 2, horde).await.unwrap();
    assert!(outcome.out_of_memory);

    let outcome = run(&*sandbox, 3, "echo fine").await.unwrap();
    assert_eq!((text(&outcome).as_str(), outcome.out_of_memory), ("fine\n", false));
}

#[tokio::test]
async fn no_program_of_the_image_gives_privileges() {
    let Some(place) = Place::docker() else { return };
    let sandbox = place.start().await;
    let set_user_id = "find / -xdev -perm /6000 -type f 2>/dev/null | wc -l";
    assert_eq!(output(&*sandbox, 1, set_user_id).await, "0\n");
}

#[tokio::test]
async fn the_tools_of_the_image_work() {
    let Some(place) = Place::docker() else { return };
    let sizes = Sizes { memory_bytes: 1024 * MIB, ..Sizes::default() };
    let sandbox = place.start_with(sizes).await;

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
