//! What the scripted model says: for each task its replies in order.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::apiary::ApiaryError;

/// The key of the replies for tasks that the script does not name.
pub(crate) const ANY_TASK: &str = "*";
/// What comes after the last reply, and for a task that has none. It asks for nothing, so a node notices.
const NO_MORE: &str = "This is a scripted model, and its script has no more replies for this task.";

/// Replies by task, `owner/repo#number`; those of `*` are for every task that is not named.
///
/// A conversation in another role than the work itself has its own replies: those of `owner/repo#number review` are
/// for conversations whose system message has a line `Role: review`, and `* review` for such of any task. Without
/// them a role gets the task's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelScript {
    replies: BTreeMap<String, Vec<String>>,
}

impl ModelScript {
    /// Reads a file: TOML when its name ends in `.toml`, else JSON.
    ///
    /// # Errors
    /// When it can't be read or is not a table of lists of texts.
    pub fn load(path: &Path) -> Result<Self, ApiaryError> {
        let error = |problem: String| ApiaryError::Script { path: path.to_owned(), problem };
        let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
        if path.extension().is_some_and(|e| e == "toml") {
            toml::from_str(&text).map_err(|e| error(e.to_string()))
        } else {
            serde_json::from_str(&text).map_err(|e| error(e.to_string()))
        }
    }

    /// Sets the replies of a task, or of `*`.
    pub fn set(&mut self, task: &str, replies: impl IntoIterator<Item = impl Into<String>>) {
        self.replies.insert(task.to_owned(), replies.into_iter().map(Into::into).collect());
    }

    /// The script with another one's replies added; where both have a task, the other's count.
    pub fn merged(mut self, other: ModelScript) -> Self {
        self.replies.extend(other.replies);
        self
    }

    /// The reply number `index` of a task in a role.
    pub(crate) fn reply(&self, task: Option<&str>, role: Option<&str>, index: usize) -> &str {
        let task = task.unwrap_or(ANY_TASK);
        let in_role =
            role.into_iter().flat_map(|role| [format!("{task} {role}"), format!("{ANY_TASK} {role}")]);
        let keys = in_role.chain([task.to_owned(), ANY_TASK.to_owned()]);
        let replies = keys.into_iter().find_map(|key| self.replies.get(&key));
        replies.and_then(|replies| replies.get(index)).map_or(NO_MORE, String::as_str)
    }
}

/// The value of a line `Name: value` of a system message.
pub(crate) fn line_value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.trim().strip_prefix(name)?.strip_prefix(':');
    text.lines().find_map(value).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_found_by_task_then_for_any_and_end_in_a_plain_word() {
        let mut script = ModelScript::default();
        script.set("a/b#1", ["one", "two"]);
        script.set("*", ["any"]);
        script.set("* review", ["fine"]);
        assert_eq!(script.reply(Some("a/b#1"), None, 1), "two");
        assert_eq!(script.reply(Some("a/b#1"), Some("review"), 0), "fine");
        assert_eq!(script.reply(Some("a/b#1"), Some("work"), 0), "one");
        assert_eq!(script.reply(Some("a/b#2"), None, 0), "any");
        assert_eq!(script.reply(None, None, 0), "any");
        assert_eq!(script.reply(Some("a/b#1"), None, 2), NO_MORE);
    }

    #[test]
    fn both_kinds_of_file_are_read_and_a_wrong_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (json, toml) = (folder.path().join("a.json"), folder.path().join("a.toml"));
        std::fs::write(&json, r#"{"a/b#1": ["one"]}"#).unwrap();
        std::fs::write(&toml, "\"a/b#1\" = ['one']\n").unwrap();
        assert_eq!(ModelScript::load(&json).unwrap(), ModelScript::load(&toml).unwrap());
        std::fs::write(&toml, "\"a/b#1\" = 'one'\n").unwrap();
        let error = ModelScript::load(&toml).unwrap_err().to_string();
        assert!(error.contains("a.toml"), "{error}");
    }

    #[test]
    fn the_task_line_is_found_wherever_it_stands() {
        let text = "You are a node.\n  Task: meadow/ledger#1 \nTasks: none";
        assert_eq!(line_value(text, "Task"), Some("meadow/ledger#1"));
        assert_eq!(line_value("Subtask: x", "Task"), None);
    }
}
