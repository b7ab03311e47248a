//! The git side: claim references and branches that are compare-and-swap, and trees named after their content.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;

use async_trait::async_trait;
use bzzz_actors::ports::claims::{
    BranchUpdate, Claims, ClaimsError, LeaseRecord, LeaseState, SeenLease, Swap,
};
use bzzz_actors::ports::code::{Code, CodeError, CodeIn, ImportedTree, Pushed};
use bzzz_actors::ports::sandbox::WorkBundle;
use bzzz_actors::task::{Base, NodeId, PathPattern, RepoId, Sha, TaskId};

use super::Traps;

#[derive(Default)]
pub struct MemoryGit {
    pub traps: Traps,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    drafted: HashMap<Sha, LeaseRecord>,
    claims: HashMap<TaskId, Sha>,
    branches: HashMap<TaskId, Sha>,
    policy: Option<String>,
    faults: VecDeque<Fault>,
    swaps: usize,
    next_sha: u64,
    denied: Option<String>,
    steals_before_delete: bool,
    panics_in_draft: bool,
    unusable_branch: Option<String>,
}

/// What goes wrong with the next swap.
#[derive(Clone, Copy)]
pub enum Fault {
    /// Nothing is written, and the answer is lost.
    LostBefore,
    /// It is written, and the answer is lost.
    LostAfter,
    /// It is written, and the answer is that it was refused: something on the way sent it twice.
    RefusedAfter,
}

impl MemoryGit {
    pub fn set_policy(&self, text: &str) {
        self.state.lock().unwrap().policy = Some(text.to_owned());
    }

