//! A repository's claims for people: nothing of it decides anything.

use std::collections::HashMap;

use bzzz_actors::ports::claims::{ClaimsError, LeaseRecord};
use bzzz_actors::task::{RepoId, Sha, TaskId};

use super::Git;
use super::command::Run;
use super::leases::MAX_FETCHED_AT_ONCE;

/// A claim as it is on the server now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownClaim {
    pub task: TaskId,
    /// The repository that the claim is in.
    pub repo: RepoId,
    pub reference: String,
    pub sha: Sha,
    /// `None` when it is no record that this version reads.
    pub record: Option<LeaseRecord>,
    /// When it was written, by its writer's clock, in seconds since 1970.
    pub since_s: Option<u64>,
}

impl Git {
    /// All claims of the repository, by their issues' numbers.
    pub async fn shown_claims(&self, repo: &RepoId) -> Result<Vec<ShownClaim>, ClaimsError> {
        let mut listed = self.server_claims(repo).await?;
        listed.sort_by_key(|(_, number, _)| *number);
        let mut numbers: Vec<u64> = listed.iter().map(|(_, number, _)| *number).collect();
        numbers.dedup();
        let read: HashMap<u64, _> = self.read_leases(repo, &numbers).await?.into_iter().collect();
        let ids: Vec<Sha> = listed.iter().map(|(.., sha)| sha.clone()).collect();
        let dates = self.dates_of(&ids).await;
        let at = self.claims_at(repo);
        let claims = listed.into_iter().map(|(namespace, number, sha)| {
            let record =
                read.get(&number).filter(|seen| seen.sha == sha).and_then(|seen| seen.record.clone());
            let (task, since_s) = (TaskId::new(repo.clone(), number), dates.get(&sha).copied());
            let (repo, reference) = (at.repo.clone(), at.claim(namespace, number));
            ShownClaim { task, repo, reference, sha, record, since_s }
        });
        Ok(claims.collect())
    }

    /// What can't be read has none.
    async fn dates_of(&self, commits: &[Sha]) -> HashMap<Sha, u64> {
        let mut dates = HashMap::new();
        for some in commits.chunks(MAX_FETCHED_AT_ONCE) {
            let run = Run::new("rev-list")
                .in_repository(&self.home.claims())
                .args(["--no-walk", "--ignore-missing", "--no-commit-header", "--format=%H %ct"])
                .args(some.iter().map(Sha::as_str));
            let Ok(output) = self.program.run(run).await else { continue };
            let text = output.text();
            dates.extend(text.lines().filter_map(|line| {
                let (id, at) = line.split_once(' ')?;
                Some((id.parse::<Sha>().ok()?, at.parse().ok()?))
            }));
        }
        dates
    }
}
