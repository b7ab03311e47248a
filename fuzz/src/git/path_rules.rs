//! New paths, and where symbolic links lead.

use super::paths::{problem_of, problem_of_link};
use super::spelling::spells_dot_git;

pub(crate) fn hold(bytes: &[u8]) {
    let mut fields = bytes.splitn(2, |byte| *byte == 0);
    let path = fields.next().unwrap_or_default();
    let target = fields.next().unwrap_or_default();
    if problem_of(path).is_some() {
        return;
    }
    assert_may_be_made(path);
    let path = std::str::from_utf8(path).unwrap();
    if problem_of_link(path, target).is_none() {
        assert_stays_inside(path, target);
    }
}

/// What holds of a path that was accepted.
pub(super) fn assert_may_be_made(path: &[u8]) {
    let path = std::str::from_utf8(path).unwrap();
    assert!(path.len() <= 1024 && path.matches('/').count() < 64);
    assert!(!path.contains(|c: char| c.is_control() || c == '\\'));
    for name in path.split('/') {
        assert!(!name.is_empty() && name != "." && name != ".." && name.len() <= 255, "{path:?}");
        assert!(!name.starts_with('-') && !spells_dot_git(name), "{path:?}");
    }
}

/// Follows the link, name by name, from its folder.
fn assert_stays_inside(path: &str, target: &[u8]) {
    let target = std::str::from_utf8(target).unwrap();
    assert!(!target.is_empty() && !target.starts_with('/'));
    assert!(!target.contains(|c: char| c.is_control() || c == '\\'));
    let mut depth = path.matches('/').count();
    let mut has_gone_down = false;
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                assert!(!has_gone_down && depth > 0, "{path:?} -> {target:?}");
                depth -= 1;
            }
            name => {
                assert!(!spells_dot_git(name), "{path:?} -> {target:?}");
                has_gone_down = true;
            }
        }
    }
}
