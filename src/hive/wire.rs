//! Hive's JSON. Unknown fields are ignored.

use bzzz_actors::ports::hive::HiveProject;
use bzzz_actors::task::{RepoId, printable};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct ActiveRepositories {
    /// Each is read for itself, so that one of an unknown shape does not hide the others.
    pub(super) repositories: Vec<Value>,
}

#[derive(Deserialize)]
struct WireProject {
    project_id: ProjectId,
    owner: String,
    repository: String,
    branch: Option<String>,
    bzzz_enabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ProjectId {
    Number(i64),
    Text(String),
}

/// The project of one entry; `None` when Bzzz is switched off for it or it can't be read, which is logged.
pub(super) fn project(entry: Value) -> Option<HiveProject> {
    let read: Result<WireProject, _> = serde_json::from_value(entry);
    let wire = read.inspect_err(|error| tracing::warn!(%error, "a project of hive's can't be read")).ok()?;
    if wire.bzzz_enabled == Some(false) {
        return None;
    }
    let named: Result<RepoId, _> = format!("{}/{}", wire.owner, wire.repository).parse();
    let repo =
        named.inspect_err(|error| tracing::warn!(%error, "a project of hive's has no valid name")).ok()?;
    Some(HiveProject {
        project_id: match wire.project_id {
            ProjectId::Number(number) => number.to_string(),
            ProjectId::Text(text) => text,
        },
        repo,
        branch: wire.branch.filter(|branch| !branch.is_empty()),
    })
}

/// A call without the field succeeded by its status alone.
#[derive(Deserialize)]
pub(super) struct Success {
    #[serde(default = "yes")]
    pub(super) success: bool,
}

fn yes() -> bool {
    true
}

/// FastAPI's error: a text, or a list of what is wrong with the fields.
#[derive(Deserialize)]
pub(super) struct Detail {
    detail: Value,
}

/// The longest text of Hive's that is passed on, in bytes.
const MAX_DETAIL_BYTES: usize = 300;

impl Detail {
    pub(super) fn into_text(self) -> String {
        let text = match self.detail {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let mut text = printable(&text).replace('\n', " ");
        text.truncate(text.floor_char_boundary(MAX_DETAIL_BYTES));
        text
    }
}
