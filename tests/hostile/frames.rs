//! A sandboxd that is in somebody else's hands: whatever it says or keeps to itself, its session is lost within bounds of
//! time and memory, and another sandbox's session does not notice.

use std::time::Duration;

use bzzz::sandbox::{Session, SessionOptions, Streams};
use bzzz_actors::ports::sandbox::{CommandOutcome, CommandRequest, SandboxError};
use sandboxd::frame::{self, Decoder};
use sandboxd::{ByteBuf, Ending, HostFrame, Job, PROTOCOL_VERSION, Part, Refusal, SandboxFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

crate::cases! {
    noise_for_a_frame,
    a_wrong_checksum,
    a_frame_without_end,
    a_message_of_another_kind,
    an_outcome_of_a_job_that_nobody_ordered,
    an_outcome_twice,
    more_output_than_was_asked_for,
    an_endless_export,
    output_of_a_job_that_streams_none,
    the_end_of_an_output_before_its_beginning,
    an_exit_status_that_there_is_not,
    a_signal_that_there_is_not,
    a_duration_of_half_a_million_years,
    a_reason_with_escapes,
    an_answer_to_a_heartbeat_that_was_not_sent,
    more_input_taken_than_was_sent,
    a_refusal_of_what_is_within_the_limits,
    a_second_greeting,
    a_greeting_of_another_version,
    a_greeting_drowned_in_old_frames,
    silence_from_the_beginning,
    silence_in_the_middle,
    a_lively_sandboxd_whose_job_never_ends,
    an_end_in_the_middle,
    a_reader_that_stops_reading,
}

/// The other end of a session: reads what the node says, and says whatever a test likes.
struct Fake {
    stream: DuplexStream,
    decoder: Decoder,
}

impl Fake {
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

    async fn hear_job(&mut self) -> Job {
        loop {
            if let HostFrame::Run(job) = self.hear().await {
                return job;
            }
        }
    }

    /// Until the node hears no more.
    async fn say_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    async fn say(&mut self, frame: &SandboxFrame) {
        self.say_raw(&wire(frame)).await;
    }

    async fn greet(&mut self) {
        let HostFrame::Hello { nonce, .. } = self.hear().await else { panic!("no greeting") };
        self.say(&SandboxFrame::Greeting { version: PROTOCOL_VERSION, nonce, running: None }).await;
    }
}

fn wire(frame: &SandboxFrame) -> Vec<u8> {
    let mut wire = Vec::new();
    frame::encode(frame, &mut wire).unwrap();
    wire
}

fn finished(job: u32, ending: Ending) -> SandboxFrame {
    SandboxFrame::Finished { job, ending, duration_us: 5, left_out: 0, oom_kills: 0, in_file: false }
}

fn kept(part: Part, bytes: usize) -> SandboxFrame {
    SandboxFrame::Kept { job: 1, part, data: ByteBuf::from(vec![b'x'; bytes]) }
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

async fn connected() -> (Session, Fake) {
    let (node, mut fake) = pair();
    let (session, ()) = tokio::join!(connect(node), fake.greet());
    (session.unwrap(), fake)
}

fn command(step: u32) -> CommandRequest {
    CommandRequest { step, command: "true".into(), timeout: Duration::from_secs(5) }
}

/// What becomes of a command that is answered with these bytes.
async fn answered(bytes: &[u8]) -> (Session, Result<CommandOutcome, SandboxError>, Fake) {
    let (session, mut fake) = connected().await;
    let sandboxd = async {
        assert_eq!(fake.hear_job().await.number, 1);
        fake.say_raw(bytes).await;
    };
    let first = command(1);
    let (outcome, ()) = tokio::join!(session.run(&first), sandboxd);
    (session, outcome, fake)
}

fn assert_lost<T: std::fmt::Debug>(result: Result<T, SandboxError>, words: &str) {
    let Err(SandboxError::Lost(why)) = result else { panic!("{result:?}") };
    assert!(why.contains(words), "{words}: {why}");
}

/// The session is lost for good, and another one is not.
async fn loses(bytes: &[u8], words: &str) {
    let (session, outcome, _fake) = answered(bytes).await;
    assert_lost(outcome, words);
    assert!(session.is_lost());
    assert_lost(session.run(&command(2)).await, words);
    well().await;
}

async fn well() {
    let (_, outcome, _fake) = answered(&wire(&finished(1, Ending::Exited { code: 0 }))).await;
    assert!(outcome.unwrap().ending.is_success());
}

async fn noise_for_a_frame() {
    let mut noise = vec![0; 200_000];
    getrandom::fill(&mut noise).unwrap();
    noise.push(0);
    loses(&noise, "broke its protocol").await;
}

async fn a_wrong_checksum() {
    let mut frame = wire(&finished(1, Ending::Exited { code: 0 }));
    let middle = frame.len() / 2;
    frame[middle] ^= 0x40;
    loses(&frame, "damaged").await;
}

async fn a_frame_without_end() {
    let (session, mut fake) = connected().await;
    let sandboxd = async {
        fake.hear_job().await;
        // More than any frame has. An end comes all the same, or nobody could tell it from a slow one.
        for _ in 0..64 {
            fake.say_raw(&[7; 64 * 1024]).await;
        }
        fake.say_raw(&[0]).await;
    };
    let first = command(1);
    let (outcome, ()) = tokio::join!(session.run(&first), sandboxd);
    assert_lost(outcome, "longer than the protocol allows");
    well().await;
}

async fn a_message_of_another_kind() {
    let mut hello = Vec::new();
    frame::encode(
        &HostFrame::Run(Job {
            number: 1,
            script: "x".into(),
            cwd: "/".into(),
            input: sandboxd::Input::Nothing,
            output: sandboxd::Output::Streamed { max_bytes: u64::MAX },
            timeout_ms: 1,
        }),
        &mut hello,
    )
    .unwrap();
    loses(&hello, "broke its protocol").await;
}

async fn an_outcome_of_a_job_that_nobody_ordered() {
    loses(&wire(&finished(2, Ending::Exited { code: 0 })), "nobody ordered").await;
}

async fn an_outcome_twice() {
    let once = wire(&finished(1, Ending::Exited { code: 0 }));
    let (session, first, _fake) = answered(&[once.clone(), once].concat()).await;
    assert!(first.unwrap().ending.is_success(), "the first is as good as any");
    assert_lost(session.run(&command(2)).await, "nobody ordered");
    well().await;
}

async fn more_output_than_was_asked_for() {
    loses(&wire(&kept(Part::Head, 1001)), "more output").await;
    loses(&[wire(&kept(Part::Head, 1000)), wire(&kept(Part::Tail, 1))].concat(), "more output").await;
}

async fn an_endless_export() {
    let folder = tempfile::tempdir().unwrap();
    let (session, mut fake) = connected().await;
    let sandboxd = async {
        let job = fake.hear_job().await.number;
        let piece = wire(&SandboxFrame::Stdout { job, data: ByteBuf::from(vec![1; 64 * 1024]) });
        while fake.stream.write_all(&piece).await.is_ok() {}
    };
    let base = "1".repeat(40).parse().unwrap();
    let export = session.export_changes(&base, None, 1 << 20, folder.path());
    let (exported, ()) = tokio::join!(export, sandboxd);
    assert_lost(exported, "more output");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a file was left");
    well().await;
}

async fn output_of_a_job_that_streams_none() {
    loses(&wire(&SandboxFrame::Stdout { job: 1, data: ByteBuf::from(vec![0]) }), "more output").await;
}

async fn the_end_of_an_output_before_its_beginning() {
    loses(&[wire(&kept(Part::Tail, 1)), wire(&kept(Part::Head, 1))].concat(), "follows its tail").await;
}

async fn an_exit_status_that_there_is_not() {
    for code in [256, -1, i32::MIN] {
        loses(&wire(&finished(1, Ending::Exited { code })), "no exit status").await;
    }
}

async fn a_signal_that_there_is_not() {
    for signal in [0, 65, -9] {
        loses(&wire(&finished(1, Ending::Signalled { signal })), "no signal").await;
    }
}

async fn a_duration_of_half_a_million_years() {
    let ending = Ending::Exited { code: 0 };
    let frame = SandboxFrame::Finished {
        job: 1,
        ending,
        duration_us: u64::MAX,
        left_out: u64::MAX,
        oom_kills: 0,
        in_file: true,
    };
    let (_session, outcome, _fake) = answered(&wire(&frame)).await;
    assert!(outcome.unwrap().duration < Duration::from_secs(60));
    well().await;
}

async fn a_reason_with_escapes() {
    let why = "\u{1b}[2J\u{7}".to_owned() + &"é".repeat(30_000);
    let (_session, outcome, _fake) = answered(&wire(&finished(1, Ending::NotStarted { why }))).await;
    let Err(SandboxError::Refused(text)) = outcome else { panic!("{outcome:?}") };
    assert!(text.len() < 400 && !text.contains(char::is_control), "{text:?}");
    well().await;
}

async fn an_answer_to_a_heartbeat_that_was_not_sent() {
    loses(&wire(&SandboxFrame::Pong { nonce: 1 }), "nothing had asked for").await;
}

async fn more_input_taken_than_was_sent() {
    loses(&wire(&SandboxFrame::InputTaken { job: 1, bytes: 1 }), "more input").await;
}

async fn a_refusal_of_what_is_within_the_limits() {
    loses(&wire(&SandboxFrame::Refused { job: 1, why: Refusal::TooBig }), "within the limits").await;
}

async fn a_second_greeting() {
    let again = SandboxFrame::Greeting { version: PROTOCOL_VERSION, nonce: 0, running: Some(1) };
    loses(&wire(&again), "nothing had asked for").await;
}

async fn a_greeting_of_another_version() {
    let (node, mut fake) = pair();
    let sandboxd = async {
        let HostFrame::Hello { nonce, .. } = fake.hear().await else { panic!("no greeting") };
        fake.say(&SandboxFrame::Greeting { version: u16::MAX, nonce, running: None }).await;
    };
    let (session, ()) = tokio::join!(connect(node), sandboxd);
    assert_lost(session, "version");
    well().await;
}

async fn a_greeting_drowned_in_old_frames() {
    let (node, mut fake) = pair();
    let old = wire(&finished(7, Ending::TimedOut)).repeat(1000);
    let sandboxd = async { while fake.stream.write_all(&old).await.is_ok() {} };
    let (session, ()) = tokio::join!(connect(node), sandboxd);
    assert_lost(session, "does not answer the greeting");
    well().await;
}

async fn silence_from_the_beginning() {
    tokio::time::pause();
    let (node, _fake) = pair();
    assert_lost(connect(node).await, "did not answer within");
    well().await;
}

async fn silence_in_the_middle() {
    tokio::time::pause();
    let (session, mut fake) = connected().await;
    let long = CommandRequest { timeout: Duration::from_secs(3600), ..command(1) };
    let sandboxd = async {
        let mut buffer = [0; 4096];
        while fake.stream.read(&mut buffer).await.unwrap() > 0 {}
    };
    let started = tokio::time::Instant::now();
    let (outcome, ()) = tokio::join!(session.run(&long), sandboxd);
    assert_lost(outcome, "heartbeats");
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
    well().await;
}

async fn a_lively_sandboxd_whose_job_never_ends() {
    tokio::time::pause();
    let (session, mut fake) = connected().await;
    let sandboxd = async {
        loop {
            if let HostFrame::Ping { nonce } = fake.hear().await {
                fake.say(&SandboxFrame::Pong { nonce }).await;
            }
        }
    };
    let outcome = tokio::select! {
        biased;
        outcome = async { session.run(&command(1)).await } => outcome,
        () = sandboxd => unreachable!(),
    };
    assert_lost(outcome, "did not come to its end");
    well().await;
}

async fn an_end_in_the_middle() {
    let (session, mut fake) = connected().await;
    let sandboxd = async {
        fake.hear_job().await;
        fake.say_raw(&wire(&finished(1, Ending::TimedOut))[..9]).await;
        drop(fake);
    };
    let first = command(1);
    let (outcome, ()) = tokio::join!(session.run(&first), sandboxd);
    assert_lost(outcome, "it has ended");
    well().await;
}

async fn a_reader_that_stops_reading() {
    tokio::time::pause();
    let (session, _fake) = connected().await;
    let long = CommandRequest { command: "x".repeat(120 * 1024), ..command(1) };
    assert_lost(session.run(&long).await, "has taken no input");
    well().await;
}
