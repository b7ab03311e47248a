//! What a reviewer is shown, and to whom it is given.

use crate::world::*;
use crate::{DONE, PLAN, WRITE};
use bzzz_actors::ports::forge::ForgeError;
use bzzz_actors::task::TaskEvent;

#[test]
fn a_pull_request_that_nothing_proved_is_a_draft() {
    in_virtual_time(async {
        for (policy, is_draft) in [("", true), ("checks = []", true), ("checks = ['true']", false)] {
            let world = World::new(&[PLAN, WRITE, DONE, DONE]);
            world.git.set_policy(policy);
            let node = world.start();
            Story::of(&node).until_kind("pull_request_opened").await;
            let opened = world.forge.opened();
            assert_eq!((opened.len(), opened[0].draft), (1, is_draft), "{policy:?}");
            node.stop().await;
        }
    });
}

/// The journal has gained entries since, and time has passed.
#[test]
fn a_pull_request_that_is_opened_later_by_a_node_that_came_back_says_the_same() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        world.forge.fail_opens(1);
        let node = world.start();
        let mut story = Story::of(&node);
        let published = story.until_kind("published").await;
        story.until_kind("stalled").await;
        node.stop().await;
        tokio::time::sleep(10 * MINUTE).await;

        let node = world.start();
        Story::of(&node).until_kind("pull_request_opened").await;
        let opened = world.forge.opened();
        assert_eq!(opened.len(), 2);
        assert_eq!(opened[0], opened[1]);
        let TaskEvent::Published { at: Some(at), .. } = published else { panic!("{published:?}") };
        let before_it = world.journal.kinds().iter().position(|kind| *kind == "published").unwrap();
        assert_eq!(at.head.entry, before_it as u64, "{at:?}");
        let command = format!("bzzz audit verify --holds {}", at.head);
        assert!(opened[0].body.contains(&command), "{}", opened[0].body);
        node.stop().await;
    });
}

#[test]
fn a_pull_request_is_given_to_who_set_the_label_and_a_refusal_is_taken_once() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        let refusal = ForgeError::Forbidden {
            call: "assign".into(),
            permission: "issues: write".into(),
            message: String::new(),
        };
        world.forge.fail_assigning(refusal);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        tokio::time::sleep(60 * MINUTE).await;
        assert_eq!(world.forge.assigned(), [(100, "ann".to_owned())]);
        assert_eq!(world.journal.kinds().last(), Some(&"pull_request_opened"), "the task goes on");
        assert!(world.forge.labels().contains("completed"));
        node.stop().await;
    });
}
