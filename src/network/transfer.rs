//! The bytes of a connection that stands, both ways, within its limits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bzzz_actors::task::ConnectionOutcome;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep};

use super::limits::Limits;

const BUFFER_BYTES: usize = 16 * 1024;

/// What passed so far. Read also when the connection was cut.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

/// Why the bytes don't go on.
enum End {
    /// One side is gone: what ended is not for the proxy to know.
    Broken,
    Limit(String),
}

struct Meter<'a> {
    limits: &'a Limits,
    /// What the sandbox may still transfer.
    left: &'a AtomicU64,
    of_connection: AtomicU64,
    last: Mutex<Instant>,
    is_half_closed: AtomicBool,
}

/// Returns when the connection is over, whoever ended it.
pub(super) async fn transfer(
    client: &mut UnixStream,
    mut server: TcpStream,
    early: &[u8],
    limits: &Limits,
    left: &AtomicU64,
    tally: &Tally,
) -> ConnectionOutcome {
    let meter = Meter {
        limits,
        left,
        of_connection: AtomicU64::new(0),
        last: Mutex::new(Instant::now()),
        is_half_closed: AtomicBool::new(false),
    };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let both = async {
        tokio::try_join!(
            pass(early.chain(from_client), to_server, &tally.sent, &meter),
            pass(from_server, to_client, &tally.received, &meter),
        )
    };
    let cut = |why: String| ConnectionOutcome::Cut { why };
    tokio::select! {
        ended = both => match ended {
            Ok(_) | Err(End::Broken) => ConnectionOutcome::Closed,
            Err(End::Limit(why)) => cut(why),
        },
        () = meter.idle() => cut("nothing passed for too long".to_owned()),
        () = sleep(limits.total) => cut(format!("it stood for {} s", limits.total.as_secs())),
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    counted: &AtomicU64,
    meter: &Meter<'_>,
) -> Result<(), End> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await.map_err(|_| End::Broken)?;
        if read == 0 {
            meter.is_half_closed.store(true, Ordering::Relaxed);
            return to.shutdown().await.map_err(|_| End::Broken);
        }
        meter.take(read as u64)?;
        to.write_all(&buffer[..read]).await.map_err(|_| End::Broken)?;
        counted.fetch_add(read as u64, Ordering::Relaxed);
        meter.touch();
    }
}

impl Meter<'_> {
    /// Before the bytes go on: a limit is never passed.
    fn take(&self, bytes: u64) -> Result<(), End> {
        let most = self.limits.connection_bytes;
        if self.of_connection.fetch_add(bytes, Ordering::Relaxed) + bytes > most {
            return Err(End::Limit(format!("a connection may transfer {most} bytes")));
        }
        let taken =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        if taken.is_err() {
            self.left.store(0, Ordering::Relaxed);
            let most = self.limits.sandbox_bytes;
            return Err(End::Limit(format!("a sandbox may transfer {most} bytes")));
        }
        Ok(())
    }

    fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Resolves when nothing has passed for too long; of a connection that one side has closed, for a shorter time.
    async fn idle(&self) {
        loop {
            let Limits { idle, half_closed_idle, .. } = *self.limits;
            let limit = if self.is_half_closed.load(Ordering::Relaxed) { half_closed_idle } else { idle };
            let since = self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
            let Some(rest) = limit.checked_sub(since).filter(|rest| *rest > Duration::ZERO) else { return };
            sleep(rest.min(half_closed_idle)).await;
        }
    }
}
