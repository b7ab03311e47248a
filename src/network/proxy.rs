//! The proxy of one sandbox: each client asks once, and is connected or told why not.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bzzz_actors::task::{ConnectionOutcome, Epoch, TaskId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::host::HostName;
use super::limits::Limits;
use super::outside::Outside;
use super::record::{Connection, Reporter, Room};
use super::refusal::Refusal;
use super::request::{self, Asked, NoRequest, Request, Target};
use super::transfer::{Tally, transfer};

/// The only port that is connected to.
const PORT: u16 = 443;

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Addresses of a name that are tried, one after the other.
const MAX_TRIED: usize = 4;

/// After an `accept` that failed, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client that is refused may go on sending, and how much: closed earlier, it might not read why.
const PARTING_TIME: Duration = Duration::from_secs(1);
const PARTING_BYTES: u64 = 64 * 1024;

/// Before the answer to one whose refusals are not recorded any more: a loop of them shall cost the host little.
const PENALTY: Duration = Duration::from_millis(500);

pub(super) struct Proxy {
    pub(super) task: TaskId,
    pub(super) epoch: Epoch,
    pub(super) allowed: Vec<HostName>,
    pub(super) limits: Limits,
    pub(super) outside: Arc<dyn Outside>,
    pub(super) reporter: Reporter,
    /// What the sandbox may still transfer.
    pub(super) left: AtomicU64,
    /// Cancelled when the sandbox is over or let go of.
    pub(super) ended: CancellationToken,
}

/// How far a client got.
enum Met {
    /// It went away without a word.
    Nobody,
    Refused(Refusal, Target),
    Connected(Target, ConnectionOutcome),
}

