//! The lease commits: written here, read from the server. `claims.git` is a cache of them; what counts is the server.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bzzz_actors::ports::claims::{ClaimsError, LeaseRecord, SeenLease};
use bzzz_actors::task::{RepoId, Sha, TaskId};

use super::Git;
use super::command::{GitError, Input, KernelLimits, Overflow, Run, SMALL_OUTPUT_BYTES};
use super::import::init_borrowing;
use super::lease_record::parse_commit;
use super::left_overs;
use super::mirror::has_hit_limit;
use super::names::{Namespace, branch_ref, is_code, seen_claim_ref};
use super::namespaces::warn_of_two;
use super::remote::{Failure, allow_local, failure_of};

/// The longest message of a lease commit that is read, in bytes. Ours have some hundred.
const MAX_RECORD_BYTES: usize = 16 * 1024;
/// The largest pack that a claim may bring: a claim reference that somebody moved to the code would bring all of it.
const MAX_LEASE_PACK_BYTES: u64 = 16 * 1024 * 1024;

/// Objects are spread evenly over 256 folders: one of them tells how many there are.
const SAMPLED_FOLDER: &str = "17";
/// Some 10,000 objects, at four KiB each. More slow git down.
const MAX_SAMPLED: usize = 40;
/// Old enough that no command still needs it; an older lease that is needed is fetched again.
const PRUNED_AGE: &str = "--prune=7.days.ago";
const TIDY_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Its age tells when that was last done.
const TIDIED_MARK: &str = "tidied";
const TIDY_PAUSE: Duration = Duration::from_secs(24 * 3600);
/// Claim references that bring too much and are not fetched again. Past it the oldest is, once more.
const MAX_UNREADABLE: usize = 256;

/// Claims in one fetch: they stand on one command line.
pub(super) const MAX_FETCHED_AT_ONCE: usize = 200;

const FETCH_OPTIONS: [&str; 4] = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"];

/// Why claims were not brought here.
enum NotFetched {
    TooLarge,
    Failed(ClaimsError),
}

impl From<ClaimsError> for NotFetched {
    fn from(error: ClaimsError) -> Self {
        Self::Failed(error)
    }
}

/// The ids of claims that are no leases, by their size alone.
#[derive(Debug, Default)]
pub(super) struct UnreadableLeases(Mutex<VecDeque<Sha>>);

impl UnreadableLeases {
    fn note(&self, sha: Sha) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == MAX_UNREADABLE {
            known.pop_front();
        }
        known.push_back(sha);
    }

    fn has(&self, sha: &Sha) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(sha)
    }
}

/// For a command that spoke to the server: it may have had its effect.
pub(super) fn claims_error(repo: &RepoId, error: GitError) -> ClaimsError {
    let message = error.to_string();
    match error {
        GitError::Failed { ref stderr, .. } => match failure_of(stderr) {
            Failure::Denied => ClaimsError::Denied { repo: repo.clone(), message },
            Failure::Passing | Failure::Other => ClaimsError::Unclear(message),
        },
        GitError::TimedOut { .. } | GitError::Starved { .. } | GitError::Io { .. } => {
            ClaimsError::Unclear(message)
        }
        GitError::NotStarted { .. } | GitError::TooMuchOutput { .. } => ClaimsError::Failed(message),
    }
}

fn failed(error: impl std::fmt::Display) -> ClaimsError {
    ClaimsError::Failed(error.to_string())
}

impl Git {
    /// What the references `names` are at on the server. A missing one is left out.
    pub(super) async fn server_refs(
        &self,
        repo: &RepoId,
        names: &[&str],
    ) -> Result<Vec<(String, Sha)>, ClaimsError> {
        let run = Run::new("ls-remote")
            .arg(self.remote.url(repo))
            .args(names)
            .timeout(self.options.limits.claim_timeout);
        let output = self.program.run(self.remote.allow(run)).await.and_then(|output| output.checked());
        let output = output.map_err(|error| claims_error(repo, error))?;
        let exact = |line: &str| {
            let (id, name) = line.split_once('\t')?;
            // Git takes a name for a pattern that matches at the end of longer ones.
            names.contains(&name).then(|| id.parse().map(|id| (name.to_owned(), id)).ok())?
        };
        Ok(output.text().lines().filter_map(exact).collect())
    }

