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
use super::names::{branch_ref, claim_ref, probe_ref};
use super::porcelain::{self, Said};

/// One reference of a push; `to` is `None` where it is deleted.
#[derive(Debug, Clone)]
struct Move {
    name: String,
    from: Option<Sha>,
    to: Option<Sha>,
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
enum Pushed {
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
        let claim = Move { name: claim_ref(task), from: from.cloned(), to: Some(to.clone()) };
        let mut run = Run::new("push").timeout(self.options.limits.claim_timeout);
        let mut moves = vec![claim.clone()];
        let _mirror;
        if let Some(BranchUpdate { from, to }) = branch {
            moves.push(Move { name: branch_ref(task), from: from.clone(), to: Some(to.clone()) });
            // The lease commit lies in the claims' repository, the work in the task's, its base in the mirror.
            _mirror = self.mirrors.hold(&task.repo).await;
            let objects = self.home.store(task).join("objects");
            run = run
                .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", as_alternate(&objects))
                .timeout(self.options.limits.publish_timeout);
        }
        match self.push(&task.repo, run, &moves).await? {
            Pushed::Done => Ok(Swap::Done),
            refused => self.after_refusal(&task.repo, &claim, refused).await,
        }
    }

    pub(super) async fn delete_claim(&self, task: &TaskId, from: &Sha) -> Result<Swap, ClaimsError> {
        let claim = Move { name: claim_ref(task), from: Some(from.clone()), to: None };
        let run = Run::new("push").timeout(self.options.limits.claim_timeout);
        match self.push(&task.repo, run, std::slice::from_ref(&claim)).await? {
            Pushed::Done => Ok(Swap::Done),
            refused => self.after_refusal(&task.repo, &claim, refused).await,
        }
    }

    pub(super) async fn probe_server(&self, repo: &RepoId, node: &NodeId) -> Result<(), ClaimsError> {
        let claims = self.claims_repository().await?;
        let name = probe_ref(node);
        let left_over = self.server_refs(repo, &[&name]).await?.pop().map(|(_, sha)| sha);
        let message = |n: u8| format!("A probe of the node {node}, step {n}\n").into_bytes();
        let first = self.commit_empty(&claims, None, message(1)).await?;
        let second = self.commit_empty(&claims, Some(&first), message(2)).await?;
        let steps =
            [(left_over, Some(first.clone())), (Some(first), Some(second.clone())), (Some(second), None)];
        for (from, to) in steps {
            let step = Move { name: name.clone(), from, to };
            let run = Run::new("push").timeout(self.options.limits.claim_timeout);
            let outcome = match self.push(repo, run, std::slice::from_ref(&step)).await? {
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

    async fn push(&self, repo: &RepoId, run: Run, moves: &[Move]) -> Result<Pushed, ClaimsError> {
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
