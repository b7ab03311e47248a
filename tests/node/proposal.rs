//! What a reviewer is shown, and to whom it is given.

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::Fault;
use bzzz::apiary::forge::RepositoryFile;
use bzzz::journal::{JournalReader, Kept};
use bzzz_actors::task::{JournalHead, TaskEvent, TaskId};

use crate::hill::Hill;
use crate::replies::FUELLED;
use crate::stage::on_a_hill;

/// The pull request on the issues' side: its words, and who has it.
async fn proposed(hill: &Hill, task: &TaskId) -> bzzz::apiary::forge::Issue {
    let pulls = hill.pull_requests(task).await;
    hill.apiary.forge().issue(&TaskId::new(task.repo.clone(), pulls[0].number)).unwrap()
}

#[test]
fn a_reviewer_sees_checks_plan_and_how_to_verify_the_journal_and_has_the_pull_request() {
    on_a_hill(async |hill| {
        let task = hill.well().await;
        hill.apiary.forge().add_collaborator(&task.repo, "maya").unwrap();
        let node = hill.node().await;
        let story = node.until_proposed(&task).await;
        let has_it = |hill: &Hill| {
            let assigned = |seen: &bzzz::apiary::LoggedRequest| seen.path.ends_with("/issues/2/assignees");
            hill.apiary.requests(StandIn::Forge).iter().any(assigned)
        };
        hill.until("the pull request is assigned", has_it).await;
        let shown = proposed(hill, &task).await;
        assert_eq!(shown.assignees, ["maya"]);
        assert!(!hill.pull_requests(&task).await[0].draft);

        let body = shown.body.unwrap();
        for part in [
            "It had none.\n\nCloses #1\n",
            "<summary>test -s fuel — exit status 0",
            "<summary>Plan</summary>",
        ] {
            assert!(body.contains(part), "{part}: {body}");
        }
        let command = body.split_once("bzzz audit verify --holds ").unwrap().1;
        let kept: JournalHead = command.lines().next().unwrap().parse().unwrap();
        let published = story.events().find_map(|event| match event {
            TaskEvent::Published { at, .. } => at.clone(),
            _ => None,
        });
        let head = published.unwrap().head;
        assert_eq!((head.entry, &head.hash), (kept.entry, &kept.hash));
        let trail = head.trail.unwrap();
        assert!(
            body.contains(&format!("`{}`", trail.mark)) && body.contains(&trail.key.to_string()),
            "{body}"
        );
        // As the operator who is asked does it, beside the running node.
        let reader = JournalReader::open(&hill.data_folder("a")).unwrap();
        for holds in [Kept::Entry(kept.clone()), Kept::Mark(trail.mark)] {
            assert!(reader.verify_holding(&holds).unwrap().entries > kept.entry);
        }
        let other = JournalHead { hash: "0".repeat(64), ..kept };
        assert!(reader.verify_holding(&Kept::Entry(other)).is_err());
    });
}

#[test]
fn what_nothing_proved_is_a_draft_where_the_forge_has_drafts_and_nobody_is_needed_to_assign_it_to() {
    on_a_hill(async |hill| {
        let readme = || vec![RepositoryFile::text("README.md", "# Rocket\n")];
        let drafts = hill.repository_of("drafts", readme()).await;
        let plain = hill.repository_of("plain", readme()).await;
        hill.apiary.forge().set_refuses_drafts(&plain, true).unwrap();
        let draft = hill.issue(&drafts, FUELLED);
        let first = hill.issue(&plain, FUELLED);
        let assignees = format!("/repos/{drafts}/issues/2/assignees");
        hill.fail_forge(
            "POST",
            &assignees,
            Fault::Status { status: 403, when: bzzz::apiary::faults::When::Before },
            9,
        );
        let node = hill.node().await;
        node.until_proposed(&draft).await;
        node.until_proposed(&first).await;
        let second = hill.issue(&plain, FUELLED);
        node.until_proposed(&second).await;

        assert!(hill.pull_requests(&draft).await[0].draft);
        let said = proposed(hill, &draft).await.body.unwrap();
        assert!(said.contains("Nothing was checked"), "{said}");
        for task in [&first, &second] {
            hill.assert_proposed_once(task).await;
            assert!(!hill.pull_requests(task).await[0].draft, "{task}");
        }
        let asked = hill.requests_to(&format!("/repos/{plain}/pulls"));
        let asked = asked.iter().filter(|seen| seen.method == "POST").count();
        assert_eq!(asked, 3, "a draft was asked for once");
        hill.until_asked(StandIn::Forge, "it is to be assigned", |seen| seen.path == assignees).await;
        let asked = hill.requests_to(&assignees).len();
        assert_eq!(asked, 1, "a refusal is not repeated");
        assert_eq!(node.story(&draft).await.task().phase.name(), "in review");
    });
}
