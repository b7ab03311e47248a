//! The two forms of a reply: a fenced block, or a JSON object that the server holds the model to.
//!
//! Which of them a model is asked for is a setting. What comes is never trusted to be of it: servers ignore the schema
//! for some models, so a reply to the second may be of the first.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::ports::model::Finish;
use crate::task::Step;

use super::choice::is_same;
use super::reply::{Block, cut_off, read_step};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Fenced,
    Json,
}

impl Protocol {
    /// Of a model, where those named `json` are asked for JSON.
    pub(super) fn of(model: &str, json: &[String]) -> Self {
        if json.iter().any(|it| is_same(it, model)) { Self::Json } else { Self::Fenced }
    }

    /// What `reply` asks for. Never fails: what can't be read is a step of its own, whose text is told to the model.
    pub fn read(self, reply: &str, finish: Finish) -> Step {
        match self {
            Self::Fenced => read_step(reply, finish),
            Self::Json => read_json(reply, finish),
        }
    }
}

/// The schema of a reply. Reasoning comes first: a model that must decide before it may think decides badly.
pub(super) fn schema() -> Value {
    let step = |properties: Value, required: &[&str]| {
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    };
    let text = || json!({ "type": "string" });
    let steps = [
        step(json!({ "sh": text(), "timeout_s": { "type": "integer" } }), &["sh"]),
        step(json!({ "done": text(), "body": text() }), &["done", "body"]),
        step(json!({ "help": text() }), &["help"]),
    ];
    step(json!({ "reasoning": text(), "step": { "anyOf": steps } }), &["reasoning", "step"])
}

/// As the schema has it; all that is beside it is left alone.
#[derive(Deserialize)]
struct Reply {
    step: JsonStep,
}

#[derive(Deserialize)]
struct JsonStep {
    sh: Option<String>,
    timeout_s: Option<Value>,
    done: Option<String>,
    body: Option<String>,
    help: Option<String>,
}

const FORM: &str = "Your reply was not of the form {\"reasoning\": …, \"step\": …}";

fn read_json(reply: &str, finish: Finish) -> Step {
    let read = match serde_json::from_str::<Reply>(without_fence(reply)) {
        Ok(Reply { step }) => step.block().and_then(|block| block.as_step()),
        Err(_) if reply.trim().is_empty() => Err("Your reply was empty.".to_owned()),
        Err(_) if finish == Finish::Length => Err(cut_off()),
        Err(error) => match read_step(reply, finish) {
            Step::Malformed { .. } => Err(format!("{FORM}: {error}.")),
            step => return step,
        },
    };
    read.unwrap_or_else(|problem| Step::Malformed { problem })
}

impl JsonStep {
    fn block(self) -> Result<Block<'static>, String> {
        let timeout = match self.timeout_s {
            None | Some(Value::Null) => String::new(),
            Some(seconds) => format!(" timeout={seconds}"),
        };
        match (self.sh, self.done, self.help) {
            (Some(command), None, None) => Ok(Block::new(format!("sh{timeout}"), command)),
            (None, Some(title), None) => {
                let body = self.body.unwrap_or_default();
                Ok(Block::new("done".to_owned(), format!("{title}\n\n{body}")))
            }
            (None, None, Some(question)) => Ok(Block::new("help".to_owned(), question)),
            _ => Err("`step` must have exactly one of `sh`, `done` and `help`.".to_owned()),
        }
    }
}

/// The reasoning of a reply that is such an object.
pub(super) fn reasoning_of(reply: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Reasoned {
        #[serde(default)]
        reasoning: String,
        #[allow(dead_code, reason = "tells such a reply from any other object")]
        step: Value,
    }
    serde_json::from_str(without_fence(reply))
        .ok()
        .map(|Reasoned { reasoning, .. }| reasoning.trim().to_owned())
}

/// The object in a fence, as models like to write it where nothing holds them to the schema.
fn without_fence(reply: &str) -> &str {
    let text = reply.trim();
    let fenced = text.strip_prefix("```json").or_else(|| text.strip_prefix("```"));
    fenced.and_then(|it| it.strip_suffix("```")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(reply: &str) -> Step {
        Protocol::Json.read(reply, Finish::Stop)
    }

    #[test]
    fn each_step_is_read() {
        let step = read(r#"{"reasoning": "I look.", "step": {"sh": "ls -la\ncat a", "timeout_s": 600}}"#);
        assert_eq!(step, Step::Run { command: "ls -la\ncat a".into(), timeout_s: Some(600) });
        let step = read("```json\n{\"step\": {\"sh\": \"ls\", \"timeout_s\": null}, \"more\": 1}\n```");
        assert_eq!(step, Step::Run { command: "ls".into(), timeout_s: None });
        let step = read(r#"{"reasoning": "", "step": {"done": "Fix it", "body": "It was\nbroken."}}"#);
        assert_eq!(step, Step::Done { title: "Fix it".into(), body: "It was\nbroken.".into() });
        let step = read(r#"{"reasoning": "", "step": {"help": "Which?"}}"#);
        assert_eq!(step, Step::Help { question: "Which?".into() });
    }

    #[test]
    fn a_server_that_ignores_the_schema_is_understood() {
        let step = read("I look.\n\n```sh\nls\n```");
        assert_eq!(step, Step::Run { command: "ls".into(), timeout_s: None });
    }

    #[test]
    fn everything_else_is_answered_with_what_was_wrong() {
        for (reply, part) in [
            ("", "empty"),
            ("ls", "not of the form"),
            ("{}", "missing field `step`"),
            (r#"{"step": {}}"#, "exactly one"),
            (r#"{"step": {"sh": "ls", "help": "me"}}"#, "exactly one"),
            (r#"{"step": {"sh": " "}}"#, "was empty"),
            (r#"{"step": {"sh": "ls", "timeout_s": -1}}"#, "timeout=SECONDS"),
            (r#"{"step": {"sh": 3}}"#, "invalid type"),
        ] {
            match read(reply) {
                Step::Malformed { problem } => assert!(problem.contains(part), "{reply}: {problem}"),
                other => panic!("{reply}: {other:?}"),
            }
        }
        let cut = Protocol::Json.read(r#"{"reasoning": "I thi"#, Finish::Length);
        assert!(matches!(cut, Step::Malformed { problem } if problem.contains("cut off")));
    }

    #[test]
    fn what_the_schema_allows_can_be_read() {
        let schema = schema();
        let steps = schema["properties"]["step"]["anyOf"].as_array().unwrap();
        let keys: Vec<&str> = steps.iter().map(|it| it["required"][0].as_str().unwrap()).collect();
        assert_eq!(keys, ["sh", "done", "help"]);
        for key in keys {
            let reply = json!({ "reasoning": "", "step": { key: "x", "body": "" } }).to_string();
            assert!(!matches!(read(&reply), Step::Malformed { .. }), "{reply}");
        }
    }

    proptest! {
        #[test]
        fn any_text_at_all_is_read(reply in "(\\{|\\}|\"|:|step|sh|done|```|json|\n| |[a-z]|\\PC){0,60}", cut: bool) {
            Protocol::Json.read(&reply, if cut { Finish::Length } else { Finish::Stop });
        }

        #[test]
        fn a_command_comes_out_as_it_went_in(command in "[^\0]{1,200}") {
            let command = command.trim_end();
            prop_assume!(!command.trim().is_empty());
            let reply = json!({ "reasoning": "so", "step": { "sh": command } }).to_string();
            prop_assert_eq!(read(&reply), Step::Run { command: command.to_owned(), timeout_s: None });
        }
    }
}
