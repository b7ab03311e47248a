//! Why a session ended that should not have.

/// The session can't go on; the text says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost(pub(super) String);

impl Lost {
    pub(super) fn broke_protocol(how: impl std::fmt::Display) -> Self {
        Self(format!("sandboxd broke its protocol: {how}"))
    }
}
