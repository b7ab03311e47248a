//! A case: a repository, an issue about it, and the tests that say whether it is solved.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::apiary::forge::RepositoryFile;

/// More commands than a case needs.
const MAX_CHECKS: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    #[error("{}: {problem}", path.display())]
    Unusable { path: PathBuf, problem: String },
    #[error("{} holds no cases: a case is a folder with a case.toml", .0.display())]
    None(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Difficulty {
    Easy,
    Medium,
    Hard,
}

impl Difficulty {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Case {
    /// The folder's.
    pub name: String,
    pub language: String,
    pub difficulty: Difficulty,
    /// Commands that all exit 0 once it is solved, with the hidden files over the tree.
    pub check: Vec<String>,
    pub title: String,
    pub body: String,
    pub repository: Vec<RepositoryFile>,
    pub hidden: Vec<RepositoryFile>,
    /// A patch that solves it.
    pub reference: String,
    /// Of all of the above: another one is another case.
    pub digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    language: String,
    difficulty: Difficulty,
    check: Vec<String>,
}

impl Case {
    /// All cases in a folder, by their names.
    ///
    /// # Errors
    /// When there are none, or one can't be used; which, and why.
    pub fn all_in(folder: &Path) -> Result<Vec<Self>, CaseError> {
        let unusable = |error: std::io::Error| unusable(folder, error);
        let mut cases = Vec::new();
        for entry in fs::read_dir(folder).map_err(unusable)? {
            let path = entry.map_err(unusable)?.path();
            if path.join("case.toml").is_file() {
                cases.push(Self::load(&path)?);
            }
        }
        if cases.is_empty() {
            return Err(CaseError::None(folder.to_owned()));
        }
        cases.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(cases)
    }

    /// # Errors
    /// When a part of it is missing or wrong.
    pub fn load(folder: &Path) -> Result<Self, CaseError> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|error| unusable(&path, error))
        };
        let files = |name: &str| {
            let path = folder.join(name);
            let files = RepositoryFile::of_folder(&path).map_err(|error| unusable(&path, error))?;
            if files.is_empty() { Err(unusable(&path, "is empty")) } else { Ok(files) }
        };
        let settings = text("case.toml")?;
        let path = folder.join("case.toml");
        let CaseFile { language, difficulty, check } =
            toml::from_str(&settings).map_err(|error| unusable(&path, error.message().to_owned()))?;
        if check.is_empty() || check.len() > MAX_CHECKS || check.iter().any(|it| it.trim().is_empty()) {
            return Err(unusable(&path, format!("check: 1 to {MAX_CHECKS} commands, none of them empty")));
        }
        let issue = text("issue.md")?;
        let (title, body) = issue.split_once('\n').unwrap_or((&issue, ""));
        let Some(title) = title.strip_prefix("# ").filter(|title| !title.trim().is_empty()) else {
            return Err(unusable(&folder.join("issue.md"), "its first line is not \"# \" and a title"));
        };
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(unusable(folder, "the name of a case has letters, digits and \"-\" only"));
        }
        let (repository, hidden) = (files("repository")?, files("hidden")?);
        let reference = text("reference.patch")?;
        let mut hash = blake3::Hasher::new();
        for part in [settings.as_bytes(), issue.as_bytes(), reference.as_bytes()] {
            hash.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        hash.update(&(repository.len() as u64).to_le_bytes());
        for file in repository.iter().chain(&hidden) {
            for part in [file.path.as_bytes(), &[u8::from(file.executable)], &file.bytes] {
                hash.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
        }
        Ok(Self {
            title: title.trim().to_owned(),
            body: body.trim().to_owned(),
            digest: hash.finalize().to_hex()[..16].to_owned(),
            name,
            language,
            difficulty,
            check,
            repository,
            hidden,
            reference,
        })
    }
}

fn unusable(path: &Path, problem: impl ToString) -> CaseError {
    CaseError::Unusable { path: path.to_owned(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    const WHOLE: [(&str, &str); 5] = [
        ("leak/case.toml", "language = 'c'\ndifficulty = 'hard'\ncheck = ['make test']\n"),
        ("leak/issue.md", "# It leaks\n\nWhen it rains.\n"),
        ("leak/repository/main.c", "int one;"),
        ("leak/hidden/test.c", "assert(0);"),
        ("leak/reference.patch", "--- a/three.c\n"),
    ];

    #[test]
    fn a_case_is_read_and_every_change_makes_it_another() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &WHOLE);
        write(folder.path(), &[("README.md", "not a case"), ("notes/a", "neither")]);
        let [case] = Case::all_in(folder.path()).unwrap().try_into().unwrap();
        assert_eq!(
            (case.name.as_str(), case.title.as_str(), case.body.as_str()),
            ("leak", "It leaks", "When it rains.")
        );
        assert_eq!(
            (case.difficulty, case.check.as_slice()),
            (Difficulty::Hard, ["make test".to_owned()].as_slice())
        );
        for (path, text) in WHOLE {
            write(folder.path(), &[(path, &text.replace('e', "e "))]);
            let changed = Case::load(&folder.path().join("leak"));
            assert!(changed.is_err() || changed.unwrap().digest != case.digest, "{path}");
            write(folder.path(), &[(path, text)]);
        }
        assert_eq!(Case::load(&folder.path().join("leak")).unwrap().digest, case.digest);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Case::all_in(folder.path()), Err(CaseError::None(_))));
        for (path, text, words) in [
            ("leak/case.toml", "language = 'c'\ndifficulty = 'awful'\ncheck = ['x']", "awful"),
            ("leak/case.toml", "language = 'c'\ndifficulty = 'easy'\ncheck = []", "none of them empty"),
            ("leak/issue.md", "It leaks", "first line"),
        ] {
            write(folder.path(), &WHOLE);
            write(folder.path(), &[(path, text)]);
            let error = Case::all_in(folder.path()).unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(words), "{error}");
        }
        write(folder.path(), &WHOLE);
        fs::remove_file(folder.path().join("leak/reference.patch")).unwrap();
        assert!(Case::all_in(folder.path()).unwrap_err().to_string().contains("reference.patch"));
    }
}