    pub(super) async fn read_lease(&self, task: &TaskId) -> Result<Option<SeenLease>, ClaimsError> {
        let at = self.claims_at(&task.repo);
        let [own, branch] = Namespace::BOTH.map(|namespace| at.claim(namespace, task.number));
        let refs = self.server_refs(&at.repo, &["HEAD", &own, &branch]).await?;
        let claims: Vec<_> =
            refs.iter().filter_map(|(name, sha)| Some((at.claimed_issue(name)?.0, sha))).collect();
        let (namespace, sha) = match claims.as_slice() {
            [] => {
                if refs.is_empty() && !self.has_branches(&at.repo).await? {
                    return Err(ClaimsError::EmptyRepository { repo: at.repo });
                }
                self.namespaces.place(task, None);
                return Ok(None);
            }
            [claim] => *claim,
            [(_, sha), ..] => {
                warn_of_two(task);
                return Ok(Some(SeenLease { sha: (*sha).clone(), record: None }));
            }
        };
        self.namespaces.place(task, Some(namespace));
        let sha = self.fetch_lease(task, namespace, sha).await?;
        let record = self.record_in(&sha).await;
        Ok(Some(SeenLease { sha, record }))
    }

    /// The claims of a repository in both namespaces, the first some ten thousand.
    pub(super) async fn server_claims(
        &self,
        repo: &RepoId,
    ) -> Result<Vec<(Namespace, u64, Sha)>, ClaimsError> {
        let at = self.claims_at(repo);
        let run = Run::new("ls-remote")
            .arg(self.remote.url(&at.repo))
            .args(Namespace::BOTH.map(|namespace| at.all_claims(namespace)))
            .max_output(SMALL_OUTPUT_BYTES, Overflow::Drop)
            .timeout(self.options.limits.claim_timeout);
        let output = self.program.run(self.remote.allow(run)).await.and_then(|output| output.checked());
        let output = output.map_err(|error| claims_error(&at.repo, error))?;
        // A line that was cut may name another issue.
        let whole = output.stdout.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n"));
        let claim = |line: &[u8]| {
            let (id, name) = std::str::from_utf8(line).ok()?.trim_end().split_once('\t')?;
            let (namespace, number) = at.claimed_issue(name)?;
            Some((namespace, number, id.parse().ok()?))
        };
        let claims: Vec<_> = whole.filter_map(claim).collect();
        if claims.iter().any(|(namespace, ..)| *namespace == Namespace::Branches) {
            self.namespaces.settle(repo, Namespace::Branches);
        }
        Ok(claims)
    }

    async fn has_branches(&self, repo: &RepoId) -> Result<bool, ClaimsError> {
        let run = Run::new("ls-remote")
            .arg("--heads")
            .arg(self.remote.url(repo))
            .timeout(self.options.limits.claim_timeout);
        let output = self.program.run(self.remote.allow(run)).await.and_then(|output| output.checked());
        match output {
            Ok(output) => Ok(output.text().lines().filter_map(|line| line.rsplit('\t').next()).any(is_code)),
            Err(GitError::TooMuchOutput { .. }) => Ok(true),
            Err(error) => Err(claims_error(repo, error)),
        }
    }

    pub(super) async fn read_server_branch(&self, task: &TaskId) -> Result<Option<Sha>, ClaimsError> {
        let name = branch_ref(task);
        let refs = self.server_refs(self.options.forks.branches(&task.repo), &[&name]).await?;
        Ok(refs.into_iter().next().map(|(_, sha)| sha))
    }

    /// The claims of these issues, brought here in as few fetches as their number allows.
    pub(super) async fn read_leases(
        &self,
        repo: &RepoId,
        numbers: &[u64],
    ) -> Result<Vec<(u64, SeenLease)>, ClaimsError> {
        let wanted: HashSet<u64> = numbers.iter().copied().collect();
        let listed = self.server_claims(repo).await?;
        let claims: Vec<_> = listed.into_iter().filter(|(_, it, _)| wanted.contains(it)).collect();
        let mut missing = Vec::new();
        self.claims_repository().await?;
        for (namespace, number, sha) in &claims {
            if !self.unreadable_leases.has(sha) && !self.has_lease(sha).await? {
                missing.push((TaskId::new(repo.clone(), *number), *namespace, sha.clone()));
            }
        }
        for some in missing.chunks(MAX_FETCHED_AT_ONCE) {
            // One of them is too large, or gone meanwhile: the others are had one by one.
            if self.fetch_seen(repo, some).await.is_err() {
                for (task, namespace, sha) in some {
                    if let Err(error) = self.fetch_lease(task, *namespace, sha).await {
                        tracing::debug!(%task, %error, "claim not read");
                    }
                }
            }
        }
        let mut seen = Vec::with_capacity(claims.len());
        let mut numbers = HashSet::new();
        for (namespace, number, sha) in claims {
            let task = TaskId::new(repo.clone(), number);
            if !numbers.insert(number) {
                warn_of_two(&task);
                seen.retain(|(it, _)| *it != number);
                seen.push((number, SeenLease { sha, record: None }));
                continue;
            }
            self.namespaces.place(&task, Some(namespace));
            let record = self.record_in(&sha).await;
            // One that could not be fetched is left out: that it can't be read is not known.
            if record.is_some() || self.unreadable_leases.has(&sha) || self.has_lease(&sha).await? {
                seen.push((number, SeenLease { sha, record }));
            }
        }
        Ok(seen)
    }

