//! Whether a tree solves a case: its check, in a clean sandbox, with the hidden files laid over the tree.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bzzz_actors::ports::code::CodeIn;
use bzzz_actors::ports::sandbox::{
    CommandOutcome, CommandRequest, Sandbox, SandboxError, SandboxSpec, Sandboxes,
};
use bzzz_actors::task::Ending;

use super::case::Case;
use crate::apiary::forge::RepositoryFile;

/// For one command of a case's check. Cases are made for a minute; a slow machine may take longer.
const CHECK_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How much of the hidden files is handed in with one command: less than the longest argument that a process takes.
const CHUNK_CHARS: usize = 60_000;
/// Where they are put together, outside of the tree.
const PACKED: &str = "/tmp/.hidden.tar.base64";

#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("the hidden files can't be packed: {0}")]
    Hidden(String),
}

/// What the check of a case said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub solved: bool,
    /// The end of the output of what failed.
    pub output: String,
}

/// Runs the case's check on `code`, in a sandbox of this `spec` that is gone afterwards.
pub async fn judge(
    sandboxes: &dyn Sandboxes,
    spec: &SandboxSpec,
    code: &CodeIn,
    case: &Case,
) -> Result<Verdict, JudgeError> {
    let sandbox = sandboxes.start(spec).await?;
    let judged = check(&sandbox, code, case).await;
    if let Err(error) = sandbox.destroy().await {
        tracing::warn!(%error, "the judge's sandbox was not removed; it ends by itself");
    }
    judged
}

async fn check(sandbox: &Arc<dyn Sandbox>, code: &CodeIn, case: &Case) -> Result<Verdict, JudgeError> {
    sandbox.import(code).await?;
    let mut commands = Commands { sandbox, step: 0 };
    if let Some(output) = lay_over(&mut commands, &case.hidden).await? {
        return Ok(Verdict { solved: false, output });
    }
    for command in &case.check {
        let outcome = commands.run(command.clone()).await?;
        if outcome.ending != (Ending::Exited { code: 0 }) {
            let output = format!("{command}: {}\n{}", outcome.ending, end_of(&outcome));
            return Ok(Verdict { solved: false, output });
        }
    }
    Ok(Verdict { solved: true, output: String::new() })
}

struct Commands<'a> {
    sandbox: &'a Arc<dyn Sandbox>,
    step: u32,
}

impl Commands<'_> {
    async fn run(&mut self, command: String) -> Result<CommandOutcome, SandboxError> {
        self.step += 1;
        self.sandbox.run(&CommandRequest { step: self.step, command, timeout: CHECK_LIMIT }).await
    }
}

/// Whatever of the same name is in the tree is replaced, also a link or a folder. The answer is why it can't be done, which is
/// the tree's fault.
async fn lay_over(
    commands: &mut Commands<'_>,
    hidden: &[RepositoryFile],
) -> Result<Option<String>, JudgeError> {
    let packed =
        BASE64_STANDARD.encode(tar_of(hidden).map_err(|error| JudgeError::Hidden(error.to_string()))?);
    let mut script = vec![format!(": > {PACKED}")];
    let chunks = packed.as_bytes().chunks(CHUNK_CHARS);
    script.extend(chunks.map(|it| format!("printf %s '{}' >> {PACKED}", String::from_utf8_lossy(it))));
    script.push(format!(
        "set -o pipefail; base64 -d {PACKED} | tar -x --recursive-unlink --no-same-owner && rm {PACKED}"
    ));
    for command in script {
        let outcome = commands.run(command).await?;
        if outcome.ending != (Ending::Exited { code: 0 }) {
            let why = format!("{}\n{}", outcome.ending, end_of(&outcome));
            return Ok(Some(format!("the hidden files can't be laid over the tree: {why}")));
        }
    }
    Ok(None)
}

fn tar_of(files: &[RepositoryFile]) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.bytes.len() as u64);
        header.set_mode(if file.executable { 0o755 } else { 0o644 });
        header.set_cksum();
        tar.append_data(&mut header, &file.path, file.bytes.as_slice())?;
    }
    tar.into_inner()
}

/// For a person to see why.
fn end_of(outcome: &CommandOutcome) -> String {
    const MAX_BYTES: usize = 4000;
    let output = [outcome.output.head.as_slice(), &outcome.output.tail].concat();
    let text = String::from_utf8_lossy(&output[output.len().saturating_sub(MAX_BYTES)..]);
    bzzz_actors::task::printable(&text)
}
