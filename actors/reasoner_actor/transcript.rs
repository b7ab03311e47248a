//! A task's conversation with the model from its beginning to its end, for people and other programs: message by message as
//! the model was told it, but never summarised, and with the events that each message tells of.

use crate::ports::model::{Message, Role};
use crate::task::{TaskEvent, TaskId};

use super::conversation::Conversation;
use super::prompt;
use super::protocol::Protocol;

/// A message and the events that it tells of, by their places in the order in which they were given. An event can be in
/// two: a reply that could not be used, and the answer that says so. One that summarised the conversation
/// ([`TaskEvent::Compacted`]) is told of by the model's next reply: to a shorter prompt than all that stands before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub message: Message,
    pub events: Vec<usize>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    pub told: Vec<Told>,
    /// The events after which the model was told that it repeats itself.
    pub nudged_by: Vec<usize>,
}

impl Transcript {
    /// `events` are the task's since it was found last, in order; the models named `json` were asked for JSON. Of a task
    /// with both kinds of models the rules stand as the last one was told them.
    pub fn of<'a>(task: &TaskId, events: impl IntoIterator<Item = &'a TaskEvent>, json: &[String]) -> Self {
        let new = || Conversation::new(task.clone()).with_json(json.to_vec());
        let mut conversation = new();
        let mut protocol = Protocol::Fenced;
        let mut sources = Sources::default();
        let mut nudged_by = Vec::new();
        for (at, event) in events.into_iter().enumerate() {
            if matches!(event, TaskEvent::Compacted { .. }) {
                sources.summarised.push(at);
                continue;
            }
            if matches!(event, TaskEvent::Found { .. }) {
                conversation = new();
                (sources, nudged_by) = Default::default();
            }
            if let TaskEvent::Replied { usage, .. } = event {
                protocol = conversation.protocol_of(&usage.model);
            }
            let before = conversation.turns().len();
            conversation.record(event);
            for turn in &conversation.turns()[before..] {
                sources.add(turn.role, at);
                if turn.role == Role::User && turn.text == prompt::NUDGE {
                    nudged_by.push(at);
                }
            }
        }
        let messages = conversation.prompt(protocol).into_iter().zip(sources.events);
        let told = messages.map(|(message, events)| Told { message, events }).collect();
        Self { told, nudged_by }
    }
}

/// What each message is made of.
#[derive(Default)]
struct Sources {
    events: Vec<Vec<usize>>,
    last: Option<Role>,
    summarised: Vec<usize>,
}

impl Sources {
    /// Turns of one side in a row are one message (`Conversation::add`).
    fn add(&mut self, role: Role, at: usize) {
        if self.last.replace(role) != Some(role) {
            self.events.push(Vec::new());
        }
        let Some(events) = self.events.last_mut() else { return };
        if role == Role::Assistant {
            events.append(&mut self.summarised);
        }
        if events.last() != Some(&at) {
            events.push(at);
        }
    }
}