    /// Brings the lease to this host, and returns the one that the claim is at then: it may have moved meanwhile.
    async fn fetch_lease(&self, task: &TaskId, namespace: Namespace, sha: &Sha) -> Result<Sha, ClaimsError> {
        let claims = self.claims_repository().await?;
        if self.unreadable_leases.has(sha) || self.has_lease(sha).await? {
            return Ok(sha.clone());
        }
        match self.fetch_seen(&task.repo, &[(task.clone(), namespace, sha.clone())]).await {
            Ok(()) => {}
            // Whatever it is, it is no lease that can be read; its id is known.
            Err(NotFetched::TooLarge) => {
                self.unreadable_leases.note(sha.clone());
                return Ok(sha.clone());
            }
            Err(NotFetched::Failed(error)) => return Err(error),
        }
        let seen = seen_claim_ref(task);
        let run = Run::new("rev-parse").in_repository(&claims).args(["--verify", "--quiet", &seen]);
        let output = self.program.run(run).await.and_then(|output| output.checked()).map_err(failed)?;
        output.text().parse().map_err(failed)
    }

    /// Brings the claims of these tasks of one repository to this host, all or none.
    async fn fetch_seen(&self, repo: &RepoId, tasks: &[(TaskId, Namespace, Sha)]) -> Result<(), NotFetched> {
        let (claims, at) = (self.claims_repository().await?, self.claims_at(repo));
        // Whatever a reference is moved to is tried out elsewhere first: what is too large leaves nothing here.
        let folder = self.home.work_folder().map_err(failed)?;
        let scratch = folder.path().join("claim.git");
        init_borrowing(&self.program, &scratch, &claims.join("objects")).await.map_err(failed)?;
        let seen: Vec<String> = tasks.iter().map(|(task, ..)| seen_claim_ref(task)).collect();
        let refspec = |((task, namespace, _), seen): (&(TaskId, Namespace, Sha), &String)| {
            format!("+{}:{seen}", at.claim(*namespace, task.number))
        };
        let refspecs = tasks.iter().zip(&seen).map(refspec);
        let fetch = Run::new("fetch")
            .args(FETCH_OPTIONS)
            .arg(self.remote.url(&at.repo))
            .args(refspecs)
            .in_repository(&scratch)
            // One pack, so that one limit holds all of it.
            .config("fetch.unpackLimit", "1")
            .timeout(self.options.limits.claim_timeout)
            .kernel_limits(KernelLimits {
                file_bytes: Some(MAX_LEASE_PACK_BYTES),
                ..KernelLimits::default()
            });
        let output = self.program.run(self.remote.allow(fetch)).await;
        let output = output.map_err(|error| claims_error(&at.repo, error))?;
        if !output.is_success() {
            return Err(match has_hit_limit(&scratch, MAX_LEASE_PACK_BYTES) {
                true => NotFetched::TooLarge,
                false => claims_error(&at.repo, output.failure()).into(),
            });
        }
        for seen in &seen {
            left_overs::clear_reference(&claims, seen);
        }
        let run = Run::new("fetch").in_repository(&claims);
        let (run, scratch) = allow_local(run, &scratch);
        // A few commits at a time: packs would pile up.
        let keep =
            run.args(FETCH_OPTIONS).arg(scratch).args(seen.iter().map(|seen| format!("+{seen}:{seen}")));
        let keep = keep.config("fetch.unpackLimit", "1000").timeout(self.options.limits.claim_timeout);
        self.program.run(keep).await.and_then(|output| output.checked()).map_err(failed)?;
        Ok(())
    }

