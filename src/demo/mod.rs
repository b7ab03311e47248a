//! `bzzz demo`: the main job on this machine, on stand-ins, with real git and real sandboxes.
//!
//! An apiary with the example repositories, a node, and a view of what it does. Everything is in one folder, and
//! everything that was started is gone at the end, however it ends.

mod board;
mod report;
mod screen;
mod stage;

use std::sync::Arc;

use bzzz_actors::ports::journal::Recorded;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

pub use board::Board;
pub use report::{Report, TaskReport};
pub use screen::Screen;
pub use stage::{DemoError, DemoOptions, ModelServer, Stage, make_folder};

/// Follows the node until every task of the stage has come to its end, and shows each step of the way.
///
/// # Errors
/// When the node itself fails.
pub async fn watch(stage: &mut Stage, screen: &mut Screen) -> Result<Board, DemoError> {
    let mut news = stage.subscribe();
    let mut board = Board::new(stage.tasks());
    board.catch_up(&stage.history().await?);
    screen.show(&board);
    while !board.is_over() {
        let recorded = tokio::select! {
            recorded = next(&mut news) => recorded,
            child = stage.failed() => return Err(DemoError::NodeFailed(child)),
        };
        match recorded {
            Some(recorded) => board.record(&recorded),
            // Some were missed: the journal has them all.
            None => board.catch_up(&stage.history().await?),
        }
        screen.show(&board);
    }
    Ok(board)
}

/// The next event; `None` when some were missed.
async fn next(news: &mut broadcast::Receiver<Arc<Recorded>>) -> Option<Arc<Recorded>> {
    match news.recv().await {
        Ok(recorded) => Some(recorded),
        Err(RecvError::Lagged(_)) => None,
        Err(RecvError::Closed) => std::future::pending().await,
    }
}