    pub fn fail_swaps(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// The repository whose claims may not be read.
    pub fn deny(&self, repo: Option<&str>) {
        self.state.lock().unwrap().denied = repo.map(str::to_owned);
    }

    /// The next draft of a lease panics in the adapter.
    pub fn panic_in_draft(&self) {
        self.state.lock().unwrap().panics_in_draft = true;
    }

    pub fn end_faults(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    /// Another node writes its own lease, whatever stood there.
    pub fn steal(&self, task: &TaskId) {
        let mut state = self.state.lock().unwrap();
        let sha = state.fresh_sha();
        let held = state.claims[task].clone();
        let record = LeaseRecord { node: "thief".parse().unwrap(), ..state.drafted[&held].clone() };
        state.drafted.insert(sha.clone(), record);
        state.claims.insert(task.clone(), sha);
    }

    /// Why the tasks' branches can't be gone on from.
    pub fn let_branches_be_unusable(&self, why: &str) {
        self.state.lock().unwrap().unusable_branch = Some(why.to_owned());
    }

    /// Another node claims the task in the moment before its claim is deleted.
    pub fn steal_before_delete(&self) {
        self.state.lock().unwrap().steals_before_delete = true;
    }

    /// Something that is no lease record of this version stands at the task's claim.
    pub fn put_unreadable(&self, task: &TaskId) {
        let mut state = self.state.lock().unwrap();
        let sha = state.fresh_sha();
        state.claims.insert(task.clone(), sha);
    }

    pub fn has_claim(&self, task: &TaskId) -> bool {
        self.state.lock().unwrap().claims.contains_key(task)
    }

    pub fn record(&self, task: &TaskId) -> Option<LeaseRecord> {
        let state = self.state.lock().unwrap();
        state.claims.get(task).map(|sha| state.drafted[sha].clone())
    }

    /// `None`: there is no claim, or none that can be read.
    pub fn record_state(&self, task: &TaskId) -> Option<LeaseState> {
        let state = self.state.lock().unwrap();
        Some(state.drafted.get(state.claims.get(task)?)?.state)
    }

    pub fn branch(&self, task: &TaskId) -> Option<Sha> {
        self.state.lock().unwrap().branches.get(task).cloned()
    }

    pub fn swaps(&self) -> usize {
        self.state.lock().unwrap().swaps
    }
}

impl State {
    fn fresh_sha(&mut self) -> Sha {
        self.next_sha += 1;
        format!("{:040x}", self.next_sha).parse().unwrap()
    }
}

#[async_trait]
impl Claims for MemoryGit {
    async fn read(&self, task: &TaskId) -> Result<Option<SeenLease>, ClaimsError> {
        self.traps.step_on("read");
        let state = self.state.lock().unwrap();
        if state.denied.as_deref() == Some(&task.repo.to_string()) {
            return Err(ClaimsError::Denied { repo: task.repo.clone(), message: "404".into() });
        }
        Ok(state
            .claims
            .get(task)
            .map(|sha| SeenLease { sha: sha.clone(), record: state.drafted.get(sha).cloned() }))
    }

    async fn list(&self, repo: &RepoId) -> Result<Vec<(u64, Sha)>, ClaimsError> {
        self.traps.step_on("list");
        let state = self.state.lock().unwrap();
        let claims = state.claims.iter().filter(|(task, _)| task.repo == *repo);
        Ok(claims.map(|(task, sha)| (task.number, sha.clone())).collect())
    }

    async fn read_all(&self, repo: &RepoId, numbers: &[u64]) -> Result<Vec<(u64, SeenLease)>, ClaimsError> {
        self.traps.step_on("read_all");
        let state = self.state.lock().unwrap();
        let seen = |number: &u64| {
            let sha = state.claims.get(&TaskId::new(repo.clone(), *number))?.clone();
            let record = state.drafted.get(&sha).cloned();
            Some((*number, SeenLease { sha, record }))
        };
        Ok(numbers.iter().filter_map(seen).collect())
    }

    async fn read_branch(&self, task: &TaskId) -> Result<Option<Sha>, ClaimsError> {
        self.traps.step_on("read_branch");
        Ok(self.branch(task))
    }

    async fn draft(&self, _: Option<&Sha>, record: &LeaseRecord) -> Result<Sha, ClaimsError> {
        self.traps.step_on("draft");
        let mut state = self.state.lock().unwrap();
        if std::mem::take(&mut state.panics_in_draft) {
            drop(state);
            panic!("the adapter panics");
        }
        let sha = state.fresh_sha();
        state.drafted.insert(sha.clone(), record.clone());
        Ok(sha)
    }

    async fn swap(
        &self,
        task: &TaskId,
        from: Option<&Sha>,
        to: &Sha,
        branch: Option<&BranchUpdate>,
    ) -> Result<Swap, ClaimsError> {
        self.traps.step_on("swap");
        let mut state = self.state.lock().unwrap();
        state.swaps += 1;
        let fault = state.faults.pop_front();
        let unclear = || Err(ClaimsError::Unclear("connection reset".into()));
        if let Some(Fault::LostBefore) = fault {
            return unclear();
        }
        let branch_fits = branch.is_none_or(|it| state.branches.get(task) == it.from.as_ref());
        if state.claims.get(task) != from || !branch_fits {
            return Ok(Swap::Refused);
        }
        state.claims.insert(task.clone(), to.clone());
        if let Some(branch) = branch {
            state.branches.insert(task.clone(), branch.to.clone());
        }
        match fault {
            None => Ok(Swap::Done),
            Some(Fault::RefusedAfter) => Ok(Swap::Refused),
            Some(Fault::LostBefore | Fault::LostAfter) => unclear(),
        }
    }

    async fn delete(&self, task: &TaskId, from: &Sha) -> Result<Swap, ClaimsError> {
        self.traps.step_on("delete");
        if std::mem::take(&mut self.state.lock().unwrap().steals_before_delete) {
            self.steal(task);
        }
        let mut state = self.state.lock().unwrap();
        if state.claims.get(task) != Some(from) {
            return Ok(Swap::Refused);
        }
        state.claims.remove(task);
        Ok(Swap::Done)
    }

    async fn probe(&self, _: &RepoId, _: &NodeId) -> Result<(), ClaimsError> {
        self.traps.step_on("probe");
        Ok(())
    }
}

#[async_trait]
impl Code for MemoryGit {
    async fn refresh(&self, _: &RepoId, branch: &str) -> Result<Base, CodeError> {
        self.traps.step_on("refresh");
        Ok(Base { branch: branch.into(), commit: "b".repeat(40).parse().unwrap() })
    }

    async fn read_file(&self, _: &RepoId, _: &Sha, _: &str) -> Result<Option<String>, CodeError> {
        self.traps.step_on("read_file");
        Ok(self.state.lock().unwrap().policy.clone())
    }

    async fn code_in(&self, _: &TaskId, base: &Sha, tree: Option<&Sha>) -> Result<CodeIn, CodeError> {
        self.traps.step_on("code_in");
        let changes = tree.map(|tree| (PathBuf::from(tree.as_str()), tree.clone()));
        Ok(CodeIn { archive: PathBuf::new(), base: base.clone(), changes })
    }

    /// The one file that is ever changed is `log`.
    async fn import(
        &self,
        _: &TaskId,
        _: &Sha,
        bundle: WorkBundle,
        paths: &[PathPattern],
    ) -> Result<ImportedTree, CodeError> {
        self.traps.step_on("import");
        let content = bundle.file.to_string_lossy().into_owned();
        let written = content.matches("write").count();
        if written == 0 {
            return Err(CodeError::Refused("nothing was changed".into()));
        }
        if !paths.is_empty() && !paths.iter().any(|path| path.matches("log")) {
            return Err(CodeError::Refused("log may not be changed".into()));
        }
        let tree = format!("{written:040x}").parse().unwrap();
        let diff = format!("+{written} writes\n");
        Ok(ImportedTree { tree, files: 1, insertions: written as u32, deletions: 0, diff })
    }

    async fn pushed(&self, task: &TaskId, newest: &Base) -> Result<Option<Pushed>, CodeError> {
        self.traps.step_on("pushed");
        let Some(commit) = self.branch(task) else { return Ok(None) };
        let base = match self.state.lock().unwrap().unusable_branch.clone() {
            Some(why) => Err(why),
            None => Ok(Base { commit: "a".repeat(40).parse().unwrap(), ..newest.clone() }),
        };
        Ok(Some(Pushed { commit, base }))
    }

    /// The tree is the one that [`Self::commit`] made `pushed` of.
    async fn inherit(
        &self,
        _: &TaskId,
        base: &Sha,
        pushed: &Sha,
        _: &[PathPattern],
    ) -> Result<ImportedTree, CodeError> {
        self.traps.step_on("inherit");
        assert_eq!(base.as_str(), "a".repeat(40), "it stands on the base that it has");
        let tree: Sha = pushed.as_str().replacen("c0c", "000", 1).parse().unwrap();
        let writes = u32::from_str_radix(&tree.as_str()[20..], 16).unwrap();
        let diff = format!("+{writes} writes\n");
        Ok(ImportedTree { tree, files: 1, insertions: writes, deletions: 0, diff })
    }

    async fn commit(&self, _: &TaskId, _: &Sha, tree: &Sha, _: &str) -> Result<Sha, CodeError> {
        self.traps.step_on("commit");
        Ok(tree.as_str().replacen("000", "c0c", 1).parse().unwrap())
    }

    fn secret_in(&self, text: &str) -> Option<String> {
        text.contains("hush").then(|| "the node's secret".to_owned())
    }

    async fn forget(&self, _: &TaskId) -> Result<(), CodeError> {
        self.traps.step_on("forget");
        Ok(())
    }
}
