//! New names that differ from others in upper and lower case only. Pure.
//!
//! A tree may have very many files in very deep folders, so each path is looked at name by name from its beginning, and
//! only as far as it goes along a new one: the work is in proportion to the length of the list.

use std::collections::{HashMap, HashSet};

use super::changes::{Change, shown};

/// Refuses a new path that differs from another one of the tree in upper and lower case only: where these are not told
/// apart, one would be written over the other, or through it when that is a link. `entries` are the tree's, each
/// `KIND PATH` and a zero. What the base has already is not the model's doing.
pub(super) fn check_case(changes: &[Change], entries: &[u8]) -> Result<(), String> {
    let new: HashSet<&[u8]> =
        changes.iter().filter(|change| change.is_new).map(|change| change.path.as_slice()).collect();
    if new.is_empty() {
        return Ok(());
    }
    let mut names = Names::of(&new);
    let files = entries.split(|byte| *byte == 0).filter_map(|it| {
        let at = it.iter().position(|byte| *byte == b' ')?;
        (&it[..at] != b"tree").then(|| &it[at + 1..])
    });
    files.for_each(|file| names.add(file, &new));
    let mut new_in_order = changes.iter().filter(|change| change.is_new);
    match new_in_order.find_map(|change| names.clash_on(&change.path)) {
        None => Ok(()),
        Some((path, other)) => Err(format!(
            "{} can't be taken: it differs from {} in upper and lower case only",
            shown(path),
            shown(other)
        )),
    }
}

/// The paths that are spelled as new ones and their folders are, but for case, as two trees: of what counts where case is
/// not told apart, and of what is written.
struct Names<'a> {
    /// The place below a place, by its name with its case folded.
    places: HashMap<(usize, String), usize>,
    /// The spelling below a spelling, by its name.
    spelled: HashMap<(usize, &'a [u8]), usize>,
    spellings: Vec<Spelling<'a>>,
    /// Of each place.
    spellings_of: Vec<Vec<usize>>,
}

struct Spelling<'a> {
    path: &'a [u8],
    place: usize,
    /// The base has a file there or below.
    is_old: bool,
}

/// The top, as a place and as a spelling.
const TOP: usize = 0;

impl<'a> Names<'a> {
    fn of(new: &HashSet<&'a [u8]>) -> Self {
        let top = Spelling { path: b"", place: TOP, is_old: true };
        let mut names = Self {
            places: HashMap::new(),
            spelled: HashMap::new(),
            spellings: vec![top],
            spellings_of: vec![vec![TOP]],
        };
        for path in new {
            let mut place = TOP;
            for name in path.split(|byte| *byte == b'/') {
                let next = names.spellings_of.len();
                place = *names.places.entry((place, folded(name))).or_insert(next);
                if place == next {
                    names.spellings_of.push(Vec::new());
                }
            }
        }
        names
    }

    /// Notes how a file of the tree spells its folders and its name, as far as a new path leads there.
    fn add(&mut self, file: &'a [u8], new: &HashSet<&[u8]>) {
        let (mut at, mut end, mut is_old) = (TOP, 0, None);
        for name in file.split(|byte| *byte == b'/') {
            end += name.len();
            let Some(next) = self.step(at, name, &file[..end]) else { return };
            self.spellings[next].is_old |= *is_old.get_or_insert_with(|| !new.contains(file));
            (at, end) = (next, end + 1);
        }
    }

    /// The spelling `path`, whose last name is `name`, below the one at `at`.
    fn step(&mut self, at: usize, name: &'a [u8], path: &'a [u8]) -> Option<usize> {
        if let Some(known) = self.spelled.get(&(at, name)) {
            return Some(*known);
        }
        let place = *self.places.get(&(self.spellings[at].place, folded(name)))?;
        let next = self.spellings.len();
        self.spellings.push(Spelling { path, place, is_old: false });
        self.spelled.insert((at, name), next);
        self.spellings_of[place].push(next);
        Some(next)
    }

    /// The new path or folder of it that is spelled otherwise too, and how.
    fn clash_on(&self, new: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
        let mut at = TOP;
        for name in new.split(|byte| *byte == b'/') {
            at = *self.spelled.get(&(at, name))?;
            let Spelling { path, place, is_old } = &self.spellings[at];
            if *is_old {
                continue;
            }
            let others = self.spellings_of[*place].iter().filter(|other| **other != at);
            if let Some(other) = others.map(|other| self.spellings[*other].path).min() {
                return Some((path, other));
            }
        }
        None
    }
}

