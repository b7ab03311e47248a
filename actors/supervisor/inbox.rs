//! The way to an actor: its address, and the room in its queue.
//!
//! actix bounds a mailbox for `try_send` on one address only: `send`, `do_send` and each fresh clone of an address go past
//! the bound. So a message travels as a [`Letter`], which takes a place in the queue until its handling begins; who finds no
//! place waits for one. All clones of an inbox share the room.

use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::prelude::*;
use futures_util::future::Either;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sends to an actor. Cheap to clone.
pub struct Inbox<A: Actor> {
    addr: Addr<A>,
    room: Arc<Semaphore>,
}

/// A message and its place in the queue.
pub struct Letter<M> {
    message: M,
    _place: OwnedSemaphorePermit,
}

impl<M: Message> Message for Letter<M> {
    type Result = M::Result;
}

impl<M> Letter<M> {
    /// Gives the place back: what is being handled no longer waits.
    pub fn open(self) -> M {
        self.message
    }
}

impl<A: Actor> Inbox<A> {
    /// `room`: how many messages may wait.
    pub(super) fn new(addr: Addr<A>, room: usize) -> Self {
        Self { addr, room: Arc::new(Semaphore::new(room)) }
    }

    /// The message is in the queue when this returns, if there was room; else it gets there while the answer is awaited.
    /// Whoever drops the future takes an unhandled message back.
    ///
    /// # Errors
    /// `Closed` when the actor is gone, or failed while it had the message: the outcome is unknown then.
    pub fn send<M>(&self, message: M) -> impl Future<Output = Result<M::Result, MailboxError>> + use<A, M>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<Letter<M>>,
        A::Context: ToEnvelope<A, Letter<M>>,
    {
        match self.room.clone().try_acquire_owned() {
            Ok(place) => Either::Left(self.addr.send(Letter { message, _place: place })),
            Err(_) => {
                let (addr, room) = (self.addr.clone(), self.room.clone());
                Either::Right(async move {
                    let place = room.acquire_owned().await.map_err(|_| MailboxError::Closed)?;
                    addr.send(Letter { message, _place: place }).await
                })
            }
        }
    }

    /// Puts the message into the queue if there is room, for somebody who can't wait. Returns whether it is in it.
    pub fn offer<M>(&self, message: M) -> bool
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<Letter<M>>,
        A::Context: ToEnvelope<A, Letter<M>>,
    {
        let Ok(place) = self.room.clone().try_acquire_owned() else { return false };
        // A clone, since an address that met a full mailbox once may be told so again.
        self.addr.clone().try_send(Letter { message, _place: place }).is_ok()
    }
}

impl<A: Actor> Clone for Inbox<A> {
    fn clone(&self) -> Self {
        Self { addr: self.addr.clone(), room: self.room.clone() }
    }
}
