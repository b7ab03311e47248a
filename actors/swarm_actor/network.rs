//! The way to the network and its end: calls that may hang or panic, none of which reaches the actor.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::ports::swarm::{Misdeed, OpenSwarm, PeerId, Said, Swarm, SwarmError, Voice};

/// A network that is not up by then is begun anew.
const OPEN_LIMIT: Duration = Duration::from_secs(60);
/// A word that is not out by then is lost; the next ones wait that long.
const SAY_LIMIT: Duration = Duration::from_secs(10);
/// After so many words in a row that were not out in time the network hangs and is opened anew. More: a node is cut off for
/// longer. Fewer: one that is busy for a moment is ended.
const MAX_LATE: u32 = 3;
/// Words that wait to be said. More are lost: what stands is said again with the next network or the next change.
pub(super) const MAX_WAITING_WORDS: usize = 1024;

/// What goes out, in order.
pub(super) enum Word {
    Say { said: Said, answer: Option<oneshot::Sender<Result<(), SwarmError>>> },
    Blame { peer: PeerId, misdeed: Misdeed },
}

/// Runs a call of an adapter, which may panic or never end.
pub(super) async fn contained<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T, SwarmError> {
    let unavailable = |why: &str| SwarmError::Unavailable(why.to_owned());
    match timeout(limit, AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(unavailable("it panicked")),
        Err(_) => Err(unavailable("it does not answer")),
    }
}

pub(super) async fn open(swarm: Arc<dyn Swarm>) -> Result<OpenSwarm, SwarmError> {
    contained(OPEN_LIMIT, swarm.open()).await?
}

/// How it came that nothing more is said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nobody can give a word any more.
    Closed,
    /// The network does not take what is said.
    Hangs,
}

/// Says one word after the other.
pub(super) async fn speak(voice: Arc<dyn Voice>, mut words: mpsc::Receiver<Word>) -> Silence {
    let mut late = 0;
    while let Some(word) = words.recv().await {
        let is_in_time = match word {
            Word::Say { said, answer } => say(&*voice, said, answer).await,
            Word::Blame { peer, misdeed } => {
                warn!(peer = peer.short(), ?misdeed, "a peer does what an honest one does not");
                contained(SAY_LIMIT, voice.blame(&peer, misdeed)).await.is_ok()
            }
        };
        late = if is_in_time { 0 } else { late + 1 };
        if late >= MAX_LATE {
            return Silence::Hangs;
        }
    }
    Silence::Closed
}

/// Returns whether the network said yes or no in time.
async fn say(voice: &dyn Voice, said: Said, answer: Option<oneshot::Sender<Result<(), SwarmError>>>) -> bool {
    let key = said.key();
    let told = contained(SAY_LIMIT, voice.say(said)).await;
    let is_in_time = told.is_ok();
    let outcome = match told {
        // It is kept for those that come.
        Ok(Ok(()) | Err(SwarmError::Alone)) => Ok(()),
        Ok(Err(error)) | Err(error) => Err(error),
    };
    if let Err(error) = &outcome {
        debug!(key, %error, "not said");
    }
    if let Some(answer) = answer {
        // Nobody may wait any more.
        let _ = answer.send(outcome);
    }
    is_in_time
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::ports::swarm::Availability;
    use crate::trail::{Growth, Mark};

    /// Answers the words whose bit is set.
    struct Mute(AtomicU32);

    #[async_trait]
    impl Voice for Mute {
        async fn say(&self, _: Said) -> Result<(), SwarmError> {
            if self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| Some(bits >> 1)).unwrap() & 1
                == 0
            {
                std::future::pending::<()>().await;
            }
            Err(SwarmError::Alone)
        }

        async fn ask_growth(&self, _: &PeerId, _: Mark, _: Mark) -> Result<Growth, SwarmError> {
            std::future::pending().await
        }

        async fn blame(&self, _: &PeerId, _: Misdeed) {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_that_takes_no_word_for_a_while_hangs() {
        for (answers, hangs) in [(0b11_0100_1001, false), (0b11_0001_1111, true)] {
            let (words, to_say) = mpsc::channel(MAX_WAITING_WORDS);
            for _ in 0..10 {
                let word = Word::Say { said: Said::Availability(Availability::default()), answer: None };
                words.try_send(word).ok().unwrap();
            }
            drop(words);
            let silence = speak(Arc::new(Mute(answers.into())), to_say).await;
            assert_eq!(silence == Silence::Hangs, hangs, "{answers:b}");
        }
        let (words, to_say) = mpsc::channel(MAX_WAITING_WORDS);
        let blame = || Word::Blame { peer: "x".parse().unwrap(), misdeed: Misdeed::FalseTask };
        (0..MAX_LATE).for_each(|_| words.try_send(blame()).ok().unwrap());
        assert_eq!(speak(Arc::new(Mute(0.into())), to_say).await, Silence::Hangs);
    }
}
