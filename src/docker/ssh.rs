//! A daemon by ssh, as the `docker` command reaches one: the program `ssh` runs `docker system dial-stdio` there, whose
//! standard streams are a connection to the daemon of that machine.
//!
//! Whom to trust, and with which key to come, stands in that user's `~/.ssh`; nothing is asked, for nobody is there to
//! answer. Each connection is a process; it ends with the connection.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll, ready as ready_or_return};

use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::transport::{CONNECT_TIMEOUT, KEEPALIVE, KEEPALIVE_PROBES};

/// How much is kept of what ssh says on its standard error. It says nothing unless it fails, or its configuration greets.
const MAX_WORDS_BYTES: u64 = 1000;

/// What ssh finds its keys, its configuration and its helpers by. The rest of this process's environment, in which there may
/// be a token, is not its business, nor that of the proxy commands that it may start.
const ENVIRONMENT: [&str; 6] = ["HOME", "PATH", "USER", "LOGNAME", "SSH_AUTH_SOCK", "KRB5CCNAME"];

#[derive(Clone)]
pub(super) struct Ssh {
    program: Arc<[String]>,
}

impl Ssh {
    pub(super) fn to(user: Option<&str>, host: &str, port: Option<u16>) -> Self {
        let program = ["ssh".to_owned()].into_iter().chain(arguments(user, host, port)).collect();
        Self { program }
    }

    fn connect(&self) -> io::Result<Pipe> {
        let [program, arguments @ ..] = &*self.program else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C is the node's, which then still needs its connections to put all in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("the program {program} can't be started: {e}")))?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let words = Some(tokio::spawn(read_words(errors)));
        Ok(Pipe { input: Some(input), output, words, has_answered: false, _child: child })
    }
}

fn arguments(user: Option<&str>, host: &str, port: Option<u16>) -> Vec<String> {
    let mut arguments = vec!["-T".to_owned()];
    for option in [
        "BatchMode=yes".to_owned(),
        format!("ConnectTimeout={}", CONNECT_TIMEOUT.as_secs()),
        format!("ServerAliveInterval={}", KEEPALIVE.as_secs()),
        format!("ServerAliveCountMax={KEEPALIVE_PROBES}"),
        // A configuration that forwards ports would let the second connection fail.
        "ClearAllForwardings=yes".to_owned(),
    ] {
        arguments.extend(["-o".to_owned(), option]);
    }
    for (flag, value) in [("-l", user.map(str::to_owned)), ("-p", port.map(|port| port.to_string()))] {
        arguments.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
    }
    arguments.extend(["--", host, "docker", "system", "dial-stdio"].map(str::to_owned));
    arguments
}

/// Reads all of it, that it may never block, and keeps the beginning.
async fn read_words(errors: ChildStderr) -> String {
    let mut errors = errors.take(MAX_WORDS_BYTES);
    let mut words = Vec::new();
    let _ = errors.read_to_end(&mut words).await;
    let _ = tokio::io::copy(&mut errors.into_inner(), &mut tokio::io::sink()).await;
    bzzz_actors::task::printable(&String::from_utf8_lossy(&words)).trim().to_owned()
}

/// A connection.
pub(super) struct Pipe {
    /// Until it is shut down.
    input: Option<ChildStdin>,
    output: ChildStdout,
    /// Until they were told.
    words: Option<JoinHandle<String>>,
    has_answered: bool,
    _child: Child,
}

