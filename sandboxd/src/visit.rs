//! A person's look into a sandbox, as it is asked for and answered on a socket that only the host can connect to.
//!
//! One connection is one visit, one message of it one packet (`SOCK_SEQPACKET`). The host's [`Request`] is answered by
//! `Started`, with the host's ends of the process's streams beside it, and then by `Ended`; or by `Refused` alone. A host
//! that closes the connection before has had enough, and the process is killed.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Stands in each request, as a person's program may be newer than the node that made the sandbox.
pub const VISIT_VERSION: u16 = 1;

/// The longest packet in either direction.
pub const MAX_VISIT_BYTES: usize = 64 * 1024;

/// The descriptors that come with `Started`: the terminal's other side, or the reading ends of two pipes.
pub const MAX_STREAMS: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub version: u16,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Created when it is missing.
    pub cwd: String,
    /// Its standard streams are a terminal, and its other side is what the host gets. Without one its input is `/dev/null`,
    /// and the host gets its output and its errors, in this order.
    pub terminal: Option<Terminal>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// The value of `TERM`.
    pub kind: String,
    pub columns: u16,
    pub rows: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Started,
    /// The text is for the person.
    Refused {
        why: String,
    },
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
}

/// The message as a packet; `None` when it is longer than a packet may be.
pub fn packet(message: &impl Serialize) -> Option<Vec<u8>> {
    postcard::to_allocvec(message).ok().filter(|packet| packet.len() <= MAX_VISIT_BYTES)
}

/// The message of a packet; `None` when it is none, or something is left over.
pub fn message<M: DeserializeOwned>(packet: &[u8]) -> Option<M> {
    match postcard::take_from_bytes(packet) {
        Ok((message, [])) => Some(message),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_is_read_whole_or_not_at_all() {
        let request = Request {
            version: VISIT_VERSION,
            command: vec!["sh".to_owned(), "-c".to_owned(), String::new()],
            cwd: "/work/repo".to_owned(),
            terminal: Some(Terminal { kind: "xterm".to_owned(), columns: 80, rows: 25 }),
        };
        let mut bytes = packet(&request).unwrap();
        assert_eq!(message(&bytes), Some(request.clone()));
        for end in 0..bytes.len() {
            assert_eq!(message::<Request>(&bytes[..end]), None, "{end}");
        }
        bytes.push(0);
        assert_eq!(message::<Request>(&bytes), None);
        let long = Request { cwd: "x".repeat(MAX_VISIT_BYTES), ..request };
        assert_eq!(packet(&long), None);
    }

    proptest! {
        #[test]
        fn noise_is_at_most_another_message(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(request) = message::<Request>(&bytes) {
                prop_assert_eq!(message(&packet(&request).unwrap()), Some(request));
            }
            if let Some(answer) = message::<Answer>(&bytes) {
                prop_assert_eq!(message(&packet(&answer).unwrap()), Some(answer));
            }
        }
    }
}
