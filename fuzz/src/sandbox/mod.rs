//! The tree of `src/sandbox`.

pub(crate) mod session;
