use std::sync::Mutex;

use async_trait::async_trait;
use bzzz_actors::ports::model::{ChatRequest, Completion, Finish, Model, ModelError, Role};
use std::time::Duration;

use super::Traps;

/// A model that says its script, one reply after each question; which one is told by how often it has spoken.
pub struct Script {
    pub traps: Traps,
    state: Mutex<State>,
}

struct State {
    replies: Vec<String>,
    failures: Vec<ModelError>,
    requests: Vec<ChatRequest>,
}

impl Script {
    pub fn new(replies: &[&str]) -> Self {
        let replies = replies.iter().map(|it| (*it).to_owned()).collect();
        let state = State { replies, failures: Vec::new(), requests: Vec::new() };
        Self { traps: Traps::default(), state: Mutex::new(state) }
    }

    /// The next questions fail, the last given first.
    pub fn fail(&self, failures: Vec<ModelError>) {
        self.state.lock().unwrap().failures = failures;
    }

    /// Adds to the script.
    pub fn say_more(&self, replies: &[&str]) {
        self.state.lock().unwrap().replies.extend(replies.iter().map(|it| (*it).to_owned()));
    }

    pub fn requests(&self) -> Vec<ChatRequest> {
        self.state.lock().unwrap().requests.clone()
    }
}

#[async_trait]
impl Model for Script {
    async fn models(&self) -> Result<Vec<String>, ModelError> {
        self.traps.step_on("models");
        Ok(vec!["coder:latest".into()])
    }

    async fn chat(&self, request: &ChatRequest) -> Result<Completion, ModelError> {
        self.traps.step_on("chat");
        let said = request.messages.iter().filter(|message| message.role == Role::Assistant).count();
        let reply = {
            let mut state = self.state.lock().unwrap();
            if let Some(error) = state.failures.pop() {
                return Err(error);
            }
            state.requests.push(request.clone());
            state.replies.get(said).cloned()
        };
        // Nothing more to say: as a model that thinks for ever.
        let Some(content) = reply else { return std::future::pending().await };
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(Completion {
            content,
            finish: Finish::Stop,
            prompt_tokens: 100,
            output_tokens: 10,
            duration: Duration::from_millis(500),
        })
    }
}