fn folded(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn added<P: AsRef<[u8]>>(paths: &[P]) -> Vec<Change> {
        let change =
            |path: &P| Change { path: path.as_ref().to_vec(), is_new: true, before: None, after: None };
        paths.iter().map(change).collect()
    }

    fn listed<P: AsRef<[u8]>>(paths: &[P]) -> Vec<u8> {
        paths.iter().flat_map(|path| [b"blob ", path.as_ref(), b"\0"].concat()).collect()
    }

    #[test]
    fn names_that_differ_in_case_are_found_unless_the_base_has_them() {
        let check = |new: &[&str], tree: &[&str]| check_case(&added(new), &listed(tree));
        for (new, tree) in [
            (["readme"].as_slice(), ["README", "readme"].as_slice()),
            (&["Src/b"], &["Src/b", "src/a"]),
            (&["src"], &["Src/a", "src"]),
            (&["a", "A"], &["A", "a"]),
            (&["x/Ü"], &["x/Ü", "x/ü"]),
        ] {
            assert!(check(new, tree).unwrap_err().contains("case only"), "{new:?} {tree:?}");
        }
        for (new, tree) in [
            (["src/b"].as_slice(), ["src/a", "src/b"].as_slice()),
            (&["Src/b"], &["Src/a", "Src/b", "src/a"]),
            (&["b"], &["A", "a", "b"]),
            (&[], &["A", "a"]),
        ] {
            assert_eq!(check(new, tree), Ok(()), "{new:?} {tree:?}");
        }
    }

    /// The same rule, read off its words: every prefix of every path.
    fn each_with_each(changes: &[Change], entries: &[u8]) -> Result<(), String> {
        let new: HashSet<&[u8]> =
            changes.iter().filter(|change| change.is_new).map(|change| change.path.as_slice()).collect();
        let mut spellings: HashMap<String, HashSet<&[u8]>> = new
            .iter()
            .flat_map(|path| with_folders(path))
            .map(|path| (folded(path), HashSet::new()))
            .collect();
        let mut old: HashSet<&[u8]> = HashSet::new();
        let files = entries.split(|byte| *byte == 0).filter_map(|it| {
            let at = it.iter().position(|byte| *byte == b' ')?;
            (&it[..at] != b"tree").then(|| &it[at + 1..])
        });
        for file in files {
            for path in with_folders(file) {
                let Some(found) = spellings.get_mut(&folded(path)) else { continue };
                found.insert(path);
                if !new.contains(file) {
                    old.insert(path);
                }
            }
        }
        for path in
            changes.iter().filter(|change| change.is_new).flat_map(|change| with_folders(&change.path))
        {
            let others = spellings.get(&folded(path)).into_iter().flatten();
            if !old.contains(path)
                && let Some(other) = others.copied().filter(|other| *other != path).min()
            {
                return Err(format!(
                    "{} can't be taken: it differs from {} in upper and lower case only",
                    shown(path),
                    shown(other)
                ));
            }
        }
        Ok(())
    }

    /// A path, and each folder that it lies in.
    fn with_folders(path: &[u8]) -> impl Iterator<Item = &[u8]> {
        let ends = (0..path.len()).filter(|at| path[*at] == b'/').chain([path.len()]);
        ends.map(|end| &path[..end])
    }

    const NAMES: [&[u8]; 11] = [
        b"a",
        b"A",
        b"b",
        b"Bc",
        b"bC",
        "\u{dc}".as_bytes(),
        "\u{fc}".as_bytes(),
        "\u{3a3}".as_bytes(),
        b"\xfe",
        b"\xff",
        b"a b",
    ];

    fn path() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(&NAMES[..]), 1..5).prop_map(|names| names.join(&b'/'))
    }

    proptest! {
        #[test]
        fn it_is_the_rule_for_each_folder_of_each_path(
            new in prop::collection::hash_set(path(), 0..4),
            old in prop::collection::hash_set(path(), 0..6),
        ) {
            let new: Vec<Vec<u8>> = new.difference(&old).cloned().collect();
            let mut tree: Vec<Vec<u8>> = old.into_iter().chain(new.iter().cloned()).collect();
            tree.sort();
            let (changes, entries) = (added(&new), listed(&tree));
            prop_assert_eq!(check_case(&changes, &entries), each_with_each(&changes, &entries));
        }
    }
}
