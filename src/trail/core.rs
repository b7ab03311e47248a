//! One Hypercore on our files. The crate is young: what it does is carried out at once, and its panics are errors here.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bzzz_actors::trail::{Bytes, Key, Mark, Node, Signature};
use futures_util::FutureExt;
use hypercore::{Hypercore, HypercoreBuilder, HypercoreError, PartialKeypair, VerifyingKey};
use hypercore_schema::{Proof, RequestBlock, RequestUpgrade};

use super::files::{Files, Mode};
use super::keys::AuditKeys;

#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    #[error("its files can't be used: {0}")]
    Files(#[from] io::Error),
    #[error("{0}")]
    Refused(#[from] HypercoreError),
    #[error("the hypercore library panicked: {0}")]
    Panicked(String),
    #[error("{0}")]
    Wrong(String),
}

impl CoreError {
    /// The disk is full, or does not do what it should, as against files that hold something else.
    pub(super) fn is_of_disk(&self) -> bool {
        let problem = match self {
            Self::Files(problem) | Self::Refused(HypercoreError::IO { source: problem, .. }) => problem,
            Self::Refused(_) | Self::Panicked(_) | Self::Wrong(_) => return false,
        };
        !matches!(problem.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
    }
}

pub(crate) struct Core {
    hypercore: Hypercore,
    files: Files,
}

impl Core {
    /// A new one in a folder where there is none yet, with the key of the segment.
    pub(crate) fn create(folder: &Path, keys: &AuditKeys, segment: u64) -> Result<Self, CoreError> {
        let secret = keys.signing(segment);
        Self::make(folder, PartialKeypair { public: secret.verifying_key(), secret: Some(secret) })
    }

    fn make(folder: &Path, pair: PartialKeypair) -> Result<Self, CoreError> {
        let files = Files::open(folder, Mode::Write)?;
        let core =
            contained(async { HypercoreBuilder::new(files.storage().await?).key_pair(pair).build().await })?;
        files.sync()?;
        Ok(Self { hypercore: core, files })
    }

    /// A new one for blocks of somebody else's, with nothing but its header.
    pub(crate) fn begin_copy(folder: &Path, key: &Key) -> Result<Self, CoreError> {
        let public = VerifyingKey::from_bytes(&key.0);
        let public = public.map_err(|why| CoreError::Wrong(format!("{key} is no key: {why}")))?;
        Self::make(folder, PartialKeypair { public, secret: None })
    }

    pub(crate) fn open_to_write(folder: &Path) -> Result<Self, CoreError> {
        Self::open(folder, Mode::Write)
    }

    pub(crate) fn open_to_read(folder: &Path) -> Result<Self, CoreError> {
        Self::open(folder, Mode::Read)
    }

    fn open(folder: &Path, mode: Mode) -> Result<Self, CoreError> {
        let files = Files::open(folder, mode)?;
        let core =
            contained(async { HypercoreBuilder::new(files.storage().await?).open(true).build().await })?;
        Ok(Self { hypercore: core, files })
    }

    /// For replication, which reads while this is appended to.
    pub(crate) fn handle(&self) -> Hypercore {
        self.hypercore.clone()
    }

    /// All blocks, or an error after which it has to be opened again. On the disk when this returns.
    pub(crate) fn append(&self, blocks: &[impl AsRef<[u8]>]) -> Result<(), CoreError> {
        let expected = self.length() + blocks.len() as u64;
        let outcome = contained(self.hypercore.append_batch(blocks))?;
        if outcome.length != expected {
            return Err(CoreError::Wrong(format!("it has {} blocks and not {expected}", outcome.length)));
        }
        Ok(self.files.sync()?)
    }

    /// Blocks.
    pub(crate) fn length(&self) -> u64 {
        self.hypercore.info().length
    }

    pub(crate) fn key(&self) -> Key {
        Bytes(self.hypercore.key_pair().public.to_bytes())
    }

    pub(crate) fn has(&self, index: u64) -> bool {
        self.hypercore.has(index)
    }

    pub(crate) fn block(&self, index: u64) -> Result<Vec<u8>, CoreError> {
        let block = contained(self.hypercore.get(index))?;
        block.ok_or_else(|| CoreError::Wrong(format!("it has no block {index}")))
    }

    /// Of its whole length.
    pub(crate) fn signature(&self) -> Result<Signature, CoreError> {
        let proof = self.proof(None)?;
        let upgrade = proof.upgrade.ok_or_else(|| CoreError::Wrong("it proves nothing".to_owned()))?;
        let signature = upgrade.signature.try_into();
        signature.map(Bytes).map_err(|_| CoreError::Wrong("its signature has another length".to_owned()))
    }

    /// The siblings on the way from a block to its peak, `height` levels above.
    pub(crate) fn siblings(&self, index: u64, height: u64) -> Result<Vec<Node>, CoreError> {
        let proof = self.proof(Some(RequestBlock { index, nodes: height }))?;
        nodes(proof.block.map(|block| block.nodes).unwrap_or_default())
    }

    /// As its files have them.
    pub(crate) fn peaks(&self) -> Result<Vec<Node>, CoreError> {
        nodes(self.proof(None)?.upgrade.map(|upgrade| upgrade.nodes).unwrap_or_default())
    }

    fn proof(&self, block: Option<RequestBlock>) -> Result<Proof, CoreError> {
        let upgrade = RequestUpgrade { start: 0, length: self.length() };
        let proof = contained(self.hypercore.create_proof(block, None, None, Some(upgrade)))?;
        proof.ok_or_else(|| CoreError::Wrong("it has no proof".to_owned()))
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// How far it is, with this root.
    pub(crate) fn mark(&self, segment: u64, root: Bytes<32>) -> Mark {
        Mark { segment, length: self.length(), root }
    }
}

fn nodes(nodes: Vec<hypercore_schema::Node>) -> Result<Vec<Node>, CoreError> {
    let node = |node: hypercore_schema::Node| {
        let hash = node.hash.as_slice().try_into().map(Bytes);
        let hash = hash.map_err(|_| CoreError::Wrong("a hash has another length".to_owned()));
        Ok(Node { bytes: node.length, hash: hash? })
    };
    nodes.into_iter().map(node).collect()
}

/// Carries it out to its end, without a panic. The files answer at once, and so does it.
fn contained<T>(work: impl Future<Output = Result<T, HypercoreError>>) -> Result<T, CoreError> {
    let outcome = catch_unwind(AssertUnwindSafe(|| work.now_or_never()));
    let waits = || CoreError::Wrong("it waits for something".to_owned());
    match outcome {
        Ok(outcome) => Ok(outcome.ok_or_else(waits)??),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
            Err(CoreError::Panicked(text.to_owned()))
        }
    }
}
