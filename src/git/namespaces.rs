//! Where a repository's claims are, on which all nodes must agree: `refs/bzzz/claims`, or branches where the server hides or
//! refuses that.
//!
//! Holds true: a repository that shows a claim among its branches is used so by everyone; one that shows claims in the other
//! place never is. Where neither shows any, a node takes what its probe found, and two nodes may differ. So whoever makes a
//! claim looks at the other place after it is made: of two that make one each, at least one sees the other's and takes its own
//! back. A task that has a claim in both is nobody's to take.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bzzz_actors::ports::claims::ClaimsError;
use bzzz_actors::task::{NodeId, RepoId, Sha, TaskId};

use super::Git;
use super::names::{ClaimsAt, Namespace};
use super::swap::{Move, Pushed};

/// Tasks whose place is remembered. Past it all are forgotten, and found again when they are read.
const MAX_PLACED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Namespaces(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    repositories: HashMap<RepoId, Namespace>,
    /// Where a task's claim was seen last.
    placed: HashMap<TaskId, Namespace>,
}

impl Namespaces {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where new claims of the repository go.
    pub(super) fn of(&self, repo: &RepoId) -> Namespace {
        self.known().repositories.get(repo).copied().unwrap_or(Namespace::Own)
    }

    /// Where the task's claim is, or would be.
    pub(super) fn of_claim(&self, task: &TaskId) -> Namespace {
        let placed = self.known().placed.get(task).copied();
        placed.unwrap_or_else(|| self.of(&task.repo))
    }

    /// The repository's claims are there: from now on everybody's go there.
    pub(super) fn settle(&self, repo: &RepoId, namespace: Namespace) {
        let before = self.known().repositories.insert(repo.clone(), namespace);
        if namespace == Namespace::Branches && before != Some(namespace) {
            tracing::warn!(
                %repo,
                "claims are kept in branches ({}/*), since the git server hides or refuses {}: pipelines that run for every \
                 branch should leave them out",
                Namespace::Branches.claims(),
                Namespace::Own.claims(),
            );
        }
    }

    pub(super) fn place(&self, task: &TaskId, namespace: Option<Namespace>) {
        let mut known = self.known();
        if known.placed.len() >= MAX_PLACED {
            known.placed.clear();
        }
        match namespace {
            Some(namespace) => known.placed.insert(task.clone(), namespace),
            None => known.placed.remove(task),
        };
    }
}

/// The task has a claim in both places, which only a node that was killed in between leaves.
pub(super) fn warn_of_two(task: &TaskId) {
    tracing::warn!(
        %task,
        "it has a claim in {} and one in {}: nobody takes it until one of them is deleted",
        Namespace::Own.claims(),
        Namespace::Branches.claims(),
    );
}

impl Git {
    /// Finds out where the repository's claims are to be, and that this node may write there, and branches into its fork.
    pub(super) async fn probe_server(&self, repo: &RepoId, node: &NodeId) -> Result<(), ClaimsError> {
        if let Some(fork) = self.options.forks.of(repo) {
            self.probe_at(&ClaimsAt::itself(&fork.branches), node, Namespace::Branches).await?;
        }
        self.probe_claims(repo, node).await
    }

    async fn probe_claims(&self, repo: &RepoId, node: &NodeId) -> Result<(), ClaimsError> {
        let at = self.claims_at(repo);
        let shown = |listed: &[(Namespace, u64, Sha)], wanted| listed.iter().any(|(it, ..)| *it == wanted);
        let listed = self.server_claims(repo).await?;
        if shown(&listed, Namespace::Branches) {
            self.namespaces.settle(repo, Namespace::Branches);
            return self.probe_at(&at, node, Namespace::Branches).await;
        }
        let refusal = match self.probe_at(&at, node, Namespace::Own).await {
            Err(ClaimsError::Denied { message, .. }) => message,
            probed => {
                probed?;
                self.namespaces.settle(repo, Namespace::Own);
                return Ok(());
            }
        };
        let denied = |message| ClaimsError::Denied { repo: at.repo.clone(), message };
        if shown(&listed, Namespace::Own) {
            let place = Namespace::Own.claims();
            return Err(denied(format!(
                "the claims of other nodes are in {place}, where this one may not write ({refusal}): let it, or use another \
                 token"
            )));
        }
        // Whether it is the place that is refused, or the token, tells a try in another place.
        match self.probe_at(&at, node, Namespace::Branches).await {
            Ok(()) => {
                self.namespaces.settle(repo, Namespace::Branches);
                Ok(())
            }
            Err(ClaimsError::Denied { .. }) => Err(denied(refusal)),
            Err(error) => Err(error),
        }
    }

    /// After a claim of `task` was made at `made`: takes it back if the repository's claims are in the other place. Says
    /// whether it stays.
    pub(super) async fn stays_made(
        &self,
        task: &TaskId,
        namespace: Namespace,
        made: &Sha,
        name: String,
    ) -> Result<bool, ClaimsError> {
        let listed = self.server_claims(&task.repo).await?;
        let other = namespace.other();
        if !listed.iter().any(|(it, ..)| *it == other) {
            self.namespaces.place(task, Some(namespace));
            return Ok(true);
        }
        self.namespaces.settle(&task.repo, other);
        let back = Move { name, from: Some(made.clone()), to: None };
        let repo = self.claims_at(&task.repo).repo;
        match self.push(&repo, self.small_push(), std::slice::from_ref(&back)).await? {
            Pushed::Done | Pushed::Lost => Ok(false),
            Pushed::Forbidden(message) => Err(ClaimsError::Denied { repo, message }),
        }
    }
}
