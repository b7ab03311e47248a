//! Paths of a repository as its people write them down: a file, a folder with `/` at its end, or either with wildcards.
//!
//! `*` and `?` stand for signs of one name, `**` as a whole name for any number of folders. What other dialects know
//! beside these is refused: a pattern that silently matched nothing would have all work refused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const MAX_PATTERN_BYTES: usize = 512;
const ANY_FOLDERS: &str = "**";

/// A pattern, from the top of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern(String);

impl PathPattern {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `path`, of a file, is meant. The work is in proportion to the lengths of both.
    pub fn matches(&self, path: &str) -> bool {
        let mut pattern: Vec<&str> = self.0.split('/').collect();
        // Of a folder all that is in it: at least one name.
        if let Some(last) = pattern.last_mut().filter(|last| last.is_empty()) {
            *last = ANY_FOLDERS;
            pattern.push("*");
        }
        let path: Vec<&str> = path.split('/').collect();
        is_match(&pattern, &path, |name| *name == ANY_FOLDERS, |pattern, name| is_name(pattern, name))
    }
}

fn is_name(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    is_match(&pattern, &name, |sign| *sign == '*', |sign, c| *sign == '?' || sign == c)
}

/// Wildcard matching of a sequence, in which `is_any` stands for any number of its parts. Only the last wildcard is ever
/// gone back to: what an earlier one could take more, the last one can take as well.
fn is_match<T>(
    pattern: &[T],
    text: &[T],
    is_any: impl Fn(&T) -> bool,
    is_one: impl Fn(&T, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back_to = None;
    while t < text.len() {
        if pattern.get(p).is_some_and(&is_any) {
            back_to = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|it| is_one(it, &text[t])) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((any, taken)) = back_to {
            back_to = Some((any, taken + 1));
            (p, t) = (any + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(is_any)
}

impl FromStr for PathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(60).collect();
        let wrong = |why: &str| Err(format!("{shown:?} {why}"));
        if text.len() > MAX_PATTERN_BYTES {
            return wrong(&format!("is longer than {MAX_PATTERN_BYTES} bytes"));
        }
        if text.starts_with('!')
            || text.contains(['[', ']', '{', '}', '\\'])
            || text.contains(char::is_control)
        {
            return wrong("has a sign that means nothing here: only *, ** and ? stand for others");
        }
        let mut names = text.strip_suffix('/').unwrap_or(text).split('/');
        if !names.clone().all(|name| !matches!(name, "" | "." | "..")) {
            return wrong("is not a path from the top of the repository");
        }
        if names.any(|name| name.contains(ANY_FOLDERS) && name != ANY_FOLDERS) {
            return wrong("has ** within a name: it stands for whole folders");
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for PathPattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> String {
        pattern.0
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        pattern.parse::<PathPattern>().unwrap().matches(path)
    }

    #[test]
    fn a_file_a_folder_and_wildcards_mean_what_they_say() {
        for (pattern, path) in [
            ("Cargo.toml", "Cargo.toml"),
            ("src/", "src/main.rs"),
            ("src/", "src/a/b.rs"),
            ("*.md", "README.md"),
            ("docs/*.md", "docs/x.md"),
            ("docs/**/*.md", "docs/x.md"),
            ("docs/**/*.md", "docs/a/b/x.md"),
            ("**/tests/", "tests/x"),
            ("**/tests/", "a/b/tests/c/x"),
            ("crates/*/src/", "crates/one/src/lib.rs"),
            ("**", "a/b"),
            ("v?/x", "v1/x"),
            ("é?/x", "éü/x"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("Cargo.toml", "a/Cargo.toml"),
            ("Cargo.toml", "cargo.toml"),
            ("src", "src/main.rs"),
            ("src/", "src"),
            ("src/", "srcs/main.rs"),
            ("*.md", "docs/README.md"),
            ("docs/*.md", "docs/a/x.md"),
            ("docs/**/*.md", "docs.md"),
            ("crates/*/src/", "crates/src/lib.rs"),
            ("a/**", "b/a/c"),
            ("?", ""),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn what_would_match_nothing_or_everything_by_mistake_is_refused() {
        for bad in
            ["", "/", "/src/", "a//b", "./a", "../a", "a/..", "!a", "[ab]", "{a,b}", "a\\b", "a**", "a\nb"]
        {
            assert!(bad.parse::<PathPattern>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(513).parse::<PathPattern>().is_err());
    }

    /// The definition, at any cost.
    fn slow(pattern: &[&str], path: &[&str]) -> bool {
        fn name(pattern: &[char], text: &[char]) -> bool {
            match (pattern.split_first(), text.split_first()) {
                (None, _) => text.is_empty(),
                (Some(('*', rest)), _) => (0..=text.len()).any(|n| name(rest, &text[n..])),
                (Some(_), None) => false,
                (Some((p, rest)), Some((c, after))) => (*p == '?' || p == c) && name(rest, after),
            }
        }
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        match (pattern.split_first(), path.split_first()) {
            (None, _) => path.is_empty(),
            (Some((&"**", rest)), _) => (0..=path.len()).any(|n| slow(rest, &path[n..])),
            (Some(_), None) => false,
            (Some((p, rest)), Some((c, after))) => name(&chars(p), &chars(c)) && slow(rest, after),
        }
    }

    proptest! {
        #[test]
        fn it_matches_as_the_definition_does(pattern in "(a|b|\\*|\\?|/|\\*\\*/){1,8}", path in "[ab]{1,3}(/[ab]{1,3}){0,4}") {
            let Ok(parsed) = pattern.parse::<PathPattern>() else { return Ok(()) };
            let mut names: Vec<&str> = pattern.split('/').collect();
            if pattern.ends_with('/') {
                names.pop();
                names.extend(["**", "*"]);
            }
            let path_names: Vec<&str> = path.split('/').collect();
            prop_assert_eq!(parsed.matches(&path), slow(&names, &path_names), "{} {}", pattern, path);
        }
    }

    #[test]
    fn many_wildcards_cost_no_time() {
        let pattern = "*a".repeat(250);
        assert!(!matches(&pattern, &format!("{}b", "a".repeat(1000))));
        let folders = "**/a/".repeat(100);
        assert!(!matches(&format!("{folders}b"), &"a/".repeat(500)));
    }
}
