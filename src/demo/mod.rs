//! `bzzz demo`: the main job on this machine, on stand-ins, with real git, real sandboxes and real nodes.
//!
//! An apiary with the example repositories, nodes that are processes of `bzzz run`, and a view of what they do, from the
//! journals and rosters in their data folders. Everything is in one folder, and everything that was started is gone at
//! the end, however it ends.

mod board;
mod gathering;
mod report;
mod screen;
mod stage;
mod worker;

pub use board::{Board, BoardEntry, Life};
pub use gathering::Gathering;
pub use report::{Report, TaskReport};
pub use screen::Screen;
pub use stage::{DemoError, DemoOptions, ModelServer, Stage, make_folder};
pub use worker::Worker;

/// Follows the nodes until every task of the stage has come to its end, and shows each step of the way.
///
/// # Errors
/// When a node ends by itself, or what it wrote can't be read.
pub async fn watch(stage: &mut Stage, screen: &mut Screen) -> Result<Board, DemoError> {
    let nodes = stage.workers().len();
    let mut board = Board::new(stage.tasks(), nodes);
    loop {
        for line in stage.look(&mut board)? {
            screen.say(&line);
        }
        screen.show(&board);
        if board.is_over() {
            return Ok(board);
        }
        stage.until_news().await?;
    }
}
