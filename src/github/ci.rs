//! What continuous integration says of a commit: its statuses and its workflow runs. Fine-grained tokens have no
//! permission for check runs, so those of other apps are not seen.

use bzzz_actors::ports::forge::{CiCheck, CiState, ForgeError};
use bzzz_actors::task::{RepoId, Sha, printable};
use serde::Deserialize;

use super::api::{Api, Call};

/// One page of each: a commit with more has a verdict long before the rest counts.
const PER_PAGE: &str = "100";

#[derive(Deserialize)]
struct WireStatuses {
    statuses: Vec<WireStatus>,
}

#[derive(Deserialize)]
struct WireStatus {
    context: String,
    state: String,
}

#[derive(Deserialize)]
struct WireRuns {
    workflow_runs: Vec<WireRun>,
}

#[derive(Deserialize)]
struct WireRun {
    name: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
}

impl From<WireStatus> for CiCheck {
    fn from(status: WireStatus) -> Self {
        let state = match status.state.as_str() {
            "success" => CiState::Passed,
            "pending" => CiState::Pending,
            _ => CiState::Failed,
        };
        Self { name: printable(&status.context), state }
    }
}

impl From<WireRun> for CiCheck {
    fn from(run: WireRun) -> Self {
        let state = match (run.status.as_deref(), run.conclusion.as_deref()) {
            (Some("completed"), Some("success" | "neutral" | "skipped")) => CiState::Passed,
            // Of somebody's first pull request: it begins when a maintainer lets it.
            (Some("completed"), Some("action_required")) => CiState::Pending,
            (Some("completed"), _) => CiState::Failed,
            _ => CiState::Pending,
        };
        Self { name: printable(&run.name.unwrap_or_default()), state }
    }
}

pub(super) async fn checks(api: &Api, repo: &RepoId, commit: &Sha) -> Result<Vec<CiCheck>, ForgeError> {
    let (owner, name, sha) = (repo.owner(), repo.name(), commit.as_str());
    let call =
        Call::new(format!("get the statuses of {repo} at {}", commit.short()), "commit statuses: read");
    let route = api.route(&["repos", owner, name, "commits", sha, "status"], &[("per_page", PER_PAGE)]);
    let statuses: WireStatuses = api.get(&call, &route, None).await?.parse(&call)?;

    let call = Call::new(format!("list the workflow runs of {repo} at {}", commit.short()), "actions: read");
    let query = [("head_sha", sha), ("per_page", PER_PAGE)];
    let route = api.route(&["repos", owner, name, "actions", "runs"], &query);
    let runs: WireRuns = api.get(&call, &route, None).await?.parse(&call)?;

    let statuses = statuses.statuses.into_iter().map(CiCheck::from);
    Ok(statuses.chain(runs.workflow_runs.into_iter().map(CiCheck::from)).collect())
}
