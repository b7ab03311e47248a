//! A person's looks into the sandbox: what is asked for on the node's socket is started beside the jobs, like one of them.
//!
//! It has what a job's shell has, because the same process starts it: namespaces, user, filters of system calls, limits,
//! the cgroup, no privilege, no descriptor but its own streams. It needs nothing from outside but the wish.
//!
//! One thread, one `poll`, apart from the main loop, for two reasons. Nothing that a visit does holds up a job or its end.
//! And the kernel counts a thread's children apart: a visitor is this thread's child, so that the main loop, which takes
//! every child of its own for one that a job left running, does not see it. What a visitor leaves running is nobody's, and
//! becomes the main loop's like a job's. The kill at a job's end is for all, visitors too. A command that takes a visitor's process
//! over can have it start others, which end with the visit at the latest, or with that kill.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::SocketFlags;

use super::guest::{Guest, Stay};

/// So many visits at once; the next ones wait in the kernel until one ends.
const MAX_GUESTS: usize = 8;

/// The pause after an `accept` or `poll` that failed, such as for want of descriptors.
const FAILURE_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

const THREAD_NAME: &str = "visits";

/// Takes visits from here on.
///
/// # Errors
/// When there is no room for a thread.
pub(crate) fn start_visits(listener: OwnedFd) -> io::Result<()> {
    rustix::io::ioctl_fionbio(&listener, true)?;
    let visits = Visits { listener, guests: Vec::new() };
    thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || visits.run()).map(|_| ())
}

struct Visits {
    listener: OwnedFd,
    guests: Vec<Guest>,
}

impl Visits {
    fn run(mut self) {
        loop {
            match self.wait() {
                Ok(true) => self.accept(),
                Ok(false) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => pause(),
            }
            self.guests.retain_mut(|guest| guest.drive() == Stay::On);
        }
    }

    /// Waits until there is something to do; returns whether someone comes.
    fn wait(&self) -> rustix::io::Result<bool> {
        let has_room = self.guests.len() < MAX_GUESTS;
        let listener = has_room.then(|| self.listener.as_fd());
        let watched = listener.into_iter().chain(self.guests.iter().flat_map(Guest::watched));
        let mut polled: Vec<_> = watched.map(|it| PollFd::from_borrowed_fd(it, PollFlags::IN)).collect();
        rustix::event::poll(&mut polled, None)?;
        Ok(has_room && polled.first().is_some_and(|listener| !listener.revents().is_empty()))
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match rustix::net::accept_with(&self.listener, flags) {
            Ok(connection) => self.guests.push(Guest::new(connection)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {}
            Err(_) => pause(),
        }
    }
}

/// Nobody can be told, and nothing announces that there is room again.
fn pause() {
    let _ = rustix::event::poll(&mut [], Some(&FAILURE_PAUSE));
}
