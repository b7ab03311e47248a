//! A step's prompt, from the journal's news to the bytes that are sent, late in a long task.

use std::time::Instant;

use bzzz_actors::ports::model::ChatRequest;
use bzzz_actors::reasoner_actor::Conversation;
use bzzz_actors::task::{Ending, Issue, IssueState, ModelUse, Observed, Step, TaskEvent};

use crate::figures::Figure;

const STEPS: u32 = 200;
const SAMPLES: u32 = 100;
/// What a command says on the average, in lines. With this the prompt has about 600 KiB: the window of the largest models.
const LINES: usize = 60;
/// The goal of the project.
const MAX_MS: f64 = 2.0;

pub(crate) fn measure() -> Vec<Figure> {
    let mut conversation = Conversation::new("acme/rocket#7".parse().unwrap());
    let issue = Issue {
        number: 7,
        title: "Fix it".into(),
        body: "It falls down.\n".repeat(100),
        state: IssueState::Open,
        labels: vec![],
        author: "ann".into(),
        url: String::new(),
        updated_at: String::new(),
    };
    conversation.record(&TaskEvent::Found { issue, branch: None, labelled_by: None, taken_over: None });
    conversation.record(&TaskEvent::PlanDrafted { plan: "1. Look.".into(), usage: usage() });
    conversation.record(&TaskEvent::PlanSettled { reviews: vec![] });
    for number in 1..=STEPS {
        step(number).iter().for_each(|event| conversation.record(event));
    }
    println!("the prompt of step {STEPS}: {} KiB", conversation.prompt_bytes() / 1024);
    let samples: Vec<_> = (STEPS + 1..=STEPS + SAMPLES)
        .map(|number| {
            let news = step(number);
            // Each from the same length.
            let mut conversation = conversation.clone();
            let began = Instant::now();
            news.iter().for_each(|event| conversation.record(event));
            let is_full = conversation.compacted_before(usize::MAX).is_some();
            let request = ChatRequest {
                model: "coder".into(),
                messages: conversation.messages().to_vec(),
                max_output_tokens: 4096,
                schema: None,
            };
            let body = serde_json::to_vec(&request.messages).unwrap();
            let took = began.elapsed();
            assert!(!is_full && body.len() > conversation.prompt_bytes() / 2);
            took
        })
        .collect();
    vec![Figure::in_ms("prompt of step 200, built and written", Some(MAX_MS), &samples)]
}

fn usage() -> ModelUse {
    ModelUse { model: "coder".into(), prompt_tokens: 1000, output_tokens: 50, duration_ms: 1 }
}

fn step(number: u32) -> [TaskEvent; 2] {
    let command = format!("sed -n {number},{}p src/engine.rs", number + 40);
    let text = format!("I look at the engine.\n\n```sh\n{command}\n```");
    let shown: String = (0..LINES)
        .map(|line| format!("    let thrust_{line} = engine.burn({number}, \"{line}\");\n"))
        .collect();
    let outcome = Observed {
        ending: Ending::Exited { code: 0 },
        duration_ms: 5,
        shown,
        whole: None,
        out_of_memory: false,
    };
    [
        TaskEvent::Replied { text, step: Step::Run { command, timeout_s: None }, usage: usage() },
        TaskEvent::CommandFinished { step: number, outcome },
    ]
}