impl Pipe {
    /// An end before any answer is a failure of ssh, which only its own words explain.
    fn failure<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(words) = &mut self.words else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        let words = ready_or_return!(Pin::new(words).poll(cx)).unwrap_or_default();
        self.words = None;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("ssh ended: {words}"))))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready_or_return!(Pin::new(&mut self.output).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.has_answered = true;
        }
        if self.has_answered || buf.remaining() == 0 { Poll::Ready(Ok(())) } else { self.failure(cx) }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(input) = &mut self.input else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready_or_return!(Pin::new(input).poll_write(cx, buf)) {
            Err(_) if !self.has_answered => self.failure(cx),
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().map_or(Poll::Ready(Ok(())), |input| Pin::new(input).poll_flush(cx))
    }

    /// Only what is closed tells the other end.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready_or_return!(self.as_mut().poll_flush(cx))?;
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// Whatever the address: where to is settled.
impl<Address> tower_service::Service<Address> for Ssh {
    type Response = TokioIo<Pipe>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<Pipe>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Address) -> Self::Future {
        ready(self.connect().map(TokioIo::new))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptionsBuilder};

    use super::*;
    use crate::docker::{sandbox, transport};

    /// What `script` does in the place of ssh.
    fn instead(script: &str) -> bollard::Docker {
        let program = ["sh", "-c", script].map(str::to_owned).into();
        transport::over(Ssh { program }, "http://docker").unwrap()
    }

    #[test]
    fn nothing_that_it_is_given_is_an_option() {
        let said = arguments(Some("build"), "far", Some(2222)).join(" ");
        assert!(said.starts_with("-T -o BatchMode=yes -o ConnectTimeout=10 "), "{said}");
        assert!(said.ends_with(" -l build -p 2222 -- far docker system dial-stdio"), "{said}");
        assert!(!arguments(None, "far", None).iter().any(|it| it == "-l" || it == "-p"));
    }

    #[tokio::test]
    async fn why_it_failed_is_said_and_it_is_not_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let tries = folder.path().join("tries");
        let words = "me@far: Permission denied (publickey).";
        for script in [
            format!("echo '{words}' >&2; exit 255"),
            format!("exec <&-; echo '{words}' >&2; exit 255"),
            format!("head -c 1 >/dev/null; echo '{words}' >&2; head -c 100000 /dev/zero >&2; exit 255"),
        ] {
            let counted = format!("echo 1 >> {}; {script}", tries.display());
            let error = instead(&counted).version().await.unwrap_err();
            let error = crate::docker::client::explain("tell its version", &error).to_string();
            assert!(error.contains(words), "{script}: {error}");
            assert_eq!(std::fs::read_to_string(&tries).unwrap(), "1\n", "{script}");
            std::fs::remove_file(&tries).unwrap();
        }
        let program = [String::from("/nowhere/ssh")].into();
        let error = transport::over(Ssh { program }, "http://docker").unwrap().version().await.unwrap_err();
        let error = crate::docker::client::explain("tell its version", &error).to_string();
        assert!(error.contains("the program /nowhere/ssh can't be started"), "{error}");
    }

    /// The real thing but for the way there: requests, and streams that stay open.
    #[tokio::test]
    async fn a_connection_is_that_programs_streams() {
        let client = instead("exec docker system dial-stdio");
        let Ok(client) = client.negotiate_version().await else {
            assert!(std::env::var_os("CI").is_none(), "no Docker daemon");
            return println!("skipped: no Docker daemon");
        };
        let image = std::env::var("BZZZ_SANDBOX_IMAGE").unwrap_or_else(|_| "bzzz-sandbox:1".to_owned());
        let body = bollard::models::ContainerCreateBody {
            image: Some(image),
            cmd: Some(vec!["cat".to_owned()]),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            ..Default::default()
        };
        let id = client.create_container(None::<CreateContainerOptions>, body).await.unwrap().id;
        let spoken = async {
            use futures_util::StreamExt;
            use tokio::io::AsyncWriteExt;
            let mut streams = sandbox::attach(&client, &id).await?;
            client.start_container(&id, None::<bollard::query_parameters::StartContainerOptions>).await?;
            streams.input.write_all(b"there and back").await?;
            streams.input.shutdown().await?;
            let mut said = Vec::new();
            while let Some(piece) = streams.output.next().await {
                said.extend(piece?.into_bytes());
            }
            Ok::<_, bollard::errors::Error>(said)
        };
        let spoken = tokio::time::timeout(Duration::from_secs(60), spoken).await;
        let force = RemoveContainerOptionsBuilder::default().force(true).build();
        client.remove_container(&id, Some(force)).await.unwrap();
        assert_eq!(spoken.unwrap().unwrap(), b"there and back");
    }
}
