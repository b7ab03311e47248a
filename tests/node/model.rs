//! Models that say nothing of use.

use std::time::Duration;

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule, When};
use bzzz::settings::{ModelServer, Provider};
use bzzz_actors::task::label;

use crate::replies::{DONE, FUEL, FUELLED, PLAN, running};
use crate::stage::on_a_hill;

#[test]
fn replies_that_follow_no_protocol_are_answered_and_end_the_task_at_their_limit() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let repo = hill.repository("talk", &["test -s fuel"]).await;
        let nonsense =
            hill.issue(&repo, [PLAN, "Certainly! Here is the fix.", "I have fixed it.", "Anything else?"]);
        let silent = hill.issue(&repo, ["", "", "  \n ", ""]);
        let call = r#"{"name": "bash", "arguments": {"command": "rm -rf /"}}"#;
        let tagged = "<tool_call>\n{\"name\": \"shell\"}\n</tool_call>";
        let tools = hill.issue(&repo, [PLAN, call, tagged, "```json\n{\"cmd\": \"ls\"}\n```"]);
        let recovers = hill.issue(&repo, [PLAN, "", call, FUEL, "Done!", DONE, DONE]);
        let node = hill.node().await;

        for (task, problem) in
            [(&nonsense, "no fenced block"), (&silent, "empty"), (&tools, "labelled `json`")]
        {
            let story = node.until_over(task).await;
            assert_eq!(story.reason(), "3 replies in a row were not usable", "{story}");
            assert!(story.malformed().last().unwrap().contains(problem), "{story}");
            assert_eq!((story.malformed().len(), story.count("command_finished")), (3, 0), "{story}");
            hill.assert_nothing_published(task).await;
            hill.until("a person is called", |hill| hill.has_label(task, label::NEEDS_HUMAN)).await;
        }
        let told = hill.prompts(&tools).pop().unwrap();
        assert!(
            told.contains("Reply again, with exactly one fenced block labelled `sh`, `done` or `help`."),
            "{told}"
        );
        node.until_proposed(&recovers).await;
        node.until_proposed(&well).await;
    });
}

#[test]
fn a_stream_that_breaks_or_never_ends_costs_one_reply() {
    on_a_hill(async |hill| {
        let repo = hill.repository("stream", &["test -s fuel"]).await;
        let chat = |fault| Rule::new("POST", "/api/chat", fault).times(1);
        hill.fail(StandIn::Ollama, chat(Fault::Latency { ms: 1 }));
        for fault in [
            Fault::StreamWithoutDone,
            Fault::StreamError { message: "runner died".into() },
            Fault::StalledStream,
            Fault::Status { status: 503, when: When::Before },
            Fault::Html { status: 200 },
            Fault::Drop { when: When::Before },
        ] {
            hill.fail(StandIn::Ollama, chat(fault));
        }
        let broken = hill.issue(&repo, FUELLED);
        let node = hill
            .node_with("a", |settings| {
                settings.model.chunk_timeout = Duration::from_millis(500).into();
                settings.model.max_output_tokens = 256;
            })
            .await;
        // The plan's question meets all of them, one after the other, before anything else is asked.
        let well = hill.well_in(&repo);
        node.until_proposed(&well).await;
        let story = node.until_proposed(&broken).await;
        assert_eq!(story.count("plan_drafted"), 1, "{story}");

        hill.fail(StandIn::Ollama, chat(Fault::EndlessStream));
        let endless = hill.issue(&repo, FUELLED);
        hill.until("the stream has begun", |hill| hill.apiary.faults(StandIn::Ollama).rules().is_empty())
            .await;
        let beside = hill.well_in(&repo);
        node.until_proposed(&beside).await;
        node.until_proposed(&endless).await;
        hill.assert_proposed_once(&endless).await;
    });
}

#[test]
fn a_model_that_is_missing_or_away_is_waited_for() {
    on_a_hill(async |hill| {
        let repo = hill.repository("away", &["test -s fuel"]).await;
        let task = hill.issue(&repo, FUELLED);
        hill.fail(StandIn::Ollama, Rule::any(Fault::Drop { when: When::Before }));
        let node = hill.node().await;
        let story = node.until_kind(&task, "stalled").await;
        assert!(story.stalls("draft the plan")[0].contains("the model server is not available"), "{story}");
        hill.apiary.faults(StandIn::Ollama).clear();
        node.until_proposed(&task).await;
    });
}

