//! Three small repositories for the demo, each with a failing test, an issue about it, and the scripted model's
//! replies that solve it. All of it is in the binary.
//!
//! The files lie in the folders beside this one under names that mean nothing to tools: `bzzz.toml` for `.bzzz.toml`,
//! `gitignore` for `.gitignore`, `Cargo.toml.txt` for `Cargo.toml`.

use bzzz_actors::task::{RepoId, TaskId, label};

use super::ApiaryError;
use super::forge::{Forge, NewRepository, RepositoryFile};
use super::ollama::ModelScript;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExampleFile {
    pub path: &'static str,
    pub text: &'static str,
    pub executable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// `owner/name`.
    pub repo: &'static str,
    pub description: &'static str,
    pub files: &'static [ExampleFile],
    /// The title, an empty line, the body.
    issue: &'static str,
    /// What the model says, in order: a plan, then one command or end a reply.
    pub replies: &'static [&'static str],
    /// A command that succeeds where the example's checks can run.
    pub probe: &'static [&'static str],
}

macro_rules! example_files {
    ($root:literal: $($path:literal = $stored:literal $($executable:ident)?),* $(,)?) => {
        &[$(ExampleFile {
            path: $path,
            text: include_str!(concat!($root, "/", $stored)),
            executable: example_files!(@ $($executable)?),
        }),*]
    };
    (@ executable) => { true };
    (@) => { false };
}

macro_rules! example_replies {
    ($root:literal: $($name:literal),* $(,)?) => {
        &[$(include_str!(concat!($root, "/replies/", $name, ".md"))),*]
    };
}

const ALL: [Example; 3] = [
    Example {
        repo: "meadow/tally",
        description: "Splits a bill among friends, to the cent",
        files: example_files!("tally":
            "README.md" = "README.md",
            ".bzzz.toml" = "bzzz.toml",
            ".gitignore" = "gitignore",
            "pyproject.toml" = "pyproject.toml",
            "tally/__init__.py" = "tally/__init__.py",
            "tally/__main__.py" = "tally/__main__.py",
            "tally/money.py" = "tally/money.py",
            "tally/split.py" = "tally/split.py",
            "tests/test_money.py" = "tests/test_money.py",
            "tests/test_split.py" = "tests/test_split.py",
        ),
        issue: include_str!("tally/issue.md"),
        replies: example_replies!("tally":
            "1-plan", "2-look", "3-see-it-fail", "4-fix", "5-test", "6-try", "7-done", "8-done",
        ),
        probe: &["python3", "-m", "pytest", "--version"],
    },
    Example {
        repo: "meadow/spans",
        description: "Merges spans of numbers",
        files: example_files!("spans":
            "README.md" = "README.md",
            ".bzzz.toml" = "bzzz.toml",
            ".gitignore" = "gitignore",
            "Cargo.toml" = "Cargo.toml.txt",
            "Cargo.lock" = "Cargo.lock.txt",
            "src/lib.rs" = "src/lib.rs",
            "src/main.rs" = "src/main.rs",
            "src/merge.rs" = "src/merge.rs",
            "src/span.rs" = "src/span.rs",
            "tests/merge.rs" = "tests/merge.rs",
            "tests/span.rs" = "tests/span.rs",
        ),
        issue: include_str!("spans/issue.md"),
        replies: example_replies!("spans":
            "1-plan", "2-look", "3-see-it-fail", "4-fix", "5-test", "6-try", "7-done", "8-done",
        ),
        probe: &["cargo", "--version"],
    },
    Example {
        repo: "meadow/logtrim",
        description: "Keeps the newest logs of a folder and deletes the others",
        files: example_files!("logtrim":
            "README.md" = "README.md",
            ".bzzz.toml" = "bzzz.toml",
            "bin/logtrim" = "bin/logtrim" executable,
            "lib/arguments.sh" = "lib/arguments.sh",
            "lib/trim.sh" = "lib/trim.sh",
            "tests/support.sh" = "tests/support.sh",
            "tests/run.sh" = "tests/run.sh" executable,
        ),
        issue: include_str!("logtrim/issue.md"),
        replies: example_replies!("logtrim":
            "1-plan", "2-look", "3-see-it-fail", "4-fix", "5-test", "6-diff", "7-done", "8-done",
        ),
        probe: &["bash", "--version"],
    },
];

