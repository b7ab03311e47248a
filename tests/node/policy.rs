//! `.bzzz.toml` in full, and the operator's word over it, with real sandboxes.

use bzzz::apiary::forge::RepositoryFile;
use bzzz::settings::{RepositorySandbox, SandboxBackend, Settings};
use bzzz_actors::task::{RepoId, TaskEvent, label};

use crate::bubblewrap;
use crate::containers::{docker, image};
use crate::hill::Hill;
use crate::replies::{DONE, FUEL, PLAN, running, sh};
use crate::stage::on_a_hill;

/// May be allowed, and leads nowhere: no name of this domain is ever given to anybody.
const NOWHERE: &str = "nowhere.invalid";

async fn repository(hill: &mut Hill, name: &str, policy: &str) -> RepoId {
    let files =
        vec![RepositoryFile::text("README.md", "# Rocket\n"), RepositoryFile::text(".bzzz.toml", policy)];
    hill.repository_of(name, files).await
}

fn of_repository(repo: &RepoId, keys: serde_json::Value) -> RepositorySandbox {
    let mut table = keys;
    table["name"] = serde_json::json!(repo);
    serde_json::from_value(table).unwrap()
}

fn set_up_everywhere(backend: SandboxBackend) {
    on_a_hill(async |hill| {
        let policy = r#"
setup = ["echo made > ~/tool", "test -f README.md && echo ready"]
checks = ["test -s fuel", "grep -q made ~/tool"]
instructions = "Paint nothing."
"#;
        let repo = repository(hill, "tooled", policy).await;
        let task = hill.issue(&repo, running(&["cat ~/tool; echo full > fuel"]));
        let node = hill.node_with("a", |settings: &mut Settings| settings.sandbox.backend = backend).await;
        let story = node.until_proposed(&task).await;
        assert_eq!(story.outcomes()[0].shown, "made\n", "{story}");
        let set_up = story.events().filter_map(|event| match event {
            TaskEvent::Prepared { setup, .. } | TaskEvent::ChecksFinished { setup, .. } => Some(setup),
            _ => None,
        });
        let shown = set_up.map(|runs| runs.iter().map(|run| run.outcome.shown.as_str()).collect::<Vec<_>>());
        assert_eq!(shown.collect::<Vec<_>>(), [["", "ready\n"]; 2], "{story}");
        let told = hill.prompts(&task);
        assert!(told[0].contains("```\nPaint nothing.\n```"), "{}", told[0]);
        assert!(told[0].contains("Command passed: echo made > ~/tool (exit status 0)."), "{}", told[0]);
    });
}

#[test]
fn a_setup_runs_before_the_first_command_and_before_the_checks() {
    set_up_everywhere(SandboxBackend::Docker);
}

#[test]
fn without_docker_a_setup_runs_in_each_sandbox_too() {
    if bubblewrap::can_run() {
        set_up_everywhere(SandboxBackend::Bubblewrap);
    }
}

#[test]
fn a_sandbox_made_anew_is_set_up_anew() {
    on_a_hill(async |hill| {
        let repo =
            repository(hill, "lost", "setup = ['echo made > ~/tool']\nchecks = ['test -s fuel']").await;
        let task = hill.issue(&repo, [PLAN, FUEL, &sh("sleep 1000"), &sh("cat ~/tool"), DONE, DONE]);
        let node = hill.node().await;
        node.until(&task, "a second command", |story| story.count("replied") == 2).await;
        docker(&["rm", "--force", &node.sandbox_of(&task)]).unwrap();
        let story = node.until_proposed(&task).await;
        assert_eq!((story.count("sandbox_lost"), story.count("prepared")), (1, 2), "{story}");
        assert_eq!(story.outcomes().last().unwrap().shown, "made\n", "{story}");
    });
}

#[test]
fn a_setup_that_fails_is_told_to_the_model_and_nothing_is_published() {
    on_a_hill(async |hill| {
        let policy = "setup = ['echo no such tool; exit 7', 'touch ~/never']\nchecks = ['true']";
        let repo = repository(hill, "unready", policy).await;
        let task = hill.issue(&repo, [PLAN, &sh("ls ~/never; echo full > fuel"), DONE]);
        let slow = repository(hill, "slow", "setup = ['sleep 1000']\nchecks = ['true']").await;
        let slow = hill.issue(&slow, [PLAN, FUEL, DONE]);
        let limits = |settings: &mut Settings| {
            settings.task.max_check_rounds = 1;
            settings.sandbox.setup_timeout = std::time::Duration::from_secs(5).into();
        };
        let node = hill.node_with("a", limits).await;
        let story = node.until_over(&task).await;
        let told = &hill.prompts(&task)[0];
        let failed =
            "Command FAILED: echo no such tool; exit 7 (exit status 7). Output:\n```\nno such tool\n```";
        assert!(told.contains(failed), "{told}");
        assert!(story.outcomes()[0].shown.contains("No such file"), "{story}");
        assert!(
            story.reason().ends_with("no check ran: `echo no such tool; exit 7` (exit status 7)"),
            "{story}"
        );
        hill.assert_nothing_published(&task).await;
        hill.until("a person is called", |hill| hill.has_label(&task, label::NEEDS_HUMAN)).await;
        let story = node.until_over(&slow).await;
        assert!(story.reason().ends_with("`sleep 1000` (killed after 5.0 s (time limit))"), "{story}");
    });
}

