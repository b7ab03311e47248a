use bzzz_actors::ports::journal::Recorded;
use bzzz_actors::task::{BlobRef, TaskEvent};
use serde_json::{Value, json};

use super::super::attempts::Attempt;
use super::json::to_json;
use super::trajectory::trajectory;
use crate::cli::telling::samples::*;

fn blob(blob: &BlobRef) -> Option<Vec<u8>> {
    match blob.0.as_str() {
        "whole" => Some(b"first\n\x1b[31mmiddle\nlast\n".to_vec()),
        "diff" => Some(b"+full\n".to_vec()),
        _ => None,
    }
}

fn exported(events: &[Recorded]) -> Option<Value> {
    let attempt = Attempt::last_worked_on(events)?;
    let trajectory = trajectory(&attempt, attempt.task().unwrap(), &[], &|name| Ok(blob(name))).unwrap();
    Some(serde_json::from_str(&to_json(&trajectory).unwrap()).unwrap())
}

#[test]
fn a_whole_life_is_a_trajectory_with_every_message_whole() {
    let exported = exported(&recorded(proposed())).unwrap();
    let info = &exported["info"];
    assert_eq!(info["model_stats"], json!({ "instance_cost": 0.0, "api_calls": 7 }));
    assert_eq!((&info["exit_status"], &info["submission"]), (&json!("Submitted"), &json!("+full\n")));
    assert_eq!(info["config"]["model"]["model_name"], "coder");
    assert_eq!(exported["instance_id"], "acme__rocket-7");
    assert_eq!(exported["extra"]["task"], "acme/rocket#7");
    assert_eq!(exported["extra"]["pull_request"]["number"], 8);
    assert_eq!(exported["extra"]["labelled_by"], "zoe");

    let messages = exported["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|it| it["role"].as_str().unwrap()).collect();
    let mut expected = vec!["system", "user"];
    expected.extend(["assistant", "user"].repeat(6));
    expected.extend(["assistant", "exit"]);
    assert_eq!(roles, expected);
    let malformed = &messages[4];
    assert_eq!(malformed["content"], "Hm \x1b[1m.", "as it was");
    assert_eq!(malformed["extra"]["actions"], json!([]));
    let killed = &messages[7]["extra"];
    assert_eq!((&killed["returncode"], &killed["step"]), (&json!(-1), &json!(1)));
    assert_eq!(killed["exception_info"], "killed after 60.0 s (time limit)");
    // It was summarised for the model, and is whole here.
    let second = &messages[8];
    let expected = json!({
        "timestamp": 1_767_225_610.0,
        "events": ["compacted", "replied"],
        "step": 2,
        "actions": [{ "command": "echo full > fuel\nls" }],
        "response": {
            "model": "coder",
            "usage": { "prompt_tokens": 800, "completion_tokens": 40, "total_tokens": 840 },
            "duration_s": 1.2,
        },
        "cost": 0.0,
        "summarised_before": 1,
    });
    assert_eq!(second["extra"], expected);
    let output = &messages[9];
    assert!(
        output["content"].as_str().unwrap().contains("9 bytes were left out here"),
        "as the model saw it"
    );
    assert_eq!(output["extra"]["raw_output"], "first\n\x1b[31mmiddle\nlast\n");
    assert_eq!(messages[11]["extra"]["checks"][0]["passed"], false);
    let exit = messages.last().unwrap();
    assert_eq!((&exit["content"], &exit["extra"]["exit_status"]), (&json!("+full\n"), &json!("Submitted")));
}

#[test]
fn a_task_under_way_has_no_ending_yet() {
    let exported = exported(&recorded(begun())).unwrap();
    assert_eq!(exported["info"]["exit_status"], "");
    assert_eq!(exported["messages"].as_array().unwrap().len(), 4);
}

#[test]
fn of_several_attempts_it_is_the_last_one_that_was_worked_on() {
    let mut events = begun();
    let given_up = |reason: &str| TaskEvent::GaveUp { reason: reason.into() };
    events.extend([
        given_up("not done after 100 commands"),
        TaskEvent::CleanedUp { diff: Some(BlobRef("diff".into())) },
    ]);
    let lost = begun().into_iter().take(2).chain([TaskEvent::ClaimLost { holder: "other".into() }]);
    events.extend(lost);
    let exported_last = exported(&recorded(events.clone())).unwrap();
    assert_eq!(exported_last["info"]["exit_status"], "LimitsExceeded");
    assert_eq!(exported_last["info"]["submission"], "+full\n");
    let exit = exported_last["messages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(exit["content"], "not done after 100 commands");
    assert_eq!(exported(&recorded(events.split_off(8))), None);
}
