//! Checks that fail.

use bzzz_actors::ports::claims::LeaseState;
use bzzz_actors::task::label;

use crate::replies::{DONE, FUEL, PLAN, sh};
use crate::stage::on_a_hill;

#[test]
fn failed_checks_go_back_to_the_model_and_at_their_limit_nothing_is_published() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let repo =
            hill.repository("strict", &["test -s fuel || { echo the tank is empty; exit 9; }", "true"]).await;
        let never =
            hill.issue(&repo, [PLAN.to_owned(), sh("echo half > tank"), DONE.to_owned(), DONE.to_owned()]);
        let learns = hill.issue(&repo, [PLAN, &sh("echo half > tank"), DONE, FUEL, DONE, DONE]);
        let node = hill.node_with("a", |settings| settings.task.max_check_rounds = 2).await;

        let story = node.until_over(&never).await;
        assert_eq!(story.reason(), "the work was refused or failed its checks 2 times", "{story}");
        assert_eq!((story.count("checks_finished"), story.count("published")), (2, 0), "{story}");
        let kept = node.blob(story.kept().unwrap()).await;
        assert!(kept.contains("+half"), "{kept}");
        let told = hill.prompts(&never).pop().unwrap();
        assert!(told.contains("exit 9; } (exit status 9). Output:\n```\nthe tank is empty\n```"), "{told}");
        hill.assert_nothing_published(&never).await;
        hill.until("a person is called", |hill| hill.has_label(&never, label::NEEDS_HUMAN)).await;
        let lease = hill.lease(&never).await;
        assert_eq!(lease["state"], serde_json::to_value(LeaseState::Released).unwrap(), "{lease}");

        let story = node.until_proposed(&learns).await;
        assert_eq!(story.count("checks_finished"), 2, "{story}");
        node.until_proposed(&well).await;
    });
}

#[test]
fn a_check_that_hangs_has_failed_and_a_policy_that_can_not_be_read_is_said() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let slow = hill.repository("slow", &["sleep 1000"]).await;
        let slow = hill.issue(&slow, [PLAN, FUEL, DONE]);
        let files = vec![bzzz::apiary::forge::RepositoryFile::text(".bzzz.toml", "checks = [")];
        let broken = hill.repository_of("broken", files).await;
        let broken = hill.issue(&broken, [PLAN]);
        let node = hill
            .node_with("a", |settings| {
                settings.task.check_timeout = std::time::Duration::from_secs(5).into();
                settings.task.max_check_rounds = 1;
            })
            .await;
        let story = node.until_over(&slow).await;
        assert_eq!(story.reason(), "the work was refused or failed its checks 1 times", "{story}");
        let story = node.until_over(&broken).await;
        assert!(story.reason().starts_with(".bzzz.toml at the base of the work can't be used"), "{story}");
        node.until_proposed(&well).await;
    });
}
