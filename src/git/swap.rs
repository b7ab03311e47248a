//! Moving claims: the one place where a node writes to the server.
//!
//! Git compares twice: `--force-with-lease` against what the server showed at the start of the push, and the server
//! itself when it takes the update. Whatever a refusal says, it is the reference that is believed: the claim is ours if
//! and only if it is at the commit that we wrote.

use bzzz_actors::ports::claims::{BranchUpdate, ClaimsError, Swap};
use bzzz_actors::task::{NodeId, RepoId, Sha, TaskId};

use super::Git;
use super::command::{Output, Run};
use super::home::as_alternate;
use super::leases::claims_error;
use super::names::{ClaimsAt, Namespace, branch_ref};
use super::porcelain::{self, Said};

/// One reference of a push; `to` is `None` where it is deleted.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) name: String,
    pub(super) from: Option<Sha>,
    pub(super) to: Option<Sha>,
}

impl Move {
    fn lease(&self) -> String {
        format!("--force-with-lease={}:{}", self.name, self.from.as_ref().map_or("", Sha::as_str))
    }

    fn refspec(&self) -> String {
        format!("{}:{}", self.to.as_ref().map_or("", Sha::as_str), self.name)
    }
}

/// How a push that reached the server ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Done,
    Lost,
    Forbidden(String),
}

impl Git {
    pub(super) async fn swap_claim(
        &self,
        task: &TaskId,
        from: Option<&Sha>,
        to: &Sha,
        branch: Option<&BranchUpdate>,
    ) -> Result<Swap, ClaimsError> {
        let namespace = match from {
            Some(_) => self.namespaces.of_claim(task),
            None => self.namespaces.of(&task.repo),
        };
        let at = self.claims_at(&task.repo);
        let claim =
            Move { name: at.claim(namespace, task.number), from: from.cloned(), to: Some(to.clone()) };
        let mut moves = vec![claim.clone()];
        let (mut run, mut _mirror) = (self.small_push(), None);
        if let Some(BranchUpdate { from, to }) = branch {
            let branch = Move { name: branch_ref(task), from: from.clone(), to: Some(to.clone()) };
            if let Some(fork) = self.options.forks.of(&task.repo) {
                match self.swap_branch_of_fork(task, &fork.branches, &at, &claim, &branch).await? {
                    Swap::Done => {}
                    Swap::Refused => return Ok(Swap::Refused),
                }
            } else {
                moves.push(branch);
                _mirror = Some(self.mirrors.hold(&task.repo).await);
                run = self.work_push(task);
            }
        }
        let swap = match self.push(&at.repo, run, &moves).await? {
            Pushed::Done => Swap::Done,
            refused => self.after_refusal(&at.repo, &claim, refused).await?,
        };
        if swap == Swap::Done && from.is_none() && !self.stays_made(task, namespace, to, claim.name).await? {
            return Ok(Swap::Refused);
        }
        Ok(swap)
    }

    /// One push can't move references of two repositories. The branch goes first: a claim that says that its work is
    /// published is true then, whenever the node goes down. What keeps a stale owner's work off the branch is the look at
    /// the claim before, and that the branch is where it was seen.
    async fn swap_branch_of_fork(
        &self,
        task: &TaskId,
        fork: &RepoId,
        at: &ClaimsAt,
        claim: &Move,
        branch: &Move,
    ) -> Result<Swap, ClaimsError> {
        let now = self.server_refs(&at.repo, &[&claim.name]).await?.pop().map(|(_, sha)| sha);
        if now == claim.to {
            return Ok(Swap::Done);
        }
        if now != claim.from {
            return Ok(Swap::Refused);
        }
        let _mirror = self.mirrors.hold(&task.repo).await;
        match self.push(fork, self.work_push(task), std::slice::from_ref(branch)).await? {
            Pushed::Done => Ok(Swap::Done),
            refused => self.after_refusal(fork, branch, refused).await,
        }
    }

    /// The lease commit lies in the claims' repository, the work in the task's, its base in the mirror.
    fn work_push(&self, task: &TaskId) -> Run {
        let objects = self.home.store(task).join("objects");
        self.small_push()
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", as_alternate(&objects))
            .timeout(self.options.limits.publish_timeout)
    }

