//! What commands asked of the network, between two other events: a line for each host and what became of it.

use std::collections::BTreeMap;

use bzzz_actors::task::{ConnectionOutcome, TaskEvent};

use super::page::Tone;

#[derive(Default)]
pub(in crate::cli) struct Connections {
    seen: BTreeMap<(String, u16, String), Sum>,
    omitted: Vec<String>,
}

#[derive(Default)]
struct Sum {
    count: u32,
    sent_bytes: u64,
    received_bytes: u64,
}

impl Connections {
    /// Whether the event was of the network.
    pub(in crate::cli) fn note(&mut self, event: &TaskEvent) -> bool {
        match event {
            TaskEvent::Connected { host, port, outcome, sent_bytes, received_bytes } => {
                let sum = self.seen.entry((host.clone(), *port, became(outcome))).or_default();
                sum.count += 1;
                sum.sent_bytes += sent_bytes;
                sum.received_bytes += received_bytes;
            }
            TaskEvent::ConnectionsOmitted { after, allowed } => {
                let kind = if *allowed { "allowed" } else { "refused" };
                self.omitted.push(format!(
                    "of connections that were {kind}, those after the first {after} are not recorded"
                ));
            }
            _ => return false,
        }
        true
    }

    pub(in crate::cli) fn lines(self) -> impl Iterator<Item = (Tone, String)> {
        let seen = self.seen.into_iter().map(|((host, port, became), sum)| {
            let times = if sum.count == 1 { String::new() } else { format!(" {} times", sum.count) };
            let tone = if became == CLOSED { Tone::Plain } else { Tone::Bad };
            let (sent, received) = (sum.sent_bytes, sum.received_bytes);
            let text = format!(
                "connection to {host}:{port}{times}: {became}; {sent} bytes sent, {received} received"
            );
            (tone, text)
        });
        seen.chain(self.omitted.into_iter().map(|text| (Tone::Plain, text)))
    }
}

const CLOSED: &str = "ended in order";

fn became(outcome: &ConnectionOutcome) -> String {
    match outcome {
        ConnectionOutcome::Closed => CLOSED.to_owned(),
        ConnectionOutcome::Cut { why } => format!("cut: {why}"),
        ConnectionOutcome::Failed { why } => format!("failed: {why}"),
        ConnectionOutcome::Refused { why } => format!("refused: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_kind_are_one_line() {
        let mut connections = Connections::default();
        let refused = ConnectionOutcome::Refused { why: "not allowed".into() };
        for (host, outcome) in [
            ("a.example", ConnectionOutcome::Closed),
            ("b.example", refused),
            ("a.example", ConnectionOutcome::Closed),
        ] {
            let event = TaskEvent::Connected {
                host: host.into(),
                port: 443,
                outcome,
                sent_bytes: 1,
                received_bytes: 20,
            };
            assert!(connections.note(&event));
        }
        assert!(connections.note(&TaskEvent::ConnectionsOmitted { after: 100, allowed: false }));
        assert!(!connections.note(&TaskEvent::TakenUp));
        let expected = [
            (Tone::Plain, "connection to a.example:443 2 times: ended in order; 2 bytes sent, 40 received"),
            (Tone::Bad, "connection to b.example:443: refused: not allowed; 1 bytes sent, 20 received"),
            (Tone::Plain, "of connections that were refused, those after the first 100 are not recorded"),
        ];
        let lines: Vec<_> = connections.lines().collect();
        assert_eq!(lines, expected.map(|(tone, text)| (tone, text.to_owned())));
    }
}