    async fn has_lease(&self, sha: &Sha) -> Result<bool, ClaimsError> {
        let run = Run::new("cat-file").in_repository(&self.home.claims()).args(["-e", sha.as_str()]);
        Ok(self.program.run(run).await.map_err(failed)?.is_success())
    }

    /// `None` for anything that is not a lease record that this version reads.
    async fn record_in(&self, sha: &Sha) -> Option<LeaseRecord> {
        let run = Run::new("cat-file")
            .in_repository(&self.home.claims())
            .args(["commit", sha.as_str()])
            .max_output(MAX_RECORD_BYTES, Overflow::Fail);
        let output = self.program.run(run).await.and_then(|output| output.checked()).ok()?;
        parse_commit(&output.text())
    }

    /// Writes a lease commit on top of `previous` on this host.
    pub(super) async fn draft_lease(
        &self,
        previous: Option<&Sha>,
        record: &LeaseRecord,
    ) -> Result<Sha, ClaimsError> {
        let claims = self.claims_repository().await?;
        if let Some(previous) = previous
            && !self.has_lease(previous).await?
        {
            // After a restart with a fresh data folder, or of another node's lease that was only listed.
            self.fetch_lease(&record.task, self.namespaces.of_claim(&record.task), previous).await?;
        }
        let message = serde_json::to_vec(record).map_err(failed)?;
        let lease = self.commit_empty(&claims, previous, message).await?;
        self.tidy_claims();
        Ok(lease)
    }

    /// Drops leases of long ago in the background, once there are many, and not again soon: what is young stays.
    fn tidy_claims(&self) {
        let claims = self.home.claims();
        let is_recent = |tidied: SystemTime| tidied.elapsed().is_ok_and(|age| age < TIDY_PAUSE);
        let mark = claims.join(TIDIED_MARK);
        if std::fs::metadata(&mark).and_then(|it| it.modified()).is_ok_and(is_recent) {
            return;
        }
        let sample = std::fs::read_dir(claims.join("objects").join(SAMPLED_FOLDER));
        let count = sample.map_or(0, Iterator::count);
        if count <= MAX_SAMPLED || self.tidying.swap(true, Ordering::AcqRel) {
            return;
        }
        left_overs::clear_reference(&claims, "HEAD");
        let (program, tidying) = (self.program.clone(), self.tidying.clone());
        tokio::spawn(async move {
            let gc =
                Run::new("gc").in_repository(&claims).args(["--quiet", PRUNED_AGE]).timeout(TIDY_TIMEOUT);
            let tidied = program.run(gc).await.and_then(|output| output.checked());
            if let Err(error) = tidied.map(|_| ()).and_then(|()| {
                std::fs::write(&mark, "").map_err(GitError::io("the mark of the last tidying"))
            }) {
                tracing::warn!(%error, "old leases can't be dropped from the cache");
            }
            tidying.store(false, Ordering::Release);
        });
    }

    /// A commit of the empty tree with this message.
    pub(super) async fn commit_empty(
        &self,
        claims: &std::path::Path,
        previous: Option<&Sha>,
        message: Vec<u8>,
    ) -> Result<Sha, ClaimsError> {
        let hash = Run::new("hash-object").in_repository(claims).args(["-t", "tree", "-w", "--stdin"]);
        let tree = self.program.run(hash).await.and_then(|output| output.checked()).map_err(failed)?.text();
        let mut run = Run::new("commit-tree").in_repository(claims).arg(tree);
        if let Some(previous) = previous {
            run = run.args(["-p", previous.as_str()]);
        }
        let run = self.as_author(run.args(["-F", "-"]).input(Input::Bytes(message)));
        let output = self.program.run(run).await.and_then(|output| output.checked()).map_err(failed)?;
        output.text().parse().map_err(failed)
    }

    /// `claims.git`, made when it is missing.
    pub(super) async fn claims_repository(&self) -> Result<PathBuf, ClaimsError> {
        let place = self.home.claims();
        let _one_at_a_time = self.claims_lock.lock().await;
        if !place.exists() {
            let folder = self.home.work_folder().map_err(failed)?;
            let fresh = folder.path().join("claims.git");
            let init = Run::new("init").args(["--quiet", "--bare", "--template="]).arg(&fresh);
            self.program.run(init).await.and_then(|output| output.checked()).map_err(failed)?;
            tokio::fs::rename(&fresh, &place).await.map_err(failed)?;
        }
        Ok(place)
    }
}
