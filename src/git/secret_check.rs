//! Which secrets a change adds, and what is told of them. Pure.

use std::collections::HashSet;
use std::ops::Range;

use bzzz_actors::task::Sha;

use super::changes::{Change, shown};
use crate::secrets::Secrets;

/// Contents that are looked into at once.
pub(super) const MAX_BATCH_BYTES: u64 = 8 << 20;
/// What is told of at once.
const MAX_TOLD: usize = 5;

/// Ranges of objects whose contents have few bytes together.
pub(super) struct Batches(std::vec::IntoIter<Range<usize>>);

impl Batches {
    pub(super) fn of(sizes: Vec<u64>) -> Self {
        let (mut batches, mut from, mut bytes) = (Vec::new(), 0, 0_u64);
        for (at, size) in sizes.iter().enumerate() {
            if at > from && bytes.saturating_add(*size) > MAX_BATCH_BYTES {
                batches.push(from..at);
                (from, bytes) = (at, 0);
            }
            bytes = bytes.saturating_add(*size);
        }
        if from < sizes.len() {
            batches.push(from..sizes.len());
        }
        Self(batches.into_iter())
    }
}

impl Iterator for Batches {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        self.0.next()
    }
}

/// A secret in an object. Its value is kept as a hash.
pub(super) struct Found {
    object: Sha,
    line: usize,
    what: &'static str,
    value: blake3::Hash,
}

pub(super) fn in_content(object: &Sha, content: &[u8], secrets: &Secrets) -> Vec<Found> {
    let (mut line, mut counted) = (1, 0);
    let found = secrets.find(content).into_iter().map(|found| {
        line += content[counted..found.at.start].iter().filter(|b| **b == b'\n').count();
        counted = found.at.start;
        Found { object: object.clone(), line, what: found.what, value: value_of(content, &found.at) }
    });
    found.collect()
}

/// Of a private key the beginning of its body too: their first lines are all the same.
fn value_of(content: &[u8], at: &Range<usize>) -> blake3::Hash {
    const BODY_BYTES: usize = 120;
    let is_pem = content[at.start..].starts_with(b"-----");
    let end = if is_pem { content.len().min(at.end + BODY_BYTES) } else { at.end };
    blake3::hash(&content[at.start..end])
}

/// Forgets what stands in `content`, a file of the base.
pub(super) fn forget_known(found: &mut Vec<Found>, content: &[u8], secrets: &Secrets) {
    let known: HashSet<blake3::Hash> =
        secrets.find(content).iter().map(|it| value_of(content, &it.at)).collect();
    found.retain(|it| !known.contains(&it.value));
}

/// The error is meant for the model, and says where and what but not the secret.
pub(super) fn verdict(changes: &[Change], found: &[Found]) -> Result<(), String> {
    let path_of = |object: &Sha| {
        let has_it = |change: &&Change| change.after.as_ref().is_some_and(|(_, id)| id == object);
        changes.iter().find(has_it).map(|change| shown(&change.path)).unwrap_or_default()
    };
    let told: Vec<String> = found
        .iter()
        .take(MAX_TOLD)
        .map(|it| format!("{}, line {}, holds {}", path_of(&it.object), it.line, it.what))
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}: secrets are not published. Take them out; where a test needs one, make one that is clearly none, such as a row \
         of x",
        told.join("; ")
    ))
}

/// Names of files that hold keys and nothing else.
const KEY_FILES: [&str; 8] =
    ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".git-credentials", ".netrc", ".pgpass", ".dockercfg"];

/// A new path may hold a secret too. The error is meant for the model; it can't name such a path.
pub(super) fn in_names(changes: &[Change], secrets: &Secrets) -> Result<(), String> {
    for change in changes.iter().filter(|change| change.is_new) {
        if let Some(found) = secrets.find(&change.path).first() {
            return Err(format!("the name of a new file holds {}: give it another name", found.what));
        }
        let name = change.path.rsplit(|b| *b == b'/').next().unwrap_or_default().to_ascii_lowercase();
        if KEY_FILES.iter().any(|it| it.as_bytes() == name) {
            return Err(format!("{} is a file for keys: remove it", shown(&change.path)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_every_object_once_and_few_bytes() {
        let ranges = |sizes: &[u64]| Batches::of(sizes.to_vec()).collect::<Vec<_>>();
        let half = MAX_BATCH_BYTES / 2;
        assert!(ranges(&[]).is_empty());
        assert_eq!(ranges(&[half, half, 1, 9 * half, 0]), [0..2, 2..3, 3..4, 4..5]);
    }
}