impl Proxy {
    /// Serves until it is ended. Its connections are among `running`.
    pub(super) async fn serve(self: Arc<Self>, listener: UnixListener, running: TaskTracker) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.ended.cancelled() => return,
            };
            let (client, _) = match accepted {
                Ok(accepted) => accepted,
                Err(problem) => {
                    warn!(task = %self.task, %problem, "the network proxy can't accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match places.clone().try_acquire_owned() {
                Ok(place) => drop(running.spawn(self.clone().meet(client, place))),
                Err(_) => {
                    // A new socket takes this much at once: nobody is waited for.
                    let answer = Refusal::TooMany { most: self.limits.connections }.answer(&self.allowed);
                    let _ = client.try_write(&answer);
                }
            }
        }
    }

    async fn meet(self: Arc<Self>, mut client: UnixStream, place: OwnedSemaphorePermit) {
        let (tally, mut target) = (Tally::default(), None);
        let met = tokio::select! {
            met = self.converse(&mut client, &tally, &mut target) => met,
            () = self.ended.cancelled() => match target {
                Some(target) => Met::Connected(target, ConnectionOutcome::Cut { why: "the sandbox is over".to_owned() }),
                None => Met::Nobody,
            },
        };
        let (target, outcome, refusal) = match met {
            Met::Nobody => return,
            Met::Connected(target, outcome) => (target, outcome, None),
            Met::Refused(refusal, target) => {
                let why = refusal.why();
                let outcome = match &refusal {
                    Refusal::Unreachable { why, .. } => ConnectionOutcome::Failed { why: why.clone() },
                    _ => ConnectionOutcome::Refused { why },
                };
                (target, outcome, Some(refusal))
            }
        };
        let connection = Connection {
            host: target.host,
            port: target.port,
            outcome,
            sent_bytes: tally.sent.load(Ordering::Relaxed),
            received_bytes: tally.received.load(Ordering::Relaxed),
        };
        let room = self.reporter.report(&self.task, self.epoch, connection).await;
        if let Some(refusal) = refusal {
            if room == Room::Full {
                sleep(PENALTY).await;
            }
            part(client, &refusal.answer(&self.allowed)).await;
        }
        drop(place);
    }

    /// `connected` is set as soon as there is a connection to tell of, should this be dropped in the middle.
    async fn converse(&self, client: &mut UnixStream, tally: &Tally, connected: &mut Option<Target>) -> Met {
        let nameless = || Target { host: String::new(), port: 0 };
        let head = request::read(client, self.limits.head_bytes);
        let Request { asked, early } = match timeout(self.limits.head_time, head).await {
            Ok(Ok(request)) => request,
            Ok(Err(NoRequest::Gone)) => return Met::Nobody,
            Ok(Err(NoRequest::TooLong)) => return Met::Refused(Refusal::HeadTooLong, nameless()),
            Ok(Err(NoRequest::NotHttp)) => return Met::Refused(Refusal::NotHttp, nameless()),
            Err(_) => return Met::Refused(Refusal::HeadTooSlow, nameless()),
        };
        let target = match &asked {
            Asked::Connect(target) | Asked::Other(target) => target.clone(),
        };
        let host = match self.allowed_host(asked) {
            Ok(host) => host,
            Err(refusal) => return Met::Refused(refusal, target),
        };
        let server = match self.reach(host).await {
            Ok(server) => server,
            Err(refusal) => return Met::Refused(refusal, target),
        };
        *connected = Some(target.clone());
        let outcome = match client.write_all(ESTABLISHED).await {
            Ok(()) => transfer(client, server, &early, &self.limits, &self.left, tally).await,
            Err(_) => ConnectionOutcome::Closed,
        };
        Met::Connected(target, outcome)
    }

    fn allowed_host(&self, asked: Asked) -> Result<&HostName, Refusal> {
        let target = match asked {
            Asked::Connect(target) => target,
            Asked::Other(target) => return Err(Refusal::Plain(target)),
        };
        let is_asked = |host: &&HostName| host.as_str().eq_ignore_ascii_case(&target.host);
        let Some(host) = self.allowed.iter().find(is_asked) else { return Err(Refusal::Host(target)) };
        if target.port != PORT {
            return Err(Refusal::Port(target));
        }
        if self.left.load(Ordering::Relaxed) == 0 {
            return Err(Refusal::UsedUp { most: self.limits.sandbox_bytes });
        }
        Ok(host)
    }

    /// The name is resolved once, and what was judged is what is connected to: another answer a moment later leads nowhere.
    async fn reach(&self, host: &HostName) -> Result<TcpStream, Refusal> {
        let unreachable = |why: String| Refusal::Unreachable { host: host.clone(), why };
        let too_slow = || unreachable(format!("no answer within {} s", self.limits.connect_time.as_secs()));
        let resolved = timeout(self.limits.connect_time, self.outside.resolve(host)).await;
        let resolved = resolved.map_err(|_| too_slow())?;
        let resolved =
            resolved.map_err(|problem| unreachable(format!("the name can't be resolved: {problem}")))?;
        let public: Vec<IpAddr> = resolved.into_iter().filter(|it| self.outside.may_reach(*it)).collect();
        if public.is_empty() {
            return Err(Refusal::NotPublic(host.clone()));
        }
        match timeout(self.limits.connect_time, self.connect(&public)).await {
            Ok(connected) => connected.map_err(|problem| unreachable(problem.to_string())),
            Err(_) => Err(too_slow()),
        }
    }

    async fn connect(&self, addresses: &[IpAddr]) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses.iter().take(MAX_TRIED) {
            // No one address may use the time of all up.
            let share = self.limits.connect_time / MAX_TRIED as u32;
            match timeout(share, self.outside.connect(SocketAddr::new(*address, PORT))).await {
                Ok(Ok(server)) => return Ok(server),
                Ok(Err(problem)) => last = problem,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }
}

/// Says why, and lets the client read it.
async fn part(mut client: UnixStream, answer: &[u8]) {
    let parting = async {
        client.write_all(answer).await?;
        client.shutdown().await?;
        tokio::io::copy(&mut client.take(PARTING_BYTES), &mut tokio::io::sink()).await
    };
    let _ = timeout(PARTING_TIME, parting).await;
}
