//! What a change is made of, read from `git diff-tree -r -z --raw`, and the rules it has to keep. Pure.

use bzzz_actors::task::hidden::is_hidden;
use bzzz_actors::task::{PathPattern, Sha};

use super::limits::GitLimits;
use super::paths;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Link,
    Submodule,
    /// A mode that git's own format does not know.
    Unknown,
}

/// One changed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: Vec<u8>,
    /// The path is not in the base.
    pub(super) is_new: bool,
    /// The file or link of the base.
    pub(super) before: Option<Sha>,
    /// What stands there after the change; `None` when it was removed.
    pub(super) after: Option<(Kind, Sha)>,
}

/// Reads the raw differences. `None` when they are not of git's format.
pub(super) fn parse_raw(bytes: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    if bytes.is_empty() {
        return Some(changes);
    }
    // A zero ends every field: where the last one lacks it, the path before it may have been cut.
    let mut fields = bytes.strip_suffix(&[0])?.split(|b| *b == 0);
    while let Some(meta) = fields.next() {
        let meta = std::str::from_utf8(meta.strip_prefix(b":")?).ok()?;
        let parts: Vec<&str> = meta.split(' ').collect();
        let [old_mode, mode, before, after, status] = parts.as_slice() else { return None };
        let path = fields.next().filter(|path| !path.is_empty())?.to_vec();
        let after = match *status {
            "D" => None,
            "A" | "M" | "T" => Some((kind_of(mode), after.parse().ok()?)),
            _ => return None,
        };
        let before = match kind_of(old_mode) {
            Kind::File | Kind::Link if *status != "A" => Some(before.parse().ok()?),
            _ => None,
        };
        changes.push(Change { path, is_new: *status == "A", before, after });
    }
    Some(changes)
}

fn kind_of(mode: &str) -> Kind {
    match mode {
        "100644" | "100755" => Kind::File,
        "120000" => Kind::Link,
        "160000" => Kind::Submodule,
        _ => Kind::Unknown,
    }
}

/// Checks what the paths and modes alone tell. The error is meant for the model.
pub(super) fn check_shape(changes: &[Change], limits: &GitLimits) -> Result<(), String> {
    if changes.is_empty() {
        return Err("nothing was changed: the work tree is the same as the base".to_owned());
    }
    if changes.len() > limits.changed_files {
        return Err(format!(
            "{} files were changed, and at most {} are taken: remove what does not belong to the task, or name it in \
             .gitignore",
            changes.len(),
            limits.changed_files
        ));
    }
    changes.iter().try_for_each(|change| check_one(change, limits))
}

fn check_one(change: &Change, limits: &GitLimits) -> Result<(), String> {
    let shown = shown(&change.path);
    // A path that the base has already is not the model's doing.
    if change.is_new
        && let Some(problem) = paths::problem_of(&change.path)
    {
        return Err(format!("{shown} can't be taken: {problem}"));
    }
    let path = String::from_utf8_lossy(&change.path);
    if paths::is_gitmodules(&path) {
        return Err(format!("{shown} may not be changed: submodules are not taken"));
    }
    if paths::is_sensitive(&path, &limits.allowed_sensitive) {
        return Err(format!(
            "{shown} may not be changed: it decides what runs or who agrees, and no node may change it; undo that, and ask for help if \
             the issue can't be solved without it"
        ));
    }
    match change.after {
        Some((Kind::Submodule, _)) => {
            Err(format!("{shown} is a repository of its own (a submodule): remove its .git folder"))
        }
        Some((Kind::Unknown, _)) => Err(format!("{shown} is neither a file nor a symbolic link")),
        Some((Kind::File | Kind::Link, _)) | None => Ok(()),
    }
}

/// That each path is one that the task may change, as far as `allowed` says any. The error is meant for the model.
pub(super) fn check_paths(changes: &[Change], allowed: &[PathPattern]) -> Result<(), String> {
    let is_allowed = |change: &&Change| {
        let path = String::from_utf8_lossy(&change.path);
        allowed.iter().any(|pattern| pattern.matches(&path))
    };
    match changes.iter().find(|change| !is_allowed(change)) {
        Some(change) if !allowed.is_empty() => Err(format!(
            "{} may not be changed: in this repository tasks change only {}; undo that, and ask for help if the issue can't \
             be solved without it",
            shown(&change.path),
            in_short(allowed)
        )),
        _ => Ok(()),
    }
}

