//! Which secrets a change adds, and what is told of them. Pure.

use std::collections::HashSet;
use std::ops::Range;

use bzzz_actors::task::Sha;

use super::changes::{Change, shown};
use crate::secrets::Secrets;

/// Contents that are looked into at once.
const MAX_BATCH_BYTES: u64 = 8 << 20;
/// What is told of at once.
const MAX_TOLD: usize = 5;
/// More are not remembered to be looked up in the base: a change of nothing but keys would fill the memory.
const MAX_FOUND: usize = 100_000;

/// Ranges of objects whose contents have few bytes together, unless it is one that alone has more.
pub(super) struct Batches(std::vec::IntoIter<Range<usize>>);

impl Batches {
    pub(super) fn of(sizes: &[u64]) -> Self {
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

/// Of a private key the beginning of its body too: their first lines are all the same. Without the zeros of UTF-16, so
/// that a file may be kept in another encoding.
fn value_of(content: &[u8], at: &Range<usize>) -> blake3::Hash {
    const BODY_BYTES: usize = 120;
    let narrow =
        |place: Range<usize>| content[place].iter().copied().filter(|b| *b != 0).collect::<Vec<u8>>();
    let mut value = narrow(at.clone());
    if value.starts_with(b"-----") {
        let mut body = narrow(at.end..content.len().min(at.end + 2 * BODY_BYTES));
        body.truncate(BODY_BYTES);
        value.extend(body);
    }
    blake3::hash(&value)
}

/// The error is meant for the model.
pub(super) fn check_count(found: &[Found]) -> Result<(), String> {
    if found.len() > MAX_FOUND {
        return Err(format!(
            "the change holds more than {MAX_FOUND} texts that look like keys or tokens, and secrets are not published: \
             take them out"
        ));
    }
    Ok(())
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
        let ranges = |sizes: &[u64]| Batches::of(sizes).collect::<Vec<_>>();
        let half = MAX_BATCH_BYTES / 2;
        assert!(ranges(&[]).is_empty());
        assert_eq!(ranges(&[half, half, 1, 9 * half, 0]), [0..2, 2..3, 3..4, 4..5]);
    }

    fn object() -> Sha {
        "a".repeat(40).parse().unwrap()
    }

    /// In pieces, so that this file holds nothing that looks like a key.
    fn private_key(seed: &str) -> String {
        format!(
            "-----BEGIN {}-----\n{seed}{}\n",
            "PRIVATE KEY",
            "8Bk2Zx9QwE7rTy3Ui5Op1As6Df4GhJ0Lc".repeat(5)
        )
    }

    #[test]
    fn what_the_base_has_is_known_in_another_encoding_too() {
        let secrets = Secrets::default();
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        let (one, other) = (private_key("a"), private_key("b"));
        for base in [one.clone().into_bytes(), wide(&one), wide(&format!("x{one}"))] {
            for added in [one.clone().into_bytes(), wide(&one), wide(&format!(" {one}"))] {
                let mut found = in_content(&object(), &added, &secrets);
                assert_eq!(found.len(), 1);
                forget_known(&mut found, &base, &secrets);
                assert!(found.is_empty());
            }
            let mut found = in_content(&object(), &wide(&other), &secrets);
            forget_known(&mut found, &base, &secrets);
            assert_eq!(found.len(), 1, "another key");
        }
    }

    #[test]
    fn more_than_can_be_remembered_are_refused() {
        let key = format!("glpat-{} ", "a8Bk2Zx9QwE7rTy3Ui5O");
        let mut found = in_content(&object(), key.repeat(MAX_FOUND).as_bytes(), &Secrets::default());
        assert_eq!(check_count(&found), Ok(()));
        found.extend(in_content(&object(), key.as_bytes(), &Secrets::default()));
        assert!(check_count(&found).is_err_and(|text| text.contains("more than 100000")));
    }
}
