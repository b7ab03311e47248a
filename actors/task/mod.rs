//! A task and its life.

mod event;
pub mod hidden;
mod id;
pub mod inert;
mod issue;
pub mod life;
mod notice;
mod pull_request;
pub mod repository_policy;
pub mod text;
mod unseen;
mod work;

pub use event::TaskEvent;
pub use hidden::printable;
pub use id::{Epoch, InvalidName, NodeId, RepoId, Sha, TaskId};
pub use issue::{Issue, IssueState, label};
pub use notice::{Lane, Notice};
pub use work::{
    Base, BlobRef, CheckResult, ConnectionOutcome, Ending, JournalHead, ModelUse, Observed, Produced,
    Publication, PullRequestRef, Review, Step,
};