/// The model was told all of them with the plan.
fn in_short(allowed: &[PathPattern]) -> String {
    const SHOWN: usize = 10;
    let first: Vec<_> = allowed.iter().take(SHOWN).map(PathPattern::as_str).collect();
    match allowed.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// A path for an error's text.
pub(super) fn shown(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let end = path.floor_char_boundary(200);
    format!("{:?}", &path[..end])
}

/// The sum over `git diff-tree --numstat`: lines added and removed. Binary files count none.
pub(super) fn sum_numstat(bytes: &[u8]) -> (u32, u32) {
    let number = |field: Option<&[u8]>| -> u32 {
        field.and_then(|f| std::str::from_utf8(f).ok()).and_then(|f| f.parse().ok()).unwrap_or(0)
    };
    let (mut added, mut removed) = (0_u32, 0_u32);
    for line in bytes.split(|b| *b == 0) {
        let mut fields = line.split(|b| *b == b'\t');
        added = added.saturating_add(number(fields.next()));
        removed = removed.saturating_add(number(fields.next()));
    }
    (added, removed)
}

/// A diff as text in which nothing is hidden: signs that a terminal or a reader would not show are spelled out.
pub(super) fn visible(diff: &[u8], left_out: u64) -> String {
    let text = String::from_utf8_lossy(diff).replace("\r\n", "\n");
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            shown.push_str(&format!("<U+{:04X}>", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    if left_out > 0 {
        shown.push_str(&format!("\n[… {left_out} more bytes of the diff were left out]\n"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn raw(mode: &str, status: &str, path: &str) -> String {
        format!(":100644 {mode} {ID} {ID} {status}\0{path}\0")
    }

    fn check(text: &str) -> Result<(), String> {
        check_shape(&parse_raw(text.as_bytes()).unwrap(), &GitLimits::default())
    }

    #[test]
    fn raw_differences_are_read() {
        let text = raw("100755", "A", "a\tb\nc") + &raw("000000", "D", "d");
        let changes = parse_raw(text.as_bytes()).unwrap();
        assert_eq!(
            changes,
            [
                Change {
                    path: b"a\tb\nc".to_vec(),
                    is_new: true,
                    before: None,
                    after: Some((Kind::File, ID.parse().unwrap()))
                },
                Change { path: b"d".to_vec(), is_new: false, before: Some(ID.parse().unwrap()), after: None },
            ]
        );
        assert_eq!(parse_raw(b""), Some(Vec::new()));
        for bad in [
            "x\0",
            ":1 2 3\0p\0",
            &raw("100644", "R100", "a"),
            ":100644 100644 x y M\0p\0",
            "\0",
            raw("100644", "M", "a").trim_end_matches('\0'),
        ] {
            assert_eq!(parse_raw(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn what_can_not_be_taken_is_told_to_the_model() {
        let cases = [
            ("", "nothing was changed"),
            (&*raw("160000", "A", "vendor/x"), "submodule"),
            (&*raw("100644", "M", ".gitmodules"), "submodules are not taken"),
            (&*raw("000000", "D", "sub/.GITMODULES"), "submodules are not taken"),
            (&*raw("100644", "M", ".github/workflows/ci.yml"), "no node may change it"),
            (&*raw("000000", "D", "CODEOWNERS"), "no node may change it"),
            (&*raw("100644", "A", "x/.GIT/config"), "'.git'"),
            (&*raw("100600", "A", "x"), "neither a file"),
        ];
        for (text, words) in cases {
            let problem = check(text).unwrap_err();
            assert!(problem.contains(words), "{problem}");
        }
        assert_eq!(check(&raw("100644", "A", "src/x.rs")), Ok(()));
        assert_eq!(check(&raw("100644", "M", "-odd")), Ok(()), "the base has it already");
        assert_eq!(check(&raw("000000", "D", "-odd")), Ok(()));
        let many: String = (0..1001).map(|n| raw("100644", "A", &n.to_string())).collect();
        assert!(check(&many).unwrap_err().contains("1001 files"));
    }

    #[test]
    fn what_lies_outside_of_the_tasks_paths_is_told_to_the_model() {
        let changes =
            parse_raw((raw("100644", "A", "src/x.rs") + &raw("000000", "D", "b/x.md")).as_bytes()).unwrap();
        let check = |allowed: &[&str]| {
            let allowed: Vec<PathPattern> = allowed.iter().map(|it| it.parse().unwrap()).collect();
            check_paths(&changes, &allowed)
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["src/", "**/*.md"]), Ok(()));
        let problem = check(&["src/", "docs/"]).unwrap_err();
        assert!(
            problem.starts_with(
                "\"b/x.md\" may not be changed: in this repository tasks change only src/, docs/;"
            )
        );
    }

    #[test]
    fn numbers_and_text_of_a_diff_are_read() {
        assert_eq!(sum_numstat(b"3\t1\ta\x00-\t-\tbin\x004\t0\tb\tc\x00"), (7, 1));
        assert_eq!(visible("a\u{1b}[1m\u{202e}b\r\n".as_bytes(), 0), "a<U+001B>[1m<U+202E>b\n");
        assert!(visible(b"a", 9).ends_with("[… 9 more bytes of the diff were left out]\n"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_raw(&bytes);
            let _ = sum_numstat(&bytes);
            let _ = visible(&bytes, 1);
        }
    }
}
