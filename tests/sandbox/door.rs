//! A person at the entrance of a place's sandbox, by bubblewrap.

use std::time::Duration;

use bzzz::bubblewrap::BubblewrapVisitor;
use bzzz::sandbox::{Piece, Standing, Visit, Visitor};
use bzzz_actors::ports::sandbox::SandboxError;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::place::Place;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Door {
    visitor: BubblewrapVisitor,
}

impl Door {
    pub(crate) fn of(place: &Place) -> Self {
        Self { visitor: BubblewrapVisitor::new(place.node.clone(), &place.temp_dir()) }
    }

    pub(crate) async fn standing(&self) -> Vec<Standing> {
        self.visitor.standing().await.unwrap()
    }

    pub(crate) async fn visit_at(
        &self,
        standing: &Standing,
        command: &[&str],
        terminal: bool,
    ) -> Result<Visit, SandboxError> {
        let command = command.iter().map(|it| (*it).to_owned()).collect();
        self.visitor.visit(standing, command, terminal).await
    }

    /// In the only one that stands.
    pub(crate) async fn try_visit(&self, command: &[&str], terminal: bool) -> Result<Visit, SandboxError> {
        let standing = self.standing().await;
        assert_eq!(standing.len(), 1, "{standing:?}");
        self.visit_at(&standing[0], command, terminal).await
    }

    pub(crate) async fn visit(&self, command: &[&str], terminal: bool) -> Visit {
        self.try_visit(command, terminal).await.unwrap()
    }

    pub(crate) async fn script(&self, script: &str) -> Said {
        Said::by(self.visit(&["bash", "-c", "--", script, "bash"], false).await).await
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) status: Option<u8>,
}

impl Said {
    pub(crate) async fn by(mut visit: Visit) -> Self {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(piece) = timeout(PATIENCE, visit.output.next()).await.expect("it does not end") {
            match piece.unwrap() {
                Piece::Out(bytes) => out.extend(bytes),
                Piece::Err(bytes) => err.extend(bytes),
            }
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { out: text(out), err: text(err), status: visit.process.status().await }
    }
}

/// Reads until `words` are said; its end before is an error.
pub(crate) async fn until(visit: &mut Visit, words: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(words) {
        match timeout(PATIENCE, visit.output.next()).await {
            Ok(Some(Ok(Piece::Out(bytes) | Piece::Err(bytes)))) => {
                seen.push_str(&String::from_utf8_lossy(&bytes));
            }
            other => panic!("{words:?} was not said ({other:?}): {seen}"),
        }
    }
    seen
}

pub(crate) async fn type_in(visit: &mut Visit, keys: &str) {
    visit.input.write_all(keys.as_bytes()).await.unwrap();
    visit.input.flush().await.unwrap();
}
