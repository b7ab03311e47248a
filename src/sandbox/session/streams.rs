//! The ways to a sandboxd that a session begins with.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;

use super::{Sink, Source};

pub struct Streams {
    pub(super) reader: Source,
    pub(super) writer: Sink,
    pub(super) direct: Option<UnixListener>,
}

impl Streams {
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self { reader: Box::new(reader), writer: Box::new(writer), direct: None }
    }

    /// Sandboxd was told of this socket, and is asked to speak there instead, if it can. Others may connect too: a command
    /// can.
    pub fn with_direct(self, direct: Option<UnixListener>) -> Self {
        Self { direct, ..self }
    }
}
