//! The shape of a trajectory as mini-swe-agent writes it (its format "mini-swe-agent-1.1"), so that what reads those reads
//! these. What that shape has no place for stands under `extra`.

use bzzz_actors::ports::model::Role;
use bzzz_actors::task::{Base, CheckResult, Issue, PullRequestRef, Review};
use serde::Serialize;

pub(super) const FORMAT: &str = "mini-swe-agent-1.1";

#[derive(Debug, Serialize)]
pub(super) struct Trajectory {
    pub(super) info: Info,
    pub(super) messages: Vec<Message>,
    pub(super) trajectory_format: &'static str,
    pub(super) instance_id: String,
    pub(super) extra: OfTask,
}

#[derive(Debug, Serialize)]
pub(super) struct Info {
    pub(super) model_stats: ModelStats,
    pub(super) config: Config,
    pub(super) mini_version: String,
    pub(super) exit_status: &'static str,
    /// The diff of the work against its base, as it was last saved or published.
    pub(super) submission: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ModelStats {
    /// In money: a model of one's own has no price.
    pub(super) instance_cost: f64,
    pub(super) api_calls: usize,
}

/// What is known of the three parts that another agent is put together of.
#[derive(Debug, Serialize)]
pub(super) struct Config {
    pub(super) agent: Empty,
    pub(super) agent_type: &'static str,
    pub(super) model: ModelName,
    pub(super) model_type: &'static str,
    pub(super) environment: Empty,
    pub(super) environment_type: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Empty {}

#[derive(Debug, Serialize)]
pub(super) struct ModelName {
    pub(super) model_name: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Message {
    pub(super) role: Speaker,
    pub(super) content: String,
    pub(super) extra: OfMessage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Speaker {
    System,
    User,
    Assistant,
    /// Nobody: the last message of an ended trajectory says how it ended.
    Exit,
}

impl From<Role> for Speaker {
    fn from(role: Role) -> Self {
        match role {
            Role::System => Self::System,
            Role::User => Self::User,
            Role::Assistant => Self::Assistant,
        }
    }
}

#[derive(Debug, Default, Serialize)]
pub(super) struct OfMessage {
    /// Seconds since 1970.
    pub(super) timestamp: f64,
    /// The journal's events that it tells of.
    pub(super) events: Vec<&'static str>,
    /// The number of the command that it asks for, or tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<u32>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<Asked>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) observed: Option<Output>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) checks: Vec<Check>,
    /// Only the commands from this one on were told whole to the model, here and from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summarised_before: Option<u32>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) exit: Option<Exit>,
}

/// What the model replied with.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    /// None but for a reply with a command.
    pub(super) actions: Vec<Action>,
    pub(super) response: Response,
    pub(super) cost: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Action {
    pub(super) command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout_s: Option<u32>,
}

/// The parts of an answer of a server that the journal keeps.
#[derive(Debug, Serialize)]
pub(super) struct Response {
    pub(super) model: String,
    pub(super) usage: Usage,
    pub(super) duration_s: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: u32,
    pub(super) completion_tokens: u32,
    pub(super) total_tokens: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct Output {
    pub(super) raw_output: String,
    /// As a shell has it; -1 when it has none.
    pub(super) returncode: i32,
    /// Why it has none; else empty.
    pub(super) exception_info: String,
    pub(super) duration_s: f64,
    pub(super) out_of_memory: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) command: String,
    pub(super) passed: bool,
    #[serde(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, Serialize)]
pub(super) struct Exit {
    pub(super) exit_status: &'static str,
    pub(super) submission: String,
}

/// What else the journal says of the task.
#[derive(Debug, Serialize)]
pub(super) struct OfTask {
    pub(super) task: String,
    pub(super) state: &'static str,
    /// Why it ended, if not by a pull request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) epoch: u64,
    pub(super) issue: Option<Issue>,
    /// On whose word it was taken.
    pub(super) labelled_by: Option<String>,
    pub(super) base: Option<Base>,
    pub(super) plan: Option<String>,
    pub(super) reviews: Vec<Review>,
    pub(super) steps: u32,
    /// The last run of the checks; empty when the repository names none, absent when none ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) checks: Option<Vec<CheckResult>>,
    pub(super) pull_request: Option<PullRequestRef>,
    pub(super) usage: Usage,
}
