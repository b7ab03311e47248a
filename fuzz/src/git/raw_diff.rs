//! What git says of the changes in a sandbox's work.

use super::changes::{Kind, check_shape, parse_raw, sum_numstat, visible};
use super::limits::GitLimits;
use super::path_rules::assert_may_be_made;
use super::spelling::{spells, spells_sensitive};
use crate::text::assert_shown;

pub(crate) fn hold(bytes: &[u8]) {
    sum_numstat(bytes);
    // A text is at most as many times longer as one invisible sign is spelled longer.
    assert_shown(&visible(bytes, 1), 8 * bytes.len() + 80);

    let Some(changes) = parse_raw(bytes) else { return };
    let fields: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == 0).collect();
    assert_eq!(fields.len(), 2 * changes.len(), "a record was lost or made up");
    for (change, record) in changes.iter().zip(fields.chunks(2)) {
        let meta = record[0].strip_suffix(&[0]).unwrap();
        assert_eq!(Some(change.path.as_slice()), record[1].strip_suffix(&[0]), "a path was cut");
        assert!(!change.path.is_empty() && !change.path.contains(&0));
        assert_eq!(meta.first(), Some(&b':'));
        assert_eq!(change.is_new, meta.ends_with(b" A"));
        assert_eq!(change.after.is_none(), meta.ends_with(b" D"));
    }

    let limits = GitLimits::default();
    if let Err(problem) = check_shape(&changes, &limits) {
        return assert_shown(&problem, 2000);
    }
    assert!(!changes.is_empty() && changes.len() <= limits.changed_files);
    for change in &changes {
        if change.is_new {
            assert_may_be_made(&change.path);
        }
        let path = String::from_utf8_lossy(&change.path);
        assert!(!spells_sensitive(&path), "{path:?}");
        assert!(!path.split('/').next_back().is_some_and(|name| spells(name, ".gitmodules")), "{path:?}");
        assert!(matches!(change.after, None | Some((Kind::File | Kind::Link, _))));
    }
}
