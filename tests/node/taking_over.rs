//! A node that is cut off stops before its task can be another's, and the other goes on from what was pushed.

use std::time::Duration;

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, When};
use bzzz::settings::Settings;
use bzzz_actors::task::{Inherited, TaskEvent};

use crate::cable::Cable;
use crate::replies::FUELLED;
use crate::stage::on_a_hill;
use crate::story::Story;

/// Leases so short that a test can wait for their end. The grace is for a busy machine to remove a sandbox in.
fn short_leases(settings: &mut Settings) {
    settings.claims.ttl = Duration::from_secs(15).into();
    settings.claims.renew_every = Duration::from_secs(4).into();
    settings.claims.grace = Duration::from_secs(25).into();
}

fn at_ms(story: &Story, kind: &str) -> u64 {
    let found = story.recorded.iter().find(|recorded| recorded.event.kind() == kind);
    found.unwrap_or_else(|| panic!("no {kind}: {story}")).at_ms
}

#[test]
fn a_node_cut_off_at_work_has_stopped_before_another_has_the_task() {
    on_a_hill(async |hill| {
        let repo = hill.repository("cut", &["test -s fuel"]).await;
        let task = hill.issue(&repo, FUELLED);
        hill.hold(&task);
        let cable = Cable::to(&hill.apiary.forge_url()).await;
        let first = hill.node_with("a", |settings| {
            short_leases(settings);
            settings.forge.api_url = cable.url.parse().unwrap();
            settings.forge.git_url = cable.url.parse().unwrap();
        });
        let first = first.await;
        first.until_kind(&task, "command_finished").await;
        let second = hill.node_with("b", short_leases).await;
        cable.cut();

        let ended = first.until_over(&task).await;
        assert!(ended.has("lease_lost"), "{ended}");
        assert!(!hill.containers().contains(&first.sandbox_of(&task)), "its sandbox is gone");
        assert_eq!(hill.lease(&task).await["node"], first.name.as_str(), "nobody else has it yet");
        hill.replies(&task.to_string(), FUELLED);

        let taken = second.until_proposed(&task).await;
        assert!(at_ms(&ended, "cleaned_up") <= at_ms(&taken, "claim_intended"), "{ended}\n{taken}");
        let begins_anew = |event: &TaskEvent| matches!(event, TaskEvent::Prepared { inherited: None, .. });
        assert!(taken.events().any(begins_anew), "nothing had been pushed: {taken}");
        assert_eq!(hill.lease(&task).await["epoch"], 2);
        hill.assert_proposed_once(&task).await;
        assert!(!first.story(&task).await.has("published"));
    });
}

#[test]
fn what_a_node_pushed_before_it_was_cut_off_is_gone_on_from() {
    on_a_hill(async |hill| {
        let repo = hill.repository("pushed", &["test -s fuel"]).await;
        let task = hill.issue(&repo, FUELLED);
        let cable = Cable::to(&hill.apiary.forge_url()).await;
        let first = hill.node_with("a", |settings| {
            short_leases(settings);
            settings.forge.api_url = cable.url.parse().unwrap();
            settings.forge.git_url = cable.url.parse().unwrap();
        });
        let first = first.await;
        let away = Fault::Status { status: 502, when: When::Before };
        hill.fail_forge("POST", &format!("/repos/{repo}/pulls"), away, 10_000);
        first.until_kind(&task, "published").await;
        cable.cut();
        hill.apiary.faults(StandIn::Forge).clear();
        let pushed = hill.branch(&task).await.unwrap();
        assert!(hill.pull_requests(&task).await.is_empty());

        let second = hill.node_with("b", short_leases).await;
        let story = second.until_proposed(&task).await;
        let inherited = story.events().find_map(|event| match event {
            TaskEvent::Prepared { inherited, .. } => inherited.as_deref(),
            _ => None,
        });
        let Some(Inherited::Taken { commit, produced }) = inherited else { panic!("{story}") };
        assert_eq!((commit.as_str(), produced.files), (&*pushed, 1));
        assert!(hill.prompts(&task).iter().any(|it| it.contains("Somebody else began with this task")));
        assert!(story.has("checks_finished"), "they ran again: {story}");
        hill.assert_proposed_once(&task).await;
        assert_eq!(hill.lease(&task).await["epoch"], 2);
    });
}
