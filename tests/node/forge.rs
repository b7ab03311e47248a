//! A forge that does not answer as it should, at each call of the main job.

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule, When};
use bzzz::apiary::forge::StatusState;
use bzzz_actors::task::{TaskEvent, TaskId, label};

use crate::hill::Hill;
use crate::replies::FUELLED;
use crate::stage::on_a_hill;

/// Every way in which an answer can be bad: its name, the fault, and whether it may be gone the next time.
fn bad_answers() -> [(&'static str, Fault, bool); 13] {
    let status = |status, when| Fault::Status { status, when };
    let (before, after) = (When::Before, When::After);
    [
        ("401", status(401, before), true),
        ("403", status(403, before), false),
        ("404", status(404, before), false),
        ("422", status(422, before), false),
        ("429", Fault::RateLimited { status: 429, retry_after_s: Some(1), reset_in_s: None }, true),
        ("500", status(500, before), true),
        ("502-after", status(502, after), true),
        ("html", Fault::Html { status: 503 }, true),
        ("html-200", Fault::Html { status: 200 }, true),
        ("half", Fault::HalfBody, true),
        ("empty", Fault::EmptyBody, true),
        ("nothing", Fault::Drop { when: before }, true),
        ("nothing-after", Fault::Drop { when: after }, true),
    ]
}

/// What git asks with when it wants objects, and not only what references there are.
const FETCHES_CODE: &str = "command=fetch";

/// One repository and issue for each of these bad answers.
async fn sick(hill: &mut Hill, names: &[&str]) -> Vec<(TaskId, Fault, bool)> {
    let mut sick = Vec::new();
    for name in names {
        let (_, fault, may_pass) = bad_answers().into_iter().find(|it| it.0 == *name).unwrap();
        // No repository's path begins with another's.
        let repo = hill.repository(&format!("sick-{name}-"), &["test -s fuel"]).await;
        sick.push((hill.issue(&repo, FUELLED), fault, may_pass));
    }
    sick
}

/// Whether the forge has answered a call of `task`'s repository with a fault.
async fn until_met(hill: &Hill, task: &TaskId, path: &str) {
    let met =
        |request: &bzzz::apiary::LoggedRequest| request.path.starts_with(path) && request.fault.is_some();
    hill.until_asked(StandIn::Forge, &format!("{task}: the fault of {path}"), met).await;
}

#[test]
fn a_listing_that_fails_holds_up_its_repository_only_and_only_for_a_while() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let sick = sick(hill, &bad_answers().map(|it| it.0)).await;
        for (task, fault, _) in &sick {
            hill.fail_forge("GET", &format!("/repos/{}/issues", task.repo), fault.clone(), 2);
        }
        let node = hill.node().await;
        node.until_proposed(&well).await;
        for (task, _, _) in &sick {
            until_met(hill, task, &format!("/repos/{}/issues", task.repo)).await;
            node.until_proposed(task).await;
            hill.assert_proposed_once(task).await;
        }
    });
}

#[test]
fn a_pull_request_is_opened_once_or_refused_with_the_work_kept() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let sick = sick(hill, &bad_answers().map(|it| it.0)).await;
        for (task, fault, may_pass) in &sick {
            // Who is refused asks whether it has one already; when that fails, as at the limit, it does all of it anew.
            let times = if *may_pass { 2 } else { u32::MAX };
            hill.fail_forge("POST", &format!("/repos/{}/pulls", task.repo), fault.clone(), times);
        }
        let node = hill.node().await;
        for (task, _, may_pass) in &sick {
            match may_pass {
                true => {
                    let story = node.until_proposed(task).await;
                    assert_eq!(story.stalls("open the pull request").len(), 1, "{story}");
                    hill.assert_proposed_once(task).await;
                }
                false => {
                    let story = node.until_over(task).await;
                    let status = task.repo.name().split('-').nth(1).unwrap();
                    assert!(story.reason().contains(status), "{story}");
                    assert!(
                        story.reason().starts_with("open a pull request from bzzz/issue-1 in"),
                        "{story}"
                    );
                    let kept = node.blob(story.kept().unwrap()).await;
                    assert!(kept.contains("+full"), "{kept}");
                    assert_eq!(hill.pull_requests(task).await, []);
                    let is_said = |hill: &Hill| {
                        hill.has_label(task, label::NEEDS_HUMAN)
                            && hill
                                .comments(task)
                                .iter()
                                .any(|it| it.contains("on the branch `bzzz/issue-1`"))
                    };
                    hill.until("a person is told", is_said).await;
                }
            }
        }
        node.until_proposed(&well).await;
        let told = |name: &str| sick.iter().find(|(task, _, _)| task.repo.name() == name).unwrap().0.clone();
        let forbidden = node.until_over(&told("sick-403-")).await;
        assert!(forbidden.reason().contains("needs the permission pull requests: write"), "{forbidden}");
    });
}

