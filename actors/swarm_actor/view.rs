//! What other actors see of the swarm: the roster as it is now, and the news as they come. Both outlive the actor's
//! restarts, and neither waits for who reads them.

use std::sync::Arc;

use futures_util::{Stream, stream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use crate::ports::swarm::{PeerId, Said};

use super::Roster;

/// News that are kept for an actor that is busy. More are lost to it, as they may be on their way.
const MAX_WAITING_NEWS: usize = 1024;

/// Something that a member of the roster said, which others act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    pub from: PeerId,
    pub said: Said,
}

#[derive(Debug, Clone)]
pub struct SwarmView {
    roster: watch::Receiver<Arc<Roster>>,
    news: broadcast::Sender<Arc<News>>,
}

impl SwarmView {
    /// The view, and what the actor writes to it with.
    pub fn new() -> (Self, watch::Sender<Arc<Roster>>, broadcast::Sender<Arc<News>>) {
        let (roster_sender, roster) = watch::channel(Arc::new(Roster::default()));
        let news = broadcast::channel(MAX_WAITING_NEWS).0;
        (Self { roster, news: news.clone() }, roster_sender, news)
    }

    pub fn roster(&self) -> Arc<Roster> {
        self.roster.borrow().clone()
    }

    /// Resolves when the roster has changed since the last call on this clone.
    pub async fn roster_changed(&mut self) -> Arc<Roster> {
        if self.roster.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.roster.borrow_and_update().clone()
    }

    /// The roster each time that it has changed.
    pub fn rosters(&self) -> impl Stream<Item = Arc<Roster>> + use<> {
        stream::unfold(self.clone(), |mut view| async move { Some((view.roster_changed().await, view)) })
    }

    /// What is heard of the others from now on.
    pub fn news(&self) -> impl Stream<Item = Arc<News>> + use<> {
        stream::unfold(self.news.subscribe(), |mut news| async move {
            loop {
                match news.recv().await {
                    Ok(heard) => return Some((heard, news)),
                    // As good as lost on the way.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        })
    }
}
