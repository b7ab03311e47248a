//! What every sandbox has in common, whatever backend made it: sandboxd inside, and the node's side of the
//! conversation with it.
//!
//! [`Session`] speaks over any pair of byte streams to the program that `program` carries. `import` and
//! `export` move code in and out as jobs of a session; `enclosed` makes the port's sandbox of it. `syscalls` is what a sandbox may ask of the kernel, `common`
//! what it is given, `visit` how a person looks into one.
//!
//! Invariant: what comes out of a sandbox is untrusted. A frame that sandboxd would not send, a size above its
//! limit, a wrong number: each makes the session [`SandboxError::Lost`](bzzz_actors::ports::sandbox::SandboxError),
//! and nothing more is read from it.

pub(crate) mod common;
mod enclosed;
mod export;
mod import;
pub(crate) mod program;
mod session;
pub(crate) mod syscalls;
mod visit;

pub use enclosed::{EnclosedSandbox, Enclosure};
pub use session::{Session, SessionOptions, Streams};
pub(crate) use visit::TERMINAL;
pub use visit::{Piece, Standing, Visit, VisitInput, VisitOutput, VisitProcess, Visitor};

/// Where the code stands in a sandbox, and where every command starts.
pub const WORK_TREE: &str = "/work/repo";
