//! Which models a node may use, and for what.

use std::time::Duration;

use crate::ports::model::{Model, ModelError};

use super::protocol::Protocol;

/// What a model is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelRole {
    /// The plan before the first command.
    Plan,
    /// The steps.
    Work,
    /// The look at the whole change, before it is published.
    Review,
}

/// Other models for a part of what is asked. What is not said matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRoute {
    pub role: Option<ModelRole>,
    /// A label of the issue.
    pub label: Option<String>,
    /// In order of preference.
    pub names: Vec<String>,
}

/// The models that a node may use, and what is asked of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChoice {
    /// In order of preference; the first that a server has is used.
    pub names: Vec<String>,
    /// The first that matches counts in place of `names`.
    pub routes: Vec<ModelRoute>,
    /// Those that are asked for a JSON object in place of a fenced block.
    pub json: Vec<String>,
    /// The reply ends there. Too low: long files can't be written in one command. Too high: a model that rambles
    /// holds the server for minutes.
    pub max_output_tokens: u32,
    /// The window that the server is asked for, in tokens: of the prompt and the reply together.
    pub context_tokens: u32,
    /// One whole answer. Past it the call counts as failed and is made again. Too low: a slow model never finishes.
    pub call_limit: Duration,
}

impl ModelChoice {
    /// The models for a question about an issue with these labels, in order of preference.
    pub fn names_for(&self, role: ModelRole, labels: &[String]) -> &[String] {
        let has = |label: &str| labels.iter().any(|it| it.eq_ignore_ascii_case(label));
        let route = self
            .routes
            .iter()
            .find(|route| route.role.is_none_or(|it| it == role) && route.label.as_deref().is_none_or(has));
        route.map_or(&self.names, |route| &route.names)
    }

    /// The form in which a model is asked to reply; a plan is a text in any case.
    pub fn protocol_of(&self, model: &str) -> Protocol {
        Protocol::of(model, &self.json)
    }

    /// All models that some question may go to, the most wanted first.
    pub fn all_names(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for name in self.routes.iter().flat_map(|route| &route.names).chain(&self.names) {
            if !all.contains(&name.as_str()) {
                all.push(name);
            }
        }
        all
    }
}

/// The first of the `wanted` names that is there.
pub fn choose(wanted: &[String], present: &[String]) -> Option<String> {
    let is_present = |name: &&String| present.iter().any(|it| is_same(it, name));
    wanted.iter().find(is_present).cloned()
}

/// That the server has none of them, and how it comes to the most wanted one.
pub fn missing(server: &dyn Model, wanted: &[String]) -> ModelError {
    let model = wanted.first().cloned().unwrap_or_default();
    ModelError::Missing { remedy: server.remedy(&model), model }
}

/// Ollama lists `name:latest` for a plain `name`.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let plain = |name: &'_ str| name.strip_suffix(":latest").map_or(name.len(), str::len);
    one[..plain(one)] == other[..plain(other)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn the_first_wanted_model_that_is_present_is_used() {
        let wanted = names(&["big:70b", "coder", "small:1b"]);
        assert_eq!(choose(&wanted, &names(&["small:1b", "coder:latest"])), Some("coder".into()));
        assert_eq!(choose(&wanted, &names(&["other"])), None);
    }

    #[test]
    fn the_first_route_that_matches_counts() {
        let route = |role, label: Option<&str>, name: &str| ModelRoute {
            role,
            label: label.map(str::to_owned),
            names: names(&[name]),
        };
        let choice = ModelChoice {
            names: names(&["coder"]),
            routes: vec![
                route(Some(ModelRole::Plan), Some("docs"), "writer"),
                route(Some(ModelRole::Review), None, "critic"),
                route(None, Some("docs"), "scribe"),
            ],
            json: names(&["critic"]),
            max_output_tokens: 1,
            context_tokens: 1,
            call_limit: Duration::ZERO,
        };
        let chosen = |role, labels: &[&str]| choice.names_for(role, &names(labels)).join(" ");
        assert_eq!(chosen(ModelRole::Plan, &["bug", "Docs"]), "writer");
        assert_eq!(chosen(ModelRole::Plan, &["bug"]), "coder");
        assert_eq!(chosen(ModelRole::Work, &["docs"]), "scribe");
        assert_eq!(chosen(ModelRole::Review, &["docs"]), "critic");
        assert_eq!(choice.all_names(), ["writer", "critic", "scribe", "coder"]);
        assert_eq!(choice.protocol_of("critic:latest"), Protocol::Json);
        assert_eq!(choice.protocol_of("coder"), Protocol::Fenced);
    }
}