#[test]
fn an_issue_that_can_not_be_read_before_the_push_is_not_published_blindly() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let sick = sick(hill, &["401", "404", "429", "500", "html-200", "empty"]).await;
        for (task, _, _) in &sick {
            hill.hold(task);
        }
        let node = hill.node().await;
        node.until_proposed(&well).await;
        for (task, fault, may_pass) in &sick {
            // The node's notes on the issue are written: nothing but the publication reads it from now on.
            let has_noted =
                |hill: &Hill| hill.has_label(task, label::IN_PROGRESS) && !hill.comments(task).is_empty();
            hill.until("the node's first notes", has_noted).await;
            let path = format!("/repos/{}/issues/{}", task.repo, task.number);
            hill.fail_forge("GET", &path, fault.clone(), if *may_pass { 2 } else { 1 });
            hill.release(&node, task).await;
        }
        for (task, _, may_pass) in &sick {
            match may_pass {
                true => {
                    let story = node.until_proposed(task).await;
                    assert_eq!(story.stalls("publish the branch").len(), 1, "{story}");
                    hill.assert_proposed_once(task).await;
                }
                false => {
                    let story = node.until_over(task).await;
                    assert!(story.reason().starts_with("get issue"), "{story}");
                    assert!(story.kept().is_some(), "{story}");
                    hill.assert_nothing_published(task).await;
                }
            }
        }
    });
}

#[test]
fn a_git_server_that_fails_at_the_push_gets_the_work_once() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let sick = sick(hill, &["403", "500", "502-after", "html-200", "half", "nothing-after"]).await;
        for (task, _, _) in &sick {
            hill.hold(task);
        }
        let node = hill.node().await;
        node.until_proposed(&well).await;
        for (task, fault, _) in &sick {
            node.until_kind(task, "command_finished").await;
            hill.fail_forge("POST", &format!("/{}.git/git-receive-pack", task.repo), fault.clone(), 2);
            hill.release(&node, task).await;
        }
        for (task, _, _) in &sick {
            until_met(hill, task, &format!("/{}.git/git-receive-pack", task.repo)).await;
            node.until_proposed(task).await;
            hill.assert_proposed_once(task).await;
        }
    });
}

#[test]
fn a_git_server_that_fails_at_the_claim_is_asked_whose_it_is() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let sick = sick(hill, &["403", "502-after", "half", "nothing-after"]).await;
        for (task, fault, _) in &sick {
            let push = Rule::new("POST", &format!("/{}.git/git-receive-pack", task.repo), fault.clone());
            // The first three pushes try out whether this server lets references be swapped.
            hill.fail(StandIn::Forge, push.skip(3).times(2));
        }
        let node = hill.node().await;
        for (task, _, _) in &sick {
            until_met(hill, task, &format!("/{}.git/git-receive-pack", task.repo)).await;
            node.until(task, "a pull request", |story| story.has("pull_request_opened")).await;
            hill.assert_proposed_once(task).await;
        }
        node.until_proposed(&well).await;
    });
}

#[test]
fn a_git_server_that_fails_at_the_fetch_is_asked_again() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let sick = sick(hill, &["403", "500", "half", "html"]).await;
        for (task, fault, _) in &sick {
            let fetch = Rule::new("POST", &format!("/{}.git/git-upload-pack", task.repo), fault.clone());
            hill.fail(StandIn::Forge, fetch.with_body(FETCHES_CODE).times(1));
        }
        let node = hill.node().await;
        for (task, _, _) in &sick {
            let story = node.until_proposed(task).await;
            assert_eq!(story.stalls("prepare the sandbox").len(), 1, "{story}");
            hill.assert_proposed_once(task).await;
        }
        node.until_proposed(&well).await;
    });
}

#[test]
fn what_can_not_be_noted_on_the_issue_holds_up_nothing_and_is_noted_once() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let sick = sick(hill, &["403", "500", "502-after", "html-200", "half", "empty"]).await;
        for (task, fault, _) in &sick {
            for what in ["labels", "comments", "assignees"] {
                let path = format!("/repos/{}/issues/{}/{what}", task.repo, task.number);
                hill.fail_forge("POST", &path, fault.clone(), 1);
            }
        }
        let node = hill.node().await;
        node.until_proposed(&well).await;
        for (task, _, may_pass) in &sick {
            node.until_proposed(task).await;
            hill.assert_proposed_once(task).await;
            let is_noted = |hill: &Hill| {
                hill.has_label(task, label::COMPLETED) && !hill.has_label(task, label::IN_PROGRESS)
            };
            hill.until("the last labels", is_noted).await;
            let claims =
                hill.comments(task).iter().filter(|body| body.contains("<!-- bzzz:claim -->")).count();
            // A note that is refused for good is let go.
            assert_eq!(claims, usize::from(*may_pass), "{task}: {:?}", hill.comments(task));
        }
    });
}

#[test]
fn what_continuous_integration_says_of_the_pull_request_stands_in_the_journal() {
    on_a_hill(async |hill| {
        let well = hill.well().await;
        let node = hill.node().await;
        node.until_proposed(&well).await;
        let head = hill.branch(&well).await.unwrap();
        hill.apiary.forge().set_status(&well.repo, &head, StatusState::Failure, "lint").unwrap();
        let story = node.until_kind(&well, "ci_finished").await;
        let is_verdict = |event: &TaskEvent| matches!(event, TaskEvent::CiFinished { commit, failed } if commit.as_str() == head && *failed == ["lint"]);
        assert!(story.events().any(is_verdict), "{story}");
    });
}
