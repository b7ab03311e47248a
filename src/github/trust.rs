//! Who put a label on an issue, and what an account may do in a repository.

use bzzz_actors::ports::forge::{Edit, ForgeError, LabelSetting};
use bzzz_actors::task::text::one_line;
use bzzz_actors::task::{RepoId, TaskId};
use serde::Deserialize;
use serde_json::json;

use super::api::{Api, Call};
use super::wire::{WireLabel, WireUser};

const PER_PAGE: usize = 100;
/// Who set a label is the last of its events: an issue with more than these pages is not decided.
const MAX_PAGES: usize = 30;
/// GitHub's roles that may label issues. Roles of an organization's own are told by their permissions.
const ROLES_THAT_TRIAGE: [&str; 4] = ["triage", "write", "maintain", "admin"];

#[derive(Deserialize)]
struct WireEvent {
    #[serde(default)]
    event: String,
    /// Null when the account was deleted.
    actor: Option<WireUser>,
    label: Option<WireLabel>,
    #[serde(default)]
    created_at: String,
}

/// GitHub tells who changed a body in this interface alone.
const LAST_EDIT: &str = "query($owner:String!,$name:String!,$number:Int!){repository(owner:$owner,name:$name)\
                         {issue(number:$number){lastEditedAt editor{login}}}}";

#[derive(Deserialize)]
struct WireRepository {
    repository: Option<WireIssue>,
}

#[derive(Deserialize)]
struct WireIssue {
    issue: Option<WireEdit>,
}

#[derive(Deserialize)]
struct WireEdit {
    #[serde(rename = "lastEditedAt")]
    last_edited_at: Option<String>,
    /// Null when the account was deleted.
    editor: Option<WireUser>,
}

#[derive(Deserialize)]
struct WireRight {
    /// The old word, which knows no role between reading and writing.
    #[serde(default)]
    permission: String,
    #[serde(default)]
    role_name: String,
    user: Option<WireRightHolder>,
}

#[derive(Deserialize)]
struct WireRightHolder {
    permissions: Option<WirePermissions>,
}

#[derive(Deserialize)]
struct WirePermissions {
    #[serde(default)]
    triage: bool,
    #[serde(default)]
    push: bool,
    #[serde(default)]
    maintain: bool,
    #[serde(default)]
    admin: bool,
}

impl WireRight {
    fn may_triage(&self) -> bool {
        let permissions = self.user.as_ref().and_then(|user| user.permissions.as_ref());
        ROLES_THAT_TRIAGE.contains(&self.role_name.as_str())
            || ["write", "admin"].contains(&self.permission.as_str())
            || permissions.is_some_and(|it| it.triage || it.push || it.maintain || it.admin)
    }
}

/// Who set `label` last, as the issue's events tell; nobody after it was taken off.
pub(super) async fn label_setting(
    api: &Api,
    task: &TaskId,
    label: &str,
) -> Result<Option<LabelSetting>, ForgeError> {
    let call = Call::new(format!("list the events of {task}"), "issues: read");
    let number = task.number.to_string();
    let segments = ["repos", task.repo.owner(), task.repo.name(), "issues", &number, "events"];
    let login = |actor: Option<WireUser>| actor.map(|actor| one_line(&actor.login));
    let mut setting: Option<LabelSetting> = None;
    for page in 1..=MAX_PAGES {
        let (per_page, page) = (PER_PAGE.to_string(), page.to_string());
        let route = api.route(&segments, &[("per_page", &per_page), ("page", &page)]);
        let reply = api.get(&call, &route, None).await?;
        for event in reply.parse::<Vec<WireEvent>>(&call)? {
            let name = event.label.and_then(WireLabel::into_name).unwrap_or_default();
            match event.event.as_str() {
                "labeled" if name.eq_ignore_ascii_case(label) => {
                    let (at, renamed_by) = (event.created_at, Vec::new());
                    setting = login(event.actor).map(|by| LabelSetting { by, at, renamed_by });
                }
                "unlabeled" if name.eq_ignore_ascii_case(label) => setting = None,
                "renamed" => {
                    if let Some(setting) = &mut setting {
                        setting.renamed_by.push(login(event.actor));
                    }
                }
                _ => {}
            }
        }
        if !reply.has_next_page() {
            return Ok(setting);
        }
    }
    // Asking again would not help, as it does when an answer is malformed.
    let message = format!("more than {} events", MAX_PAGES * PER_PAGE);
    Err(ForgeError::Invalid { call: call.name, message })
}

pub(super) async fn last_edit(api: &Api, task: &TaskId) -> Result<Option<Edit>, ForgeError> {
    let call = Call::new(format!("ask who changed {task} last"), "issues: read");
    let variables = json!({ "owner": task.repo.owner(), "name": task.repo.name(), "number": task.number });
    let found: WireRepository = api.query(&call, LAST_EDIT, &variables).await?;
    let issue = found.repository.and_then(|repository| repository.issue);
    let edit = issue.ok_or(ForgeError::NotFound { call: call.name })?;
    let by = edit.editor.map(|editor| one_line(&editor.login));
    Ok(edit.last_edited_at.map(|at| Edit { by, at }))
}

pub(super) async fn may_triage(api: &Api, repo: &RepoId, login: &str) -> Result<bool, ForgeError> {
    let call = Call::new(
        format!("get what {login} may do in {repo}"),
        "metadata: read, of an account that may push to it",
    );
    let route = api.route(&["repos", repo.owner(), repo.name(), "collaborators", login, "permission"], &[]);
    match api.get(&call, &route, None).await {
        Ok(reply) => Ok(reply.parse::<WireRight>(&call)?.may_triage()),
        // No user of that name, such as an app: nobody gave it a role.
        Err(ForgeError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(text: &str) -> bool {
        serde_json::from_str::<WireRight>(text).unwrap().may_triage()
    }

    #[test]
    fn a_role_that_may_triage_is_known_by_any_of_its_names() {
        assert!(may(r#"{"permission":"read","role_name":"triage"}"#));
        assert!(may(r#"{"permission":"admin"}"#));
        assert!(may(r#"{"permission":"write","role_name":"maintain","user":null}"#));
        let own_role = r#"{"permission":"read","role_name":"sorter","user":{"permissions":{"pull":true,"triage":true}}}"#;
        assert!(may(own_role));
        for none in [
            r#"{"permission":"read","role_name":"read","user":{"permissions":{"pull":true,"triage":false}}}"#,
            r#"{"permission":"none"}"#,
            r#"{"role_name":"sorter","user":{"login":"x"}}"#,
            "{}",
        ] {
            assert!(!may(none), "{none}");
        }
    }
}
