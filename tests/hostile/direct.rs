//! Abuse of the socket by which a node speaks to the sandboxd of a container on its machine: a command can connect to it
//! while a node that comes back listens there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bzzz::docker::DockerSandboxes;
use bzzz_actors::ports::sandbox::{Purpose, Sandbox, Sandboxes};
use bzzz_actors::task::Ending;
use sandboxd::{PROTOCOL_VERSION, SandboxFrame, frame};

use crate::place::{Place, Sizes, docker, output, request, text};

crate::cases! {
    an_impostor_that_greets_like_sandboxd,
    a_crowd_that_connects_and_says_nothing,
}

const PATIENCE: Duration = Duration::from_secs(60);

/// A command connects as often as it can while a node takes its sandbox over, and says `said`.
async fn attack(said: &[u8], keeps: bool) {
    let Some(place) = Place::docker() else { return };
    let sandboxes = DockerSandboxes::new(place.docker_options(Sizes::default())).unwrap();
    let spec = place.spec(Purpose::Work);
    let first = sandboxes.start(&spec).await.unwrap();
    let hex: String = said.iter().map(|byte| format!("{byte:02x}")).collect();
    let python = format!(
        "import os, socket\nreached, kept = 0, []\nprint('begun', flush=True)\nopen('/tmp/begun', 'w')\n\
         while not os.path.exists('/tmp/enough') and reached < 50000:\n  \
           s = socket.socket(socket.AF_UNIX)\n  s.setblocking(False)\n  \
           try:\n    s.connect('/direct/node')\n    s.send(bytes.fromhex('{hex}'))\n    reached += 1\n    open('/tmp/reached', 'w')\n  \
           except OSError: s.close(); continue\n  \
           if {keeps} and len(kept) < 500: kept.append(s)\n  else: s.close()\nprint('reached' if reached else 'never')",
        keeps = if keeps { "True" } else { "False" },
    );
    let command = request(1, &format!("timeout 50 python3 - <<'EOF'\n{python}\nEOF"), PATIENCE);
    let name = first.name();
    let attacked = first.clone();
    let running = tokio::spawn(async move { attacked.run(&command).await });
    let deadline = Instant::now() + PATIENCE;
    while docker(&["exec", &name, "test", "-e", "/tmp/begun"]).is_none() {
        assert!(Instant::now() < deadline, "the attack does not begin");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // The time in which somebody listens is short: until one was met.
    let second: Arc<dyn Sandbox> = loop {
        let second = sandboxes.adopt(&spec).await.unwrap().unwrap();
        if docker(&["exec", &name, "test", "-e", "/tmp/reached"]).is_some() {
            break second;
        }
        assert!(Instant::now() < deadline, "the attack reaches nobody");
    };
    docker(&["exec", &name, "touch", "/tmp/enough"]).unwrap();
    let recalled = second.recall(1, PATIENCE).await.unwrap().unwrap();
    let said = text(&recalled);
    assert_eq!((recalled.ending, said.as_str()), (Ending::Exited { code: 0 }, "begun\nreached\n"));
    assert_eq!(output(&*second, 2, "echo on").await, "on\n");
    running.abort();
    second.destroy().await.unwrap();
}

async fn an_impostor_that_greets_like_sandboxd() {
    let mut said = Vec::new();
    let greeting = SandboxFrame::Greeting { version: PROTOCOL_VERSION, nonce: 0, running: None };
    frame::encode(&greeting, &mut said).unwrap();
    attack(&said, false).await;
}

async fn a_crowd_that_connects_and_says_nothing() {
    attack(b"", true).await;
}
