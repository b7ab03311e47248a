//! What came of each case with each model: a file with a line of JSON for each, to which lines are only ever added.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::arena::ModelUnderTest;
use super::case::{Case, Difficulty};
use crate::file_lock::LockedFile;

#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    #[error("{}: can't be used for the results: {source}", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    #[error("{}: another evaluation writes to it: wait for its end, or name another folder with --out", path.display())]
    Locked { path: PathBuf },
    #[error("{}, line {line}: no outcome of an evaluation, {problem}: move the file away", path.display())]
    Unreadable { path: PathBuf, line: usize, problem: String },
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub model: String,
    /// The replies came from a script: nothing was generated.
    pub scripted: bool,
    pub case: String,
    /// Of the case as it was then, and of the script if there was one.
    pub digest: String,
    pub language: String,
    pub difficulty: Difficulty,
    pub solved: bool,
    /// Where the task stood at the end, and why it was not solved.
    pub end: String,
    /// Commands.
    pub steps: u32,
    pub prompt_tokens: u64,
    pub output_tokens: u64,
    /// From the claim to the pull request, or to whatever end it was.
    pub seconds: f64,
    /// Replies that could not be read.
    pub malformed: u32,
    /// How often a prompt did not fit into the model's window although it was believed to.
    pub overflows: u32,
    /// The data folder of the node that worked on it.
    pub data_dir: PathBuf,
}

pub struct Results {
    path: PathBuf,
    file: LockedFile,
    outcomes: Vec<Outcome>,
}

impl Results {
    /// Reads what is there, for one process at a time. A last line that is cut, because the process ended while it was
    /// written, is removed.
    pub fn open(path: &Path) -> Result<Self, ResultsError> {
        let unusable = |source| ResultsError::Unusable { path: path.to_owned(), source };
        let mut open = OpenOptions::new();
        let file = open.create(true).append(true).open(path).map_err(unusable)?;
        let Ok(file) = LockedFile::take(file) else {
            return Err(ResultsError::Locked { path: path.to_owned() });
        };
        let bytes = fs::read(path).map_err(unusable)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (lines, cut) = bytes.split_at(whole);
        let mut outcomes = Vec::new();
        for (line, text) in (1..).zip(lines.split_inclusive(|byte| *byte == b'\n')) {
            outcomes.push(serde_json::from_slice(text).map_err(|error| {
                let problem = error.to_string();
                ResultsError::Unreadable { path: path.to_owned(), line, problem }
            })?);
        }
        if !cut.is_empty() {
            if !cut.starts_with(b"{") {
                let problem = "it does not begin as one".to_owned();
                return Err(ResultsError::Unreadable {
                    path: path.to_owned(),
                    line: outcomes.len() + 1,
                    problem,
                });
            }
            file.set_len(whole as u64).map_err(unusable)?;
        }
        Ok(Self { path: path.to_owned(), file, outcomes })
    }

    /// What came of the case as it is now with this model, if it was run.
    pub fn of(&self, model: &ModelUnderTest, case: &Case) -> Option<&Outcome> {
        let digest = model.digest_of(case);
        let is_it = |it: &&Outcome| {
            it.model == model.name
                && it.scripted == model.script.is_some()
                && it.case == case.name
                && it.digest == digest
        };
        self.outcomes.iter().rev().find(is_it)
    }

    /// On disk when this returns.
    pub fn add(&mut self, outcome: Outcome) -> Result<(), ResultsError> {
        let unusable = |source| ResultsError::Unusable { path: self.path.clone(), source };
        let mut line = serde_json::to_string(&outcome).map_err(|error| unusable(error.into()))?;
        line.push('\n');
        (&*self.file).write_all(line.as_bytes()).map_err(unusable)?;
        self.file.sync_data().map_err(unusable)?;
        self.outcomes.push(outcome);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(case: &str, solved: bool) -> Outcome {
        Outcome {
            model: "m".into(),
            scripted: false,
            case: case.into(),
            digest: "d".into(),
            language: "c".into(),
            difficulty: Difficulty::Easy,
            solved,
            end: "in review".into(),
            steps: 3,
            prompt_tokens: 100,
            output_tokens: 10,
            seconds: 1.5,
            malformed: 0,
            overflows: 0,
            data_dir: "runs/1".into(),
        }
    }

    #[test]
    fn what_was_added_is_there_again_and_a_cut_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.jsonl");
        let mut results = Results::open(&path).unwrap();
        results.add(outcome("one", false)).unwrap();
        results.add(outcome("one", true)).unwrap();
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"model\": \"m\u{e9}").unwrap();
        drop(results);
        let mut results = Results::open(&path).unwrap();
        assert!(matches!(Results::open(&path), Err(ResultsError::Locked { .. })));
        assert_eq!(results.outcomes, [outcome("one", false), outcome("one", true)]);
        results.add(outcome("two", true)).unwrap();
        drop(results);
        assert_eq!(Results::open(&path).unwrap().outcomes.len(), 3);
        fs::write(&path, "something else\n").unwrap();
        let error = Results::open(&path).err().unwrap().to_string();
        assert!(error.contains("results.jsonl, line 1"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "something else\n", "it is left as it was");
    }
}
