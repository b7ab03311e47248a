//! A server for tests that answers each request with the bytes that it was told, and keeps what was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Written as it is; the connection is closed after it.
    Raw(Vec<u8>),
    /// The connection is closed without an answer.
    Drop,
    /// Written, then the connection stays open and nothing more is written.
    Stall(Vec<u8>),
    /// The first, then the second repeated until the client goes away.
    Endless(Vec<u8>, Vec<u8>),
}

impl Answer {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::with_headers(status, &[], body)
    }

    pub(crate) fn with_headers(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut head = format!("HTTP/1.1 {status} Some Reason\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        Self::Raw(format!("{head}connection: close\r\n\r\n{body}").into_bytes())
    }

    /// A body without a length, which ends where the connection does.
    pub(crate) fn stream(status: u16, body: &str) -> Self {
        Self::Raw(format!("HTTP/1.1 {status} Some Reason\r\nconnection: close\r\n\r\n{body}").into_bytes())
    }

    /// Says that its body is longer than it is.
    pub(crate) fn half(status: u16, body: &str) -> Self {
        let length = 2 * body.len();
        Self::Raw(
            format!("HTTP/1.1 {status} Some Reason\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes(),
        )
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// "GET /path?query"
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) struct Canned {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    closed_early: Arc<tokio::sync::Notify>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Canned {
    /// The answers in this order; a request beyond the last one is refused with 599.
    pub(crate) async fn serve(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let closed_early = Arc::new(tokio::sync::Notify::new());
        let (kept, closed) = (seen.clone(), closed_early.clone());
        let server = tokio::spawn(async move {
            let mut answers = answers.into_iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                // A connection that brings no request takes no answer.
                let Some(request) = read_request(&mut stream).await else { continue };
                kept.lock().unwrap().push(request);
                let answer = answers.next().unwrap_or_else(|| Answer::json(599, "{\"message\":\"unasked\"}"));
                tokio::spawn(give(stream, answer, closed.clone()));
            }
        });
        Self { url, seen, closed_early, server }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until a client has gone away from a stalled or endless answer.
    pub(crate) async fn client_gone(&self) {
        tokio::time::timeout(Duration::from_secs(10), self.closed_early.notified()).await.unwrap();
    }
}

async fn give(mut stream: TcpStream, answer: Answer, closed: Arc<tokio::sync::Notify>) {
    match answer {
        Answer::Raw(bytes) => {
            // The client may have read enough before the end.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Answer::Drop => {}
        Answer::Stall(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.read(&mut [0; 1]).await;
            closed.notify_one();
        }
        Answer::Endless(start, more) => {
            let _ = stream.write_all(&start).await;
            while stream.write_all(&more).await.is_ok() {}
            closed.notify_one();
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|l| l.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    assert!(!chunked, "the test server reads only bodies of known length");
    let length: usize = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
    Some(Seen { line, headers, body })
}
