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
    /// More bytes overflow the server's window.
    max_prompt_bytes: usize,
    names: Vec<String>,
}

impl Script {
    pub fn new(replies: &[&str]) -> Self {
        let replies = replies.iter().map(|it| (*it).to_owned()).collect();
        let state = State {
            replies,
            failures: Vec::new(),
            requests: Vec::new(),
            max_prompt_bytes: usize::MAX,
            names: vec!["coder:latest".into()],
        };
        Self { traps: Traps::default(), state: Mutex::new(state) }
    }

    /// The next questions fail, the last given first.
    pub fn fail(&self, failures: Vec<ModelError>) {
        self.state.lock().unwrap().failures = failures;
    }

    /// Its server says that longer prompts do not fit.
    pub fn with_room_for(&self, max_prompt_bytes: usize) {
        self.state.lock().unwrap().max_prompt_bytes = max_prompt_bytes;
    }

    /// The models that its server has.
    pub fn has(&self, names: &[&str]) {
        self.state.lock().unwrap().names = names.iter().map(|it| (*it).to_owned()).collect();
    }

    /// Adds to the script.
    pub fn say_more(&self, replies: &[&str]) {
        self.state.lock().unwrap().replies.extend(replies.iter().map(|it| (*it).to_owned()));
    }

    pub fn requests(&self) -> Vec<ChatRequest> {
        self.state.lock().unwrap().requests.clone()
    }
}

/// The replies that the node's summary says are gone.
fn summarised(request: &ChatRequest) -> usize {
    let said = request.messages.iter().find_map(|it| it.content.split_once("To save room, the first "));
    said.map_or(0, |(_, rest)| rest.split(' ').next().unwrap().parse().unwrap())
}

#[async_trait]
impl Model for Script {
    async fn models(&self) -> Result<Vec<String>, ModelError> {
        self.traps.step_on("models");
        Ok(self.state.lock().unwrap().names.clone())
    }

    async fn window(&self, _: &str) -> Result<Option<u32>, ModelError> {
        Ok(None)
    }

    fn remedy(&self, model: &str) -> String {
        format!("teach the script {model}")
    }

    async fn chat(&self, request: &ChatRequest) -> Result<Completion, ModelError> {
        self.traps.step_on("chat");
        let said = request.messages.iter().filter(|message| message.role == Role::Assistant).count();
        let said = said + summarised(request);
        let reply = {
            let mut state = self.state.lock().unwrap();
            if let Some(error) = state.failures.pop() {
                return Err(error);
            }
            let bytes = request.messages.iter().map(|it| it.content.len()).sum::<usize>();
            if bytes > state.max_prompt_bytes {
                return Err(ModelError::Overflow(format!("{bytes} bytes")));
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