/// All examples.
pub fn all() -> &'static [Example] {
    &ALL
}

/// The scripted model's replies for all examples, each as the first issue of its repository.
pub fn script() -> ModelScript {
    script_for(1)
}

/// The same with the issue of each example opened so many times.
pub fn script_for(issues: usize) -> ModelScript {
    let mut script = ModelScript::default();
    for example in all() {
        for number in 1..=issues {
            script.set(&format!("{}#{number}", example.repo), example.replies.iter().copied());
        }
    }
    script
}

impl Example {
    pub fn issue_title(&self) -> &'static str {
        self.issue.split_once("\n\n").map_or(self.issue, |(title, _)| title)
    }

    pub fn issue_body(&self) -> &'static str {
        self.issue.split_once("\n\n").map_or("", |(_, body)| body.trim_end())
    }

    pub fn repo_id(&self) -> Result<RepoId, ApiaryError> {
        self.repo.parse().map_err(|e| ApiaryError::Refused(format!("{e}")))
    }

    pub fn repository_files(&self) -> Vec<RepositoryFile> {
        let file = |f: &ExampleFile| RepositoryFile {
            path: f.path.to_owned(),
            bytes: f.text.as_bytes().to_vec(),
            executable: f.executable,
        };
        self.files.iter().map(file).collect()
    }

    /// Makes the repository and opens its issue, labelled as a task. One that is there already is left as it is.
    pub async fn plant(&self, forge: &Forge) -> Result<TaskId, ApiaryError> {
        let repo = self.repo_id()?;
        if !forge.has_repository(&repo) {
            let new = NewRepository {
                description: Some(self.description.to_owned()),
                files: self.repository_files(),
                ..NewRepository::default()
            };
            forge.create_repository(&repo, new).await?;
            forge.add_triager(&repo, "maya")?;
            forge.open_issue(&repo, "maya", self.issue_title(), self.issue_body(), &[label::TASK])?;
        }
        Ok(TaskId::new(repo, 1))
    }

    /// The same, and opens the issue again until there are so many.
    pub async fn plant_several(&self, forge: &Forge, issues: usize) -> Result<Vec<TaskId>, ApiaryError> {
        let mut tasks = vec![self.plant(forge).await?];
        for _ in 1..issues {
            let repo = self.repo_id()?;
            let number =
                forge.open_issue(&repo, "maya", self.issue_title(), self.issue_body(), &[label::TASK])?;
            tasks.push(TaskId::new(repo, number));
        }
        Ok(tasks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kind and text of the only fenced block of a reply.
    fn block(reply: &str) -> Option<(&str, &str)> {
        let (_, rest) = reply.split_once("```")?;
        let (kind, rest) = rest.split_once('\n')?;
        let (text, after) = rest.split_once("\n```\n")?;
        assert!(!after.contains("```"), "one block a reply: {reply}");
        Some((kind, text))
    }

    #[test]
    fn replies_keep_to_the_protocol() {
        for example in all() {
            let (plan, others) = example.replies.split_first().unwrap();
            assert!(plan.starts_with("1. ") && block(plan).is_none(), "{}", example.repo);
            let kinds: Vec<_> = others.iter().map(|r| block(r).unwrap().0).collect();
            let (end, commands) = kinds.split_at(kinds.len() - 2);
            assert_eq!((end.len(), commands), (kinds.len() - 2, ["done", "done"].as_slice()));
            assert!(end.len() >= 5 && end.iter().all(|k| *k == "sh"), "{}: {kinds:?}", example.repo);
            let done: Vec<_> = others[others.len() - 2..].iter().map(|r| block(r).unwrap().1).collect();
            assert_eq!(done[0], done[1]);
            assert!(!done[0].contains("Closes #1"), "the node says it itself");
        }
    }

    #[test]
    fn each_example_is_whole() {
        for example in all() {
            assert!(example.repo_id().is_ok());
            assert!((5..=12).contains(&example.files.len()));
            let has = |path: &str| example.files.iter().any(|f| f.path == path);
            assert!(has("README.md") && has(".bzzz.toml"));
            assert!(!example.issue_title().contains('\n') && example.issue_body().len() > 100);
        }
    }
}
