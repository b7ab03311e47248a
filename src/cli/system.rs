//! The runtime of the commands that run actors or servers.

use std::io;

use actix::System;

/// Threads for the adapters' connections; the actors have the main thread.
const WORKER_THREADS: usize = 2;

/// Runs `work` on this thread, with actors, sockets and timers at its disposal.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .thread_name("bzzz-io")
        .enable_all()
        .build()?;
    // `System` asks for a function that makes the runtime; it calls it once, here.
    let mut runtime = Some(runtime);
    let system = System::with_tokio_rt(move || match runtime.take() {
        Some(runtime) => runtime,
        None => unreachable!("the system takes its runtime once"),
    });
    Ok(system.block_on(work))
}

/// Resolves at the next Ctrl-C or SIGTERM.
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
