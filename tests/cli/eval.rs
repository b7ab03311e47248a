//! `bzzz eval` and `bzzz doctor` as a person runs them.

use std::fs;
use std::path::{Path, PathBuf};

use bzzz::apiary::{Apiary, ApiaryOptions};
use serde_json::Value;

use crate::containers::{Containers, can_run};
use crate::program::Program;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("eval")
}

fn eval(folder: &Path, script: &Path, cases_to_run: &[&str]) -> (Program, Containers) {
    let mut args = vec!["eval".to_owned(), cases().display().to_string(), "--json".to_owned()];
    args.extend(["--scripted".to_owned(), script.display().to_string()]);
    args.extend(cases_to_run.iter().flat_map(|case| ["--case".to_owned(), (*case).to_owned()]));
    let program = Program::start(folder, &args);
    let containers = Containers { prefix: format!("eval-{}", program.id()) };
    (program, containers)
}

fn outcomes(program: &Program) -> Vec<Value> {
    let text = program.text();
    let json = &text[text.find("{\n").unwrap()..];
    let printed: Value = serde_json::Deserializer::from_str(json).into_iter().next().unwrap().unwrap();
    printed["models"][0]["outcomes"].as_array().unwrap().clone()
}

#[test]
fn a_scripted_model_solves_what_its_script_holds_and_what_was_run_is_not_run_again() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = cases().join("script.toml");
    let (mut first, containers) = eval(folder.path(), &script, &["c-word-count", "c-line-ranges"]);
    assert_eq!(first.until_end(), 0, "{}", first.text());
    let told = outcomes(&first);
    let [ranges, count] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        (&ranges["case"], &ranges["solved"]),
        (&"c-line-ranges".into(), &false.into()),
        "it is not scripted"
    );
    assert_eq!((&ranges["malformed"], &ranges["steps"]), (&3.into(), &0.into()), "{ranges}");
    assert_eq!((&count["case"], &count["solved"]), (&"c-word-count".into(), &true.into()));
    assert_eq!(
        (&count["scripted"], &count["malformed"], &count["overflows"]),
        (&true.into(), &0.into(), &0.into())
    );
    assert_eq!((&count["steps"], &count["end"]), (&2.into(), &"solved".into()));
    assert!(count["prompt_tokens"].as_u64() > Some(1000) && count["seconds"].as_f64() > Some(0.0), "{count}");
    assert_eq!(containers.names(), [""; 0]);

    let (mut second, _) =
        eval(folder.path(), &script, &["c-word-count", "c-line-ranges", "python-due-dates"]);
    assert_eq!(second.until_end(), 0, "{}", second.text());
    let told_again = outcomes(&second);
    assert_eq!((told_again.len(), &told_again[..2]), (3, told.as_slice()));
    let progress: Vec<_> = second.seen.iter().filter(|line| line.starts_with("scripted:latest (")).collect();
    assert_eq!(progress.len(), 1, "{progress:?}");
    assert!(progress[0].contains("(3 of 3) python-due-dates: solved"), "{progress:?}");
}

/// A patch that does what the visible tests ask for and no more.
#[test]
fn what_passes_the_visible_tests_alone_is_not_solved_and_says_why() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.toml");
    let done = "```done\nNothing to do\n\nIt is fine.\n```";
    let touch = "```sh\necho >> README.md\n```";
    fs::write(&script, format!("'eval/c-word-count#1' = ['1. Look.', {touch:?}, {done:?}, {done:?}]"))
        .unwrap();
    let (mut program, _) = eval(folder.path(), &script, &["c-word-count"]);
    assert_eq!(program.until_end(), 0, "{}", program.text());
    let told = outcomes(&program);
    assert_eq!(told[0]["solved"], false);
    assert!(told[0]["end"].as_str().unwrap().starts_with("the hidden tests fail: "), "{told:?}");
}

#[test]
fn an_interrupted_evaluation_goes_on_where_it_stopped() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = cases().join("script.toml");
    let both = ["c-word-count", "python-due-dates"];
    let (mut first, containers) = eval(folder.path(), &script, &both);
    let done = first.until_line("(1 of 2)");
    first.signal("INT");
    assert_eq!(first.until_end(), 1, "{}", first.text());
    assert!(first.text().contains("interrupted: the same command goes on from here"));
    assert_eq!(containers.names(), [""; 0]);
    let (mut second, _) = eval(folder.path(), &script, &both);
    assert_eq!(second.until_end(), 0, "{}", second.text());
    assert!(second.text().contains("(2 of 2)") && !second.text().contains("(1 of 2)"), "{}", second.text());
    assert!(outcomes(&second).iter().all(|it| it["solved"] == true), "{done}");
}

#[test]
fn what_can_not_be_evaluated_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let args: Vec<_> = args.iter().map(|it| (*it).to_owned()).collect();
        let mut program = Program::start(folder.path(), &args);
        (program.until_end(), program.text())
    };
    let here = cases().display().to_string();
    let (status, text) = run(&["eval", "nowhere"]);
    assert!(status == 1 && text.contains("nowhere: No such file"), "{text}");
    let (status, text) = run(&["eval", &here, "--case", "none"]);
    assert!(status == 1 && text.contains("has no case none; it has c-line-ranges, "), "{text}");
    let (status, text) = run(&["eval", &here, "--model", "m", "--set", "model.url=http://127.0.0.1:9"]);
    assert!(status == 1 && text.contains("m: left out: "), "{text}");
    assert!(text.contains("not run"), "{text}");
}

#[test]
fn a_doctor_says_what_is_missing_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let apiary = Apiary::start(ApiaryOptions::new(folder.path().join("apiary"), "t")).unwrap();
    let doctor = |names: &str| {
        let sets = [
            format!("forge.api_url={}", apiary.forge_url()),
            format!("forge.git_url={}", apiary.forge_url()),
            "forge.repositories=[\"a/b\"]".to_owned(),
            format!("model.url={}", apiary.ollama_url()),
            format!("model.names={names}"),
        ];
        let mut args = vec!["doctor".to_owned()];
        args.extend(sets.into_iter().flat_map(|set| ["--set".to_owned(), set]));
        let mut program =
            Program::start_with(folder.path(), &args, &[("BZZZ__FORGE__TOKEN", "t".to_owned())]);
        (program.until_end(), program.text())
    };
    let (status, text) = doctor("[\"qwen2.5-coder:3b\", \"scripted:latest\"]");
    assert_eq!(status, 1, "the repository is not there: {text}");
    let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap_or_default().to_owned();
    assert!(
        line("repository a/b").starts_with("FAULT") && line("repository a/b").contains("not there"),
        "{text}"
    );
    assert!(line("qwen2.5-coder:3b").starts_with("warning"), "{text}");
    assert!(line("qwen2.5-coder:3b").contains("ollama pull qwen2.5-coder:3b"), "{text}");
    assert!(line("model scripted:latest").starts_with("ok") && line("  git ").starts_with("ok"), "{text}");
    assert!(!text.contains("tasks wait for them"), "{text}");
    let (_, text) = doctor("[\"none:7b\"]");
    assert!(text.contains("no server has any of none:7b"), "{text}");
    actix_rt::System::new().block_on(apiary.stop());
}
