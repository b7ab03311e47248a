//! What a repository's own file asks for, and what the operator lets count of it.

use crate::world::*;
use crate::{DONE, HANG, LOOK, PLAN, WRITE};
use bzzz_actors::ports::model::Role;
use bzzz_actors::ports::sandbox::{Purpose, SandboxChoice};
use bzzz_actors::task::{Ending, TaskEvent};

/// The last thing that the model was told in its request number `index`.
fn told(world: &World, index: usize) -> String {
    world.model.requests()[index].messages.last().unwrap().content.clone()
}

#[test]
fn a_sandbox_is_set_up_before_the_plan_and_again_before_the_checks_and_after_a_loss() {
    in_virtual_time(async {
        let mut world = World::new(&[PLAN, WRITE, LOOK, DONE, DONE]);
        world.git.set_policy(
            "setup = ['fetch fuel', 'build tank']\nchecks = ['launch']\nnetwork = ['fuel.example']\nimage = 'dock:2'\n\
             instructions = 'Mind the\u{200b} paint.'\npaths = ['log', 'src/']",
        );
        world.config.rules.general.choosable_images = vec!["dock:2".into()];
        world.config.rules.general.askable_hosts = vec!["fuel.example".into(), "other.example".into()];
        let node = world.start();
        let mut story = Story::of(&node);
        let TaskEvent::Prepared { setup, terms, .. } = story.until_kind("prepared").await else { panic!() };
        let ran: Vec<_> = setup.iter().map(|run| (run.command.as_str(), run.outcome.ending)).collect();
        let well = Ending::Exited { code: 0 };
        assert_eq!(ran, [("fetch fuel", well), ("build tank", well)]);
        assert_eq!(
            (terms.network.as_slice(), terms.image.as_deref()),
            (&["fuel.example".to_owned()][..], Some("dock:2"))
        );
        story.until_kind("checkpointed").await;
        world.sandboxes.kill(Purpose::Work);
        let TaskEvent::ChecksFinished { setup, results, .. } = story.until_kind("checks_finished").await
        else {
            panic!()
        };
        assert_eq!((setup.len(), results.len()), (2, 1));
        story.until_kind("pull_request_opened").await;

        let asked = told(&world, 0);
        assert!(
            asked.contains("```\nMind the paint.\n```") && asked.ends_with("that it is solved."),
            "{asked}"
        );
        let begins = told(&world, 1);
        assert!(
            begins.contains("Only these paths may be changed") && begins.contains("log\nsrc/\n"),
            "{begins}"
        );
        let again =
            "The sandbox was set up as the repository asks:\nCommand passed: fetch fuel (exit status 0).";
        let of_user = |request: &bzzz_actors::ports::model::ChatRequest| {
            let said =
                request.messages.iter().filter(|it| it.role == Role::User).map(|it| it.content.clone());
            said.collect::<String>()
        };
        assert_eq!(of_user(world.model.requests().last().unwrap()).matches(again).count(), 2);

        assert_eq!(world.sandboxes.times("fetch fuel"), 2, "in each sandbox for work");
        let choice = SandboxChoice { image: Some("dock:2".into()), hosts: vec!["fuel.example".into()] };
        assert_eq!(world.sandboxes.choices(), [choice.clone(), choice.clone(), choice]);
        let body = &world.forge.opened()[0].body;
        assert!(
            body.contains("It was set up first") && body.contains("build tank — exit status 0"),
            "{body}"
        );
        node.stop().await;
    });
}

#[test]
fn a_setup_that_fails_is_told_before_the_plan_and_proves_nothing_in_the_checks() {
    in_virtual_time(async {
        let mut world = World::new(&[PLAN, WRITE, DONE, LOOK, DONE]);
        world.git.set_policy("setup = ['exit 3', 'never']\nchecks = ['launch']");
        world.config.limits.max_check_rounds = 2;
        let node = world.start();
        let mut story = Story::of(&node);
        let TaskEvent::ChecksFinished { setup, results, .. } = story.until_kind("checks_finished").await
        else {
            panic!()
        };
        assert_eq!((setup.len(), results.len()), (1, 0));
        let TaskEvent::GaveUp { reason } = story.until_kind("gave_up").await else { panic!() };
        assert_eq!(
            reason,
            "the work was refused or failed its checks 2 times; the last time: the repository's setup failed, so no check \
             ran: `exit 3` (exit status 3)"
        );
        let asked = told(&world, 0);
        assert!(
            asked.contains("that FAILED:\nCommand FAILED: exit 3 (exit status 3). No output."),
            "{asked}"
        );
        let again = told(&world, 3);
        assert!(again.contains("so no check ran.\n\nCommand FAILED: exit 3"), "{again}");
        assert_eq!(world.sandboxes.times("never"), 0);
        assert!(world.forge.pull_requests().is_empty());
        node.stop().await;
    });
}

#[test]
fn what_is_asked_for_and_not_allowed_ends_the_task_before_a_sandbox_is_made() {
    in_virtual_time(async {
        for (policy, key) in [
            ("image = 'dock:2'", "image: the node's operator"),
            ("network = ['fuel.example']", "network: the node's operator"),
            ("paths = ['../x']", "paths: "),
        ] {
            let world = World::new(&[PLAN]);
            world.git.set_policy(policy);
            let node = world.start();
            let mut story = Story::of(&node);
            let TaskEvent::GaveUp { reason } = story.until_kind("gave_up").await else { panic!() };
            let begin = format!(".bzzz.toml at the base of the work can't be used: {key}");
            assert!(reason.starts_with(&begin), "{reason}");
            tokio::time::sleep(10 * MINUTE).await;
            assert_eq!(world.sandboxes.started(), 0);
            assert!(world.forge.labels().contains("needs-human"));
            let bodies = world.forge.bodies();
            assert!(bodies.iter().any(|body| body.contains(key)), "{bodies:?}");
            node.stop().await;
        }
    });
}

#[test]
fn a_change_outside_of_the_paths_is_refused_and_the_model_told() {
    in_virtual_time(async {
        let mut world = World::new(&[PLAN, WRITE, DONE, LOOK, DONE]);
        world.git.set_policy("paths = ['src/']");
        world.config.limits.max_check_rounds = 2;
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("work_refused").await;
        story.until_kind("gave_up").await;
        assert!(told(&world, 3).contains("log may not be changed"), "{}", told(&world, 3));
        node.stop().await;
    });
}

#[test]
fn a_sandbox_that_is_taken_over_reaches_what_may_be_asked_for_today() {
    in_virtual_time(async {
        let mut world = World::new(&[PLAN, HANG, WRITE, DONE, DONE]);
        world.git.set_policy("network = ['a.example', 'b.example']");
        world.config.rules.general.askable_hosts = vec!["a.example".into(), "b.example".into()];
        let node = world.start();
        Story::of(&node).until_kind("replied").await;
        node.stop().await;
        world.config.rules.general.askable_hosts = vec!["b.example".into()];
        let node = world.start();
        Story::of(&node).until_kind("command_finished").await;
        assert_eq!(world.sandboxes.adopted_with().unwrap().hosts, ["b.example"]);
        node.stop().await;
    });
}
