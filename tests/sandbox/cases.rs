//! The evaluation cases of `eval/`: each is unsolved at its base and solved by its reference.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use bzzz::apiary::forge::RepositoryFile;
use bzzz::eval::{Case, Difficulty, Verdict, judge};
use bzzz_actors::ports::code::CodeIn;
use bzzz_actors::ports::sandbox::{Purpose, SandboxSpec};
use bzzz_actors::task::repository_policy::{FILE, RepositoryPolicy};
use bzzz_actors::task::{Epoch, TaskId};

use crate::code::archive_of;
use crate::place::{Place, git};

fn cases() -> Vec<Case> {
    Case::all_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("eval")).unwrap()
}

fn write(folder: &Path, file: &RepositoryFile) {
    let path = folder.join(&file.path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, &file.bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(if file.executable { 0o755 } else { 0o644 }))
        .unwrap();
}

fn apply(repo: &Path, patch: &str) {
    let apply = Command::new("git").arg("-C").arg(repo).args(["apply", "-"]).stdin(Stdio::piped()).spawn();
    let mut apply = apply.unwrap();
    apply.stdin.take().unwrap().write_all(patch.as_bytes()).unwrap();
    assert!(apply.wait().unwrap().success(), "the reference does not apply");
}

/// The case's repository, with the reference or without.
fn code(folder: &Path, case: &Case, is_solved: bool) -> CodeIn {
    let repo = folder.join("repo");
    fs::create_dir(&repo).unwrap();
    git(&repo, &["init", "--quiet"]);
    case.repository.iter().for_each(|file| write(&repo, file));
    if is_solved {
        apply(&repo, &case.reference);
    }
    git(&repo, &["add", "--all"]);
    git(&repo, &["commit", "--quiet", "-m", "base"]);
    let base = git(&repo, &["rev-parse", "HEAD"]).parse().unwrap();
    CodeIn { archive: archive_of(folder, &repo), base, changes: None }
}

/// What the case's check, or in its place these commands, say of the repository.
async fn verdict(place: &Place, number: u64, case: &Case, is_solved: bool) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let code = code(folder.path(), case, is_solved);
    let task = TaskId::new(format!("eval/{}", case.name).parse().unwrap(), number);
    let spec = SandboxSpec { node: place.node.clone(), task, epoch: Epoch(1), purpose: Purpose::Check };
    judge(&*place.sandboxes, &spec, &code, case).await.unwrap()
}

/// The same case with the checks that its repository itself names.
fn with_own_checks(case: &Case) -> Case {
    let file = case.repository.iter().find(|file| file.path == FILE).expect("a file that names the checks");
    let policy = RepositoryPolicy::parse(std::str::from_utf8(&file.bytes).unwrap()).unwrap();
    assert!(!policy.checks.is_empty(), "{}", case.name);
    Case { check: policy.checks, hidden: Vec::new(), ..case.clone() }
}

async fn prove(place: &Place, case: &Case) {
    let own = with_own_checks(case);
    for (number, case, is_solved, expected) in
        [(1, case, false, false), (2, case, true, true), (3, &own, false, true)]
    {
        let Verdict { solved, output } = verdict(place, number, case, is_solved).await;
        let at = if is_solved { "with its reference" } else { "at its base" };
        assert_eq!(solved, expected, "{} {at}, by {:?}: {output}", case.name, case.check);
    }
}

#[tokio::test]
async fn each_case_fails_at_its_base_and_passes_with_its_reference() {
    let Some(place) = Place::docker() else { return };
    let (place, cases) = (&place, &cases());
    // Two at a time: a build takes a processor.
    let half = async |from: usize| {
        for case in cases.iter().skip(from).step_by(2) {
            prove(place, case).await;
        }
    };
    tokio::join!(half(0), half(1));
}

#[test]
fn there_are_cases_of_each_language_and_difficulty() {
    let (mut languages, mut difficulties) = (BTreeMap::new(), BTreeMap::new());
    for case in cases() {
        *languages.entry(case.language.clone()).or_insert(0) += 1;
        *difficulties.entry(case.difficulty.as_str()).or_insert(0) += 1;
        let hides = |file: &RepositoryFile| case.repository.iter().all(|it| it.path != file.path);
        assert!(case.hidden.iter().all(hides), "{}: what is hidden stands in the repository", case.name);
    }
    let languages: Vec<_> = languages.into_iter().collect();
    let expected = [("c", 2), ("javascript", 2), ("python", 3), ("rust", 3), ("shell", 2)];
    assert_eq!(languages, expected.map(|(name, count)| (name.to_owned(), count)));
    for difficulty in [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard] {
        assert!(difficulties[difficulty.as_str()] >= 3, "{difficulties:?}");
    }
}
