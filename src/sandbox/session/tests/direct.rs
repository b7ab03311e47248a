//! The socket that may take the streams' place.

use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::*;

/// A sandboxd that hears the node on `streams`, and the session that is being opened with it.
struct Meeting {
    folder: tempfile::TempDir,
    streams: DuplexStream,
    fake: Fake<DuplexStream>,
}

impl Meeting {
    fn new() -> Self {
        let (streams, fake) = pair();
        Self { folder: tempfile::tempdir().unwrap(), streams, fake }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("node")
    }

    /// Returns the session and what `sandboxd` makes of its side.
    async fn hold<T>(
        self,
        sandboxd: impl AsyncFnOnce(Fake<DuplexStream>, &Path) -> T,
    ) -> (Result<Session, SandboxError>, T) {
        let socket = self.socket();
        let direct = Some(UnixListener::bind(&socket).unwrap());
        let (reader, writer) = tokio::io::split(self.streams);
        let options = SessionOptions { output_cap_bytes: 1000, heartbeat: Duration::from_secs(20) };
        let session = Session::connect(Streams::new(reader, writer).with_direct(direct), options);
        tokio::join!(session, sandboxd(self.fake, &socket))
    }
}

async fn call(socket: &Path) -> Fake<UnixStream> {
    Fake { stream: UnixStream::connect(socket).await.unwrap(), decoder: Decoder::new() }
}

async fn hello(fake: &mut Fake<DuplexStream>) -> (u64, bool) {
    let HostFrame::Hello { nonce, directly, .. } = fake.hear().await else { panic!("no greeting") };
    (nonce, directly)
}

fn greeting(nonce: u64) -> SandboxFrame {
    SandboxFrame::Greeting { version: PROTOCOL_VERSION, nonce, running: None }
}

/// What a session is good for.
async fn works<S: AsyncRead + AsyncWrite + Unpin>(session: &Session, fake: &mut Fake<S>) {
    let sandboxd = async {
        let job = fake.hear_job().await;
        fake.finish(job.number).await;
    };
    let request = request(1);
    let (outcome, ()) = tokio::join!(session.run(&request), sandboxd);
    assert!(outcome.unwrap().ending.is_success());
}

#[tokio::test]
async fn it_is_spoken_over_once_sandboxd_is_known_there_and_the_streams_are_read_on() {
    let (session, (mut on_streams, mut on_socket)) = Meeting::new()
        .hold(async |mut fake, socket| {
            let (nonce, directly) = hello(&mut fake).await;
            assert!(directly);
            fake.finish(3).await;
            let mut direct = call(socket).await;
            direct.say(greeting(nonce)).await;
            (fake, direct)
        })
        .await;
    let session = session.unwrap();
    works(&session, &mut on_socket).await;
    // More than the streams hold: nobody would be able to say it if nobody read.
    on_streams.say_raw(&[1; 1024 * 1024]).await;
    works(&session, &mut on_socket).await;
}

#[tokio::test]
async fn who_does_not_know_the_nonce_is_not_heard() {
    let (session, (_fake, _others, mut true_one)) = Meeting::new()
        .hold(async |mut fake, socket| {
            let (nonce, _) = hello(&mut fake).await;
            let mut others = Vec::new();
            for number in 0..30 {
                let mut other = call(socket).await;
                match number % 3 {
                    0 => other.say(greeting(nonce ^ 1)).await,
                    1 => other.say_raw(b"\x01\x02 noise \0").await,
                    // Says nothing.
                    _ if number < 8 => {}
                    _ => continue,
                }
                others.push(other);
            }
            let mut direct = call(socket).await;
            direct.say(greeting(nonce)).await;
            // Neither is what else they say.
            for other in &mut others {
                let mut wire = Vec::new();
                frame::encode(&SandboxFrame::Pong { nonce: 5 }, &mut wire).unwrap();
                let _ = other.stream.write_all(&wire).await;
            }
            (fake, others, direct)
        })
        .await;
    works(&session.unwrap(), &mut true_one).await;
}

#[tokio::test]
async fn a_sandboxd_that_answers_on_the_streams_stays_there() {
    let (session, mut fake) = Meeting::new()
        .hold(async |mut fake, _| {
            let (nonce, _) = hello(&mut fake).await;
            fake.say(greeting(nonce)).await;
            fake
        })
        .await;
    works(&session.unwrap(), &mut fake).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_nowhere_is_greeted_once_more_without_it() {
    let (session, mut fake) = Meeting::new()
        .hold(async |mut fake, _| {
            let (first, directly) = hello(&mut fake).await;
            assert!(directly);
            let (second, directly) = hello(&mut fake).await;
            assert!(!directly && second != first);
            // What belongs to the first comes too late.
            fake.say(greeting(first)).await;
            fake.say(greeting(second)).await;
            fake
        })
        .await;
    works(&session.unwrap(), &mut fake).await;
}

#[tokio::test]
async fn its_end_is_the_sessions_when_the_streams_have_said_all() {
    let (session, (fake, direct)) = Meeting::new()
        .hold(async |mut fake, socket| {
            let (nonce, _) = hello(&mut fake).await;
            let mut direct = call(socket).await;
            direct.say(greeting(nonce)).await;
            (fake, direct)
        })
        .await;
    let session = session.unwrap();
    drop(direct);
    let request = request(1);
    let (mut fake, session) = (fake, &session);
    let run = session.run(&request);
    tokio::pin!(run);
    // As long as somebody can say more it is waited for.
    tokio::select! {
        biased;
        outcome = &mut run => panic!("{outcome:?}"),
        () = fake.say_raw(&[1; 300 * 1024]) => {}
    }
    drop(fake);
    let why = why(run.await);
    assert!(why.contains("it can't be written to") || why.contains("it has ended"), "{why}");
}
