use std::sync::Mutex;

use async_trait::async_trait;
use bzzz_actors::ports::model::{ChatRequest, Completion, Finish, Model, ModelError, Role};
use std::time::Duration;

/// A model that says its script, one reply after each question; which one is told by how often it has spoken.
pub struct Script {
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
        Self { state: Mutex::new(State { replies, failures: Vec::new(), requests: Vec::new() }) }
    }

    /// The next questions fail, the last given first.
    pub fn fail(&self, failures: Vec<ModelError>) {
        self.state.lock().unwrap().failures = failures;
    }

    pub fn requests(&self) -> Vec<ChatRequest> {
        self.state.lock().unwrap().requests.clone()
    }
}

#[async_trait]
impl Model for Script {
    async fn models(&self) -> Result<Vec<String>, ModelError> {
        Ok(vec!["coder:latest".into()])
    }

    async fn chat(&self, request: &ChatRequest) -> Result<Completion, ModelError> {
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