#[test]
fn a_task_goes_through_the_other_interface_in_the_other_form_while_a_server_is_away() {
    on_a_hill(async |hill| {
        let repo = hill.repository("other", &["test -s fuel"]).await;
        let step = |step: &str| format!("{{\"reasoning\": \"So.\", \"step\": {step}}}");
        let done = step(r#"{"done": "Fuel the rocket", "body": "It had none."}"#);
        let fuel = step(r#"{"sh": "echo full > fuel", "timeout_s": 90}"#);
        let task = hill.issue(&repo, [PLAN.to_owned(), fuel, done.clone(), done]);
        let node = hill
            .node_with("a", |settings| {
                let model = &mut settings.model;
                let apiary = std::mem::replace(&mut model.url, "http://127.0.0.1:9".parse().unwrap());
                model.json_models.clone_from(&model.names);
                model.server.push(ModelServer {
                    url: apiary,
                    provider: Some(Provider::OpenAi),
                    key_file: None,
                    key: None,
                    calls_in_flight: None,
                });
            })
            .await;
        let story = node.until_proposed(&task).await;
        assert_eq!((story.count("stalled"), story.malformed().len()), (0, 0), "{story}");
        let bodies = hill.apiary.ollama().requests();
        let asked = bodies.iter().filter(|body| body["response_format"]["type"] == "json_schema").count();
        assert_eq!((asked, bodies.len()), (3, 4), "all but the plan: {bodies:?}");
    });
}

/// As the stand-in counts tokens.
fn tokens(prompt: &str) -> usize {
    prompt.len().div_ceil(4)
}

/// Commands of which each says much.
const TALKATIVE: usize = 14;

fn talkative() -> Vec<String> {
    let commands = (1..TALKATIVE).map(|n| format!("echo {n}; seq -f 'line %g of {n}' 400"));
    let commands: Vec<_> = commands.chain(["echo full > fuel".to_owned()]).collect();
    running(&commands.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_long_task_is_kept_within_the_window_and_no_prompt_is_cut() {
    on_a_hill(async |hill| {
        let repo = hill.repository("window", &["test -s fuel"]).await;
        let task = hill.issue(&repo, talkative());
        let node = hill
            .node_with("a", |settings| {
                settings.model.context_tokens = 8192;
                settings.model.max_output_tokens = 1024;
            })
            .await;
        let story = node.until_proposed(&task).await;
        assert_eq!(story.count("command_finished"), TALKATIVE, "{story}");
        assert!((1..=5).contains(&story.count("compacted")), "{story}");
        assert_eq!(story.count("stalled"), 0, "{story}");
        let prompts = hill.prompts(&task);
        let longest = prompts.iter().map(|prompt| tokens(prompt)).max().unwrap();
        assert!(longest + 1024 <= 8192, "{longest}");
        let last = prompts.last().unwrap();
        assert!(last.contains("To save room, the first ") && last.contains("test -s fuel"), "{last}");
        hill.assert_proposed_once(&task).await;
    });
}

#[test]
fn a_server_that_drops_what_does_not_fit_is_noticed() {
    on_a_hill(async |hill| {
        let repo = hill.repository("small", &["test -s fuel"]).await;
        hill.fail(StandIn::Ollama, Rule::new("POST", "/api/chat", Fault::SmallWindow { tokens: 4096 }));
        let task = hill.issue(&repo, talkative());
        let node = hill
            .node_with("a", |settings| {
                settings.model.context_tokens = 16_384;
                settings.model.max_output_tokens = 1024;
            })
            .await;
        let story = node.until_proposed(&task).await;
        assert_eq!(story.count("command_finished"), TALKATIVE, "{story}");
        assert!(story.count("compacted") >= 1, "{story}");
        hill.assert_proposed_once(&task).await;
        // One was answered that was not seen whole; none of that answer was used.
        let prompts = hill.prompts(&task);
        let too_long = prompts.iter().filter(|prompt| tokens(prompt) > 4096).count();
        assert!(too_long <= 2, "{:?}", prompts.iter().map(|it| tokens(it)).collect::<Vec<_>>());
    });
}