#[test]
fn image_and_network_are_the_files_choice_where_the_operator_lets_it_choose() {
    on_a_hill(async |hill| {
        // The same image by another name.
        let other = docker(&["image", "inspect", "--format", "{{.Id}}", &image()]).unwrap();
        let other = other.trim();
        let get = format!(
            "python3 -c 'import urllib.request as u; u.urlopen(\"https://{NOWHERE}/\", timeout=20)' 2>&1 | tail -n1"
        );
        let policy = |key: &str| format!("{key}\nsetup = [{get:?}]\nchecks = [{get:?}, 'test -s fuel']");
        let open =
            repository(hill, "open", &policy(&format!("network = ['{NOWHERE}']\nimage = '{other}'"))).await;
        let closed = repository(hill, "closed", &policy("")).await;
        let wants_network =
            repository(hill, "wants-network", &policy(&format!("network = ['{NOWHERE}']"))).await;
        let wants_image = repository(hill, "wants-image", &policy(&format!("image = '{other}'"))).await;
        let work = || running(&["sleep 1; echo full > fuel"]);
        let [of_open, of_closed, of_network, of_image] =
            [&open, &closed, &wants_network, &wants_image].map(|repo| hill.issue(repo, work()));
        let keys = serde_json::json!({ "choosable_images": [other], "askable_hosts": [NOWHERE] });
        let node = hill
            .node_with("a", |settings| settings.sandbox.repository = vec![of_repository(&open, keys)])
            .await;

        node.until_kind(&of_open, "prepared").await;
        let of = |name: &str| docker(&["inspect", "--format", "{{.Config.Image}}", name]);
        assert_eq!(of(&node.sandbox_of(&of_open)).unwrap().trim(), other);
        let said = |story: &crate::story::Story| -> Vec<String> {
            let shown = |event: &TaskEvent| match event {
                TaskEvent::Prepared { setup, .. } => vec![setup[0].outcome.shown.clone()],
                TaskEvent::ChecksFinished { setup, results, .. } => {
                    vec![setup[0].outcome.shown.clone(), results[0].outcome.shown.clone()]
                }
                _ => vec![],
            };
            story.events().flat_map(shown).collect()
        };
        let story = node.until_proposed(&of_open).await;
        let words = said(&story);
        assert_eq!(words.len(), 3, "{story}");
        assert!(words.iter().all(|it| it.contains("is allowed, but could not be reached")), "{words:?}");
        let story = node.until_proposed(&of_closed).await;
        let words = said(&story);
        let unresolved = |it: &String| it.contains("name resolution") || it.contains("not known");
        assert!(words.len() == 3 && words.iter().all(unresolved), "{words:?}");

        for (task, key) in [(&of_network, "network: "), (&of_image, "image: ")] {
            let story = node.until_over(task).await;
            let begin = format!(".bzzz.toml at the base of the work can't be used: {key}the node's operator");
            assert!(story.reason().starts_with(&begin), "{story}");
            assert_eq!(story.count("prepared"), 0, "{story}");
            let is_said = |hill: &Hill| hill.comments(task).iter().any(|it| it.contains(key));
            hill.until("the issue is told", is_said).await;
        }
    });
}

#[test]
fn work_outside_of_the_paths_is_refused_until_it_is_mended() {
    on_a_hill(async |hill| {
        let repo =
            repository(hill, "narrow", "checks = ['test -s src/fuel']\npaths = ['src/', '**/*.md']").await;
        let mend = sh("mkdir src && mv fuel src/ && echo Fuelled. >> README.md");
        let task = hill.issue(&repo, [PLAN, FUEL, DONE, &mend, DONE, DONE]);
        let node = hill.node().await;
        let story = node.until_proposed(&task).await;
        let problem = story.events().find_map(|event| match event {
            TaskEvent::WorkRefused { problem } => Some(problem.as_str()),
            _ => None,
        });
        let expected = "\"fuel\" may not be changed: in this repository tasks change only src/, **/*.md;";
        assert!(problem.unwrap().starts_with(expected), "{story}");
        assert!(hill.prompts(&task).iter().any(|told| told.contains(expected)));
    });
}

#[test]
fn the_operator_says_what_counts_in_place_of_the_file() {
    on_a_hill(async |hill| {
        let policy = "setup = ['exit 9']\nchecks = ['false']\npaths = ['none/']\ninstructions = 'Paint it.'";
        let repo = repository(hill, "overruled", policy).await;
        let task = hill.issue(&repo, running(&["echo full > fuel"]));
        let keys = serde_json::json!({
            "checks": ["grep -q mine ~/tool", "test -s fuel"],
            "setup": ["echo mine > ~/tool"],
            "paths": [],
            "instructions": "Paint nothing.",
        });
        let node = hill
            .node_with("a", |settings| settings.sandbox.repository = vec![of_repository(&repo, keys)])
            .await;
        let story = node.until_proposed(&task).await;
        assert_eq!(story.task().checks, ["grep -q mine ~/tool", "test -s fuel"], "{story}");
        let told = &hill.prompts(&task)[0];
        assert!(told.contains("Paint nothing.") && !told.contains("Paint it."), "{told}");
    });
}
