//! What the changed files of a work are made of: sizes, where links lead, pointers to files that are nowhere, secrets.
//!
//! Holds true: a few megabytes are in memory at a time, and what looks through them does not hold the task's thread.

use bzzz_actors::ports::code::CodeError;
use bzzz_actors::task::Sha;

use super::changes::{self, Change, Kind};
use super::import::{Import, bundle_error, refused};
use super::lfs::is_pointer;
use super::objects;
use super::paths;
use super::secret_check::{self, Batches, Found};
use crate::secrets::Secrets;

/// The longest target of a link that is read; a valid one is shorter.
const MAX_TARGET_BYTES: u64 = 1024;

/// What stands at a path after the change.
struct After {
    path: Vec<u8>,
    kind: Kind,
    object: Sha,
}

impl Import<'_> {
    /// Checks all that is told by the contents of the changed files.
    pub(super) async fn check_contents(&self, changes: &[Change]) -> Result<(), CodeError> {
        secret_check::in_names(changes, self.secrets).map_err(refused)?;
        let after = changes.iter().filter_map(|change| {
            let (kind, object) = change.after.clone()?;
            Some(After { path: change.path.clone(), kind, object })
        });
        let after: Vec<After> = after.collect();
        let sizes = self.sizes_of(&after).await?;
        self.check_links(&after, &sizes).await?;
        let found = self.look_into(after, sizes).await?;
        if found.is_empty() {
            return Ok(());
        }
        let found = self.without_known(found, changes).await?;
        secret_check::verdict(changes, &found).map_err(refused)
    }

    /// How many bytes each has, when it may have so many.
    async fn sizes_of(&self, after: &[After]) -> Result<Vec<u64>, CodeError> {
        let names: Vec<String> = after.iter().map(|it| it.object.to_string()).collect();
        let infos = objects::infos(self.program, self.run("cat-file"), &names).await.map_err(bundle_error)?;
        let (mut sizes, mut total) = (Vec::with_capacity(after.len()), 0_u64);
        for (After { path, kind, .. }, info) in after.iter().zip(infos) {
            let shown = changes::shown(path);
            let bytes = match info {
                Some(info) if info.kind == "blob" => info.bytes,
                _ => return Err(refused(format!("{shown} has no content in the bundle"))),
            };
            if bytes > self.limits.file_bytes {
                return Err(refused(format!(
                    "{shown} has {bytes} bytes, and at most {} are taken of one file",
                    self.limits.file_bytes
                )));
            }
            if *kind == Kind::Link && bytes > MAX_TARGET_BYTES {
                return Err(refused(format!("{shown}: its target is longer than {MAX_TARGET_BYTES} bytes")));
            }
            total = total.saturating_add(bytes);
            sizes.push(bytes);
        }
        if total > self.limits.changed_bytes {
            return Err(refused(format!(
                "the changed files have {total} bytes together, and at most {} are taken",
                self.limits.changed_bytes
            )));
        }
        Ok(sizes)
    }

    async fn check_links(&self, after: &[After], sizes: &[u64]) -> Result<(), CodeError> {
        let links = || after.iter().zip(sizes).filter(|(it, _)| it.kind == Kind::Link);
        let ids: Vec<Sha> = links().map(|(it, _)| it.object.clone()).collect();
        let targets = self.contents(&ids, links().map(|(_, bytes)| bytes).sum()).await?;
        for ((After { path, .. }, _), target) in links().zip(targets) {
            if let Some(problem) = paths::problem_of_link(&String::from_utf8_lossy(path), &target) {
                let shown = changes::shown(path);
                return Err(refused(format!("{shown} can't be taken: it is a symbolic link, and {problem}")));
            }
        }
        Ok(())
    }

    /// Refuses pointers, and returns the secrets in what the change leaves.
    async fn look_into(&self, mut after: Vec<After>, sizes: Vec<u64>) -> Result<Vec<Found>, CodeError> {
        let mut found = Vec::new();
        for batch in Batches::of(&sizes) {
            let bytes = sizes[batch.clone()].iter().sum();
            let files: Vec<After> = after.drain(..batch.len()).collect();
            let ids: Vec<Sha> = files.iter().map(|it| it.object.clone()).collect();
            let contents = self.contents(&ids, bytes).await?;
            let secrets = self.secrets.clone();
            found.extend(aside(move || in_files(&files, &contents, &secrets)).await?.map_err(refused)?);
            secret_check::check_count(&found).map_err(refused)?;
        }
        Ok(found)
    }

    /// Without what stood in a changed or removed file of the base: that is not the model's doing. As much of the base is
    /// looked into as may be changed, the small files first; what stands in the rest of it counts as added.
    async fn without_known(
        &self,
        mut found: Vec<Found>,
        changes: &[Change],
    ) -> Result<Vec<Found>, CodeError> {
        let ids: Vec<&Sha> = changes.iter().filter_map(|change| change.before.as_ref()).collect();
        let names: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
        let infos = objects::infos(self.program, self.run("cat-file"), &names).await.map_err(bundle_error)?;
        let sizes = infos.into_iter().map(|info| info.map_or(0, |info| info.bytes));
        let mut before: Vec<(u64, Sha)> = sizes.zip(ids.into_iter().cloned()).collect();
        before.sort();
        before.dedup();
        let mut left = self.limits.changed_bytes;
        before.retain(|(bytes, _)| {
            let fits = *bytes <= left.min(self.limits.file_bytes);
            left -= if fits { *bytes } else { 0 };
            fits
        });
        let (sizes, ids): (Vec<u64>, Vec<Sha>) = before.into_iter().unzip();
        for batch in Batches::of(&sizes) {
            let contents = self.contents(&ids[batch.clone()], sizes[batch].iter().sum()).await?;
            let secrets = self.secrets.clone();
            let forget = move || {
                contents.iter().for_each(|content| secret_check::forget_known(&mut found, content, &secrets));
                found
            };
            found = aside(forget).await?;
            if found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// Of objects that have `bytes` together.
    async fn contents(&self, ids: &[Sha], bytes: u64) -> Result<Vec<Vec<u8>>, CodeError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        objects::contents(self.program, self.run("cat-file"), ids, bytes).await.map_err(bundle_error)
    }
}

/// The secrets in these files. The error is meant for the model.
fn in_files(files: &[After], contents: &[Vec<u8>], secrets: &Secrets) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    for (file, content) in files.iter().zip(contents) {
        if file.kind == Kind::File && is_pointer(content) {
            let shown = changes::shown(&file.path);
            return Err(format!("{shown} is a Git LFS pointer, whose file would be nowhere"));
        }
        found.extend(secret_check::in_content(&file.object, content, secrets));
    }
    Ok(found)
}

/// Does what takes a while, on bytes of a bounded number, where it does not keep other tasks from their thread.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CodeError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => CodeError::Unavailable(format!("the work was not looked through: {error}")),
    })
}
