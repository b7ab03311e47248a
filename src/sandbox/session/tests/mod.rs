//! A session's own bookkeeping, against a sandboxd that the test plays. What a true one does is tested in sandboxes, what
//! one in somebody else's hands does in `tests/hostile`.

mod direct;

use proptest::prelude::*;
use sandboxd::frame::{self, Decoder};
use sandboxd::{ByteBuf, FIRST_OWN_JOB, HostFrame, PROTOCOL_VERSION, Part, SandboxFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

/// The other end of a session: reads what the node says, and says whatever a test likes.
struct Fake<S = DuplexStream> {
    stream: S,
    decoder: Decoder,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Fake<S> {
    async fn hear(&mut self) -> HostFrame {
        loop {
            if let Some(frame) = self.decoder.next() {
                return frame.unwrap();
            }
            let mut buffer = [0; 4096];
            let read = self.stream.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "the node has gone");
            self.decoder.feed(&buffer[..read]);
        }
    }

    /// Skips heartbeats.
    async fn hear_job(&mut self) -> Job {
        loop {
            if let HostFrame::Run(job) = self.hear().await {
                return job;
            }
        }
    }

    async fn say_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn say(&mut self, frame: SandboxFrame) {
        let mut wire = Vec::new();
        frame::encode(&frame, &mut wire).unwrap();
        self.say_raw(&wire).await;
    }

    async fn greet(&mut self, version: u16, running: Option<u32>) {
        let HostFrame::Hello { nonce, .. } = self.hear().await else { panic!("no greeting") };
        self.say(SandboxFrame::Greeting { version, nonce, running }).await;
    }

    async fn finish(&mut self, job: u32) {
        let ending = sandboxd::Ending::Exited { code: 0 };
        self.say(SandboxFrame::Finished {
            job,
            ending,
            duration_us: u64::MAX,
            left_out: 0,
            oom_kills: 0,
            in_file: false,
        })
        .await;
    }
}

fn pair() -> (DuplexStream, Fake) {
    let (node, stream) = tokio::io::duplex(64 * 1024);
    (node, Fake { stream, decoder: Decoder::new() })
}

async fn connect(node: DuplexStream) -> Result<Session, SandboxError> {
    let (reader, writer) = tokio::io::split(node);
    let options = SessionOptions { output_cap_bytes: 1000, heartbeat: Duration::from_secs(20) };
    Session::connect(Streams::new(reader, writer), options).await
}

async fn connected(running: Option<u32>) -> (Session, Fake) {
    let (node, mut fake) = pair();
    let (session, ()) = tokio::join!(connect(node), fake.greet(PROTOCOL_VERSION, running));
    (session.unwrap(), fake)
}

fn request(step: u32) -> CommandRequest {
    CommandRequest { step, command: "true".into(), timeout: Duration::from_secs(5) }
}

fn why<T: std::fmt::Debug>(result: Result<T, SandboxError>) -> String {
    let Err(SandboxError::Lost(why)) = result else { panic!("{result:?}") };
    why
}

#[tokio::test]
async fn what_was_meant_for_another_session_is_skipped() {
    let (node, mut fake) = pair();
    let sandboxd = async {
        let HostFrame::Hello { nonce, .. } = fake.hear().await else { panic!("no greeting") };
        fake.say_raw(b"the second half of a frame\0").await;
        fake.finish(3).await;
        fake.say(SandboxFrame::Greeting { version: 1, nonce: nonce ^ 1, running: None }).await;
        fake.say(SandboxFrame::Greeting { version: PROTOCOL_VERSION, nonce, running: None }).await;
        let job = fake.hear_job().await;
        fake.finish(job.number).await;
    };
    let node = async {
        let session = connect(node).await.unwrap();
        session.run(&request(1)).await.unwrap()
    };
    let (outcome, ()) = tokio::join!(node, sandboxd);
    assert!(outcome.ending.is_success());
    // It claimed half a million years.
    assert!(outcome.duration < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_that_nobody_answers_lose_the_session() {
    let (session, mut fake) = connected(None).await;
    let long = CommandRequest { timeout: Duration::from_secs(3600), ..request(1) };
    let sandboxd = async {
        fake.hear_job().await;
        for _ in 0..10 {
            let HostFrame::Ping { nonce } = fake.hear().await else { panic!("no heartbeat") };
            fake.say(SandboxFrame::Pong { nonce }).await;
        }
        // From here on it is silent, and reads.
        loop {
            let mut buffer = [0; 4096];
            if fake.stream.read(&mut buffer).await.unwrap() == 0 {
                break;
            }
        }
    };
    let started = tokio::time::Instant::now();
    let (outcome, ()) = tokio::join!(session.run(&long), sandboxd);
    assert!(why(outcome).contains("heartbeats"));
    let seconds = started.elapsed().as_secs();
    assert!((260..300).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_before_the_next_and_then_acknowledged() {
    let (session, mut fake) = connected(None).await;
    let first = request(1);
    tokio::select! {
        biased;
        _ = session.run(&first) => unreachable!(),
        job = fake.hear_job() => assert_eq!(job.number, 1),
    }
    let sandboxd = async {
        assert_eq!(fake.hear().await, HostFrame::Cancel { job: 1 });
        fake.finish(1).await;
        assert_eq!(fake.hear().await, HostFrame::Ack { job: 1 });
        let job = fake.hear_job().await;
        assert_eq!(job.number, 2);
        fake.finish(2).await;
    };
    let second = request(2);
    let (outcome, ()) = tokio::join!(session.run(&second), sandboxd);
    assert!(outcome.unwrap().ending.is_success());
}

#[tokio::test]
async fn a_job_of_an_earlier_session_is_cancelled_and_a_command_is_waited_for() {
    let (session, mut fake) = connected(Some(FIRST_OWN_JOB + 5)).await;
    let sandboxd = async {
        assert_eq!(fake.hear().await, HostFrame::Cancel { job: FIRST_OWN_JOB + 5 });
        fake.say(SandboxFrame::Stdout { job: FIRST_OWN_JOB + 5, data: ByteBuf::from(vec![0; 500]) }).await;
        fake.finish(FIRST_OWN_JOB + 5).await;
        let job = fake.hear_job().await;
        fake.finish(job.number).await;
    };
    let first = request(1);
    let (outcome, ()) = tokio::join!(session.run(&first), sandboxd);
    assert!(outcome.unwrap().ending.is_success());

    let (session, mut fake) = connected(Some(7)).await;
    let sandboxd = async {
        assert_eq!(fake.hear().await, HostFrame::Recall { job: 7 });
        fake.say(SandboxFrame::Running { job: 7 }).await;
        fake.say(SandboxFrame::Kept { job: 7, part: Part::Head, data: ByteBuf::from(b"late".to_vec()) })
            .await;
        fake.finish(7).await;
        assert_eq!(fake.hear().await, HostFrame::Ack { job: 7 });
        fake.say(SandboxFrame::Unknown { job: 8 }).await;
    };
    let node = async {
        let outcome = session.recall(7, Duration::from_secs(5)).await.unwrap().unwrap();
        assert_eq!(outcome.output.head, b"late");
        assert_eq!(session.recall(8, Duration::from_secs(5)).await.unwrap(), None);
    };
    tokio::join!(node, sandboxd);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn noise_ends_a_session_and_hangs_nothing(noise in prop::collection::vec(any::<u8>(), 0..5000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (session, mut fake) = connected(None).await;
            let sandboxd = async {
                fake.hear_job().await;
                fake.say_raw(&noise).await;
                drop(fake);
            };
            let request = request(1);
            let (outcome, ()) = tokio::join!(session.run(&request), sandboxd);
            why(outcome);
        });
    }
}
