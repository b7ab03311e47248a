//! Commands that do not behave, and sandboxes that end under them.

use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::KillContainerOptions;
use bzzz_actors::task::{Ending, TaskEvent};

use crate::replies::{DONE, FUELLED, PLAN, running, sh};
use crate::stage::on_a_hill;

#[test]
fn a_command_may_do_anything_and_the_next_one_runs() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let repo = hill.repository("wild", &["test -s fuel"]).await;
        let commands = [
            "sleep 1000",
            "yes flood",
            ":(){ :|:& };: ; sleep 1000",
            "no-such-program",
            "head -c 100000 /dev/urandom",
            "kill -9 $$",
            "setsid sleep 1000 & disown; echo left behind",
            "rm -rf /; exit 3",
            "cat",
            "printf '\\033[2Jclear\\r\\n'; echo full > fuel",
        ];
        let wild = hill.issue(&repo, running(&commands));
        let node = hill
            .node_with("a", |settings| settings.sandbox.command_timeout = Duration::from_secs(5).into())
            .await;
        node.until_proposed(&well).await;
        let story = node.until_proposed(&wild).await;
        let outcomes = story.outcomes();
        let endings: Vec<Ending> = outcomes.iter().map(|outcome| outcome.ending).collect();
        let killed = Ending::TimedOut { after_ms: 5000 };
        let exited = |code| Ending::Exited { code };
        let expected = [
            killed,
            killed,
            killed,
            exited(127),
            exited(0),
            Ending::Signalled { signal: 9 },
            exited(0),
            exited(3),
            exited(0),
            exited(0),
        ];
        assert_eq!(endings, expected, "{story}");
        assert!(
            outcomes[1].shown.len() < 11_000 && outcomes[1].shown.contains("bytes were left out here"),
            "{story}"
        );
        let flood = node.blob(outcomes[1].whole.as_ref().unwrap()).await;
        assert!(flood.len() > 500_000 && flood.len() < 1_100_000, "{}", flood.len());
        assert!(outcomes[3].shown.contains("no-such-program: command not found"), "{story}");
        assert_eq!(outcomes[4].shown, "[100000 bytes that are not text]\n", "{story}");
        assert_eq!(outcomes[6].shown, "left behind\n", "{story}");
        assert_eq!(outcomes[9].shown, "clear\n", "{story}");
        hill.assert_proposed_once(&wild).await;
    });
}

#[test]
fn a_full_disk_is_told_to_the_model_and_not_published() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let repo = hill.repository("full", &["test -s fuel"]).await;
        let fill = "echo full > fuel; head -c 200M /dev/zero > ../ballast; ls -l ..";
        let replies = [
            PLAN.to_owned(),
            sh(fill),
            DONE.to_owned(),
            sh("rm ../ballast"),
            DONE.to_owned(),
            DONE.to_owned(),
        ];
        let full = hill.issue(&repo, replies);
        let node = hill.node().await;
        node.until_proposed(&well).await;
        let story = node.until_proposed(&full).await;
        assert!(story.outcomes()[0].shown.contains("No space left on device"), "{story}");
        assert_eq!(story.count("work_refused"), 1, "{story}");
        let refused = story.events().find_map(|event| match event {
            TaskEvent::WorkRefused { problem } => Some(problem.clone()),
            _ => None,
        });
        assert!(refused.as_ref().is_some_and(|problem| problem.contains("disk is full")), "{refused:?}");
        assert!(hill.prompts(&full).pop().unwrap().contains("disk is full"));
        hill.assert_proposed_once(&full).await;
    });
}

#[test]
fn a_container_that_is_killed_from_outside_is_made_anew() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let repo = hill.repository("killed", &["test -s fuel"]).await;
        let replies = running(&["echo kept > note", "echo early > fuel; sleep 1000", "ls; echo full > fuel"]);
        let killed = hill.issue(&repo, replies);
        let node = hill.node().await;
        node.until_kind(&killed, "replied").await;
        let docker = Docker::connect_with_unix_defaults().unwrap();
        let name = node.sandbox_of(&killed);
        crate::containers::until_runs(&name, "sleep 1000").await;
        docker.kill_container(&name, None::<KillContainerOptions>).await.unwrap();

        let story = node.until_proposed(&killed).await;
        assert_eq!((story.count("sandbox_lost"), story.count("prepared")), (1, 2), "{story}");
        // What the command under way did is gone, what was done before is not, and the model is told so.
        assert_eq!(story.outcomes().last().unwrap().shown, "README.md\nnote\n", "{story}");
        assert!(hill.prompts(&killed).pop().unwrap().contains("as they were saved after command 1"));
        node.until_proposed(&well).await;
    });
}

#[test]
fn a_task_whose_sandboxes_keep_dying_is_given_up() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let repo = hill.repository("dying", &["test -s fuel"]).await;
        let dying = hill.issue(&repo, running(&["sleep 1000", "sleep 1001"]));
        let node = hill.node_with("a", |settings| settings.task.max_sandbox_losses = 1).await;
        let docker = Docker::connect_with_unix_defaults().unwrap();
        let name = node.sandbox_of(&dying);
        for command in ["sleep 1000", "sleep 1001"] {
            crate::containers::until_runs(&name, command).await;
            docker.kill_container(&name, None::<KillContainerOptions>).await.unwrap();
        }
        let story = node.until_over(&dying).await;
        assert_eq!(story.reason(), "the sandbox was lost 2 times", "{story}");
        hill.assert_nothing_published(&dying).await;
        let again = hill.issue(&repo, FUELLED);
        node.until_proposed(&again).await;
        node.until_proposed(&well).await;
    });
}
