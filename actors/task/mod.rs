//! A task and its life.

mod event;
pub mod hidden;
mod id;
pub mod inert;
mod issue;
pub mod life;
mod notice;
mod path_pattern;
mod pull_request;
pub mod repository_policy;
mod rules;
pub mod text;
mod unseen;
mod work;

pub use event::TaskEvent;
pub use hidden::printable;
pub(crate) use id::by_its_text;
pub use id::{Epoch, InvalidName, NodeId, RepoId, Sha, TaskId};
pub use issue::{Issue, IssueState, label};
pub use notice::{Lane, Notice};
pub use path_pattern::PathPattern;
pub use rules::{RepositoryRules, Rules, Terms};
pub use work::{
    Base, BlobRef, CheckResult, ConnectionOutcome, Ending, Inherited, JournalHead, ModelUse, Observed,
    Produced, Publication, PullRequestRef, Review, Step,
};