    pub(super) fn small_push(&self) -> Run {
        Run::new("push").timeout(self.options.limits.claim_timeout)
    }

    pub(super) async fn delete_claim(&self, task: &TaskId, from: &Sha) -> Result<Swap, ClaimsError> {
        let at = self.claims_at(&task.repo);
        let name = at.claim(self.namespaces.of_claim(task), task.number);
        let claim = Move { name, from: Some(from.clone()), to: None };
        match self.push(&at.repo, self.small_push(), std::slice::from_ref(&claim)).await? {
            Pushed::Done => Ok(Swap::Done),
            refused => self.after_refusal(&at.repo, &claim, refused).await,
        }
    }

    /// Creates, moves and deletes a reference of this node's in the namespace.
    pub(super) async fn probe_at(
        &self,
        at: &ClaimsAt,
        node: &NodeId,
        namespace: Namespace,
    ) -> Result<(), ClaimsError> {
        let claims = self.claims_repository().await?;
        let (repo, name) = (&at.repo, at.probe(namespace, node));
        let left_over = self.server_refs(repo, &[&name]).await?.pop().map(|(_, sha)| sha);
        let message = |n: u8| format!("A probe of the node {node}, step {n}\n").into_bytes();
        let first = self.commit_empty(&claims, None, message(1)).await?;
        let second = self.commit_empty(&claims, Some(&first), message(2)).await?;
        let steps =
            [(left_over, Some(first.clone())), (Some(first), Some(second.clone())), (Some(second), None)];
        for (from, to) in steps {
            let step = Move { name: name.clone(), from, to };
            let outcome = match self.push(repo, self.small_push(), std::slice::from_ref(&step)).await? {
                Pushed::Done => Swap::Done,
                refused => self.after_refusal(repo, &step, refused).await?,
            };
            if outcome == Swap::Refused {
                return Err(ClaimsError::Failed(format!(
                    "{repo}: {name} was moved by somebody else: does another node have the name {node} too?"
                )));
            }
        }
        Ok(())
    }

    pub(super) async fn push(&self, repo: &RepoId, run: Run, moves: &[Move]) -> Result<Pushed, ClaimsError> {
        let claims = self.claims_repository().await?;
        let run = run
            .in_repository(&claims)
            .args(["--porcelain", "--atomic", "--no-verify", "--no-follow-tags", "--recurse-submodules=no"])
            .args(moves.iter().map(Move::lease))
            .arg(self.remote.url(repo))
            .args(moves.iter().map(Move::refspec));
        let output = self.program.run(self.remote.allow(run)).await.map_err(|e| claims_error(repo, e))?;
        judge(&output, moves).ok_or_else(|| claims_error(repo, output.failure()))
    }

    /// The server refused, or seems to have: a push before this one, whose answer was lost, may have moved it.
    async fn after_refusal(
        &self,
        repo: &RepoId,
        wanted: &Move,
        refused: Pushed,
    ) -> Result<Swap, ClaimsError> {
        let now = self.server_refs(repo, &[&wanted.name]).await?.pop().map(|(_, sha)| sha);
        if now == wanted.to {
            return Ok(Swap::Done);
        }
        match refused {
            // Somebody moved it, whatever else the server had against this push.
            _ if now != wanted.from => Ok(Swap::Refused),
            Pushed::Forbidden(message) => Err(ClaimsError::Denied { repo: repo.clone(), message }),
            Pushed::Done | Pushed::Lost => Ok(Swap::Refused),
        }
    }
}

/// `None` when the push did not come as far as the references, or does not say what became of each.
fn judge(output: &Output, moves: &[Move]) -> Option<Pushed> {
    let said = porcelain::parse(&output.text());
    let of = |name: &str| said.iter().find(|(n, _)| n == name).map(|(_, said)| said);
    let mut all_moved = output.is_success();
    let mut is_lost = false;
    for wanted in moves {
        match of(&wanted.name)? {
            Said::Moved | Said::UpToDate => {}
            Said::Forbidden { reason } => return Some(Pushed::Forbidden(reason.clone())),
            Said::Lost { .. } => (all_moved, is_lost) = (false, true),
        }
    }
    match (all_moved, is_lost) {
        (true, _) => Some(Pushed::Done),
        (false, true) => Some(Pushed::Lost),
        (false, false) => None,
    }
}
